"""Which documents of a segment are nearest to a query? All are compared, or those that a graph or signs suggest.

What is suggested decides which documents are compared. Their products are exact.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment
from shortlist.scoring import best_products, bit_distances, dot_products, rows_within, sign_bits
from shortlist.search.scorers.passages import (
    Found,
    Mask,
    Positions,
    best_of,
    merged,
    passages_of,
    threads_for,
)

__all__ = ["nearest_documents"]

GRAPH_SHARE = 16
"""Where more than one in so many vectors would be asked of a graph, signs are, or all are compared."""

SIGNS_SHARE, READ_SHARE = 8, 64
"""Where more than one in so many vectors would be compared after their signs, all are: reading those that lie here and
there takes longer than reading them in a row, and far longer where they have to be read from a disk. (Where the
system keeps the file in memory the share matters to one query in twenty, asked for the 200 nearest of a million.)"""

LEAST, TIMES = 64, 4
"""By their signs, so many times as many as are wanted, and so many more, are looked at first."""

_ROWS = 1 << 15  # of vectors that are gathered at a time


def nearest_documents(
    segment: Segment,
    vectors: NDArray[np.int8],
    k: int,
    allowed: Mask | None,
    threads: int | None = None,
    recall: float = 1,
) -> list[Found]:
    """Give, for each of some queries ``[Q, H]``, the ``k`` nearest documents that are allowed, and their products.

    All queries share one pass over the vectors. With a ``recall`` below 1, about that share of the nearest is found, by
    a graph or by signs; a query that these can't help is compared with all.
    """
    found: dict[int, Found] = {}
    if recall < 1:
        for number, vector in enumerate(vectors):
            asked = _Asked(segment, vector, k, allowed, threads, recall)
            nearest = _by_graph(asked)
            if nearest is None:
                nearest = _by_signs(asked)
            if nearest is not None:
                found[number] = nearest
    others = [number for number in range(len(vectors)) if number not in found]
    if others:
        found |= zip(others, _all_compared(segment, vectors[others], k, allowed, threads), strict=True)
    return [found[number] for number in range(len(vectors))]


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


@dataclass(frozen=True)
class _Asked:
    """Hold what a query asks of a segment: the ``k`` nearest of the documents that are allowed."""

    segment: Segment
    vector: NDArray[np.int8]
    k: int
    allowed: Mask | None
    threads: int | None
    recall: float

    @property
    def wanted(self) -> int:
        """How many documents there are to be found."""
        allowed = self.allowed
        return min(self.k, len(self.segment) if allowed is None else int(np.count_nonzero(allowed)))

    @property
    def passages_each(self) -> int:
        """How many passages a document has, on average."""
        return max(1, round(self.segment.passage_count / len(self.segment)))

    def documents_of(self, passages: Positions) -> Positions:
        """Give the allowed documents of some passages, ascending."""
        one_each = self.segment.passage_count == len(self.segment)
        documents = passages if one_each else np.unique(self.segment.passages[passages, 0]).astype(np.int64)
        return documents if self.allowed is None else documents[self.allowed[documents]]

    def passages_in(self, documents: Positions) -> int:
        """Count the passages of documents."""
        firsts = self.segment.first_passages
        return int((firsts[documents + 1] - firsts[documents]).sum())

    def compared(self, documents: Positions) -> Found:
        """Give the nearest of some documents, ascending, and their products."""
        parts = []
        for some in self._blocks(documents):
            passages, counts = passages_of(self.segment.first_passages, some)
            rows = self.segment.dense_rows(passages)
            products = dot_products(rows, self.vector[None], threads=threads_for(rows.size, self.threads))[0]
            best, scores = best_of(np.maximum.reduceat(products, np.cumsum(counts) - counts), self.k)
            parts.append((some[best], scores))
        return merged(parts, self.k)

    def _blocks(self, documents: Positions) -> Iterator[Positions]:
        blocks = -(-self.passages_in(documents) // _ROWS)
        return (block for block in np.array_split(documents, max(1, blocks)) if len(block))


def _by_graph(asked: _Asked) -> Found | None:
    """Compare what a graph leads to; ``None`` if none is in memory, or if signs or comparing all is less work."""
    segment = asked.segment
    graph = segment.vector_graph if segment.keeps_graph else None
    if graph is None:
        return None
    wanted = asked.wanted
    count = wanted * asked.passages_each
    while count * GRAPH_SHARE <= segment.passage_count:
        effort = graph.effort(count, asked.recall)
        if effort is None:  # it is known not to find so many of the nearest
            return None
        passages = graph.nearest(asked.vector, count, effort)
        documents = asked.documents_of(passages)
        if len(documents) >= wanted:
            return asked.compared(documents)
        if len(passages) < count:  # it has parts that nothing leads to
            return None
        count *= 2  # other passages of the same documents, or dead ones, have taken the places
    return None


def _by_signs(asked: _Asked) -> Found | None:
    """Compare what is nearest by its signs, and then all that may be as near as these.

    ``None`` if there are no signs, or if so many would be compared that comparing all is less work.
    """
    segment, bits = asked.segment, asked.segment.sign_bits
    if bits is None:
        return None
    most = segment.passage_count // (SIGNS_SHARE if segment.keeps_vectors else READ_SHARE)
    wanted = asked.wanted
    look = LEAST + TIMES * wanted * asked.passages_each
    if look > most:
        return None
    count = threads_for(bits.bits.nbytes, asked.threads)
    distances, counts = bit_distances(bits.bits, sign_bits(asked.vector[None])[0], threads=count)
    within = np.cumsum(counts)  # how many differ in no more signs than 0, 1, ...

    def documents_within(reach: int) -> Positions | None:
        if within[min(reach, len(within) - 1)] > most:
            return None
        documents = asked.documents_of(rows_within(distances, reach))
        return documents if asked.passages_in(documents) <= most else None

    while look <= most:
        reach = int(np.searchsorted(within, look))
        documents = documents_within(reach)
        if documents is None:
            return None
        if len(documents) < wanted:
            look *= TIMES  # other passages of the same documents, or dead ones, have taken the places
            continue
        nearest = asked.compared(documents)
        if not wanted:
            return nearest
        length = max(1.0, float(np.linalg.norm(asked.vector.astype(np.float32))))
        farther = bits.reach(np.sort(nearest[1])[::-1][:wanted] / length, asked.recall)
        if farther <= reach:
            return nearest
        documents = documents_within(farther)
        return None if documents is None else asked.compared(documents)
    return None
