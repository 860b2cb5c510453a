"""Which pairs has a cross-encoder scored before? A bounded memory of exact scores, and if wanted a file of all.

A score depends on the model, its mode, the query, the text, and how its numbers are added up (the runtime's version and
the kind of machine), so a remembered one is the one that would be computed, bit for bit. Keys are 16 bytes of BLAKE2b:
two of a billion pairs share one with a chance below 1e-20.
"""

from __future__ import annotations

import hashlib
import os
import platform
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import suppress
from pathlib import Path

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shortlist.errors import DataError

__all__ = ["ScoreCache"]

PAIRS = 100_000  # in memory: some 20 MB
MARK = 0x53434F52  # SCOR
WAIT_S = 30.0  # for another process to finish its writing
_AT_ONCE = 500
_WHERE = f"{onnxruntime.__version__} {platform.machine()}"


class ScoreCache:
    """Remember the scores of the last ``pairs`` pairs that were asked for. Safe to share between threads.

    In ``file`` those of all pairs are kept beyond the process, in an SQLite database that several processes may share;
    some 60 bytes a pair.

    Raises:
        DataError: ``pairs`` is below 1, or ``file`` is none of ours or can't be written.
    """

    def __init__(self, pairs: int = PAIRS, file: str | os.PathLike[str] | None = None) -> None:
        if pairs < 1:
            raise DataError(f"a cache holds at least 1 pair, not {pairs}")
        self._pairs = pairs
        self._file = None if file is None else _Scores(Path(file))
        self._known: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

    @staticmethod
    def key(model: str, query: str, text: str) -> bytes:
        """Give the key of a pair; ``model`` is its fingerprint and mode."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (_WHERE, model, query, text):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
        return digest.digest()

    def get(self, keys: Sequence[bytes]) -> list[NDArray[np.float64] | None]:
        """Give the scores ``[K]`` of each pair, ``None`` where they aren't known.

        Raises:
            DataError: the file is damaged.
        """
        with self._lock:
            if self._file is not None:
                missing = [key for key in dict.fromkeys(keys) if key not in self._known]
                for key, value in self._file.read(missing).items():
                    self._known[key] = value
            found = [self._known.get(key) for key in keys]
            for key in dict.fromkeys(keys):
                if key in self._known:
                    self._known.move_to_end(key)
            self._forget()
        return found

    def put(self, keys: Sequence[bytes], scores: NDArray[np.float64]) -> None:
        """Remember the scores ``[B, K]`` of pairs."""
        with self._lock:
            for key, value in zip(keys, scores, strict=True):
                self._known[key] = value.copy()
                self._known.move_to_end(key)
            self._forget()
            if self._file is not None:
                self._file.write(keys, scores)

    def clear(self) -> None:
        """Forget what is in memory."""
        with self._lock:
            self._known.clear()

    def close(self) -> None:
        """Close the file, if there is one."""
        with self._lock:
            if self._file is not None:
                self._file.close()

    def __len__(self) -> int:
        return len(self._known)

    def _forget(self) -> None:
        while len(self._known) > self._pairs:
            self._known.popitem(last=False)


class _Scores:
    """Hold scores in a file; what can't be stored now is computed again another time."""

    def __init__(self, path: Path) -> None:
        self._path = path
        try:
            self._connection = sqlite3.connect(
                path, timeout=WAIT_S, check_same_thread=False, isolation_level=None
            )
        except sqlite3.Error as error:
            raise DataError(f"{path}: can't be used as a cache of scores: {error}") from error
        try:
            self._prepare()
        except sqlite3.Error as error:
            self.close()
            raise DataError(f"{path}: can't be used as a cache of scores: {error}") from error
        except DataError:
            self.close()
            raise

    def _prepare(self) -> None:
        if self._is_ours():
            return
        self._connection.execute("BEGIN IMMEDIATE")  # another process may be making it at the same time
        with self._connection:
            (tables,) = self._connection.execute("SELECT count(*) FROM sqlite_master").fetchone()
            if not self._is_ours():
                if tables:
                    raise DataError(
                        f"{self._path}: a database, but no cache of scores", hint="name another file"
                    )
                self._connection.execute(f"PRAGMA application_id = {MARK}")
                self._connection.execute(
                    "CREATE TABLE scores (pair BLOB PRIMARY KEY, score BLOB) WITHOUT ROWID"
                )

    def _is_ours(self) -> bool:
        (mark,) = self._connection.execute("PRAGMA application_id").fetchone()
        return bool(mark == MARK)

    def read(self, keys: Sequence[bytes]) -> dict[bytes, NDArray[np.float64]]:
        found = {}
        try:
            for start in range(0, len(keys), _AT_ONCE):
                part = keys[start : start + _AT_ONCE]
                marks = ", ".join("?" * len(part))
                rows = self._connection.execute(
                    f"SELECT pair, score FROM scores WHERE pair IN ({marks})",
                    part,
                )
                for pair, score in rows:
                    if isinstance(score, bytes) and score and len(score) % 8 == 0:
                        found[pair] = np.frombuffer(score, "<f8").copy()
        except sqlite3.Error as error:
            raise DataError(f"{self._path}: can't be read: {error}", hint="remove it") from error
        return found

    def write(self, keys: Sequence[bytes], scores: NDArray[np.float64]) -> None:
        rows = [(key, score.astype("<f8").tobytes()) for key, score in zip(keys, scores, strict=True)]
        with suppress(sqlite3.Error), self._connection:
            self._connection.execute("BEGIN IMMEDIATE")
            self._connection.executemany("INSERT OR REPLACE INTO scores VALUES (?, ?)", rows)

    def close(self) -> None:
        self._connection.close()
