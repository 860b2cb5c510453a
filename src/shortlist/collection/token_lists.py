"""Which passages have a token like this one? Centroids of a segment's token vectors, and the passages around each.

Late interaction at scale: a query's tokens look only into the lists of the centroids that are nearest to them, and
what they find is then scored exactly. The centroids are those of a k-means in two levels, for all tokens are
compared with a few hundred vectors instead of tens of thousands. All of it is in integers, so the same tokens give
the same lists on every machine.

Source: the candidates of PLAID (Santhanam et al. 2022) and WARP (Scheerer et al. 2025).
Deviation: lists of passages, each once, in place of tokens with residuals; two levels; candidates are scored exactly.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import Section, offsets_of
from shortlist.scoring import nearest

__all__ = ["LISTS_FROM_PASSAGES", "BuiltLists", "TokenLists", "build_lists"]

LISTS_FROM_PASSAGES = 4096
"""Segments of fewer passages have no lists: all their tokens are soon compared."""

ROUNDS = 5
SAMPLED = 32  # tokens a centroid learns from, about
MOST_CENTROIDS = 1 << 15
_TOKENS_AT_ONCE = 1 << 19
_ROWS_AT_ONCE = 1 << 16

Tokens = Callable[[int, int], NDArray[np.int8]]
"""Gives the token vectors from the first to before the last, ``[tokens, D]``."""


class BuiltLists(NamedTuple):
    """Hold centroids ``[K, D]`` and, of each, ``passages[offsets[c]:offsets[c + 1]]``, ascending, each once."""

    centroids: NDArray[np.int8]
    offsets: NDArray[np.int64]
    passages: NDArray[np.int32]


class TokenLists(NamedTuple):
    """Hold the same as it lies in a file: the passages of a list are read when they are asked for."""

    centroids: NDArray[np.int8]
    offsets: NDArray[np.int64]
    passages: Section


def build_lists(tokens: Tokens, token_offsets: NDArray[np.int64], threads: int = 1) -> BuiltLists:
    """Cluster the tokens of passages (``token_offsets [passages + 1]``), and list the passages of every cluster."""
    if not token_offsets[-1]:
        return BuiltLists(tokens(0, 0), np.zeros(1, np.int64), np.empty(0, np.int32))
    count = _centroid_count(int(token_offsets[-1]))
    coarse, fine, groups = _centroids(_sample(tokens, token_offsets, SAMPLED * count), count, threads)
    parts = []
    for first, last in _blocks(token_offsets):
        begin, end = int(token_offsets[first]), int(token_offsets[last])
        clusters = _assign(tokens(begin, end), coarse, fine, groups, threads)
        passages = np.repeat(np.arange(first, last), np.diff(token_offsets[first : last + 1]))
        # One key for each token; equal keys are one entry. Ordered by cluster, then passage.
        cluster, passage = np.divmod(
            np.unique(clusters.astype(np.int64) * (last - first) + passages - first), last - first
        )
        parts.append((cluster.astype(np.uint16), (passage + first).astype(np.int32)))
    return _joined(fine, parts)


def _centroid_count(tokens: int) -> int:
    """Give 4 to 8 times the root of the number of tokens, a power of two, up to 32,768: lists of some hundreds."""
    return int(min(MOST_CENTROIDS, max(16, 1 << math.ceil(math.log2(4 * math.sqrt(max(1, tokens)))))))


def _sample(tokens: Tokens, token_offsets: NDArray[np.int64], most: int) -> NDArray[np.int8]:
    """Give the tokens of passages that lie evenly over the segment, about ``most`` of them."""
    filled = np.flatnonzero(np.diff(token_offsets))
    wanted = min(len(filled), math.ceil(most * len(filled) / int(token_offsets[-1])))
    if wanted == len(filled):
        return tokens(0, int(token_offsets[-1]))
    chosen = filled[np.arange(wanted) * len(filled) // wanted].tolist()
    return np.concatenate([tokens(int(token_offsets[one]), int(token_offsets[one + 1])) for one in chosen])


def _blocks(token_offsets: NDArray[np.int64]) -> list[tuple[int, int]]:
    """Cut passages into blocks of about so many tokens."""
    cuts = np.searchsorted(token_offsets, np.arange(0, int(token_offsets[-1]), _TOKENS_AT_ONCE)).tolist()
    ends = [*cuts[1:], len(token_offsets) - 1]
    return [(first, last) for first, last in zip(cuts, ends, strict=True) if last > first]


def _centroids(
    sample: NDArray[np.int8], count: int, threads: int
) -> tuple[NDArray[np.int8], NDArray[np.int8], NDArray[np.int64]]:
    """Cluster tokens in two levels: give the coarse centroids, the fine ones, and where those of each coarse begin.

    A coarse cluster has as many fine ones as its share of the tokens: so lists are of about one length.
    """
    coarse = _k_means(sample, 1 << math.ceil(math.log2(count) / 2), threads)
    order, members = _grouped(sample, coarse, threads)
    fine = []
    for first, end in zip(members[:-1].tolist(), members[1:].tolist(), strict=True):
        its = max(1, round(count * (end - first) / max(1, len(sample))))
        fine.append(_k_means(sample[order[first:end]], its, threads) if end > first else sample[:0])
    return coarse, np.concatenate(fine), offsets_of(np.array(list(map(len, fine))))


def _grouped(
    vectors: NDArray[np.int8], centroids: NDArray[np.int8], threads: int
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Order vectors by their nearest centroid; give their numbers, and where those of each centroid begin."""
    labels = nearest(vectors, centroids, threads=threads)
    return np.argsort(labels, kind="stable"), offsets_of(np.bincount(labels, minlength=len(centroids)))


