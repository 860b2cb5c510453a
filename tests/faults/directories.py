"""Directories that fail, forget, or hold on to open files: doubles of the one layer all file work goes through."""

from __future__ import annotations

import errno
import os
import signal
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shortlist.collection.directory import Directory, File, Lock

__all__ = [
    "FaultyDirectory",
    "FullDirectory",
    "HoldingDirectory",
    "KillingDirectory",
    "RecordingDirectory",
    "Step",
]


class WatchedFile(File):
    """Report every call to the directory that opened it."""

    def __init__(self, path: Path, descriptor: int, directory: WatchedDirectory) -> None:
        super().__init__(path, descriptor)
        self.directory = directory
        self.name = str(path.relative_to(directory.path))

    def write_some(self, data: memoryview, offset: int) -> int:
        return self.directory.wrote(self, data, offset, super().write_some)

    def read(self, buffer: Any, offset: int) -> int:
        self.directory.call("read", self.name)
        return super().read(buffer, offset)

    def size(self) -> int:
        self.directory.call("size", self.name)
        return super().size()

    def sync(self) -> None:
        self.directory.call("sync", self.name)
        super().sync()

    def close(self) -> None:
        if self._descriptor >= 0:
            self.directory.closed(self.name)
        super().close()


class WatchedDirectory(Directory):
    """See every call before it is made; a double says in :meth:`call` what happens then."""

    def call(self, kind: str, name: str) -> None:
        """Say that a call is about to be made; raising lets it fail."""

    def wrote(
        self, file: WatchedFile, data: memoryview, offset: int, write: Callable[[memoryview, int], int]
    ) -> int:
        """Make a write."""
        self.call("write", file.name)
        return write(data, offset)

    def closed(self, name: str) -> None:
        """Say that a file was closed."""

    def _file(self, path: Path, descriptor: int) -> File:
        return WatchedFile(path, descriptor, self)

    def names(self, folder: str = "") -> list[str]:
        self.call("names", folder)
        return super().names(folder)

    def make_folder(self, folder: str = "") -> None:
        self.call("make_folder", folder)
        super().make_folder(folder)

    def create(self, name: str) -> File:
        self.call("create", name)
        return super().create(name)

    def open(self, name: str) -> File:
        self.call("open", name)
        return super().open(name)

    def rename(self, old: str, new: str) -> None:
        self.call("rename", f"{old} {new}")
        super().rename(old, new)

    def remove(self, name: str) -> None:
        self.call("remove", name)
        super().remove(name)

    def remove_folder(self, folder: str = "") -> None:
        self.call("remove_folder", folder)
        super().remove_folder(folder)

    def sync(self, folder: str = "") -> None:
        self.call("sync_folder", folder)
        super().sync(folder)

    def lock(self, name: str, note: str) -> Lock | str:
        self.call("lock", name)
        return super().lock(name, note)

    def free_bytes(self) -> int:
        self.call("free_bytes", "")
        return super().free_bytes()


_POSSIBLE = {
    errno.EMFILE: {"create", "open", "lock", "sync_folder", "names"},
    errno.ENOSPC: {"create", "write", "make_folder", "rename", "sync", "lock", "sync_folder", "remove"},
    errno.EDQUOT: {"create", "write", "make_folder", "rename"},
}


class FaultyDirectory(WatchedDirectory):
    """Fail the N-th call that can fail so, once or from then on; ``error`` 0 writes half of what was asked."""

    def __init__(self, path: Path, fail_at: int, error: int, *, for_ever: bool) -> None:
        super().__init__(path)
        self.fail_at = fail_at
        self.error = error
        self.for_ever = for_ever
        self.calls = 0
        self.failed: list[str] = []

    def _is_due(self, kind: str) -> bool:
        if self.error == 0 and kind != "write":
            return False
        if self.error and kind not in _POSSIBLE.get(self.error, {kind}):
            return False
        self.calls += 1
        return self.calls == self.fail_at or (self.for_ever and self.calls > self.fail_at)

    def call(self, kind: str, name: str) -> None:
        if kind != "write" and self._is_due(kind):
            self._fail(kind, name)

    def wrote(
        self, file: WatchedFile, data: memoryview, offset: int, write: Callable[[memoryview, int], int]
    ) -> int:
        if not self._is_due("write"):
            return write(data, offset)
        half = len(data) // 2
        if half:
            written = write(data[:half], offset)
            if self.error == 0 and not self.for_ever:
                self.failed.append(f"write {file.name}: {written} of {len(data)}")
                return written
        self._fail("write", file.name)
        return 0

    def _fail(self, kind: str, name: str) -> None:
        self.failed.append(f"{kind} {name}")
        error = self.error or errno.EIO
        raise OSError(error, os.strerror(error), str(self.path / name))


