"""Which pairs has a cross-encoder scored before? A bounded memory of exact scores, on disk if a file is named.

A score depends on the model, its mode, the query and the text alone, so a remembered one is the one that would be
computed, bit for bit. Keys are 16 bytes of BLAKE2b: two of a billion pairs share one with a chance below 1e-20.
"""

from __future__ import annotations

import hashlib
import sqlite3
import threading
from collections import OrderedDict
from collections.abc import Sequence
from contextlib import closing
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError

__all__ = ["ScoreCache"]

PAIRS = 100_000  # in memory: some 20 MB
_ASKED = 500  # keys a query of the file


class ScoreCache:
    """Remember the scores of the last ``pairs`` pairs; in ``path`` of all, for other processes and days too.

    Safe to share between threads. The file is a SQLite database that may be removed at any time; it is written without
    waiting for the disk, as what is lost is computed again.

    Raises:
        DataError: ``path`` is no such file, or can't be written.
    """

    def __init__(self, pairs: int = PAIRS, path: Path | None = None) -> None:
        if pairs < 1:
            raise DataError(f"a cache holds at least 1 pair, not {pairs}")
        self._pairs = pairs
        self._path = path
        self._known: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()
        self._file = None if path is None else _open(path)

    @staticmethod
    def key(model: str, query: str, text: str) -> bytes:
        """Give the key of a pair; ``model`` is its fingerprint and mode."""
        digest = hashlib.blake2b(digest_size=16)
        for part in (model, query, text):
            encoded = part.encode()
            digest.update(len(encoded).to_bytes(8, "little"))
            digest.update(encoded)
        return digest.digest()

    def get(self, keys: Sequence[bytes]) -> list[NDArray[np.float64] | None]:
        """Give the scores ``[K]`` of each pair, ``None`` where they aren't known."""
        with self._lock:
            missing = [key for key in dict.fromkeys(keys) if key not in self._known]
            for key, value in self._read(missing):
                self._remember(key, value)
            found = [self._known.get(key) for key in keys]
            for key in dict.fromkeys(keys):
                if key in self._known:
                    self._known.move_to_end(key)
        return found

    def put(self, keys: Sequence[bytes], scores: NDArray[np.float64]) -> None:
        """Remember the scores ``[B, K]`` of pairs."""
        with self._lock:
            for key, value in zip(keys, scores, strict=True):
                self._remember(key, value.copy())
            if self._file is not None:
                rows = [(key, value.astype("<f8").tobytes()) for key, value in zip(keys, scores, strict=True)]
                self._run("INSERT OR IGNORE INTO scores VALUES (?, ?)", rows)

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            if self._file is not None:
                self._file.close()
                self._file = None

    def __len__(self) -> int:
        return len(self._known)

    def _remember(self, key: bytes, value: NDArray[np.float64]) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        while len(self._known) > self._pairs:
            self._known.popitem(last=False)

    def _read(self, keys: Sequence[bytes]) -> list[tuple[bytes, NDArray[np.float64]]]:
        found: list[tuple[bytes, NDArray[np.float64]]] = []
        if self._file is not None:
            for start in range(0, len(keys), _ASKED):
                part = keys[start : start + _ASKED]
                marks = ",".join("?" * len(part))
                try:
                    rows = self._file.execute(f"SELECT key, value FROM scores WHERE key IN ({marks})", part)
                    found += [(key, np.frombuffer(value, "<f8")) for key, value in rows]
                except sqlite3.Error as error:
                    raise DataError(
                        f"{self._path}: can't be read: {error}", hint="remove the file"
                    ) from error
        return found

    def _run(self, statement: str, rows: Sequence[tuple[bytes, bytes]]) -> None:
        assert self._file is not None
        try:
            with self._file:
                self._file.executemany(statement, rows)
        except sqlite3.Error as error:
            raise DataError(f"{self._path}: can't be written: {error}", hint="remove the file") from error


def _open(path: Path) -> sqlite3.Connection:
    file = None
    try:
        file = sqlite3.connect(path, check_same_thread=False, timeout=10)
        with closing(file.cursor()) as cursor:
            cursor.execute("PRAGMA journal_mode=WAL")
            cursor.execute("PRAGMA synchronous=OFF")
            cursor.execute(
                "CREATE TABLE IF NOT EXISTS scores (key BLOB PRIMARY KEY, value BLOB) WITHOUT ROWID"
            )
        file.commit()
    except sqlite3.Error as error:
        if file is not None:
            file.close()
        raise DataError(
            f"{path}: can't be a cache of scores: {error}", hint="remove it, or name another"
        ) from error
    return file
