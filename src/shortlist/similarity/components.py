"""Which documents hang together by pairs, and which of them is in the middle."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shortlist.similarity.mining import Near

__all__ = ["Components"]

STEPS = 2**40  # of a cosine: sums of these are integers, which no order of adding changes

Int = NDArray[np.int64]


class Components:
    """Join documents pair by pair: connected components, in the memory of N numbers."""

    def __init__(self, count: int) -> None:
        self._roots = np.arange(count)
        self._degrees = np.zeros(count, np.int64)
        self._sums = np.zeros(count, np.int64)

    def join(self, near: Near) -> None:
        """Join the documents of each pair; no pair may come twice.

        Every root takes over the smallest root that it shares a pair with, all at once, until none is left to take
        over: a union-find whose loop is numpy's.
        """
        steps = np.rint(near.scores * STEPS).astype(np.int64)
        for documents in (near.first, near.second):
            np.add.at(self._degrees, documents, 1)
            np.add.at(self._sums, documents, steps)
        first, second = near.first, near.second
        while True:
            left, right = self._roots[first], self._roots[second]
            apart = left != right
            if not apart.any():
                return
            first, second, left, right = first[apart], second[apart], left[apart], right[apart]
            np.minimum.at(self._roots, np.maximum(left, right), np.minimum(left, right))
            self._shorten()

    def _shorten(self) -> None:
        """Let every document name its root itself."""
        while True:
            further = self._roots[self._roots]
            if np.array_equal(further, self._roots):
                return
            self._roots = further

    def groups(self) -> list[Int]:
        """Give the components of more than one document, the largest first, then by their first documents.

        Within one the most central document comes first: that with the most pairs, of equals with the highest sum
        of cosines, then the first in order; the others come in order.
        """
        order = np.lexsort((np.arange(len(self._roots)), -self._sums, -self._degrees, self._roots))
        starts = np.flatnonzero(np.diff(self._roots[order], prepend=-1))
        groups = [group for group in np.split(order, starts[1:]) if len(group) > 1]
        groups.sort(
            key=lambda group: (-len(group), int(self._roots[group[0]]))
        )  # a root is its first document
        return [np.append(group[:1], np.sort(group[1:])) for group in groups]
