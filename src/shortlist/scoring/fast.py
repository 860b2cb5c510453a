"""The functions of the reference, done by the kernels where there are any: the same arguments, the same bits."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring import bits as scoring_bits
from shortlist.scoring import dense, late, lexical, lists
from shortlist.scoring.bits import Distances
from shortlist.scoring.codes import TokenCodes
from shortlist.scoring.dense import Found, check_dimensions
from shortlist.scoring.kernels import native
from shortlist.scoring.lexical import Postings

__all__ = [
    "best_bm25",
    "best_listed",
    "best_products",
    "bit_distances",
    "dot_products",
    "maxsim",
    "nearest",
    "rows_within",
]


def maxsim(
    query: NDArray[np.int8],
    tokens: NDArray[np.int8] | NDArray[np.uint8],
    offsets: NDArray[np.int64],
    weights: NDArray[np.floating[Any]] | None = None,
    *,
    codes: TokenCodes | None = None,
    threads: int = 1,
) -> NDArray[np.float64]:
    """Give what :func:`shortlist.scoring.late.maxsim` gives."""
    kernels = native()
    if kernels is None or not query.shape[1]:
        return late.maxsim(query, tokens, offsets, weights, codes=codes)
    wide = None if weights is None else np.ascontiguousarray(weights, np.float64)
    places = np.ascontiguousarray(offsets, np.int64)
    if codes is None:
        return kernels.maxsim(_rows(query), _rows(tokens), places, wide, threads)
    rows = np.ascontiguousarray(tokens, np.uint8)
    return kernels.maxsim_codes(_rows(query), rows, places, codes.bits, codes.length, wide, threads)


def dot_products(
    vectors: NDArray[np.int8], queries: NDArray[np.int8], *, threads: int = 1
) -> NDArray[np.float32]:
    """Give what :func:`shortlist.scoring.dense.dot_products` gives.

    Raises:
        ValueError: as there.
    """
    check_dimensions(vectors, queries)
    kernels = native()
    if kernels is None or not vectors.shape[1]:
        return dense.dot_products(vectors, queries)
    return kernels.dot_products(_rows(vectors), _rows(queries), threads)


def best_products(
    vectors: NDArray[np.int8],
    queries: NDArray[np.int8],
    k: int,
    firsts: NDArray[np.int64] | None = None,
    allowed: NDArray[np.bool_] | None = None,
    *,
    threads: int = 1,
) -> list[Found]:
    """Give what :func:`shortlist.scoring.dense.best_products` gives.

    Raises:
        ValueError: as there.
    """
    check_dimensions(vectors, queries)
    kernels = native()
    if kernels is None or k < 1 or not vectors.shape[1]:
        return dense.best_products(vectors, queries, k, firsts, allowed)
    its_firsts = None if firsts is None else np.ascontiguousarray(firsts, np.int64)
    return kernels.best_products(_rows(vectors), _rows(queries), k, its_firsts, _mask(allowed), threads)


def bit_distances(bits: NDArray[np.uint64], query: NDArray[np.uint64], *, threads: int = 1) -> Distances:
    """Give what :func:`shortlist.scoring.bits.bit_distances` gives.

    Raises:
        ValueError: as there.
    """
    kernels = native()
    if kernels is None or not len(query):
        return scoring_bits.bit_distances(bits, query)
    return kernels.bit_distances(np.ascontiguousarray(bits), np.ascontiguousarray(query), threads)


def rows_within(distances: NDArray[np.int16], reach: int) -> NDArray[np.int64]:
    """Give what :func:`shortlist.scoring.bits.rows_within` gives."""
    kernels = native()
    if kernels is None:
        return scoring_bits.rows_within(distances, reach)
    return kernels.rows_within(np.ascontiguousarray(distances), reach)


def best_bm25(
    postings: Sequence[Postings],
    idfs: Sequence[float],
    relative_lengths: NDArray[np.float64],
    k: int,
    allowed: NDArray[np.bool_] | None = None,
    *,
    k1: float,
) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
    """Give what :func:`shortlist.scoring.lexical.best_bm25` gives."""
    kernels = native()
    if kernels is None or k < 1:
        return lexical.best_bm25(postings, idfs, relative_lengths, k, allowed, k1=k1)
    return kernels.best_bm25(
        [np.ascontiguousarray(documents) for documents, _ in postings],
        [np.ascontiguousarray(frequencies) for _, frequencies in postings],
        list(idfs),
        np.ascontiguousarray(relative_lengths),
        k1,
        k,
        _mask(allowed),
    )


def nearest(vectors: NDArray[np.int8], centroids: NDArray[np.int8], *, threads: int = 1) -> NDArray[np.int32]:
    """Give what :func:`shortlist.scoring.lists.nearest` gives.

    Raises:
        ValueError: as there.
    """
    check_dimensions(vectors, centroids)
    kernels = native()
    if kernels is None or not vectors.shape[1] or not len(centroids):
        return lists.nearest(vectors, centroids)
    return kernels.nearest(_rows(vectors), _rows(centroids), threads)


def best_listed(
    passages: NDArray[np.int32],
    offsets: NDArray[np.int64],
    probes: NDArray[np.int32],
    gains: NDArray[np.float32],
    count: int,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """Give what :func:`shortlist.scoring.lists.best_listed` gives."""
    kernels = native()
    if kernels is None or k < 1:
        return lists.best_listed(passages, offsets, probes, gains, count, k, allowed)
    return kernels.best_listed(
        np.ascontiguousarray(passages),
        np.ascontiguousarray(offsets),
        np.ascontiguousarray(probes),
        np.ascontiguousarray(gains),
        count,
        k,
        _mask(allowed),
    )


def _rows(values: NDArray[Any]) -> NDArray[np.int8]:
    return np.ascontiguousarray(values, np.int8)


def _mask(values: NDArray[np.bool_] | None) -> NDArray[np.bool_] | None:
    return None if values is None else np.ascontiguousarray(values)
