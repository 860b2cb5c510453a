"""Compare vectors by the signs of their components alone: one bit each in place of a byte."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["Distances", "bit_distances", "rows_within", "sign_bits"]

MOST_WORDS = 500

Distances = tuple[NDArray[np.int16], NDArray[np.int64]]
"""In how many bits each row differs from the query, and how many rows differ in 0, 1, ... 64 W bits."""


def sign_bits(vectors: NDArray[np.int8]) -> NDArray[np.uint64]:
    """Give a bit for each component of vectors ``[N, H]``, 1 where it is not negative, as ``[N, ceil(H / 64)]``."""
    signs, missing = vectors >= 0, -vectors.shape[1] % 64
    if missing:
        signs = np.pad(signs, ((0, 0), (0, missing)))
    return np.packbits(signs, axis=1, bitorder="little").view("<u8").astype(np.uint64, copy=False)


def bit_distances(bits: NDArray[np.uint64], query: NDArray[np.uint64]) -> Distances:
    """Give in how many bits each of ``bits [N, W]`` differs from the query's ``[W]``.

    Raises:
        ValueError: they have not as many bits, or more than 32,000.
    """
    if bits.shape[1] != len(query):
        raise ValueError(f"rows of {bits.shape[1]} words can't be compared with a query of {len(query)}")
    if len(query) > MOST_WORDS:
        raise ValueError(f"{len(query)} words have more bits than distances can count")
    found = np.bitwise_count(bits ^ query).sum(axis=1, dtype=np.int16)
    return found, np.bincount(found, minlength=64 * len(query) + 1)


def rows_within(distances: NDArray[np.int16], reach: int) -> NDArray[np.int64]:
    """Give which rows, ascending, differ from the query in no more bits than ``reach``; ``distances`` is ``[N]``."""
    return np.flatnonzero(distances <= reach)
