"""Processes that are killed: at every system call that writes, and at random under load."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist.api import Collection
from shortlist.collection import Analyzer, Snapshot, Store
from shortlist.collection.directory import Directory
from shortlist.collection.segment import id_hashes
from shortlist.errors import CollectionExistsError
from shortlist.indexing import indexer
from shortlist.types import Document
from tests.faults.cases import Family
from tests.faults.inject import after_kill, everything
from tests.faults.world import (
    SETTINGS,
    DisagreementError,
    assess,
    collection,
    create,
    documents,
    encoder,
    read,
    state_of,
)

__all__ = ["FAMILIES", "Load", "kill_at_random"]

WRITING = (
    "write,pwrite64,writev,pwritev,fsync,fdatasync,sync_file_range,rename,renameat,renameat2,unlink,unlinkat,"
    "mkdir,mkdirat,rmdir,ftruncate,fallocate,openat,flock,close"
)


def _traced(name: str, path: Path, *options: str) -> int:
    """Run a scenario in a stopped child, trace it from there; give how it ended."""
    scenario = everything()[name]
    child = os.fork()
    if not child:
        try:
            os.kill(os.getpid(), signal.SIGSTOP)
            scenario.act(path, None)
        except BaseException:
            os._exit(1)
        os._exit(0)
    os.waitpid(child, os.WUNTRACED)
    tracer = subprocess.Popen(
        ["strace", "-p", str(child), "-e", f"trace={WRITING}", *options],
        stderr=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
    )
    assert tracer.stderr is not None
    with tracer, tracer.stderr:
        line = tracer.stderr.readline()
        attached = "attached" in line
        os.kill(child, signal.SIGCONT if attached else signal.SIGKILL)
        _, status = os.waitpid(child, 0)
        tracer.stderr.read()
    if not attached:
        raise RuntimeError(f"strace: {line}")
    return os.waitstatus_to_exitcode(status)


@lru_cache
def _system_calls(name: str, scratch: Path) -> int:
    """Count a scenario's system calls that write."""
    folder = scratch / f"count-{name}"
    folder.mkdir()
    everything()[name].prepare(folder / "c")
    code = _traced(name, folder / "c", "-o", str(folder / "calls"))
    if code:
        raise RuntimeError(f"scenario {name} ended with {code}")
    lines = (folder / "calls").read_text().splitlines()
    shutil.rmtree(folder)
    return sum("(" in line and not line.startswith(("---", "+++")) for line in lines)


def has_strace() -> bool:
    """Say whether processes can be traced here."""
    if shutil.which("strace") is None:
        return False
    return (
        subprocess.run(["strace", "-o", "/dev/null", "true"], capture_output=True, check=False).returncode
        == 0
    )


def call_cases() -> Iterator[str]:
    """Every system call of every scenario; none where processes can't be traced."""
    if not has_strace():
        return
    with tempfile.TemporaryDirectory() as folder:
        for name in everything():
            yield from (f"{name}:{number}" for number in range(1, _system_calls(name, Path(folder)) + 1))


def call_run(case: str, scratch: Path) -> None:
    """Kill a process as it enters its N-th system call that writes."""
    name, number = case.split(":")
    scenario, path = everything()[name], scratch / name
    scenario.prepare(path)
    code = _traced(name, path, "-o", "/dev/null", "-e", f"inject={WRITING}:signal=KILL:when={number}")
    if code not in (-signal.SIGKILL, 0):
        raise DisagreementError(f"the process ended with {code}")
    after_kill(scenario, path, scratch)


