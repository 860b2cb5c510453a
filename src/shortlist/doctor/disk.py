"""What the disk under a folder is: its file system, its room, whether and how fast it keeps what is written."""

from __future__ import annotations

import os
import platform
import re
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from shortlist.doctor.privacy import without_names
from shortlist.doctor.problem import Problem
from shortlist.doctor.sources import command_output, system_file

__all__ = ["Disk", "examine_disk"]

ENOUGH_BYTES = 100_000_000
_TIMES = 5


@dataclass(frozen=True)
class Disk:
    """Describe the disk of a folder; None is unknown.

    ``sync_ms`` is the time to write and sync 4 KiB; where nothing can be written ``refused`` says why.
    """

    path: str
    file_system: str
    size_bytes: int | None
    free_bytes: int | None
    read_only: bool | None
    refused: str
    sync_ms: float | None
    problems: tuple[Problem, ...]


def examine_disk(folder: Path) -> Disk:
    """Look at the disk of a folder that exists; writes a nameless file there, if it may."""
    sync_ms, refused = None, ""
    try:
        sync_ms = _sync_ms(folder)
    except OSError as error:
        refused = error.strerror or str(error)
    size = free = read_only = None
    try:
        found = os.statvfs(folder)
        size, free = found.f_blocks * found.f_frsize, found.f_bavail * found.f_frsize
        read_only = bool(found.f_flag & os.ST_RDONLY)
    except OSError:
        pass
    path, problems = without_names(str(folder)), []
    if free is not None and free < ENOUGH_BYTES and not read_only:
        problems.append(Problem(f"{path}: {free / 1e6:,.1f} MB are free", "free some space on this disk"))
    return Disk(
        path=path,
        file_system=_file_system(folder),
        size_bytes=size,
        free_bytes=free,
        read_only=read_only,
        refused=refused,
        sync_ms=sync_ms,
        problems=tuple(problems),
    )


def _sync_ms(folder: Path) -> float:
    """Measure how long 4 KiB take to the disk."""
    taken = []
    with tempfile.TemporaryFile(dir=folder) as file:
        for _ in range(_TIMES):
            begin = time.perf_counter()
            os.pwrite(file.fileno(), b"shortlist doctor" * 256, 0)
            os.fsync(file.fileno())
            taken.append(1e3 * (time.perf_counter() - begin))
    return round(statistics.median(taken), 3)


def _file_system(folder: Path) -> str:
    """Give the type of the file system that is mounted nearest above the folder."""
    path = folder.resolve()
    near = [
        (len(point.parts), order, kind)
        for order, (point, kind) in enumerate(_mounts())
        if path.is_relative_to(point)
    ]
    return max(near)[2] if near else "unknown"


def _mounts() -> Iterator[tuple[Path, str]]:
    """Give where something is mounted, and its type; the later of two at one place hides the earlier."""
    for line in system_file("proc/self/mountinfo").splitlines():
        before, _, after = line.partition(" - ")
        if len(before.split()) > 4 and after:
            point = re.sub(r"\\(\d{3})", lambda found: chr(int(found[1], 8)), before.split()[4])
            yield Path(point), after.split()[0]
    if platform.system() == "Darwin":
        for found in re.finditer(r"^.+? on (.+) \((\w+)[,)]", command_output("mount"), re.MULTILINE):
            yield Path(found[1]), found[2]
