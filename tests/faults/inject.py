"""Calls that fail: the N-th input or output, a full disk, files that can't be removed while they are open."""

from __future__ import annotations

import errno
import os
import signal
import tempfile
from collections.abc import Callable, Iterator
from functools import lru_cache
from pathlib import Path

from shortlist.errors import CollectionDamagedError, CollectionStorageError, ShortlistError
from tests.faults.cases import Family
from tests.faults.directories import (
    FaultyDirectory,
    FullDirectory,
    HoldingDirectory,
    KillingDirectory,
)
from tests.faults.world import (
    DisagreementError,
    Scenario,
    State,
    assess,
    collection,
    leftovers,
    look,
    mending,
    scenarios,
)

__all__ = ["FAMILIES", "after_kill", "retry"]


def everything() -> dict[str, Scenario]:
    """Give the commits, and the repair."""
    return {**scenarios(), **mending()}


ERRORS = {
    "EIO": errno.EIO,
    "ENOSPC": errno.ENOSPC,
    "EDQUOT": errno.EDQUOT,
    "EMFILE": errno.EMFILE,
    "short": 0,
}
BEYOND = 10**9


@lru_cache
def _calls(name: str, error: int) -> int:
    """Count the calls of a scenario that can fail so."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / name
        scenario = everything()[name]
        scenario.prepare(path)
        watched = FaultyDirectory(path, BEYOND, error, for_ever=False)
        scenario.act(path, watched)
        return watched.calls


def _memory() -> str | None:
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def io_cases() -> Iterator[str]:
    """Every call of every scenario, every error, once and for ever."""
    for name in everything():
        for label, error in ERRORS.items():
            for number in range(1, _calls(name, error) + 1):
                yield from (f"{name}:{label}:{kind}:{number}" for kind in ("once", "for-ever"))


def io_run(case: str, scratch: Path) -> None:
    """Let one call fail: a typed error or success, one of both states whole, and a clean retry that works."""
    name, label, kind, number = case.split(":")
    scenario, path = everything()[name], scratch / name
    scenario.prepare(path)
    faulty = FaultyDirectory(path, int(number), ERRORS[label], for_ever=kind == "for-ever")
    try:
        scenario.act(path, faulty)
    except ShortlistError as error:
        # what a repair can't read is damage to it
        expected = (CollectionStorageError, *([CollectionDamagedError] if scenario.damaged else []))
        if not isinstance(error, expected):
            raise DisagreementError(f"{type(error).__name__}: {error}") from error
        if not faulty.failed:
            raise DisagreementError(f"nothing failed, and yet: {error}") from error
        _after_failure(scenario, path, faulty, scratch)
    else:
        assess(path, [scenario.after], scratch)
    retry(scenario, path, scratch)


def _after_failure(scenario: Scenario, path: Path, faulty: FaultyDirectory, scratch: Path) -> None:
    """The state before; or the one after, if all that failed came after the renaming."""
    states = (
        [scenario.before, {}, scenario.after]
        if scenario.before is None
        else [scenario.before, scenario.after]
    )
    reached = assess(path, states, scratch, damaged=scenario.damaged)
    if states[reached] is scenario.after and scenario.before != scenario.after:
        first = faulty.failed[0]
        if not first.startswith("sync_folder") and scenario.name != "first":
            raise DisagreementError(f"an error was reported, but the commit is there; failed: {first}")


def retry(scenario: Scenario, path: Path, scratch: Path) -> None:
    """The same again, on a disk that works, gets there and leaves nothing."""
    if scenario.name == "first" and (path / "generation.safetensors").exists():
        with collection(path) as opened:
            opened.add(list(scenario.after.values()))
    else:
        scenario.act(path, None)
    assess(path, [scenario.after], scratch)
    if leftovers(path):
        raise DisagreementError(f"left over: {leftovers(path)}")


def reading_cases() -> Iterator[str]:
    """Every call of opening and searching, every error."""
    for label, error in ERRORS.items():
        if error in (errno.EIO, errno.EMFILE):
            for number in range(1, _reading_calls(error) + 1):
                yield from (f"{label}:{kind}:{number}" for kind in ("once", "for-ever"))


@lru_cache
def _reading_calls(error: int) -> int:
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / "c"
        scenarios()["update"].prepare(path)
        watched = FaultyDirectory(path, BEYOND, error, for_ever=False)
        with collection(path, watched) as opened:
            look(opened)
        return watched.calls


def reading_run(case: str, scratch: Path) -> None:
    """Let one call of a reader fail: a typed error or the right answer, never another; then it works again."""
    label, kind, number = case.split(":")
    scenario, path = scenarios()["update"], scratch / "c"
    scenario.prepare(path)
    with collection(path) as sound:
        expected = look(sound)
    faulty = FaultyDirectory(path, int(number), ERRORS[label], for_ever=kind == "for-ever")
    try:
        with collection(path, faulty) as opened:
            if look(opened) != expected:
                raise DisagreementError("another answer")
    except CollectionStorageError:
        pass
    faulty.fail_at = BEYOND
    with collection(path, faulty) as opened:
        if look(opened) != expected:
            raise DisagreementError("another answer afterwards")


def full_cases() -> Iterator[str]:
    """Every disk size from no free byte to enough, in steps of 4 kB."""
    for name in scenarios():
        yield from (f"{name}:{free}" for free in range(0, _needed(name) + 8192, 4096))


@lru_cache
def _needed(name: str) -> int:
    """Give the room that a scenario takes at its peak, in steps of 4 kB."""
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / name
        scenario = scenarios()[name]
        scenario.prepare(path)
        used = FullDirectory(path, 0)._used() if path.exists() else 0
        peak = 0

        class Peak(FullDirectory):
            def closed(self, name: str) -> None:
                nonlocal peak
                _ = name
                peak = max(peak, self._used())

        scenario.act(path, Peak(path, BEYOND))
        return peak - used


def full_run(case: str, scratch: Path) -> None:
    """Fill the disk: all or nothing, nothing left over, and searching goes on without a free byte."""
    name, free = case.split(":")
    scenario, path = scenarios()[name], scratch / name
    scenario.prepare(path)
    used = FullDirectory(path, 0)._used() if path.exists() else 0
    full = FullDirectory(path, used + int(free))
    try:
        scenario.act(path, full)
    except CollectionStorageError as error:
        if error.errno not in (errno.ENOSPC, None):
            raise DisagreementError(f"{error}") from error
        states: list[State | None] = [scenario.before, *([{}] if scenario.before is None else [])]
        assess(path, states, scratch)
        if scenario.before is not None:
            with collection(path, FullDirectory(path, 0)) as opened:
                look(opened)
            if leftovers(path):
                raise DisagreementError(f"left over: {leftovers(path)}") from error
    else:
        assess(path, [scenario.after], scratch)
    retry(scenario, path, scratch)


def holding_cases() -> Iterator[str]:
    """Every scenario."""
    return iter(scenarios())


def holding_run(case: str, scratch: Path) -> None:
    """Let files that are open resist removal, while a reader has them open: all works, and later all is tidy."""
    scenario, path = scenarios()[case], scratch / case
    scenario.prepare(path)
    holding = HoldingDirectory(path)
    if scenario.before is None:
        scenario.act(path, holding)
    else:
        with collection(path, holding) as reader:
            before = look(reader)
            snapshot = reader.store.snapshot()
            scenario.act(path, holding)
            found = snapshot.documents(snapshot.live.nonzero()[0])
            if {one.doc_id: one for one in found} != dict(scenario.before):
                raise DisagreementError("a reader lost its generation")
            if look(reader) == before and scenario.before != scenario.after:
                raise DisagreementError("a reader does not see the new generation")
            snapshot.close()
    if sum(holding.open_files.values()):
        raise DisagreementError(f"left open: {+holding.open_files}")
    assess(path, [scenario.after], scratch)
    with collection(path, holding).store.writer():
        pass
    if leftovers(path):
        raise DisagreementError(f"left over: {leftovers(path)}")


def kill_cases() -> Iterator[str]:
    """Every call of every scenario."""
    for name in everything():
        yield from (f"{name}:{number}" for number in range(1, _all_calls(name) + 1))


@lru_cache
def _all_calls(name: str) -> int:
    with tempfile.TemporaryDirectory(dir=_memory()) as folder:
        path = Path(folder) / name
        scenario = everything()[name]
        scenario.prepare(path)
        watched = KillingDirectory(path, BEYOND)
        scenario.act(path, watched)
        return BEYOND - watched.left


def kill_run(case: str, scratch: Path) -> None:
    """Kill the process before a call of the directory layer: the state before or after, whole."""
    name, number = case.split(":")
    scenario, path = everything()[name], scratch / name
    scenario.prepare(path)
    code = in_child(lambda: scenario.act(path, KillingDirectory(path, int(number))))
    if code != -signal.SIGKILL:
        raise DisagreementError(f"the process ended with {code}")
    after_kill(scenario, path, scratch)


def after_kill(scenario: Scenario, path: Path, scratch: Path) -> None:
    """One of both states, whole; and the same again gets there and leaves nothing."""
    states = [None, {}, scenario.after] if scenario.before is None else [scenario.before, scenario.after]
    assess(path, states, scratch, damaged=scenario.damaged)
    retry(scenario, path, scratch)


def in_child(act: Callable[[], object]) -> int:
    """Do something in a forked process; give how it ended (negative: the signal)."""
    process = os.fork()
    if not process:
        try:
            act()
        except BaseException:
            os._exit(1)
        os._exit(0)
    return os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])


FAMILIES = [
    Family(
        "io-errors",
        "the N-th call fails (EIO, ENOSPC, EMFILE, short write), once and for ever, in every commit: typed error, "
        "state whole, retry works, nothing left over",
        io_cases,
        io_run,
    ),
    Family(
        "read-errors",
        "the N-th call of a reader fails: typed error or the right answer, and it works again afterwards",
        reading_cases,
        reading_run,
    ),
    Family(
        "full-disk",
        "a disk that fills, in steps of 4 kB: all or nothing, search without a free byte, nothing left over",
        full_cases,
        full_run,
    ),
    Family(
        "open-files",
        "open files can't be removed or replaced (the rule of Windows), with a reader at work",
        holding_cases,
        holding_run,
    ),
    Family(
        "kill-calls",
        "SIGKILL before every call of the directory layer",
        kill_cases,
        kill_run,
    ),
]