@dataclass
class Load:
    """A long run of commits of which every one follows from its number; and what they amount to.

    ``versions`` says which commit wrote each living document, ``total`` is a fingerprint of the living: the sum of
    a number for each that depends on its id and its length.
    """

    largest: int
    number: int = 0
    next_document: int = 0
    versions: dict[int, int] = field(default_factory=dict)
    total: int = 0
    added: int = 0

    def commit(self, number: int, next_document: int) -> tuple[str, list[int]]:
        """Give what commit ``number`` does, and to which documents."""
        dice = random.Random(number)
        kind = dice.choices(("add", "update", "delete", "compact"), (75, 12, 12, 1))[0]
        size = dice.randint(1, self.largest)
        if kind == "add" or next_document == 0:
            return "add", list(range(next_document, next_document + size))
        chosen = sorted(set(dice.choices(range(next_document), k=max(1, size // 8))))
        return kind, [] if kind == "compact" else chosen

    def document(self, number: int, version: int) -> Document:
        """Make a document: short, and of another length in every version."""
        return Document(f"n{number}", " ".join(f"w{(number + i) % 211}" for i in range(1 + version % 9)))

    def worth(self, numbers: list[int], versions: list[int]) -> int:
        """Give what some documents add to the fingerprint."""
        hashes = id_hashes([f"n{number}" for number in numbers])
        lengths = np.array([1 + version % 9 for version in versions], np.uint64)
        return int(_worth(hashes, lengths).sum(dtype=np.uint64))

    def after(self) -> Load:
        """Give what the next commit leads to; shares ``versions``, which :meth:`take` changes."""
        kind, chosen = self.commit(self.number, self.next_document)
        known = [one for one in chosen if one in self.versions]
        total = self.total - self.worth(known, [self.versions[one] for one in known]) if known else self.total
        if kind in ("add", "update"):
            total += self.worth(chosen, [self.number] * len(chosen))
        following = max([self.next_document, *(one + 1 for one in chosen)])
        count = len(chosen) if kind == "add" else 0
        return Load(
            self.largest, self.number + 1, following, self.versions, total % 2**64, self.added + count
        )

    def take(self) -> None:
        """Make the next commit's result this one's."""
        kind, chosen = self.commit(self.number, self.next_document)
        following = self.after()
        for one in chosen:
            if kind == "delete":
                self.versions.pop(one, None)
            else:
                self.versions[one] = self.number
        self.number, self.next_document = following.number, following.next_document
        self.total, self.added = following.total, following.added


def _worth(hashes: NDArray[np.uint64], lengths: NDArray[np.uint64]) -> NDArray[np.uint64]:
    return hashes * (2 * lengths + 1)


def fingerprint(path: Path) -> int:
    """Add up a collection's living documents as :class:`Load` does."""
    total = 0
    with Snapshot(Directory(path)) as snapshot:
        for segment, live in zip(snapshot.segments, snapshot.live_by_segment(), strict=True):
            order, known = segment._id_index
            hashes = np.empty(len(known), np.uint64)
            hashes[order] = known
            total += int(_worth(hashes, segment.lengths.astype(np.uint64))[live].sum(dtype=np.uint64))
    return total % 2**64


def kill_at_random(scratch: Path, seed: int, kills: int, added: int, largest: int) -> Load:
    """Let processes commit and kill them, until there were enough kills and enough documents acknowledged."""
    dice, path, load = random.Random(seed), scratch / "load", Load(largest)
    Analyzer().terms("warm")
    create(path).close()
    done = in_doubt = 0
    while done < kills or load.added < added:
        reading, writing = os.pipe()
        child = os.fork()
        if not child:
            _work(path, load, writing)
        os.close(writing)
        kind, _ = load.commit(load.number, load.next_document)
        # a large compaction or merge takes seconds: now and then it is given the time to come to its end
        patience = 8 if dice.random() < (0.3 if kind == "compact" else 0.004) else 0
        time.sleep((dice.choice((0.05, 0.1, 0.3, 0.6)) + patience) * dice.random())
        os.kill(child, signal.SIGKILL)
        _must_be_killed(child)
        with os.fdopen(reading, "rb") as pipe:
            acknowledged = len(pipe.read())
        for _ in range(acknowledged):
            load.take()
        found = fingerprint(path)
        if found != load.total:
            if found != load.after().total:
                raise DisagreementError(
                    f"kill {done}: neither commit {load.number} nor the next one is there"
                )
            load.take()
            in_doubt += 1
        done += 1
        if done % max(1, kills // 5) == 0:
            _deep(path)
            print(
                f"    {done} kills, {load.added:,} documents, {in_doubt} commits beyond the last acknowledged one",
                flush=True,
            )
    _deep(path)
    with collection(path) as opened:
        expected = {f"n{number}": load.document(number, version) for number, version in load.versions.items()}
        if read(opened) != expected:
            raise DisagreementError("documents differ")
    return load


def _must_be_killed(child: int, *, or_done: bool = False) -> None:
    """Wait for a process, and refuse one that died of something else."""
    code = os.waitstatus_to_exitcode(os.waitpid(child, 0)[1])
    if code != -signal.SIGKILL and not (or_done and code == 0):
        raise DisagreementError(f"a worker ended with {code}, before it was killed")


def _work(path: Path, load: Load, pipe: int) -> None:
    """Commit until killed; write a byte when a commit has returned."""
    try:
        opened = collection(path)
        number, following = load.number, load.next_document
        while True:
            kind, chosen = load.commit(number, following)
            if kind == "compact":
                opened.compact()
            elif kind == "delete":
                opened.delete([f"n{one}" for one in chosen])
            else:
                opened.add([load.document(one, number) for one in chosen])
            os.write(pipe, b".")
            number, following = number + 1, max([following, *(one + 1 for one in chosen)])
    except BaseException as error:
        print(f"    a worker failed: {type(error).__name__}: {error}", flush=True)
    finally:
        os._exit(1)


def _deep(path: Path) -> None:
    with collection(path) as opened:
        problems = [one for one in opened.check(deep=True) if "encoded by" not in one]
    if problems:
        raise DisagreementError(f"check --deep: {problems}")


KILLS, ADDED, LARGEST = 3000, 1_000_000, 150


def random_cases() -> Iterator[str]:
    """One long run."""
    yield f"1:{KILLS}:{ADDED}:{LARGEST}"


def random_run(case: str, scratch: Path) -> int:
    """Kill at random; give how many documents were acknowledged."""
    seed, kills, added, largest = map(int, case.split(":"))
    return kill_at_random(scratch, seed, kills, added, largest).added


BUILD, BUILD_KILLS = 6000, 10


def build_cases() -> Iterator[str]:
    """A few first builds."""
    return iter(("1", "2", "3"))


def build_run(case: str, scratch: Path) -> None:
    """Kill a first build ten times and go on each time: a kill costs at most the commit that it hit."""
    dice, path = random.Random(case), scratch / "c"
    source = documents(range(BUILD))
    for kill in range(BUILD_KILLS):
        child = os.fork()
        if not child:
            _build(path, source, sleep=0.002)
        time.sleep(0.05 + dice.random() * 0.4)
        os.kill(child, signal.SIGKILL)
        _must_be_killed(child, or_done=True)
        before = _count(path)
        if before % COMMIT and before != BUILD:
            raise DisagreementError(
                f"after kill {kill} there are {before} documents: no whole number of commits"
            )
    before = _count(path)
    encoded = _build(path, source, sleep=0)
    if encoded > BUILD - before:
        raise DisagreementError(f"{encoded} documents encoded, {BUILD - before} were missing")
    assess(path, [state_of(source)], scratch)


COMMIT = 250


def _build(path: Path, source: list[Document], *, sleep: float) -> int:
    """Build or go on building; in a child, never return."""
    indexer.DOCUMENTS_A_COMMIT = COMMIT
    try:
        store = Store.create(path, SETTINGS, unfinished="the source")
    except CollectionExistsError:
        store = Store(path)
        if not store.unfinished:  # the kills came too late for this build
            if sleep:
                os._exit(0)
            return 0
    slow = encoder()
    opened = Collection(store, slow, None)
    if sleep:
        views = slow.views

        def slowly(texts: list[str], **more: object) -> object:
            time.sleep(sleep * len(texts) / 10)
            return views(texts, **more)  # type: ignore[arg-type]

        slow.views = slowly  # type: ignore[method-assign,assignment]
    report = opened.add(source)
    with store.writer() as writer:
        writer.finish()
    if sleep:
        os._exit(0)
    return report.added


def _count(path: Path) -> int:
    if not (path / "generation.safetensors").exists():
        return 0
    with collection(path) as opened:
        return opened.count()


FAMILIES = [
    Family(
        "kill-system-calls",
        "SIGKILL (strace) at every system call that writes, in every commit: generation g or g+1 whole, the same "
        "again works, nothing left over",
        call_cases,
        call_run,
    ),
    Family(
        "kill-at-random",
        "3,000 SIGKILLs at random under a load of adds, updates, deletes and compactions: no acknowledged document "
        "lost, none that was deleted or never committed",
        random_cases,
        random_run,
        counted="documents acknowledged",
        heavy=True,
    ),
    Family(
        "kill-first-build",
        "ten SIGKILLs of one first build, each time gone on with: only the commit in the making is repeated",
        build_cases,
        build_run,
        heavy=True,
    ),
]
