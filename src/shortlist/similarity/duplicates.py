"""Which documents of a collection say nearly the same: pairs of them, and clusters."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Filter, Snapshot
from shortlist.errors import DataError
from shortlist.protocols import Progress
from shortlist.similarity.components import Components
from shortlist.similarity.mining import Near, Passages, best_first, mine, nearness
from shortlist.types import Passage

__all__ = ["Cluster", "DocumentPair", "Duplicates", "Member", "find_duplicates"]

LEAST_KEPT = 1 << 16

Int = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class DocumentPair:
    """Hold two documents, ``first < second``, the cosine of their nearest passages, and what these span."""

    score: float
    first: str
    second: str
    first_span: Passage
    second_span: Passage


@dataclass(frozen=True, slots=True)
class Member:
    """Hold a document of a cluster and its cosine with the central one, which may be below the threshold."""

    doc_id: str
    score: float


@dataclass(frozen=True, slots=True)
class Cluster:
    """Hold documents that pairs connect: first the central one, with 1, then the others, the nearest first."""

    members: tuple[Member, ...]

    @property
    def center(self) -> str:
        """The document with the most near-duplicates here, to stand for all."""
        return self.members[0].doc_id


@dataclass(frozen=True)
class Duplicates:
    """Hold what is nearly the same in one generation of a collection.

    ``pairs`` and ``clusters`` are the first of ``pair_count`` and ``cluster_count``. ``documents`` and ``passages``
    count what was compared.
    """

    pairs: tuple[DocumentPair, ...]
    clusters: tuple[Cluster, ...]
    pair_count: int
    cluster_count: int
    documents: int
    passages: int
    generation: int


def find_duplicates(
    snapshot: Snapshot,
    *,
    threshold: float = 0.9,
    top_k: int | None = None,
    limit: int = 1000,
    condition: Filter | None = None,
    progress: Progress | None = None,
) -> Duplicates:
    """Compare all documents that ``condition`` lets through with each other, by their stored text vectors.

    Documents are near-duplicates if the cosine of their nearest passages is at least ``threshold``; with
    ``top_k``, only if one is among the ``top_k`` nearest of the other. Up to ``limit`` pairs are given, by score,
    then by ids, and up to ``limit`` clusters, by size. Nothing is encoded. The cosine is that of the int8 vectors,
    whatever the model compares by: the same text has exactly 1, and a threshold has a meaning. Takes time with the
    square of the passages, and memory for their vectors, once.

    Clusters are the connected components of all pairs, not only of those given.

    Raises:
        DataError: ``threshold`` is no number from -1 to 1, or ``top_k`` or ``limit`` is below 1, or ``top_k`` is
            above 1,000 and there are more documents.

    Source: ``util.paraphrase_mining`` and ``util.community_detection`` of sentence-transformers 6.
    Deviation: communities there are what is near to one center, and a text that is near to two goes to the larger.
    Components don't depend on such choices: no near-duplicates are ever told apart. But a chain can connect what is
    not alike; each member's cosine with the center shows it.
    """
    if not -1 <= threshold <= 1:
        raise DataError(f"the threshold is {threshold}, expected a cosine from -1 to 1")
    for name, value in (("top_k", top_k), ("limit", limit)):
        if value is not None and value < 1:
            raise DataError(f"{name} must be at least 1, not {value}")
    # In the order of ids nothing that follows depends on how the collection has grown.
    positions = np.flatnonzero(snapshot.allowed(condition))
    ids = snapshot.doc_ids(positions)
    order = sorted(range(len(ids)), key=ids.__getitem__)
    ids, positions = [ids[number] for number in order], positions[order]
    passages = _gather(snapshot, positions)

    best, count, components = Near.joined([]), 0, Components(len(ids))
    for near in mine(passages, threshold=threshold, top_k=top_k, progress=progress):
        if not len(near):
            continue
        count += len(near)
        components.join(near)
        best = Near.joined([best, near])
        if len(best) > max(LEAST_KEPT, 2 * limit):
            best = best[best_first(best)[:limit]]
    best = best[best_first(best)[:limit]]

    def span(document: int, passage: int) -> Passage:
        spans = snapshot.passages(int(positions[document]))
        return spans[passage - int(passages.firsts[document])]

    pairs = zip(
        best.scores.tolist(), best.first.tolist(), best.second.tolist(),
        best.first_passages.tolist(), best.second_passages.tolist(), strict=True,
    )  # fmt: skip
    groups = components.groups()
    return Duplicates(
        tuple(
            DocumentPair(score, ids[first], ids[second], span(first, left), span(second, right))
            for score, first, second, left, right in pairs
        ),
        tuple(_cluster(passages, group, ids) for group in groups[:limit]),
        count,
        len(groups),
        len(ids),
        len(passages.vectors),
        snapshot.generation.number,
    )


def _cluster(passages: Passages, group: Int, ids: list[str]) -> Cluster:
    """Order a group, whose first is its center and whose others are in the order of their ids."""
    center, others = int(group[0]), group[1:]
    scores = nearness(passages, center, others)
    nearest_first = np.argsort(-scores, kind="stable").tolist()
    members = [Member(ids[int(others[index])], float(scores[index])) for index in nearest_first]
    return Cluster((Member(ids[center], 1.0), *members))


def _gather(snapshot: Snapshot, positions: Int) -> Passages:
    """Copy the text vectors of documents out of their segments, in the order of ``positions``."""
    empty = np.empty(0, np.int64)
    passage_counts = [segment.passage_count for segment in snapshot.segments]
    bases = np.cumsum([0, *passage_counts])
    starts = [s.first_passages[:-1] + base for s, base in zip(snapshot.segments, bases, strict=False)]
    counts = np.concatenate([empty, *(np.diff(s.first_passages) for s in snapshot.segments)])[positions]
    firsts = np.cumsum([0, *counts.tolist()])
    sources = np.arange(firsts[-1]) + np.repeat(
        np.concatenate([empty, *starts])[positions] - firsts[:-1], counts
    )
    dimensions = snapshot.segments[0].dimensions if snapshot.segments else 0
    vectors = np.empty((len(sources), dimensions), np.int8)
    for segment, base, end in zip(snapshot.segments, bases[:-1], bases[1:], strict=True):
        here = (sources >= base) & (sources < end)
        rows = sources[here] - base
        order = np.argsort(rows, kind="stable")
        vectors[np.flatnonzero(here)[order]] = segment.dense_rows(rows[order])
    return Passages(vectors, firsts)
