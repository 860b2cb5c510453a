"""All file work of a collection, in one small layer, so that tests can make any call of it fail.

Every method is one step that the system can refuse. Names are relative to the collection's folder and use
``/``. Nothing here knows what the files mean. Errors are the system's own (``OSError`` with the file's
path); :func:`storage_errors` turns them into ours at the boundary.
"""

from __future__ import annotations

import errno
import fcntl
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any
from weakref import WeakSet

from shortlist.errors import CollectionStorageError, ShortlistError

__all__ = ["Directory", "File", "Lock", "storage_errors"]


class File:
    """Read or write one file at any place; reading is safe from several threads and after a fork."""

    def __init__(self, path: Path, descriptor: int) -> None:
        self.path = path
        self._descriptor = descriptor

    def write(self, data: Any, offset: int) -> None:
        """Write all bytes of a buffer, however many calls the system needs."""
        rest = memoryview(data).cast("B")
        while len(rest):
            written = self.write_some(rest, offset)
            rest, offset = rest[written:], offset + written

    def write_some(self, data: memoryview, offset: int) -> int:
        """Write what the system takes in one call; give how much that was."""
        return os.pwrite(self._descriptor, data, offset)

    def read(self, buffer: Any, offset: int) -> int:
        """Fill a buffer; give how many bytes there were, fewer only at the end of the file."""
        rest = memoryview(buffer).cast("B")
        count = 0
        while count < len(rest):
            found = os.preadv(self._descriptor, [rest[count:]], offset + count)
            if not found:
                break
            count += found
        return count

    def size(self) -> int:
        """Give the number of bytes."""
        return os.fstat(self._descriptor).st_size

    def sync(self) -> None:
        """Wait until the content is on the disk; after an error the file has to be given up."""
        os.fsync(self._descriptor)

    def close(self) -> None:
        """Close the file; closing twice is fine."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def __del__(self) -> None:
        self.close()


class Lock:
    """Hold a file's lock until closed; the system drops it when the process dies.

    A child made by ``fork`` would share the lock and keep it when its parent dies, so it closes its copy.
    """

    def __init__(self, descriptor: int, note: str) -> None:
        self._descriptor = descriptor
        self._write(note)
        _held.add(self)

    def close(self) -> None:
        """Wipe the note and let go; closing twice is fine."""
        if self._descriptor >= 0:
            self._write("")
            with suppress(OSError):  # closing alone would leave it to a child that has just been forked
                fcntl.flock(self._descriptor, fcntl.LOCK_UN)
            self.leave()

    def leave(self) -> None:
        """Leave the lock to the process that this one was forked from."""
        if self._descriptor >= 0:
            descriptor, self._descriptor = self._descriptor, -1
            os.close(descriptor)

    def _write(self, note: str) -> None:
        """Write the note; it is for people, so a full disk must not keep anybody from the lock."""
        with suppress(OSError):
            os.pwrite(self._descriptor, note.encode()[: _NOTE - 1].ljust(_NOTE - 1) + b"\n", 0)


_held: WeakSet[Lock] = WeakSet()


def _let_go_in_child() -> None:
    for lock in list(_held):
        lock.leave()


os.register_at_fork(after_in_child=_let_go_in_child)


class Directory:
    """Do the file work of the collection at ``path``."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def names(self, folder: str = "") -> list[str]:
        """List what is in a folder."""
        return sorted(entry.name for entry in (self.path / folder).iterdir())

    def make_folder(self, folder: str = "") -> None:
        """Make a folder, and those above it, unless they are there; wait until their names are on the disk."""
        path = (self.path / folder).absolute()
        missing = [one for one in (path, *path.parents) if not one.exists()]
        for one in reversed(missing):
            one.mkdir(exist_ok=True)
        for one in missing or [path]:  # who made it before may not have waited
            _sync_folder(one.parent)

    def create(self, name: str) -> File:
        """Create a file that must not exist, for writing."""
        path = self.path / name
        return self._file(path, os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_CLOEXEC, 0o666))

    def open(self, name: str) -> File:
        """Open a file for reading."""
        path = self.path / name
        return self._file(path, os.open(path, os.O_RDONLY | os.O_CLOEXEC))

    def _file(self, path: Path, descriptor: int) -> File:
        return File(path, descriptor)

    def rename(self, old: str, new: str) -> None:
        """Give a file another name, in one step; what had that name is gone."""
        (self.path / old).replace(self.path / new)

    def remove(self, name: str) -> None:
        """Remove a file."""
        (self.path / name).unlink()

    def remove_folder(self, folder: str = "") -> None:
        """Remove an empty folder."""
        (self.path / folder).rmdir()

    def sync(self, folder: str = "") -> None:
        """Wait until the names in a folder are on the disk."""
        _sync_folder(self.path / folder)

    def lock(self, name: str, note: str) -> Lock | str:
        """Take the lock of a file and leave a note in it; or give the note of who has it, without waiting."""
        path = self.path / name
        descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if not os.path.samestat(os.fstat(descriptor), path.stat()):
                raise BlockingIOError  # whoever had it has removed the file: a lock on it would bind nobody
        except BaseException as error:
            found = os.pread(descriptor, _NOTE, 0) if isinstance(error, BlockingIOError) else b""
            os.close(descriptor)
            if isinstance(error, BlockingIOError):
                return found.decode(errors="replace").strip()
            raise
        return Lock(descriptor, note)

    def lock_holder(self, name: str) -> str | None:
        """Give the note of who has the lock of a file, None if nobody has it; nothing is written.

        The lock is shared for an instant: the file doesn't tell who holds it, only the attempt does.
        """
        try:
            descriptor = os.open(self.path / name, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return None
        try:
            fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return os.pread(descriptor, _NOTE, 0).decode(errors="replace").strip()
        finally:
            os.close(descriptor)
        return None

    def free_bytes(self) -> int:
        """Give how many bytes the disk has left for us; a quota may leave fewer."""
        found = os.statvfs(self.path)
        return found.f_bavail * found.f_frsize


def _sync_folder(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


_NOTE = 200

_HINTS = {
    errno.ENOSPC: "free some space and run it again; what was committed before is there",
    errno.EDQUOT: "free some of the quota and run it again; what was committed before is there",
    errno.EMFILE: "raise the limit (ulimit -n), or join the segments: shortlist compact COLLECTION",
    errno.ENFILE: "close other programs, or raise the system's limit",
    errno.EACCES: "check who owns the folder and its files",
    errno.EPERM: "check who owns the folder and its files",
    errno.ENOMEM: "free some memory, or raise the limit; what was committed before is there",
    errno.EROFS: "a collection on a read-only disk can be searched, not changed",
    errno.EIO: "the disk reports errors: check it (dmesg, smartctl), and the collection: shortlist check --deep",
}


@contextmanager
def storage_errors(path: Path, doing: str) -> Iterator[None]:
    """Raise what the system refuses as :class:`CollectionStorageError`, saying what was being done."""
    try:
        yield
    except ShortlistError:
        raise
    except (OSError, MemoryError) as error:
        number = error.errno if isinstance(error, OSError) else errno.ENOMEM
        what = error.strerror or str(error) if isinstance(error, OSError) else "out of memory"
        name = getattr(error, "filename", None)
        where = f" ({name})" if name and str(name) != str(path) else ""
        ours = CollectionStorageError(
            f"{path}: {doing} failed: {what}{where}", hint=_HINTS.get(number or 0, "")
        )
        ours.errno = number
        raise ours from error
