"""Power losses: what was not waited for may be gone, in any combination, and writes may be torn.

A workload is recorded through the directory layer: every change of the disk in order, and the moments at which a
commit returned. A crash takes any moment of it, keeps what was synced before, and of the rest what the dice say:
each write whole, torn at a sector, or not at all; each new name, renaming or removal in a folder or not. The
files that this leaves are then opened by the real code.

Source: ALICE (Pillai et al. 2014) and Lucene's MockDirectoryWrapper.crash.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

from shortlist.collection.directory import Directory
from shortlist.errors import CollectionStorageError
from tests.faults.cases import Family
from tests.faults.directories import RecordingDirectory, Step
from tests.faults.world import (
    NOTHING,
    DisagreementError,
    State,
    assess,
    collection,
    create,
    documents,
    read,
    state_of,
)

__all__ = ["FAMILIES"]

WORKLOADS, CRASHES, OPERATIONS = 100, 50, 12
SECTOR = 512


@dataclass
class Recording:
    """Hold a workload: its steps, and from which step on each state may be found.

    After a commit that failed there are two such states: nobody was told which of them it is.
    """

    steps: list[Step]
    acknowledged: list[tuple[int, list[State]]]


class Inode:
    """Hold a file or folder: what is certain, and what the disk may or may not have yet."""

    def __init__(self) -> None:
        self.content = bytearray()
        self.pending: list[tuple[int, bytes]] = []

    def sync(self) -> None:
        for offset, data in self.pending:
            write(self.content, offset, data)
        self.pending = []

    def crashed(self, dice: random.Random) -> bytes:
        """Give what is left after a crash: any of the pending writes, each perhaps in part."""
        content = bytearray(self.content)
        for offset, data in self.pending:
            fate = dice.random()
            if fate < 0.4:
                write(content, offset, data)
            elif fate < 0.6:
                sectors = range(0, len(data), SECTOR)
                for at in dice.sample(sectors, dice.randint(0, len(sectors))):
                    write(content, offset + at, data[at : at + SECTOR])
        return bytes(content)


def write(content: bytearray, offset: int, data: bytes) -> None:
    """Write into a file's content; a hole is of zeros."""
    content.extend(b"\0" * (offset - len(content)))
    content[offset : offset + len(data)] = data


@dataclass
class Disk:
    """Hold a disk in the making: certain names, and changes of names that may or may not be on it."""

    names: dict[str, Inode | None] = field(default_factory=dict)
    certain: dict[str, Inode | None] = field(default_factory=dict)
    pending: list[dict[str, Inode | None]] = field(default_factory=list)

    def apply(self, step: Step) -> None:
        match step.kind:
            case "create":
                self._change({step.name: Inode()})
            case "write":
                self._file(step.name).pending.append((step.offset, step.data))
            case "sync":
                self._file(step.name).sync()
            case "rename":
                old, new = step.name.split()
                self._change({old: None, new: self._file(old)})
            case "remove":
                self._change({step.name: None})
            case "sync_folder":
                self._sync_folder(step.name)
            case "make_folder" | "remove_folder":
                pass  # they wait for the disk themselves; the folders are always made

    def _file(self, name: str) -> Inode:
        inode = self.names[name]
        assert inode is not None
        return inode

    def _change(self, change: dict[str, Inode | None]) -> None:
        self.names.update(change)
        self.pending.append(change)

    def _sync_folder(self, folder: str) -> None:
        rest = []
        for change in self.pending:
            if str(Path(next(iter(change))).parent) == (folder or "."):
                self.certain.update(change)
            else:
                rest.append(change)
        self.pending = rest

    def crash(self, dice: random.Random, target: Path) -> None:
        """Write down what a crash leaves."""
        names = dict(self.certain)
        for change in self.pending:
            if dice.random() < 0.5:
                names.update(change)
        (target / "segments").mkdir(parents=True)
        for name, inode in names.items():
            if inode is not None:
                (target / name).write_bytes(inode.crashed(dice))


def record(seed: int, scratch: Path, *, forget: str = "") -> Recording:
    """Do something random to a collection, and write down what happens to the disk; now and then a call fails."""
    dice = random.Random(seed)
    steps: list[Step] = []
    path = scratch / "recorded"
    recording = Recording(steps, [(0, [NOTHING])])
    directory = RecordingDirectory(path, steps, forget=forget)
    state: State
    with create(path, directory) as opened:
        recording.acknowledged.append((len(steps), [NOTHING]))
        for version in range(OPERATIONS):
            current = _present(path)
            kind = dice.choices(("add", "delete", "compact"), (7, 2, 1))[0]
            batch = documents(dice.sample(range(40), dice.randint(1, 6)), version)
            gone = dice.sample(sorted(current), min(len(current), dice.randint(1, 4)))
            state = current
            if kind == "add":
                state = {**current, **state_of(batch)}
            elif kind == "delete":
                state = {key: value for key, value in current.items() if key not in gone}
            directory.fail_in = dice.randint(1, 60) if dice.random() < 0.25 else 0
            try:
                if kind == "add":
                    opened.add(batch)
                elif kind == "delete":
                    opened.delete(gone)
                else:
                    opened.compact()
                recording.acknowledged.append((len(steps), [state]))
            except CollectionStorageError:
                recording.acknowledged.append((len(steps), [current, state]))
            directory.fail_in = 0
    return recording


def _present(path: Path) -> State:
    with collection(path) as opened:
        return read(opened)


@lru_cache(maxsize=2)
def _recorded(seed: int, forget: str) -> Recording:
    with tempfile.TemporaryDirectory() as scratch:
        return record(seed, Path(scratch), forget=forget)


def crash(recording: Recording, dice: random.Random, target: Path) -> list[State | None]:
    """Crash at some moment; give the states that may be found."""
    moment = dice.randint(0, len(recording.steps))
    disk = Disk()
    for step in recording.steps[:moment]:
        disk.apply(step)
    disk.crash(dice, target)
    before = [states for when, states in recording.acknowledged if when <= moment]
    coming = [states for when, states in recording.acknowledged if when > moment][:1]
    created = recording.acknowledged[1][0] <= moment
    allowed = [state for states in (*before[-1:], *coming) for state in states]
    return [*allowed, *([] if created else [None])]


def cases() -> Iterator[str]:
    """Every workload, every crash of it."""
    for workload in range(WORKLOADS):
        yield from (f"{workload}:{number}" for number in range(CRASHES))


def run(case: str, scratch: Path) -> None:
    """Lose the power: what was acknowledged is there, what was in the making is there whole or not at all."""
    lose_power(case, scratch)


def lose_power(case: str, scratch: Path, *, forget: str = "") -> None:
    """Lose the power once; ``forget`` lets the code forget to wait for something, which must be noticed."""
    workload, number = map(int, case.split(":"))
    recording = _recorded(workload, forget)
    dice = random.Random(case)
    allowed = crash(recording, dice, scratch / "c")
    reached = allowed[assess(scratch / "c", allowed, scratch)]
    more = documents([1000 + number])
    if reached is None:
        create(scratch / "c", Directory(scratch / "c")).close()
    with collection(scratch / "c") as opened:
        opened.add(more)
    expected = {**(reached or {}), **state_of(more)}
    assess(scratch / "c", [expected], scratch)
    if not (scratch / "c" / "generation.safetensors").exists():
        raise DisagreementError("no generation")


FAMILIES = [
    Family(
        "power-loss",
        "everything that was not waited for may be lost or torn, also after a commit that failed: what a commit "
        "returned for is there, the next commit works",
        cases,
        run,
    )
]
