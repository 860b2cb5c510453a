"""How each leaf of a pipeline scores the documents of a snapshot for one query.

A scorer belongs to one query on one snapshot and remembers what it has computed, so that a stage that
scores again, and the hit that reports the score, cost nothing.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, Snapshot
from shortlist.errors import PipelineError
from shortlist.protocols import ScoresDocuments, ScoresPairs
from shortlist.scoring import (
    bm25_idf,
    bm25_weights,
    dot_products,
    maxsim,
    poly_scores,
    tfidf_idf,
    tfidf_weights,
)
from shortlist.search.pipeline import BM25, TFIDF, Cross, Dense, Leaf, MaxSim, Poly
from shortlist.search.query import PreparedQuery
from shortlist.types import Passage, passage_text

__all__ = ["CrossScorer", "DenseScorer", "LateScorer", "LexicalScorer", "PolyScorer", "make_scorer"]

Scores = NDArray[np.float64]
Positions = NDArray[np.int64]


class LexicalScorer:
    """Score by shared terms; a document that shares none scores 0 and is no candidate."""

    absent: float | None = 0.0
    closeness = 0

    def __init__(self, snapshot: Snapshot, query: PreparedQuery, kind: BM25 | TFIDF) -> None:
        self._snapshot = snapshot
        self._query = query
        self._kind = kind

    @cached_property
    def _scores(self) -> Scores:
        snapshot, kind = self._snapshot, self._kind
        scores = np.zeros(snapshot.size)
        for term, count in self._query.terms.items():
            positions, frequencies = self._postings[term]
            if not len(positions):
                continue
            if isinstance(kind, BM25):
                idf = bm25_idf(len(positions), snapshot.document_count)
                lengths = snapshot.relative_lengths(kind.b)[positions]
                weights = bm25_weights(frequencies, lengths, idf * count, k1=kind.k1)
                np.add.at(scores, positions, weights)
            else:
                idf = tfidf_idf(len(positions), snapshot.document_count)
                query_weight = float(tfidf_weights(np.array([count]), idf)[0])
                scores[positions] += query_weight * tfidf_weights(frequencies, idf)
        if isinstance(kind, TFIDF):
            scores /= snapshot.tfidf_lengths * self._query_length()
        return scores

    def _query_length(self) -> float:
        """Give the length of the query's vector over the terms that any document has."""
        squares = 0.0
        for term, count in self._query.terms.items():
            df = len(self._postings[term][0])
            if df:
                weight = tfidf_weights(np.array([count]), tfidf_idf(df, self._snapshot.document_count))
                squares += float(weight[0]) ** 2
        return squares**0.5 or 1.0

    @cached_property
    def _idf(self) -> dict[str, float]:
        documents = self._snapshot.document_count
        return {term: bm25_idf(len(found), documents) for term, (found, _) in self._postings.items()}

    @cached_property
    def _postings(self) -> dict[str, tuple[Positions, NDArray[np.float64]]]:
        return {term: self._snapshot.postings(term) for term in self._query.terms}

    def strangeness(self) -> float:
        """Give the share of the query's terms, weighed by their rarity, that no document has; 0 without terms."""
        weights = {term: self._idf[term] * count for term, count in self._query.terms.items()}
        strange = math.fsum(weight for term, weight in weights.items() if not len(self._postings[term][0]))
        return strange / (math.fsum(weights.values()) or 1.0)

    def score_all(self) -> Scores:
        """Give the scores of all positions."""
        return self._scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        return self._scores[positions]

    def scale(self) -> float:
        """Give the query's best BM25 score, so that fused scores lie between 0 and 1."""
        if isinstance(self._kind, TFIDF):
            return 1.0
        return float(self._scores.max(initial=0.0)) or 1.0

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document whose distinct query terms weigh most; the first of equals."""
        best = []
        for position in positions:
            passages = self._snapshot.passages(position)
            if len(passages) > 1:
                (document,) = self._snapshot.documents([position])
                weights = self._idf
                found = [
                    set(self._query.analyzer.terms(document.text[p.start : p.end])) & weights.keys()
                    for p in passages
                ]
                worth = [sum(sorted(weights[term] for term in terms)) for terms in found]
                passages = [passages[worth.index(max(worth))]]
            best.append(passages[0])
        return best


class DenseScorer:
    """Score by the best passage's vector; every document is a candidate.

    ``products`` are the integer dot products of all passages, if many queries were compared in one pass.
    """

    absent: float | None = None
    closeness = 1

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        scale: float,
        products: list[NDArray[np.float32]] | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._scale = scale
        if products is not None:
            self._products = products

    @cached_property
    def _products(self) -> list[NDArray[np.float32]]:
        vector, _ = self._query.dense
        return [dot_products(segment.dense, vector[None])[0] for segment in self._snapshot.segments]

    @cached_property
    def _scores(self) -> Scores:
        parts = [
            products
            if len(products) == len(segment)
            else np.maximum.reduceat(products, segment.first_passages[:-1])
            for segment, products in zip(self._snapshot.segments, self._products, strict=True)
        ]
        return np.concatenate([np.empty(0), *parts]) * (self._scale * self._query.dense[1])

    def score_all(self) -> Scores:
        """Give the scores of all positions."""
        return self._scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        return self._scores[positions]

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
                rows, _ = _passages_of(self._snapshot.segments[number].first_passages, np.array([document]))
                order = np.argsort(-self._products[number][rows], kind="stable")[:count]
                passages = [passages[index] for index in order.tolist()]
            found.append(list(passages))
        return found

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that is nearest to the query; the first of equals."""
        return _best_passages(
            self._snapshot, positions, lambda number, passages: self._products[number][passages]
        )


