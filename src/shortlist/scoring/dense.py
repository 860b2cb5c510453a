"""Compare query vectors with every document vector, exactly, on int8 storage."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.selection import at_least_kth

__all__ = ["MAX_DIMENSIONS", "Found", "best_products", "check_dimensions", "dot_products"]

Found = tuple[NDArray[np.int64], NDArray[np.float32]]
"""The documents that were found, ascending, and their products."""

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
    check_dimensions(vectors, queries)
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


def best_products(
    vectors: NDArray[np.int8],
    queries: NDArray[np.int8],
    k: int,
    firsts: NDArray[np.int64] | None = None,
    allowed: NDArray[np.bool_] | None = None,
) -> list[Found]:
    """Give, for every query ``[Q, H]``, the ``k`` documents of the best product with one of their vectors ``[N, H]``.

    Document ``d`` has the rows ``firsts[d]:firsts[d + 1]``, at least one; without ``firsts`` row ``d``. Only those with
    ``allowed[d]`` are found. All that tie with the ``k``-th are given, in ascending order.

    Raises:
        ValueError: see :func:`dot_products`.
    """
    found = []
    for products in dot_products(vectors, queries):
        each = products
        if firsts is not None:
            each = np.maximum.reduceat(products, firsts[:-1]) if len(firsts) > 1 else products[:0]
        if allowed is not None:
            each = np.where(allowed, each, np.float32(-np.inf))
        best = at_least_kth(each, k)
        found.append((best, each[best]))
    return found


def check_dimensions(vectors: NDArray[np.int8], queries: NDArray[np.int8]) -> None:
    """Refuse vectors that can't be compared exactly.

    Raises:
        ValueError: they have too many dimensions for exact sums, or differ in them.
    """
    if vectors.shape[1] != queries.shape[1] or vectors.shape[1] > MAX_DIMENSIONS:
        raise ValueError(f"can't compare {vectors.shape[1]} with {queries.shape[1]} dimensions exactly")
