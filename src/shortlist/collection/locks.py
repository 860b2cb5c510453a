"""Who may write, and who still reads: locks that the system drops when their process dies.

``flock`` on two files. The writer's lock is exclusive and its file names the holder. Every reader shares the
readers' lock, so that what an old generation needs is removed only when nobody reads. Linux and macOS.
"""

from __future__ import annotations

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shortlist.errors import CollectionBusyError

__all__ = ["ReaderLock", "no_readers", "writer_lock"]


@contextmanager
def writer_lock(path: Path) -> Iterator[None]:
    """Hold the right to write.

    Raises:
        CollectionBusyError: another process holds it; the message names the process.
    """
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = os.pread(descriptor, 200, 0).decode(errors="replace").strip() or "another process"
            raise CollectionBusyError(
                f"{path.parent}: {holder} is writing to this collection", hint="wait for it, or stop it"
            ) from None
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, f"process {os.getpid()} on {socket.gethostname()}\n".encode(), 0)
        yield
    finally:
        os.close(descriptor)


class ReaderLock:
    """Hold a share of the readers' lock until closed."""

    def __init__(self, path: Path) -> None:
        self._descriptor: int | None = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
        fcntl.flock(self._descriptor, fcntl.LOCK_SH)

    def close(self) -> None:
        """Give the share back; closing twice is fine."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None


@contextmanager
def no_readers(path: Path) -> Iterator[bool]:
    """Keep readers out for a moment; yield whether that was possible at once."""
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT, 0o644)
    try:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(descriptor)
