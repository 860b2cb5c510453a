"""The CRC-32 of every block of some bytes: by the kernels where there are any, by zlib where not."""

from __future__ import annotations

import zlib

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.kernels import native

__all__ = ["block_checksums"]


def block_checksums(data: NDArray[np.uint8], block: int) -> NDArray[np.uint32]:
    """Give the CRC-32 of ``data[:block]``, of the next ``block`` bytes and so on; the last may be fewer."""
    kernels = native()
    if kernels is not None:
        return kernels.checksums(data, block)
    view = data.data
    return np.array([zlib.crc32(view[at : at + block]) for at in range(0, len(data), block)], np.uint32)
