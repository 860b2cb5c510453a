"""Run a pipeline for one query on one snapshot.

Two questions are asked of every stage: *retrieve* (which documents, ranked?) and *score* (what are these
documents worth?). Every stage can answer both, so anything that retrieves can also rerank.

Between stages documents are positions. Their ids are read where they end up in a result, or decide between equals.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import cast

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Snapshot
from shortlist.cores import usable_cores
from shortlist.errors import DataError
from shortlist.models.own_folder import JUDGES
from shortlist.protocols import ScoresDocuments
from shortlist.scoring.adaptive import FLAT_RANK, SPREAD_RANK, dense_weight, signs
from shortlist.search.pipeline import DEPTH, Cross, Dense, Fuse, Leaf, MaxSim, Pipeline, Rerank, leaves
from shortlist.search.scorers import BM25Scorer, CrossScorer, DenseScorer
from shortlist.types import Passage, Ranking

__all__ = ["Execution", "Ranked", "leaf_name", "timed"]

Positions = NDArray[np.int64]
Scores = NDArray[np.float64]

_PART = max(4, usable_cores())
"""How many documents a judge that may stop early reads at a time: enough for all cores."""

UNREAD_GAP = 1.0
"""How far below the last document that a judge read the first unread one is put."""


@lru_cache(1024)
def leaf_name(leaf: Leaf) -> str:
    """Name a scorer in results and timings: ``bm25``, ``late``, ``judge``, or its text form if it has settings.

    What is found may depend on ``recall`` or ``exact``, what a document scores does not: they are no part of the name.
    """
    plain = _without_depth(leaf)
    match plain:
        case MaxSim():
            return "late"
        case Dense():
            return "dense"
        case Cross(model=model) if model in JUDGES and plain == Cross(model=model):
            return model
    return str(plain)


@lru_cache(1024)
def _without_depth(leaf: Leaf) -> Leaf:
    """Give what identifies a scorer: how many documents it passes on changes no score."""
    return replace(leaf, depth=DEPTH)


@dataclass(frozen=True, eq=False)
class Ranked:
    """Hold documents, best first, in the order of :meth:`shortlist.types.Ranking.of`, and their scores."""

    positions: Positions
    scores: Scores

    def __len__(self) -> int:
        return len(self.positions)

    def first(self, k: int) -> Ranked:
        """Give the best ``k``."""
        return Ranked(self.positions[:k], self.scores[:k])


class Execution:
    """Hold what one query on one snapshot has computed so far, its timings, and what each stage saw."""

    def __init__(
        self,
        snapshot: Snapshot,
        scorers: Callable[[Leaf], ScoresDocuments],
        timings_ms: dict[str, float],
    ) -> None:
        self._snapshot = snapshot
        self._make_scorer = scorers
        self._scorers: dict[Leaf, ScoresDocuments] = {}
        self._doc_id: dict[int, str] = {}
        self._retrieved: dict[Pipeline, Ranked] = {}
        self._weights: dict[tuple[ScoresDocuments, ScoresDocuments], tuple[float, float]] = {}
        self.timings_ms = timings_ms
        self.seen: dict[str, int] = {}

    def rank(self, pipeline: Pipeline, k: int) -> Ranking:
        """Retrieve ``k`` documents; a hit has all scorers' scores (judges' if they read it) and its best passage."""
        ranked = self.retrieve(pipeline).first(k)
        positions, doc_ids = ranked.positions, self._ids(ranked.positions)
        found = leaves(pipeline)
        by_document: dict[str, dict[str, float]] = {doc_id: {} for doc_id in doc_ids}
        combined = isinstance(pipeline, Fuse | Rerank)  # or the scores are the only leaf's own
        for leaf in found:
            scorer = self._scorer(leaf)
            read = scorer.has_read(positions) if isinstance(scorer, CrossScorer) else slice(None)
            chosen = np.arange(len(positions))[read]
            scores = self.score(leaf, positions[chosen]) if combined else ranked.scores[chosen]
            for index, score in zip(chosen.tolist(), scores.tolist(), strict=True):
                by_document[doc_ids[index]][leaf_name(leaf)] = score
        with self._timed("passages"):
            spans = self._best_passages(found, positions)
        pairs = zip(doc_ids, ranked.scores.tolist(), strict=True)
        return Ranking.of(pairs, stages=by_document, spans=dict(zip(doc_ids, spans, strict=True)))

    def rank_alone(self, pipeline: Pipeline, k: int) -> Ranking:
        """Retrieve ``k`` documents, and nothing about them but their scores."""
        ranked = self.retrieve(pipeline).first(k)
        return Ranking.of(zip(self._ids(ranked.positions), ranked.scores.tolist(), strict=True))

    @property
    def judge_truncated_tokens(self) -> int:
        """How many tokens of the pairs that judges were given they could not read."""
        return sum(
            scorer.truncated_tokens for scorer in self._scorers.values() if isinstance(scorer, CrossScorer)
        )

    def positions(self, doc_ids: Iterable[str]) -> list[int]:
        """Give the positions of documents that a ranking names."""
        position = {doc_id: position for position, doc_id in self._doc_id.items()}
        return [position[doc_id] for doc_id in doc_ids]

    def retrieve(self, stage: Pipeline) -> Ranked:
        """Rank what a stage passes on; a stage that several pipelines share is asked once."""
        if stage not in self._retrieved:
            self._retrieved[stage] = self._retrieve(stage)
        return self._retrieved[stage]

    def _retrieve(self, stage: Pipeline) -> Ranked:
        match stage:
            case Fuse(stages=parts):
                positions = np.unique(np.concatenate([self.retrieve(part).positions for part in parts]))
                return self._ranked(positions, self.score(stage, positions))
            case Rerank():
                return self._rerank(stage)
            case _:
                return self._retrieve_leaf(stage)

    def score(self, stage: Pipeline, positions: Positions) -> Scores:
        """Score documents at ``positions`` exactly, whoever found them."""
        match stage:
            case Fuse():
                return self._fuse(stage, positions)
            case Rerank(first=first, judge=judge, weight=weight):
                judged = self.score(judge, positions)
                return judged if weight == 1 else _blend(judged, self.score(first, positions), weight)
            case _:
                scorer = self._scorer(stage)
                with self._timed(leaf_name(stage)):
                    return scorer.score(positions)

    def _retrieve_leaf(self, leaf: Leaf) -> Ranked:
        scorer = self._scorer(leaf)
        with self._timed(leaf_name(leaf)):
            positions, scores = scorer.best(leaf.depth)
        found = self._ranked(positions, scores, leaf.depth)
        self.seen[leaf_name(leaf)] = len(found)
        return found

    def _fuse(
        self,
        stage: Fuse,
        positions: Positions,
        score: Callable[[Pipeline, Positions], Scores] | None = None,
    ) -> Scores:
        score = score or self.score
        weights = stage.weights or (1.0,) * len(stage.stages)
        if stage.method == "adaptive":
            weights = self._adaptive_weights(stage)
        columns = []
        for part, weight in zip(stage.stages, weights, strict=True):
            if not weight:
                continue
            scores = score(part, positions)
            scorer = None if isinstance(part, Fuse | Rerank) else self._scorer(part)
            if stage.method == "rrf":
                absent = None if scorer is None else scorer.absent
                columns.append(weight * _reciprocal_ranks(scores, absent, stage.rrf_k))
            else:
                columns.append(weight * scores / (scorer.scale() if scorer else 1.0))
        # Rounded once, at the end: the order of the stages can't change a tie. One addition is rounded once as it is.
        if len(columns) == 2:
            return columns[0] + columns[1]
        return np.array([math.fsum(values) for values in zip(*(c.tolist() for c in columns), strict=True)])

    def _adaptive_weights(self, stage: Fuse) -> tuple[float, float]:
        """Weigh BM25 and dense by their scores of all live documents, whichever a filter lets through."""
        words, meaning = (self._scorer(part) for part in stage.stages)  # type: ignore[arg-type]
        lexical, dense = cast("BM25Scorer", words), cast("DenseScorer", meaning)
        if (lexical, dense) not in self._weights:
            found = lexical.top(FLAT_RANK), dense.top(SPREAD_RANK)
            weight = dense_weight(signs(*found, self._snapshot.average_length, lexical.strangeness()))
            self._weights[lexical, dense] = 1 / (1 + weight), weight / (1 + weight)
        return self._weights[lexical, dense]

    def _rerank(self, stage: Rerank) -> Ranked:
        found = self.retrieve(stage.first)
        count = min(stage.depth, len(found))
        if stage.reads_in_parts:
            count = self._read_in_parts(stage, found.positions[:count])
        scores = self.score(stage.judge, found.positions[:count])
        if stage.weight < 1:
            scores = _blend(scores, found.scores[:count], stage.weight)
        unread = scores.min(initial=np.inf) - UNREAD_GAP - np.arange(len(found) - count)
        return self._ranked(found.positions, np.concatenate([scores, unread]))

    def _read_in_parts(self, stage: Rerank, positions: Positions) -> int:
        """Let the judge read documents from the first on; give how many it has read when it may stop."""
        for leaf in leaves(stage.judge):
            self._scorer(leaf)  # loads a judge, which is no reading
        begin = time.perf_counter()
        ahead = np.empty(0)
        if stage.top is not None:
            # The best that is still to come, at every place.
            ahead = np.maximum.accumulate(self._bound(stage.judge, positions)[::-1])[::-1]
        known = np.empty(0)
        while len(known) < len(positions):
            count = len(known)
            passed_ms = (time.perf_counter() - begin) * 1000
            if count and stage.budget_ms is not None and passed_ms >= stage.budget_ms:
                break
            if stage.top is not None and 0 < stage.top <= count:
                last = float(np.partition(known, -stage.top)[-stage.top])
                if last > ahead[count]:
                    break
            known = np.append(known, self.score(stage.judge, positions[count : count + _PART]))
        return len(known)

    def _bound(self, stage: Pipeline, positions: Positions) -> Scores:
        """Give what documents score at most, whatever a cross-encoder would say."""
        match stage:
            case Fuse():
                # As scores are fused, product by product: rounding keeps the order, so no score is above its bound.
                return self._fuse(stage, positions, self._bound)
            case Cross():
                return np.full(len(positions), cast("CrossScorer", self._scorer(stage)).highest)
        return self.score(stage, positions)

    def _scorer(self, leaf: Leaf) -> ScoresDocuments:
        key = _without_depth(leaf)
        if key not in self._scorers:
            self._scorers[key] = self._make_scorer(key)
        return self._scorers[key]

    def _ranked(self, positions: Positions, scores: Scores, k: int | None = None) -> Ranked:
        """Order different documents as :meth:`shortlist.types.Ranking.of` does, and keep the first ``k``.

        Raises:
            DataError: a score is NaN.
        """
        if np.isnan(scores).any():
            (doc_id,) = self._ids(positions[np.isnan(scores)][:1])
            raise DataError(f"the score of document {doc_id!r} is NaN")
        order = np.argsort(-scores, kind="stable")
        if k is not None and k < len(order):
            order = order[: np.searchsorted(-scores[order], -scores[order[k - 1]], side="right")]
        equal = scores[order[1:]] == scores[order[:-1]]
        tied = np.flatnonzero(np.append(equal, False) | np.append(False, equal))
        if len(tied):
            ids = self._ids(positions[order[tied]])
            pairs = zip(scores[order[tied]].tolist(), ids, order[tied].tolist(), strict=True)
            order[tied] = [place for _, _, place in sorted(pairs, reverse=True)]
        return Ranked(positions[order], scores[order]).first(len(order) if k is None else k)

    def _ids(self, positions: Positions) -> list[str]:
        """Give the ids of documents, and remember them."""
        unknown = [position for position in positions.tolist() if position not in self._doc_id]
        with self._timed("ids"):
            self._doc_id |= zip(unknown, self._snapshot.doc_ids(unknown), strict=True)
        return [self._doc_id[position] for position in positions.tolist()]

    def _best_passages(self, found: tuple[Leaf, ...], positions: Positions) -> list[Passage]:
        """Ask the scorer that reads closest: late before dense before lexical."""
        closest = max(map(self._scorer, found), key=lambda scorer: scorer.closeness)
        return closest.best_passages(positions.tolist())

    @contextmanager
    def _timed(self, name: str) -> Iterator[None]:
        with timed(self.timings_ms, name):
            yield


@contextmanager
def timed(timings_ms: dict[str, float], name: str) -> Iterator[None]:
    """Add the time spent inside to ``timings_ms[name]``."""
    start = time.perf_counter()
    try:
        yield
    finally:
        timings_ms[name] = timings_ms.get(name, 0.0) + (time.perf_counter() - start) * 1000


def _blend(judged: Scores, first: Scores, weight: float) -> Scores:
    return weight * _unit_range(judged) + (1 - weight) * _unit_range(first)


def _unit_range(scores: Scores) -> Scores:
    """Bring scores to the range from 0 to 1; equal scores all become 0."""
    low, high = scores.min(initial=np.inf), scores.max(initial=-np.inf)
    result: Scores = (scores - low) / (high - low) if high > low else np.zeros_like(scores)
    return result


def _reciprocal_ranks(scores: Scores, absent: float | None, constant: float) -> Scores:
    """Give 1 / (constant + rank); equal scores share the best of their ranks, absent documents get 0."""
    ordered = np.sort(-scores)
    ranks = np.searchsorted(ordered, -scores, side="left") + 1
    result: Scores = 1.0 / (constant + ranks.astype(np.float64))
    if absent is not None:
        result[scores <= absent] = 0.0
    return result
