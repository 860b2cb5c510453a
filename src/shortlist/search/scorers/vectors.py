"""Score by one vector a passage: as it is, and as a poly-encoder's codes see it."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, SignBits, Snapshot, VectorGraph
from shortlist.scoring import best_products, bit_distances, dot_products, poly_scores, sign_bits
from shortlist.search.pipeline import DEPTH
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.passages import (
    BestFound,
    ByPassage,
    Found,
    Mask,
    Positions,
    Scores,
    best_of,
    merged,
    passages_of,
    threads_for,
)
from shortlist.types import Passage

__all__ = ["DenseScorer", "PolyScorer", "best_documents"]

GRAPH_SHARE = 16
"""Where more than one in so many vectors would be asked of a graph, all are compared, or their signs."""

SIGNS_SHARE = 8
"""Where more than one in so many vectors would have to be looked at after their signs, all are."""

FIRST_LOOK = 64
"""How many more than four times as many as are wanted are looked at first, by their signs."""


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

    All queries share one pass over the vectors. With a ``recall`` below 1 only those that are near by a graph or by
    their signs are compared, in segments that have these: about that share of the nearest is found. A filter may leave
    out just what is near, where signs tell little of the rest: then all that it lets through is compared.
    """
    parts: list[list[Found]] = [[] for _ in vectors]
    for (start, end), segment in zip(pairwise(snapshot.starts), snapshot.segments, strict=True):
        mask = None if allowed is snapshot.live and snapshot.all_live else allowed[start:end]
        each = None
        if recall < 1 and allowed is snapshot.live:
            each = _by_graph(segment, vectors, k, mask, recall)
            if each is None:
                each = _by_signs(segment, vectors, k, mask, threads, recall)
        if each is None:
            each = _all_compared(segment, vectors, k, mask, threads)
        for part, (positions, products) in zip(parts, each, strict=True):
            part.append((positions + start, products))
    return [merged(part, k) for part in parts]


def _all_compared(
    segment: Segment, vectors: NDArray[np.int8], k: int, allowed: Mask | None, threads: int | None
) -> list[Found]:
    """Compare all vectors of a segment with some queries', in one pass."""
    parts: list[list[Found]] = [[] for _ in vectors]
    one_each = segment.passage_count == len(segment)
    for documents, dense in segment.dense_blocks():
        first, last = documents.start, documents.stop
        firsts = (
            None if one_each else segment.first_passages[first : last + 1] - segment.first_passages[first]
        )
        mask = None if allowed is None else allowed[documents]
        count = threads_for(dense.size, threads)
        for part, (found, products) in zip(
            parts, best_products(dense, vectors, k, firsts, mask, threads=count), strict=True
        ):
            part.append((found + first, products))
    return [merged(part, k) for part in parts]


def _by_graph(
    segment: Segment, vectors: NDArray[np.int8], k: int, allowed: Mask | None, recall: float
) -> list[Found] | None:
    """Compare the vectors that a graph leads to; ``None`` if none is in memory, or it doesn't lead well enough."""
    graph = segment.vector_graph if segment.keeps_graph else None
    if graph is None or graph.effort(k, recall) is None:
        return None
    wanted = min(k, len(segment) if allowed is None else int(np.count_nonzero(allowed)))
    found = []
    for vector in vectors:
        near = _led_to(segment, graph, vector, wanted, allowed, recall)
        if near is None:
            return None
        found.append(_compared(segment, vector, near, k))
    return found


def _led_to(
    segment: Segment,
    graph: VectorGraph,
    vector: NDArray[np.int8],
    wanted: int,
    allowed: Mask | None,
    recall: float,
) -> Positions | None:
    """Give at least so many documents, ascending, that a graph leads to; ``None`` if comparing all is less work."""
    count = wanted * max(1, round(segment.passage_count / len(segment)))
    while count * GRAPH_SHARE <= segment.passage_count:
        effort = graph.effort(count, recall)
        assert effort is not None
        passages = graph.nearest(vector, count, effort)
        near = np.unique(segment.passages[passages, 0]).astype(np.int64)
        near = near if allowed is None else near[allowed[near]]
        if len(near) >= wanted:
            return near
        if len(passages) < count:  # it has parts that nothing leads to
            break
        count *= 2  # other passages of the same documents, or dead ones, have taken the places
    return None


def _compared(segment: Segment, vector: NDArray[np.int8], documents: Positions, k: int) -> Found:
    """Give the ``k`` nearest of some documents, ascending."""
    if not len(documents):
        return documents, np.empty(0, np.float32)
    passages, counts = passages_of(segment.first_passages, documents)
    products = dot_products(segment.dense_rows(passages), vector[None])[0]
    best, scores = best_of(np.maximum.reduceat(products, np.cumsum(counts) - counts), k)
    return documents[best], scores


def _by_signs(
    segment: Segment,
    vectors: NDArray[np.int8],
    k: int,
    allowed: Mask | None,
    threads: int | None,
    recall: float,
) -> list[Found] | None:
    """Compare the vectors whose signs are near to a query's; ``None`` if there are none, or all must be compared."""
    bits = segment.sign_bits
    if bits is None:
        return None
    wanted = min(k, len(segment) if allowed is None else int(np.count_nonzero(allowed)))
    found = []
    for vector in vectors:
        nearest = _looked_at_twice(segment, bits, vector, k, wanted, allowed, threads, recall)
        if nearest is None:
            return None
        found.append(nearest)
    return found


def _looked_at_twice(
    segment: Segment,
    bits: SignBits,
    vector: NDArray[np.int8],
    k: int,
    wanted: int,
    allowed: Mask | None,
    threads: int | None,
    recall: float,
) -> Found | None:
    """Compare what is nearest by its signs, and then all that could be as near as the last of these."""
    count = threads_for(bits.bits.nbytes, threads)
    distances, counts = bit_distances(bits.bits, sign_bits(vector[None])[0], threads=count)
    within = np.cumsum(counts)  # how many differ in no more signs than 0, 1, ...
    most = segment.passage_count // SIGNS_SHARE

    def compared(reach: int) -> Found:
        passages = np.flatnonzero(distances <= reach)
        documents = np.unique(segment.passages[passages, 0]).astype(np.int64)
        return _compared(segment, vector, documents if allowed is None else documents[allowed[documents]], k)

    look = FIRST_LOOK + 4 * wanted * max(1, round(segment.passage_count / len(segment)))
    while look <= most:
        first = int(np.searchsorted(within, look))
        if within[first] > most:
            break
        documents, products = compared(first)
        if len(documents) >= wanted:
            length = max(1.0, float(np.linalg.norm(vector.astype(np.float32))))
            reach = bits.reach(np.sort(products)[::-1][:wanted] / length, recall)
            if reach <= first:
                return documents, products
            return compared(reach) if within[min(reach, len(within) - 1)] <= most else None
        look *= 4  # passages of the same documents, or dead ones, have taken the places
    return None


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
