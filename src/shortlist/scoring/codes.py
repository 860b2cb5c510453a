"""Token vectors in 4 or 2 bits a component, in place of a byte: half or a quarter of the space.

Vectors of tokens have length 1, so that only their direction is kept: each component, in units in which the squares of
a vector's components are 1 on average, becomes the nearest of 16 or 4 levels, and what is read back is lengthened to
what it was. The levels are those of a normal distribution, which components of trained vectors nearly have; they belong
to no collection and no model, so codes stay what they are wherever they are copied to.

Source: the levels are those of Max 1960 (quantizing for minimum distortion), for a normal distribution.
Deviation: ColBERTv2 (Santhanam et al. 2022) codes what is left of a vector beside its centroid. 4,096 centroids gain
little here (``docs/decisions/0011-scale.md``), need to be trained on something, and a document's codes depend on that.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

__all__ = ["CODE_BITS", "TokenCodes", "decode_tokens", "encode_tokens", "levels_of"]

CODE_BITS = (4, 2)

_UPPER = {4: (6, 18, 30, 43, 58, 74, 95, 126), 2: (38, 125)}  # of a normal distribution, times UNIT
UNIT = {4: 46, 2: 83}
LEVELS = {
    bits: np.array([*(-level for level in reversed(upper)), *upper], np.int8)
    for bits, upper in _UPPER.items()
}
"""What each code stands for, ascending, in the unit of :data:`UNIT`."""

_ROWS_AT_ONCE = 1 << 14


class TokenCodes(NamedTuple):
    """Say how token vectors lie in few bits: ``dimensions`` of ``bits`` each, of vectors of some ``length``.

    Component ``d`` of a vector lies in byte ``d % width``, at the bit ``bits * (d // width)``. ``length`` is in the
    steps of int8 that vectors would have otherwise.
    """

    dimensions: int
    bits: int
    length: float

    @property
    def width(self) -> int:
        """The bytes of a vector."""
        return -(-self.dimensions * self.bits // 8)


def encode_tokens(vectors: NDArray[np.int8], codes: TokenCodes) -> NDArray[np.uint8]:
    """Give the codes ``[T, width]`` of vectors ``[T, D]``, of which only the direction is kept; 0 has none.

    Raises:
        ValueError: vectors have other dimensions than the codes.
    """
    if vectors.shape[1] != codes.dimensions:
        raise ValueError(f"vectors of {vectors.shape[1]} dimensions, codes of {codes.dimensions}")
    parts = [
        _encoded(vectors[start : start + _ROWS_AT_ONCE], codes)
        for start in range(0, max(1, len(vectors)), _ROWS_AT_ONCE)
    ]
    return np.concatenate(parts)


def _encoded(vectors: NDArray[np.int8], codes: TokenCodes) -> NDArray[np.uint8]:
    levels = LEVELS[codes.bits].astype(np.float64)
    wide = vectors.astype(np.int64)
    means = np.sqrt((wide * wide).sum(axis=1) / codes.dimensions)  # of the squares, of exact integers
    found = np.zeros((len(vectors), codes.width * (8 // codes.bits)), np.uint8)
    for middle in (levels[1:] + levels[:-1]) / 2:
        found[:, : codes.dimensions] += vectors > (means * (middle / UNIT[codes.bits]))[:, None]
    packed = np.zeros((len(vectors), codes.width), np.uint8)
    for part in range(8 // codes.bits):
        packed |= found[:, part * codes.width : (part + 1) * codes.width] << np.uint8(codes.bits * part)
    return packed


def levels_of(rows: NDArray[np.uint8], codes: TokenCodes) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
    """Give the levels ``[T, D]`` that codes stand for, and by what each vector ``[T]`` is to be multiplied.

    So lengthened it is as long as it was.

    Raises:
        ValueError: the rows are not as wide as such codes.
    """
    if rows.shape[1] != codes.width:
        raise ValueError(f"rows of {rows.shape[1]} bytes, codes of {codes.width}")
    mask = np.uint8((1 << codes.bits) - 1)
    parts = [(rows >> np.uint8(codes.bits * part)) & mask for part in range(8 // codes.bits)]
    levels = LEVELS[codes.bits][np.concatenate(parts, axis=1)[:, : codes.dimensions]]
    wide = levels.astype(np.int32)
    squares = (wide * wide).sum(axis=1, dtype=np.int64)
    factors = np.zeros(len(rows), np.float32)
    np.divide(codes.length, np.sqrt(squares), out=factors, where=squares > 0, casting="same_kind")
    return levels, factors


def decode_tokens(rows: NDArray[np.uint8], codes: TokenCodes) -> NDArray[np.int8]:
    """Give the vectors ``[T, D]`` that codes ``[T, width]`` stand for, rounded to int8.

    Raises:
        ValueError: see :func:`levels_of`.
    """
    found = np.empty((len(rows), codes.dimensions), np.int8)
    for start in range(0, len(rows), _ROWS_AT_ONCE):
        levels, factors = levels_of(rows[start : start + _ROWS_AT_ONCE], codes)
        found[start : start + len(levels)] = np.clip(np.rint(levels * factors[:, None]), -127, 127)
    return found
