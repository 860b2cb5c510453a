"""What scorers share: the passages of documents, the best of several lists, and scoring passage by passage."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, Snapshot
from shortlist.cores import usable_cores
from shortlist.scoring import at_least_kth
from shortlist.search.query import PreparedQuery
from shortlist.types import Passage

__all__ = [
    "BestFound",
    "ByPassage",
    "Found",
    "Mask",
    "Positions",
    "Scores",
    "best_of",
    "best_passages_by",
    "merged",
    "passages_of",
    "threads_for",
]

Scores = NDArray[np.float64]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Found = tuple[Positions, NDArray[Any]]
"""Positions, ascending, and their scores."""

_PASSAGES = 2000  # scored at a time, to bound the memory of the gathered tokens
_WORTH_THREADS = 1 << 22  # bytes of vectors from which on they are shared between threads


class BestFound:
    """Remember what was found best among all live documents, and among those that a filter lets through.

    ``find(k, allowed)`` gives the ``k`` best of some documents and all that tie with the last. Unless it is ``exact``
    more of them are not known to begin with those.
    """

    def __init__(
        self, snapshot: Snapshot, allowed: Mask, find: Callable[[int, Mask], Found], *, exact: bool = True
    ) -> None:
        self._live = snapshot.live
        self._allowed = allowed
        self._find = find
        self._exact = exact
        self._known: dict[bool, tuple[int, Found]] = {}

    def remember(self, k: int, found: Found) -> None:
        """Take the ``k`` best of the allowed documents from somebody who knows them."""
        self._known[self._allowed is self._live] = k, found

    def allowed(self, k: int) -> Found:
        """Give the ``k`` best allowed documents and all that tie with the last."""
        return self._best(k, self._allowed)

    def live(self, k: int) -> Found:
        """Give the ``k`` best live documents and all that tie with the last."""
        return self._best(k, self._live)

    def _best(self, k: int, allowed: Mask) -> Found:
        key = allowed is self._live
        most = self._known[key][0] if key in self._known else 0
        if most < k or (most > k and not self._exact):
            self._known[key] = k, self._find(k, allowed)
        most, found = self._known[key]
        return found if most == k else merged([found], k)


class ByPassage:
    """Score passages when their document is asked for; it is its best passage, and every document is a candidate."""

    absent: float | None = None
    closeness: int

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        scale: float,
        allowed: Mask,
        threads: int | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._scale = scale
        self._allowed = allowed
        self._threads = threads
        self._known: Found = np.empty(0, np.int64), np.empty(0)

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        """Give the scores of some passages of a segment, in ascending order."""
        raise NotImplementedError

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last; reads all that are allowed."""
        allowed = np.flatnonzero(self._allowed)
        best, scores = best_of(self.score(allowed), k)
        return allowed[best], scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions; reads the vectors of those not scored before."""
        known, scores = self._known
        missing = np.setdiff1d(positions, known)
        if len(missing):
            joined = np.concatenate([known, missing])
            order = np.argsort(joined, kind="stable")
            known = joined[order]
            scores = np.concatenate([scores, self._score_documents(missing)])[order]
            self._known = known, scores
        found: Scores = scores[np.searchsorted(known, positions)]
        return found

    def _score_documents(self, positions: Positions) -> Scores:
        """Give the scores of documents, ascending."""
        scores = np.empty(len(positions))
        for (start, end), segment in zip(
            pairwise(self._snapshot.starts), self._snapshot.segments, strict=True
        ):
            first, last = np.searchsorted(positions, (start, end))
            documents = positions[first:last] - start
            ends = np.cumsum(segment.first_passages[documents + 1] - segment.first_passages[documents])
            cuts = np.searchsorted(ends, np.arange(0, ends[-1] if len(ends) else 0, _PASSAGES), side="right")
            for begin, stop in pairwise(np.unique([*cuts, len(documents)]).tolist()):
                passages, counts = passages_of(segment.first_passages, documents[begin:stop])
                found = self._score_passages(segment, passages)
                scores[first + begin : first + stop] = np.maximum.reduceat(found, np.cumsum(counts) - counts)
        return scores

    def scale(self) -> float:
        """Give 1: a similarity is taken as it is."""
        return 1.0

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that matches the query best; the first of equals."""
        segments = self._snapshot.segments
        return best_passages_by(
            self._snapshot,
            positions,
            lambda number, passages: self._score_passages(segments[number], passages),
        )


def best_passages_by(
    snapshot: Snapshot, positions: Sequence[int], score: Callable[[int, Positions], NDArray[Any]]
) -> list[Passage]:
    """Give each document's best passage; ``score`` takes a segment's number and passages in it."""
    best = []
    for position in positions:
        number, document = snapshot.locate(position)
        passages, _ = passages_of(snapshot.segments[number].first_passages, np.array([document]))
        chosen = 0 if len(passages) == 1 else int(score(number, passages).argmax())
        best.append(snapshot.passages(position)[chosen])
    return best


def merged(parts: Sequence[tuple[Positions, NDArray[Any]]], k: int) -> tuple[Positions, NDArray[Any]]:
    """Give the ``k`` best of several lists of finite scores, with all that tie with the last; one list may be it."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    if len(parts) == 1 and len(parts[0][0]) <= k:
        return parts[0]
    positions, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    best = at_least_kth(scores, k)
    return positions[best], scores[best]


def best_of(scores: NDArray[Any], k: int, *, above: float = -np.inf) -> Found:
    """Give the ``k`` best of all scores, by their places, with all that tie with the last."""
    best = at_least_kth(scores, k, above=above)
    return best, scores[best]


def threads_for(size_bytes: int, threads: int | None) -> int:
    """Give how many threads vectors of that size are worth; ``None`` are all cores."""
    return (threads or usable_cores()) if size_bytes >= _WORTH_THREADS else 1


def passages_of(first_passages: NDArray[np.int64], documents: Positions) -> tuple[Positions, Positions]:
    """Give the passages of documents, joined, and how many each has."""
    firsts, counts = first_passages[documents], first_passages[documents + 1] - first_passages[documents]
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) - np.repeat(ends - counts, counts) + np.repeat(firsts, counts), counts
