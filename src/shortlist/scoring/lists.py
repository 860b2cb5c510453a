"""Token vectors in lists around centroids: which passages may match a query's tokens, without reading them all."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.dense import Found, dot_products
from shortlist.scoring.selection import at_least_kth

__all__ = ["best_listed", "nearest"]

_AT_ONCE = 1 << 22  # products held


def nearest(vectors: NDArray[np.int8], centroids: NDArray[np.int8]) -> NDArray[np.int32]:
    """Give, for every vector ``[N, D]``, which centroid ``[K, D]`` has the best product with it; the first of equals.

    Raises:
        ValueError: there is no centroid; or see :func:`shortlist.scoring.dense.dot_products`.
    """
    if not len(centroids):
        raise ValueError("there must be a centroid")
    step = max(1, _AT_ONCE // len(centroids))
    parts = [vectors[start : start + step] for start in range(0, max(1, len(vectors)), step)]
    return np.concatenate([dot_products(part, centroids).argmax(axis=0) for part in parts]).astype(np.int32)


def best_listed(
    passages: NDArray[np.int32],
    offsets: NDArray[np.int64],
    probes: NDArray[np.int32],
    gains: NDArray[np.float32],
    count: int,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
) -> Found:
    """Give the ``k`` passages of ``count`` that gain most from the lists that a query's tokens probe, ties included.

    List ``l`` has ``passages[offsets[l]:offsets[l + 1]]``. Query token ``q`` probes ``probes[q]``, the best first,
    and a passage gains ``gains[q, i]`` by the first of them that it is in. Sums are of float32, in the order of the
    query's tokens. Passages that gain nothing are not found, nor those without ``allowed[p]``.
    """
    scores = np.zeros(count, np.float32)
    for its_lists, its_gains in zip(probes.tolist(), gains, strict=True):
        each = [passages[offsets[one] : offsets[one + 1]] for one in its_lists]
        if not each:
            continue
        found, first = np.unique(np.concatenate(each), return_index=True)
        scores[found] += np.repeat(its_gains, list(map(len, each)))[first]
    if allowed is not None:
        scores[~allowed] = 0
    best = at_least_kth(scores, k, above=0)
    return best, scores[best]
