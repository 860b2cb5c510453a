"""Compare vectors by the signs of their components alone: one bit each in place of a byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.selection import at_least_kth

__all__ = ["Near", "bit_distances", "nearest_bits", "sign_bits"]

Near = tuple[NDArray[np.int64], NDArray[np.int32]]
"""The documents that were found, ascending, and minus the number of bits in which each differs from the query."""


def sign_bits(vectors: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Give a bit for each component of vectors ``[N, H]``, 1 where it is not negative, as ``[N, ceil(H / 64)]``."""
    missing = -vectors.shape[1] % 64
    signs = np.pad(vectors >= 0, ((0, 0), (0, missing)))
    return np.packbits(signs, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def bit_distances(bits: NDArray[np.uint64], query: NDArray[np.uint64]) -> NDArray[np.int32]:
    """Give in how many bits each of ``bits [N, W]`` differs from the query's ``[W]``."""
    found: NDArray[np.int32] = np.bitwise_count(bits ^ query).sum(axis=1, dtype=np.int32)
    return found


def nearest_bits(
    bits: NDArray[np.uint64],
    query: NDArray[np.uint64],
    k: int,
    firsts: NDArray[np.int64] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> Near:
    """Give the ``k`` documents one of whose rows of ``bits [N, W]`` differs least from the query's ``[W]``.

    ``firsts`` and ``allowed`` are as in :func:`shortlist.scoring.dense.best_products`; ties are given in full.
    """
    scores = -bit_distances(bits, query)
    if firsts is not None:
        scores = np.maximum.reduceat(scores, firsts[:-1]) if len(firsts) > 1 else scores[:0]
    if allowed is not None:
        scores = np.where(allowed, scores, np.iinfo(np.int32).min)
    best = at_least_kth(scores, k, above=np.iinfo(np.int32).min)
    return best, scores[best]
