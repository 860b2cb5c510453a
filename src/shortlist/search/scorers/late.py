"""Score by one vector a token: late interaction, exactly for every document that is looked at.

Which ones are: all of them in a small collection, or if that is asked for; in a larger one those that the segments'
lists of tokens suggest (`collection/token_lists`). How many of the truly best are among them is measured by
``benchmarks/scale.py``.
"""

from __future__ import annotations

from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, Snapshot, TokenLists
from shortlist.collection.array_file import offsets_of
from shortlist.scoring import at_least_kth, best_listed, dot_products, maxsim
from shortlist.search.pipeline import MaxSim
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.passages import (
    ByPassage,
    Found,
    Mask,
    Positions,
    Scores,
    best_of,
    threads_for,
)

__all__ = ["EXHAUSTIVE", "LateScorer"]

EXHAUSTIVE = 20_000
"""So many passages are all read, whichever lists there are: some 30 ms on one core."""

CANDIDATES = 400
"""How many documents are scored exactly at least, where not all are; twice ``k`` if that is more."""

SHORTLISTED = 8  # times as many passages are compared by their text vectors, of which the best are candidates
PROBES = 16  # lists that each token of the query looks into
TEXT_WEIGHT = 0.25  # of the text vectors' product: it knows of what the centroids have rounded away


class Estimates(NamedTuple):
    """Hold documents of a snapshot, ascending, and about what each scores, on one scale for all segments."""

    positions: Positions
    scores: Scores


class LateScorer(ByPassage):
    """Score by MaxSim over token vectors."""

    closeness = 2

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        scales: tuple[float, float],
        allowed: Mask,
        kind: MaxSim,
        threads: int | None = None,
    ) -> None:
        super().__init__(snapshot, query, scales[1], allowed, threads)
        self._text_scale = scales[0]
        self._kind = kind

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        if self._kind.exact or self._is_small() or not len(self._query.tokens[0]):
            return super().best(k)
        positions = self._candidates(k)
        best, scores = best_of(self.score(positions), k)
        return positions[best], scores

    def _is_small(self) -> bool:
        """Whether all passages that are allowed can be read."""
        segments = self._snapshot.segments
        if sum(segment.passage_count for segment in segments) <= EXHAUSTIVE:
            return True
        if self._allowed is self._snapshot.live:
            return False
        counts = np.concatenate([np.diff(segment.first_passages) for segment in segments])
        return int(counts[self._allowed].sum()) <= EXHAUSTIVE

    def _candidates(self, k: int) -> Positions:
        """Give documents, ascending, among which the ``k`` best should be; all of a segment that has no lists."""
        every, estimates = [np.empty(0, np.int64)], [Estimates(np.empty(0, np.int64), np.empty(0))]
        snapshot = self._snapshot
        most = max(CANDIDATES, 2 * k)
        for (start, end), segment in zip(pairwise(snapshot.starts), snapshot.segments, strict=True):
            allowed = self._allowed[start:end]
            lists = segment.token_lists
            if lists is None:
                every.append(start + np.flatnonzero(allowed))
            elif allowed.any():
                found = self._estimates(segment, lists, allowed, most)
                estimates.append(Estimates(found.positions + start, found.scores))
        positions, scores = (np.concatenate(part) for part in zip(*estimates, strict=True))
        return np.sort(np.concatenate([*every, positions[at_least_kth(scores, most)]]))

    def _estimates(self, segment: Segment, lists: TokenLists, allowed: Mask, most: int) -> Estimates:
        """Give the most promising documents of a segment: ``most``, if there are as many that are allowed."""
        of_passages = None if allowed.all() else allowed[segment.passages[:, 0]]
        wanted = min(most, int(np.count_nonzero(allowed)))
        shortlisted, probes = SHORTLISTED * most, PROBES
        while True:
            passages, scores = self._listed(segment, lists, of_passages, shortlisted, probes)
            documents = segment.passages[passages, 0]
            if len(np.unique(documents)) >= wanted:
                break
            # Too few documents: their passages may have taken all the places, or the lists have no others.
            if len(passages) >= shortlisted:
                shortlisted *= 4
            elif probes < len(lists.centroids):
                probes *= 4
            else:
                break
        vector, scale = self._query.dense
        products = dot_products(segment.dense_rows(passages), vector[None])[0]
        scores = scores + TEXT_WEIGHT * self._text_scale * scale * products.astype(np.float64)
        firsts = np.flatnonzero(np.diff(documents, prepend=-1))  # a document is its best passage
        best = np.maximum.reduceat(scores, firsts) if len(firsts) else scores
        return Estimates(documents[firsts].astype(np.int64), best)

    def _listed(
        self, segment: Segment, lists: TokenLists, allowed: Mask | None, most: int, probes: int
    ) -> tuple[Positions, Scores]:
        """Give the passages, ascending, that gain most in the lists around each query token, and what they score.

        A passage that is in none of a token's lists is taken to match it as its best list that was not looked into.

        Source: the imputation of XTR (Lee et al. 2023).
        """
        query, scales = self._query.tokens
        threads = threads_for(lists.centroids.nbytes, self._threads)
        products = dot_products(lists.centroids, query, threads=threads)
        nearest, floor = _nearest(products, probes)
        chosen, places = np.unique(nearest, return_inverse=True)
        starts, ends = lists.offsets[chosen], lists.offsets[chosen + 1]
        inside = lists.passages.gather(starts, ends)
        weights = scales[:, None].astype(np.float32)
        gains = (np.take_along_axis(products, nearest, axis=1) - floor + 1) * weights
        found, scores = best_listed(
            inside,
            offsets_of(ends - starts),
            places.reshape(nearest.shape).astype(np.int32),
            gains.astype(np.float32),
            segment.passage_count,
            most,
            allowed,
        )
        least = float((floor[:, 0] * scales).sum(dtype=np.float64))
        return found, (scores.astype(np.float64) + least) * (self._scale / len(query))

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        query, scales = self._query.tokens
        tokens, offsets = segment.token_rows(passages)
        threads = threads_for(tokens.size, self._threads)
        codes = self._snapshot.generation.settings.token_codes
        return maxsim(query, tokens, offsets, scales, codes=codes, threads=threads) * self._scale


def _nearest(products: NDArray[np.float32], probes: int) -> tuple[NDArray[np.int64], NDArray[np.float32]]:
    """Give each query token's ``probes`` best centroids, the best first, and the product of the one after.

    They are ``[Q, probes]`` and ``[Q, 1]``.
    """
    count = products.shape[1]
    if probes >= count:
        order = np.argsort(-products, axis=1, kind="stable")
        return order, products.min(axis=1, keepdims=True)
    some = np.argpartition(-products, probes, axis=1)[:, : probes + 1]
    order = np.argsort(-np.take_along_axis(products, some, axis=1), axis=1, kind="stable")
    best = np.take_along_axis(some, order, axis=1)
    return best[:, :probes], np.take_along_axis(products, best[:, probes:], axis=1)
