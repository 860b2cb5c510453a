"""The CRC-32 of parts of some bytes: by the kernels where there are any, by zlib where not."""

from __future__ import annotations

import zlib
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.kernels import native

__all__ = ["block_checksums", "checksums"]


def checksums(data: NDArray[np.uint8], offsets: NDArray[np.int64]) -> NDArray[np.uint32]:
    """Give the CRC-32 of ``data[offsets[i]:offsets[i + 1]]`` of all ``i``; offsets run from 0 to the end."""
    kernels = native()
    if kernels is not None:
        return kernels.checksums(data, offsets)
    view = data.data
    return np.array([zlib.crc32(view[first:last]) for first, last in pairwise(offsets.tolist())], np.uint32)


def block_checksums(data: NDArray[np.uint8], block: int) -> NDArray[np.uint32]:
    """Give the CRC-32 of ``data[:block]``, of the next ``block`` bytes and so on; the last may be fewer."""
    offsets = np.arange(0, len(data) + block, block)
    offsets[-1] = len(data)
    return checksums(data, offsets)
