"""The postings of terms that were asked for last: what was read and verified needn't be for the next query.

Queries share their words, and the frequent ones have the most postings.
"""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Callable
from threading import Lock
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["KEPT_BYTES", "KeptPostings", "SegmentPostings"]

KEPT_BYTES = 32_000_000
"""How much of them stays in memory, about: the terms of some hundred queries to a million documents."""

SegmentPostings = list[tuple[int, tuple[NDArray[np.int32], NDArray[Any]]]]
"""The documents of segments, by the segments' numbers, and how often each has a term."""

_SMALL = 1 << 16  # bytes below which an array is copied out of the blocks that were read for it


class KeptPostings:
    """Remember postings of terms, up to ``most_bytes``; safe to use from several threads."""

    def __init__(self, most_bytes: int = KEPT_BYTES) -> None:
        self.most_bytes = most_bytes
        self._terms: OrderedDict[str, SegmentPostings] = OrderedDict()
        self._bytes = 0
        self._lock = Lock()

    def get(self, term: str, read: Callable[[str], SegmentPostings]) -> SegmentPostings:
        """Give the postings of a term; ``read`` is asked for those that are not known."""
        with self._lock:
            if term in self._terms:
                self._terms.move_to_end(term)
                return self._terms[term]
        found = [(number, (_own(documents), _own(counts))) for number, (documents, counts) in read(term)]
        size = _size(term, found)
        with self._lock:
            if found and term not in self._terms and size <= self.most_bytes:
                self._terms[term] = found
                self._bytes += size
            while self._bytes > self.most_bytes:
                self._bytes -= _size(*self._terms.popitem(last=False))
        return found


def _own(values: NDArray[Any]) -> NDArray[Any]:
    """Give an array that nobody writes to, and that keeps no more than itself in memory."""
    own = values.copy() if values.nbytes < _SMALL else values
    own.flags.writeable = False
    return own


def _size(term: str, found: SegmentPostings) -> int:
    """Count what keeping them takes: the blocks that large arrays are part of, and the objects around them."""
    arrays = [array for _, pair in found for array in pair]
    whole = (array if array.base is None else array.base for array in arrays)
    return 300 + len(term) + 250 * len(arrays) + sum(int(getattr(one, "nbytes", 0)) for one in whole)
