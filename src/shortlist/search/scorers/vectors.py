"""Score by one vector a passage: as it is, and as a poly-encoder's codes see it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, Snapshot
from shortlist.scoring import dot_products, poly_scores
from shortlist.search.pipeline import DEPTH
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.nearest import nearest_documents
from shortlist.search.scorers.passages import (
    BestFound,
    ByPassage,
    Found,
    Mask,
    Positions,
    Scores,
    merged,
    passages_of,
    threads_for,
)
from shortlist.types import Passage

__all__ = ["DenseScorer", "PolyScorer", "best_documents"]


class DenseScorer:
    """Score by the best passage's vector; every document is a candidate, unless ``recall`` is below 1.

    Then about that share of the best is found. ``ready`` are the best documents that are allowed, if many queries
    were compared in one pass: how many were asked for, and what was found.
    """

    absent: float | None = None
    closeness = 1

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        scale: float,
        allowed: Mask,
        ready: tuple[int, Found] | None = None,
        threads: int | None = None,
        recall: float = 1,
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._scale = scale
        self._allowed = allowed
        self._threads = threads
        self._recall = recall
        self._found = BestFound(snapshot, allowed, self._find, exact=recall == 1)
        if ready is not None:
            self._found.remember(*ready)

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        positions, products = self._found.allowed(k)
        return positions, self._scaled(products)

    def top(self, k: int) -> Scores:
        """Give the ``k`` highest scores of live documents, whatever a filter lets through, the highest first.

        With a ``recall`` below 1 they are those of what was found.
        """
        most = (
            k if self._recall == 1 else max(k, DEPTH)
        )  # what was found for more can't be used for fewer then
        return np.sort(self._scaled(self._found.live(most)[1]))[::-1][:k]

    def _find(self, k: int, allowed: Mask) -> Found:
        """Give the nearest documents and their products."""
        vector, _ = self._query.dense
        (found,) = best_documents(self._snapshot, vector[None], k, allowed, self._threads, self._recall)
        return found

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        scores = np.empty(len(positions))
        for number, (start, end) in enumerate(pairwise(self._snapshot.starts)):
            inside = np.flatnonzero((positions >= start) & (positions < end))
            if len(inside):
                documents, back = np.unique(positions[inside] - start, return_inverse=True)
                products, counts = self._products(number, documents)
                scores[inside] = np.maximum.reduceat(products, np.cumsum(counts) - counts)[back]
        return self._scaled(scores)

    def _products(self, number: int, documents: Positions) -> tuple[NDArray[np.float32], Positions]:
        """Give the products of the passages of documents (ascending) in a segment, joined, and how many each has."""
        segment = self._snapshot.segments[number]
        passages, counts = passages_of(segment.first_passages, documents)
        vector, _ = self._query.dense
        return dot_products(segment.dense_rows(passages), vector[None])[0], counts

    def _scaled(self, products: NDArray[Any]) -> Scores:
        return products.astype(np.float64) * (self._scale * self._query.dense[1])

    def scale(self) -> float:
        """Give 1: a similarity is taken as it is."""
        return 1.0

    def nearest_passages(self, positions: Sequence[int], count: int) -> list[list[Passage]]:
        """Give up to ``count`` passages of each document, the nearest to the query first, the first of equals."""
        found = []
        for position in positions:
            passages = self._snapshot.passages(position)
            if len(passages) > 1:
                number, document = self._snapshot.locate(position)
                products, _ = self._products(number, np.array([document]))
                order = np.argsort(-products, kind="stable")[:count]
                passages = [passages[index] for index in order.tolist()]
            found.append(list(passages))
        return found

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that is nearest to the query; the first of equals."""
        return [passages[0] for passages in self.nearest_passages(positions, 1)]


def best_documents(
    snapshot: Snapshot,
    vectors: NDArray[np.int8],
    k: int,
    allowed: Mask,
    threads: int | None = None,
    recall: float = 1,
) -> list[Found]:
    """Give, for each of some queries ``[Q, H]``, the ``k`` nearest documents that are allowed, and their products.

    With a ``recall`` below 1 about that share of the nearest is found, in segments that have signs or a graph. A filter
    may leave out just what is near, where signs tell little of the rest: then all that it lets through is compared.
    """
    parts: list[list[Found]] = [[] for _ in vectors]
    for (start, end), segment in zip(pairwise(snapshot.starts), snapshot.segments, strict=True):
        mask = None if allowed is snapshot.live and snapshot.all_live else allowed[start:end]
        its_recall = recall if allowed is snapshot.live else 1
        each = nearest_documents(segment, vectors, k, mask, threads, its_recall)
        for part, (positions, products) in zip(parts, each, strict=True):
            part.append((positions + start, products))
    return [merged(part, k) for part in parts]


class PolyScorer(ByPassage):
    """Score by a passage's one vector as the query's codes see it."""

    closeness = 1

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        assert self._query.codes is not None  # make_scorer asked
        codes, scales = self._query.codes
        vectors = segment.dense_rows(passages)
        products = dot_products(vectors, codes, threads=threads_for(vectors.size, self._threads))
        similarities = products * (self._scale * scales.astype(np.float64))[:, None]
        return poly_scores(similarities, self._query.vectors.sharpness)
