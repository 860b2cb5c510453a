"""Limits of a real system: a disk that is full or read-only, too few open files, too little memory."""

from __future__ import annotations

import os
import resource
import sys
from collections.abc import Iterator
from pathlib import Path

from shortlist.errors import CollectionError, CollectionStorageError
from tests.faults.cases import Family
from tests.faults.disks import can_mount, disk
from tests.faults.inject import retry
from tests.faults.many import answers, fork
from tests.faults.world import (
    DisagreementError,
    assess,
    collection,
    create,
    documents,
    leftovers,
    look,
    scenarios,
    state_of,
)

__all__ = ["FAMILIES"]


def tmpfs_cases() -> Iterator[str]:
    """Every size of a disk, in steps of 4 kB; none where disks can't be made."""
    if can_mount():
        for name in scenarios():
            if name != "first":
                yield from (f"{name}:{free}" for free in range(0, 140_000, 4096))


def tmpfs_run(case: str, scratch: Path) -> None:
    """Fill a real disk: all or nothing, nothing left over; with no byte free a search goes on."""
    name, free = case.split(":")
    scenario = scenarios()[name]
    with disk(scratch / "disk", 8 << 20) as mounted:
        path = mounted / "c"
        scenario.prepare(path)
        with collection(path) as opened:
            expected = look(opened)
        found = os.statvfs(mounted)
        with (mounted / "filling").open("wb") as file:
            os.posix_fallocate(file.fileno(), 0, found.f_bavail * found.f_frsize - int(free) or 1)
        try:
            scenario.act(path, None)
        except CollectionStorageError as error:
            if leftovers(path):
                raise DisagreementError(f"left over: {leftovers(path)}") from error
            state = scenario.before
            with (mounted / "filling").open("ab") as file:
                rest = os.statvfs(mounted).f_bavail * found.f_frsize
                file.write(b"x" * rest)
            with collection(path) as opened:
                if look(opened) != expected:
                    raise DisagreementError("with no byte free a search gives another answer") from error
        else:
            state = scenario.after
        (mounted / "filling").unlink()
        assess(path, [state], scratch)
        retry(scenario, path, scratch)


def file_cases() -> Iterator[str]:
    """Every limit of open files, from none to enough."""
    for name in (*scenarios(), "search"):
        yield from (f"{name}:{more}" for more in range(14))


def file_run(case: str, scratch: Path) -> None:
    """Allow a process a few more open files than it has: a typed error or success, and the state whole."""
    name, more = case.split(":")
    scenario, path = scenarios()["update" if name == "search" else name], scratch / "c"
    scenario.prepare(path)

    def limited() -> str:
        used = len(list(Path("/dev/fd").iterdir())) - 1
        hard = resource.getrlimit(resource.RLIMIT_NOFILE)[1]
        resource.setrlimit(resource.RLIMIT_NOFILE, (used + int(more), hard))
        try:
            if name == "search":
                with collection(path) as opened:
                    look(opened)
            else:
                scenario.act(path, None)
        except CollectionStorageError as error:
            return "" if "Too many open files" in str(error) else f"{error}"
        return "done"

    (answer,) = answers([fork(limited)])
    if answer not in ("", "done"):
        raise DisagreementError(f"{answer}")
    if name == "search":
        assess(path, [scenario.before], scratch)
        return
    assess(
        path,
        [None, {}, scenario.after] if scenario.before is None else [scenario.before, scenario.after],
        scratch,
    )
    retry(scenario, path, scratch)


def memory_cases() -> Iterator[str]:
    """Limits of memory, in steps of 4 MB beyond what the process has."""
    for name in ("add", "compact", "search"):
        yield from (f"{name}:{more}" for more in range(0, 64, 4))


def memory_run(case: str, scratch: Path) -> None:
    """Allow a process little memory: a typed error (or Python's ``MemoryError``) or success, and the state whole."""
    name, more = case.split(":")
    path = scratch / "c"
    first, second = documents(range(400)), documents(range(300, 600), version=1)
    with create(path) as made:
        made.add(first)
        made.add(second)

    def limited() -> str:
        used = int(Path("/proc/self/statm").read_text().split()[0]) * resource.getpagesize()
        opened = collection(path)
        resource.setrlimit(resource.RLIMIT_AS, (used + (int(more) << 20),) * 2)
        try:
            if name == "add":
                opened.add(documents(range(1000, 1400)))
            elif name == "compact":
                opened.compact()
            else:
                look(opened)
        except MemoryError:
            return "MemoryError"
        except CollectionError as error:
            return "memory" if "out of memory" in str(error) or "allocate" in str(error) else f"{error}"
        return "done"

    if sys.platform != "linux":
        return
    (answer,) = answers([fork(limited)])
    if answer not in ("MemoryError", "memory", "done"):
        raise DisagreementError(f"{answer}")
    before = state_of(first, second)
    assess(path, [before, {**before, **state_of(documents(range(1000, 1400)))}], scratch)
    with collection(path) as opened:
        opened.add(documents([5000]))
    if leftovers(path):
        raise DisagreementError(f"left over: {leftovers(path)}")


FAMILIES = [
    Family(
        "full-tmpfs",
        "the same on a real disk (tmpfs) of every size in steps of 4 kB; a search with no byte free answers as before",
        tmpfs_cases,
        tmpfs_run,
    ),
    Family(
        "few-files",
        "a limit of open files, from none to enough: typed error, state whole, retry works",
        file_cases,
        file_run,
    ),
    Family(
        "little-memory",
        "a limit of memory: typed error, state whole, nothing left over",
        memory_cases,
        memory_run,
    ),
]