def _k_means(vectors: NDArray[np.int8], count: int, threads: int) -> NDArray[np.int8]:
    """Give up to ``count`` centroids of some vectors, as long as int8 allows: it is their direction that counts."""
    count = min(count, len(vectors))
    centroids = _lengthened(vectors[np.arange(count) * len(vectors) // max(1, count)].astype(np.int64))
    for _ in range(ROUNDS if count > 1 else 0):
        labels = nearest(vectors, centroids, threads=threads)
        sums = _sums(vectors, labels, count)
        used = sums.any(axis=1)
        centroids[used] = _lengthened(sums[used])
    return centroids


def _sums(vectors: NDArray[np.int8], labels: NDArray[np.int32], count: int) -> NDArray[np.int64]:
    sums = np.zeros((count, vectors.shape[1]), np.int64)
    for start in range(0, len(vectors), _ROWS_AT_ONCE):
        some = labels[start : start + _ROWS_AT_ONCE]
        order = np.argsort(some, kind="stable")
        present, firsts = np.unique(some[order], return_index=True)
        rows = vectors[start : start + _ROWS_AT_ONCE][order]
        sums[present] += np.add.reduceat(rows, firsts, axis=0, dtype=np.int64)
    return sums


def _lengthened(vectors: NDArray[np.int64]) -> NDArray[np.int8]:
    """Give vectors of length 127 in the same directions, rounded."""
    lengths = np.sqrt((vectors * vectors).sum(axis=1, keepdims=True))
    found: NDArray[np.int8] = np.rint(vectors * (127 / np.maximum(lengths, 1))).astype(np.int8)
    return found


def _assign(
    tokens: NDArray[np.int8],
    coarse: NDArray[np.int8],
    fine: NDArray[np.int8],
    groups: NDArray[np.int64],
    threads: int,
) -> NDArray[np.int32]:
    """Give the fine centroid of every token: the nearest of those of its nearest coarse one."""
    order, members = _grouped(tokens, coarse, threads)
    found = np.zeros(
        len(tokens), np.int32
    )  # of a coarse one that was nearest to none of the sample: the first
    for group, (first, end) in enumerate(zip(members[:-1].tolist(), members[1:].tolist(), strict=True)):
        start, stop = int(groups[group]), int(groups[group + 1])
        if end > first and stop > start:
            rows = order[first:end]
            found[rows] = nearest(tokens[rows], fine[start:stop], threads=threads) + start
    return found


def _joined(
    centroids: NDArray[np.int8], parts: list[tuple[NDArray[np.uint16], NDArray[np.int32]]]
) -> BuiltLists:
    """Join the entries of blocks, each ordered by cluster and passage, into one list a cluster."""
    counts = [np.bincount(cluster, minlength=len(centroids)) for cluster, _ in parts]
    total: NDArray[Any] = np.sum(counts, axis=0) if counts else np.zeros(len(centroids), np.int64)
    offsets = offsets_of(total)
    passages = np.empty(int(offsets[-1]), np.int32)
    following = offsets[:-1].copy()
    for (cluster, passage), its in zip(parts, counts, strict=True):
        places = np.arange(len(cluster)) + (following - offsets_of(its)[:-1])[cluster]
        passages[places] = passage
        following += its
    return BuiltLists(centroids, offsets, passages)