class _ByPassage:
    """Score passages when their document is asked for; it is its best passage, and every document is a candidate."""

    absent: float | None = None
    closeness: int

    def __init__(
        self, snapshot: Snapshot, query: PreparedQuery, scale: float, allowed: NDArray[np.bool_]
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._scale = scale
        self._allowed = allowed
        self._known = np.full(snapshot.size, np.nan)

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        """Give the scores of some passages of a segment, in ascending order."""
        raise NotImplementedError

    def score_all(self) -> Scores:
        """Give the scores of all positions that are allowed; the others, which nobody will read, get -inf."""
        scores = np.full(len(self._known), -np.inf)
        allowed = np.flatnonzero(self._allowed)
        scores[allowed] = self.score(allowed)
        return scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions; reads the vectors of those not scored before."""
        missing = np.unique(positions[np.isnan(self._known[positions])])
        starts = self._snapshot.starts
        for start, end, segment in zip(starts[:-1], starts[1:], self._snapshot.segments, strict=True):
            local = missing[(missing >= start) & (missing < end)] - start
            for block in np.array_split(local, max(1, len(local) // _DOCUMENTS)):
                if len(block):
                    passages, counts = _passages_of(segment.first_passages, block)
                    found = self._score_passages(segment, passages)
                    firsts = np.cumsum(counts) - counts
                    self._known[start + block] = np.maximum.reduceat(found, firsts)
        return self._known[positions]

    def scale(self) -> float:
        """Give 1: a similarity is taken as it is."""
        return 1.0

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that matches the query best; the first of equals."""
        segments = self._snapshot.segments
        return _best_passages(
            self._snapshot,
            positions,
            lambda number, passages: self._score_passages(segments[number], passages),
        )


class PolyScorer(_ByPassage):
    """Score by a passage's one vector as the query's codes see it."""

    closeness = 1

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        assert self._query.codes is not None  # make_scorer asked
        codes, scales = self._query.codes
        products = dot_products(_rows(segment.dense, passages), codes)
        similarities = products * (self._scale * scales.astype(np.float64))[:, None]
        return poly_scores(similarities, self._query.vectors.sharpness)


class LateScorer(_ByPassage):
    """Score by MaxSim over token vectors."""

    closeness = 2

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        query, scales = self._query.tokens
        tokens, offsets = segment.tokens, segment.token_offsets
        if _are_neighbours(passages):  # no copy
            chosen = offsets[passages[0] : passages[-1] + 2]
            scores = maxsim(query, tokens[chosen[0] : chosen[-1]], chosen - chosen[0], scales)
        else:
            firsts, ends = offsets[passages], offsets[passages + 1]
            chosen = np.concatenate([[0], np.cumsum(ends - firsts)])
            scores = maxsim(query, tokens.gather(firsts, ends), chosen, scales)
        return scores * self._scale


class CrossScorer:
    """Score by reading query and passage together; every document is a candidate, as far as the budget goes.

    ``truncated_tokens`` counts, over all pairs so far, what the judge could not read.
    """

    absent: float | None = None
    closeness = 3
    truncated_tokens: int = 0

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        kind: Cross,
        judge: ScoresPairs,
        nearest: DenseScorer,
        allowed: NDArray[np.bool_],
        threads: int | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._kind = kind
        self._judge = judge
        self._nearest = nearest
        self._allowed = allowed
        self._threads = threads
        self._known: dict[int, tuple[float, Passage]] = {}

    @property
    def highest(self) -> float:
        """The most that any document can score; infinite if the model knows no bound."""
        return self._judge.highest

    def score_all(self) -> Scores:
        """Give the scores of all positions that are allowed; the others, which nobody will read, get -inf.

        Raises:
            PipelineError: there are more than the budget.
        """
        allowed = np.flatnonzero(self._allowed)
        if len(allowed) > self._kind.budget:
            raise PipelineError(
                f"{len(allowed):,} documents are more than {self._kind} reads: its budget is {self._kind.budget:,},"
                f" at some {_PAIR_MS} ms each {len(allowed) * _PAIR_MS / 1000:,.0f} s a query",
                hint="let it read what another stage found, as rerank(hybrid, cross) does; or raise the budget",
            )
        scores = np.full(len(self._allowed), -np.inf)
        scores[allowed] = self.score(allowed)
        return scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions; reads those not read before."""
        missing = [position for position in dict.fromkeys(positions.tolist()) if position not in self._known]
        if missing:
            pairs: list[tuple[int, Passage, str]] = []
            nearest = self._nearest.nearest_passages(missing, self._kind.passages)
            for position, document, passages in zip(
                missing, self._snapshot.documents(missing), nearest, strict=True
            ):
                pairs += [(position, passage, passage_text(document, passage)) for passage in passages]
            judged = self._judge.score_pairs(
                [(self._query.text, text) for _, _, text in pairs], threads=self._threads
            )
            scores = judged.scores
            self.truncated_tokens += sum(judged.truncated_tokens)
            if scores.ndim != 1:
                raise PipelineError(
                    f"{self._kind} gives {scores.shape[1]} labels, a judge gives one score",
                    hint="a classifier of pairs is no reranker",
                )
            for (position, passage, _), score in zip(pairs, scores.tolist(), strict=True):
                if position not in self._known or score > self._known[position][0]:
                    self._known[position] = score, passage
        return np.array([self._known[position][0] for position in positions.tolist()])

    def scale(self) -> float:
        """Give 1: a logit is taken as it is."""
        return 1.0

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that scored best, or of one that was not read the nearest to the query."""
        unread = [position for position in positions if position not in self._known]
        nearest = dict(zip(unread, self._nearest.best_passages(unread), strict=True))
        return [
            nearest[position] if position in nearest else self._known[position][1] for position in positions
        ]

    def has_read(self, positions: Positions) -> NDArray[np.bool_]:
        """Say which of some positions have a score by now."""
        return np.array([position in self._known for position in positions.tolist()], np.bool_)


_PAIR_MS = 8  # that a judge of six layers takes to read a passage, on one core
_DOCUMENTS = 2000  # scored at a time, to bound the memory of the gathered tokens


def make_scorer(
    leaf: Leaf,
    snapshot: Snapshot,
    query: PreparedQuery,
    allowed: NDArray[np.bool_],
    scales: tuple[float, float],
    judges: Callable[[str], ScoresPairs] | None = None,
    nearest: DenseScorer | None = None,
    threads: int | None = None,
) -> ScoresDocuments:
    """Make the scorer of a leaf; ``scales`` are the int8 steps of pooled and of token vectors.

    ``judges`` gives a cross-encoder by its folder; it reads on ``threads``, and ``nearest`` chooses what of a long
    document.

    Raises:
        PipelineError: the leaf needs the token view and the collection has none.
    """
    match leaf:
        case BM25() | TFIDF():
            return LexicalScorer(snapshot, query, leaf)
        case Dense():
            return DenseScorer(snapshot, query, scales[0])
        case MaxSim():
            if not all(segment.has_tokens for segment in snapshot.segments):
                raise PipelineError(
                    "this collection has no token vectors, which late interaction reads",
                    hint="index it again without --no-tokens, or use --pipeline hybrid",
                )
            return LateScorer(snapshot, query, scales[1], allowed)
        case Poly():
            if query.codes is None:
                raise PipelineError(
                    "this collection's model has no poly-encoder",
                    hint="index with one that has; shortlist train poly-encoder makes them",
                )
            return PolyScorer(snapshot, query, scales[0], allowed)
        case Cross(model=model):
            assert judges is not None
            nearest = nearest or DenseScorer(snapshot, query, scales[0])
            return CrossScorer(snapshot, query, leaf, judges(model), nearest, allowed, threads)


def _best_passages(
    snapshot: Snapshot, positions: Sequence[int], score: Callable[[int, Positions], NDArray[Any]]
) -> list[Passage]:
    """Give each document's best passage; ``score`` takes a segment's number and passages in it."""
    best = []
    for position in positions:
        number, document = snapshot.locate(position)
        passages, _ = _passages_of(snapshot.segments[number].first_passages, np.array([document]))
        chosen = 0 if len(passages) == 1 else int(score(number, passages).argmax())
        best.append(snapshot.passages(position)[chosen])
    return best


def _are_neighbours(passages: Positions) -> bool:
    return bool(passages[-1] - passages[0] + 1 == len(passages))


def _rows(array: NDArray[Any], rows: Positions) -> NDArray[Any]:
    """Give some rows of an array, without a copy if they lie beside each other."""
    return array[rows[0] : rows[-1] + 1] if _are_neighbours(rows) else array[rows]


def _passages_of(first_passages: NDArray[np.int64], documents: Positions) -> tuple[Positions, Positions]:
    """Give the passages of documents, joined, and how many each has."""
    firsts, counts = first_passages[documents], first_passages[documents + 1] - first_passages[documents]
    ends = np.cumsum(counts)
    return np.arange(ends[-1]) - np.repeat(ends - counts, counts) + np.repeat(firsts, counts), counts
