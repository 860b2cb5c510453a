"""Compare query vectors with every document vector, exactly, on int8 storage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_DIMENSIONS", "dot_products"]

MAX_DIMENSIONS = 2**24 // (127 * 127)  # beyond, float32 can't hold every sum exactly

BLOCK = 4096  # rows expanded at a time: 6 MB of float32 at 384 dimensions, which stays in cache


def dot_products(vectors: NDArray[np.int8], queries: NDArray[np.int8]) -> NDArray[np.float32]:
    """Give the dot product of every vector ``[N, H]`` with every query ``[Q, H]``, as ``[Q, N]`` integers.

    The integers are held in float32, where they are exact up to 2**24, that is up to H = 1040: the order of
    the sum, the block size and the number of threads can't change a bit. numpy has no fast integer product,
    so blocks are expanded and multiplied by BLAS: 100,000 x 384 take about as long as faiss' float32 scan,
    on a quarter of the memory.

    Raises:
        ValueError: the vectors have too many dimensions for exact sums, or differ in them.
    """
    if vectors.shape[1] != queries.shape[1] or vectors.shape[1] > MAX_DIMENSIONS:
        raise ValueError(f"can't compare {vectors.shape[1]} with {queries.shape[1]} dimensions exactly")
    expanded = queries.astype(np.float32)
    result = np.empty((len(queries), len(vectors)), np.float32)
    buffer = np.empty((min(BLOCK, len(vectors)), vectors.shape[1]), np.float32)
    for start in range(0, len(vectors), BLOCK):
        block = vectors[start : start + BLOCK]
        part = buffer[: len(block)]
        part[...] = block
        if (
            len(expanded) == 1
        ):  # a matrix-vector product reads the block once; a thin matrix product copies it
            np.dot(part, expanded[0], out=result[0, start : start + len(block)])
        else:
            np.matmul(expanded, part.T, out=result[:, start : start + len(block)])
    return result
