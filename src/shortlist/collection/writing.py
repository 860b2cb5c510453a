"""Who may write: one at a time, known to the others, and forgotten when it dies."""

from __future__ import annotations

import os
import re
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shortlist.collection.directory import Directory, Lock, storage_errors
from shortlist.errors import CollectionBusyError, CollectionNotFoundError

__all__ = ["LOCK", "gone", "writer_lock"]

LOCK = "writer.lock"
NOTE_TRIES, NOTE_WAIT_S = 10, 0.005


@contextmanager
def writer_lock(directory: Directory) -> Iterator[None]:
    """Hold the right to write.

    Raises:
        CollectionNotFoundError: the folder is no longer there.
        CollectionBusyError: somebody else holds it; the message names the process.
    """
    note = f"process {os.getpid()} on {socket.gethostname()}"
    lock: Lock | str = ""
    for _ in range(NOTE_TRIES):
        with storage_errors(directory.path, "locking"):
            try:
                lock = directory.lock(LOCK, f"{note}, {threading.current_thread().name}")
            except (FileNotFoundError, NotADirectoryError):
                raise gone(directory.path) from None
        if not isinstance(lock, str) or _is_alive(lock):
            break
        time.sleep(NOTE_WAIT_S)  # who has just taken the lock has not written the note yet
    if isinstance(lock, str):
        holder, _, thread = lock.partition(", ")
        who = f"another thread of this process ({thread})" if holder == note else holder or "another process"
        raise CollectionBusyError(
            f"{directory.path}: {who} is writing to this collection", hint="wait for it, or stop it"
        )
    try:
        yield
    finally:
        lock.close()


def gone(path: Path) -> CollectionNotFoundError:
    """Say that a collection that was open is no longer where it was."""
    return CollectionNotFoundError(
        f"{path}: the collection was moved or removed while it was open",
        hint="open it again where it is now",
    )


def _is_alive(holder: str) -> bool:
    """Say whether the process that a note names can be the holder; of another machine's nobody knows."""
    found = re.match(r"process (\d+) on (.*?)(,|$)", holder)
    if not found or found[2] != socket.gethostname():
        return bool(found)
    try:
        os.kill(int(found[1]), 0)
    except ProcessLookupError:
        return False
    except PermissionError:  # it lives, and is somebody else's
        return True
    return True
