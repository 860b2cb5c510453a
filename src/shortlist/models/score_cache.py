"""Which pairs has a cross-encoder scored before? A bounded memory of exact scores.

A score depends on the model, its mode, the query and the text alone, so a remembered one is the one that would be
computed, bit for bit. Keys are 16 bytes of BLAKE2b: two of a billion pairs share one with a chance below 1e-20.
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError

__all__ = ["ScoreCache"]

PAIRS = 100_000  # in memory: some 20 MB


class ScoreCache:
    """Remember the scores of the last ``pairs`` pairs that were asked for. Safe to share between threads.

    Raises:
        DataError: ``pairs`` is below 1.
    """

    def __init__(self, pairs: int = PAIRS) -> None:
        if pairs < 1:
            raise DataError(f"a cache holds at least 1 pair, not {pairs}")
        self._pairs = pairs
        self._known: OrderedDict[bytes, NDArray[np.float64]] = OrderedDict()
        self._lock = threading.Lock()

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

    def __len__(self) -> int:
        return len(self._known)

    def _remember(self, key: bytes, value: NDArray[np.float64]) -> None:
        self._known[key] = value
        self._known.move_to_end(key)
        while len(self._known) > self._pairs:
            self._known.popitem(last=False)