class FullDirectory(WatchedDirectory):
    """Have a disk of a certain size: what doesn't fit is refused, as `ENOSPC`, after what did."""

    def __init__(self, path: Path, room: int) -> None:
        super().__init__(path)
        self.room = room

    def free_bytes(self) -> int:
        return max(0, self.room - self._used())

    def _used(self) -> int:
        return sum(-(-one.stat().st_size // 4096) * 4096 for one in self.path.rglob("*") if one.is_file())

    def wrote(
        self, file: WatchedFile, data: memoryview, offset: int, write: Callable[[memoryview, int], int]
    ) -> int:
        size = os.fstat(file._descriptor).st_size
        grown = max(0, -(-(offset + len(data)) // 4096) - -(-size // 4096)) * 4096
        if grown > self.free_bytes():
            fits = -(-size // 4096) * 4096 + self.free_bytes() // 4096 * 4096 - offset
            if fits <= 0:
                raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), str(file.path))
            return write(data[:fits], offset)
        return write(data, offset)


class HoldingDirectory(WatchedDirectory):
    """Refuse to remove or to replace a file that is open, as Windows does."""

    def __init__(self, path: Path) -> None:
        super().__init__(path)
        self.open_files: Counter[str] = Counter()

    def create(self, name: str) -> File:
        file = super().create(name)
        self.open_files[name] += 1
        return file

    def open(self, name: str) -> File:
        file = super().open(name)
        self.open_files[name] += 1
        return file

    def closed(self, name: str) -> None:
        self.open_files[name] -= 1

    def call(self, kind: str, name: str) -> None:
        if kind in ("remove", "rename"):
            for one in name.split():
                if self.open_files[one]:
                    raise PermissionError(errno.EACCES, os.strerror(errno.EACCES), str(self.path / one))


class KillingDirectory(WatchedDirectory):
    """Kill the process before its N-th call."""

    def __init__(self, path: Path, kill_at: int) -> None:
        super().__init__(path)
        self.left = kill_at

    def call(self, kind: str, name: str) -> None:
        _ = kind, name
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


@dataclass(frozen=True)
class Step:
    """One change of the disk: what, which file or folder, and with what."""

    kind: str
    name: str
    data: bytes = field(default=b"", repr=False)
    offset: int = 0


class RecordingDirectory(WatchedDirectory):
    """Write down everything that changes the disk, in order; the reading is left out.

    ``forget`` leaves out the waiting whose description begins so; ``fail_in`` lets a call to come fail.
    """

    def __init__(self, path: Path, steps: list[Step], *, forget: str = "") -> None:
        super().__init__(path)
        self.steps = steps
        self.forget = forget
        self.fail_in = 0

    def call(self, kind: str, name: str) -> None:
        self.fail_in -= 1
        if self.fail_in == 0:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.path / name))
        if self.forget and kind in ("sync", "sync_folder") and f"{kind} {name}".startswith(self.forget):
            return
        if kind in ("sync", "sync_folder", "create", "rename", "remove", "remove_folder", "make_folder"):
            self.steps.append(Step(kind, name))

    def wrote(
        self, file: WatchedFile, data: memoryview, offset: int, write: Callable[[memoryview, int], int]
    ) -> int:
        self.call("write", file.name)
        self.steps.append(Step("write", file.name, bytes(data), offset))
        return write(data, offset)
