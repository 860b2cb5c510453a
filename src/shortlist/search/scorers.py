"""How each leaf of a pipeline scores the documents of a snapshot for one query.

A scorer belongs to one query on one snapshot and remembers what is dear to compute, so that a stage that
scores again, and the hit that reports the score, cost little.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Segment, Snapshot
from shortlist.collection.snapshot import SegmentPostings
from shortlist.errors import PipelineError
from shortlist.models.cores import usable_cores
from shortlist.protocols import ScoresDocuments, ScoresPairs
from shortlist.scoring import (
    at_least_kth,
    best_bm25,
    best_products,
    bm25_idf,
    bm25_weights,
    dot_products,
    maxsim,
    poly_scores,
    tfidf_idf,
    tfidf_weights,
)
from shortlist.scoring.lexical import Postings
from shortlist.search.pipeline import BM25, TFIDF, Cross, Dense, Leaf, MaxSim, Poly
from shortlist.search.query import PreparedQuery
from shortlist.types import Passage, passage_text

__all__ = [
    "BM25Scorer",
    "CrossScorer",
    "DenseScorer",
    "Found",
    "LateScorer",
    "PolyScorer",
    "TfidfScorer",
    "best_documents",
    "make_scorer",
]

Scores = NDArray[np.float64]
Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]
Found = tuple[Positions, NDArray[Any]]
"""Positions, ascending, and their scores."""


class _Words:
    """Score by shared terms; a document that shares none scores 0 and is no candidate."""

    absent: float | None = 0.0
    closeness = 0

    def __init__(self, snapshot: Snapshot, query: PreparedQuery, allowed: Mask) -> None:
        self._snapshot = snapshot
        self._query = query
        self._allowed = allowed

    def strangeness(self) -> float:
        """Give the share of the query's terms, weighed by their rarity, that no document has; 0 without terms."""
        weights = {term: self._idf[term] * count for term, count in self._query.terms.items()}
        strange = math.fsum(weight for term, weight in weights.items() if not self._frequencies[term])
        return strange / (math.fsum(weights.values()) or 1.0)

    @cached_property
    def _frequencies(self) -> dict[str, int]:
        """How many live documents have each term of the query."""
        return {term: self._snapshot.count_live(found) for term, found in self._postings.items()}

    @cached_property
    def _postings(self) -> dict[str, SegmentPostings]:
        """Which documents have each term of the query, by segment."""
        return {term: self._snapshot.segment_postings(term) for term in self._query.terms}

    @cached_property
    def _idf(self) -> dict[str, float]:
        documents = self._snapshot.document_count
        return {term: bm25_idf(found, documents) for term, found in self._frequencies.items()}

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


class BM25Scorer(_Words):
    """Score by BM25."""

    def __init__(self, snapshot: Snapshot, query: PreparedQuery, allowed: Mask, kind: BM25) -> None:
        super().__init__(snapshot, query, allowed)
        self._kind = kind
        self._known: dict[bool, tuple[int, Found]] = {}

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        return self._best(k, live=False)

    def top(self, k: int) -> Scores:
        """Give the ``k`` highest scores of live documents, whatever a filter lets through, the highest first."""
        scores = np.sort(self._best(k, live=True)[1])[::-1][:k]
        return np.pad(scores, (0, max(0, min(k, self._snapshot.document_count) - len(scores))))

    def _best(self, k: int, *, live: bool) -> Found:
        """Give the best of the live documents, or of those that are allowed."""
        live = live or self._allowed is self._snapshot.live  # no filter: the same
        known = self._known.get(live)
        if known is None or known[0] < k:
            allowed = self._snapshot.live if live else self._allowed
            snapshot, kind = self._snapshot, self._kind
            lengths = snapshot.relative_lengths(kind.b)
            parts = []
            for number, (start, end) in enumerate(pairwise(snapshot.starts)):
                terms = self._terms[number]
                if terms:
                    mask = None if allowed is snapshot.live and snapshot.all_live else allowed[start:end]
                    postings, idfs = [found for found, _ in terms], [idf for _, idf in terms]
                    found = best_bm25(postings, idfs, lengths[start:end], k, mask, k1=kind.k1)
                    parts.append((found[0] + start, found[1]))
            known = self._known[live] = k, _merged(parts, k)
        return known[1] if known[0] == k else _merged([known[1]], k)

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        scores = np.zeros(len(positions))
        lengths = self._snapshot.relative_lengths(self._kind.b)
        for number, (start, end) in enumerate(pairwise(self._snapshot.starts)):
            inside = np.flatnonzero((positions >= start) & (positions < end))
            for (documents, frequencies), idf in self._terms[number]:
                local = (positions[inside] - start).astype(
                    documents.dtype
                )  # or all postings would be converted
                places = np.minimum(np.searchsorted(documents, local), len(documents) - 1)
                having = documents[places] == local
                chosen = inside[having]
                counts = frequencies[places[having]].astype(np.float64)
                relative = lengths[positions[chosen]]
                scores[chosen] += bm25_weights(counts, relative, idf, k1=self._kind.k1)
        return scores

    def scale(self) -> float:
        """Give the query's best score, so that fused scores lie between 0 and 1."""
        return float(self.top(1).max(initial=0.0)) or 1.0

    @cached_property
    def _terms(self) -> list[list[tuple[Postings, float]]]:
        """Each segment's postings of the query's terms, in their order, and what they are worth."""
        terms: list[list[tuple[Postings, float]]] = [[] for _ in self._snapshot.segments]
        for term, count in self._query.terms.items():
            for number, postings in self._postings[term]:
                terms[number].append((postings, self._idf[term] * count))
        return terms


class TfidfScorer(_Words):
    """Score by the cosine of TF-IDF vectors."""

    @cached_property
    def _scores(self) -> Scores:
        snapshot = self._snapshot
        scores = np.zeros(snapshot.size)
        squares = 0.0
        for term, count in self._query.terms.items():
            if not self._frequencies[term]:
                continue
            idf = tfidf_idf(self._frequencies[term], snapshot.document_count)
            query_weight = float(tfidf_weights(np.array([count]), idf)[0])
            squares += query_weight**2
            for number, (documents, frequencies) in self._postings[term]:
                positions = np.add(documents, snapshot.starts[number], dtype=np.int64)
                scores[positions] += query_weight * tfidf_weights(frequencies, idf)
        # The query's vector is as long as its terms that any document has make it.
        return scores / (snapshot.tfidf_lengths * (squares**0.5 or 1.0))

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        return _best_of(np.where(self._allowed, self._scores, 0.0), k, above=0.0)

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        return self._scores[positions]

    def scale(self) -> float:
        """Give 1: a cosine is taken as it is."""
        return 1.0


class DenseScorer:
    """Score by the best passage's vector; every document is a candidate.

    ``ready`` are the best documents that are allowed, if many queries were compared in one pass: how many were asked
    for, and what was found.
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
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._scale = scale
        self._allowed = allowed
        self._threads = threads
        self._known: dict[bool, tuple[int, Found]] = {}
        if ready is not None:
            self._known[allowed is snapshot.live] = ready

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        return self._best(k, live=False)

    def top(self, k: int) -> Scores:
        """Give the ``k`` highest scores of live documents, whatever a filter lets through, the highest first."""
        return np.sort(self._best(k, live=True)[1])[::-1][:k]

    def _best(self, k: int, *, live: bool) -> Found:
        """Give the best of the live documents, or of those that are allowed."""
        live = live or self._allowed is self._snapshot.live  # no filter: the same
        known = self._known.get(live)
        if known is None or known[0] < k:
            allowed = self._snapshot.live if live else self._allowed
            vector, _ = self._query.dense
            (found,) = best_documents(self._snapshot, vector[None], k, allowed, self._threads)
            known = self._known[live] = k, found
        positions, products = known[1] if known[0] == k else _merged([known[1]], k)
        return positions, self._scaled(products)

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
        passages, counts = _passages_of(segment.first_passages, documents)
        vector, _ = self._query.dense
        return dot_products(_rows(segment.dense, passages), vector[None])[0], counts

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
    snapshot: Snapshot, vectors: NDArray[np.int8], k: int, allowed: Mask, threads: int | None = None
) -> list[Found]:
    """Give, for each of some queries ``[Q, H]``, the ``k`` nearest documents that are allowed, and their products.

    All queries share one pass over the vectors.
    """
    parts: list[list[Found]] = [[] for _ in vectors]
    for (start, end), segment in zip(pairwise(snapshot.starts), snapshot.segments, strict=True):
        firsts = None if segment.passage_count == len(segment) else segment.first_passages
        mask = None if allowed is snapshot.live and snapshot.all_live else allowed[start:end]
        count = _threads(segment.dense.size, threads)
        each = best_products(segment.dense, vectors, k, firsts, mask, threads=count)
        for part, (positions, products) in zip(parts, each, strict=True):
            part.append((positions + start, products))
    return [_merged(part, k) for part in parts]


def _merged(parts: Sequence[tuple[Positions, NDArray[Any]]], k: int) -> tuple[Positions, NDArray[Any]]:
    """Give the ``k`` best of several lists, with all that tie with the last."""
    if not parts:
        return np.empty(0, np.int64), np.empty(0)
    positions, scores = (np.concatenate(arrays) for arrays in zip(*parts, strict=True))
    best = at_least_kth(scores, k)
    return positions[best], scores[best]


def _best_of(scores: Scores, k: int, *, above: float = -np.inf) -> Found:
    best = at_least_kth(scores, k, above=above)
    return best, scores[best]


class _ByPassage:
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
        self._known = np.full(snapshot.size, np.nan)

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        """Give the scores of some passages of a segment, in ascending order."""
        raise NotImplementedError

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last; reads all that are allowed."""
        allowed = np.flatnonzero(self._allowed)
        best, scores = _best_of(self.score(allowed), k)
        return allowed[best], scores

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
        vectors = _rows(segment.dense, passages)
        products = dot_products(vectors, codes, threads=_threads(vectors.size, self._threads))
        similarities = products * (self._scale * scales.astype(np.float64))[:, None]
        return poly_scores(similarities, self._query.vectors.sharpness)


class LateScorer(_ByPassage):
    """Score by MaxSim over token vectors."""

    closeness = 2

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        query, scales = self._query.tokens
        tokens, offsets = segment.tokens, segment.token_offsets
        if _are_neighbours(passages):  # no copy
            places = offsets[passages[0] : passages[-1] + 2]
            found, places = tokens[places[0] : places[-1]], places - places[0]
        else:
            firsts, ends = offsets[passages], offsets[passages + 1]
            found, places = tokens.gather(firsts, ends), np.concatenate([[0], np.cumsum(ends - firsts)])
        return maxsim(query, found, places, scales, threads=_threads(found.size, self._threads)) * self._scale


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

    def best(self, k: int) -> Found:
        """Give the ``k`` best of all that are allowed and all that tie with the last.

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
        best, scores = _best_of(self.score(allowed), k)
        return allowed[best], scores

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
_WORTH_THREADS = 1 << 22  # bytes of vectors from which on they are shared between threads
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
        case BM25():
            return BM25Scorer(snapshot, query, allowed, leaf)
        case TFIDF():
            return TfidfScorer(snapshot, query, allowed)
        case Dense():
            return DenseScorer(snapshot, query, scales[0], allowed, threads=threads)
        case MaxSim():
            if not all(segment.has_tokens for segment in snapshot.segments):
                raise PipelineError(
                    "this collection has no token vectors, which late interaction reads",
                    hint="index it again without --no-tokens, or use --pipeline hybrid",
                )
            return LateScorer(snapshot, query, scales[1], allowed, threads)
        case Poly():
            if query.codes is None:
                raise PipelineError(
                    "this collection's model has no poly-encoder",
                    hint="index with one that has; shortlist train poly-encoder makes them",
                )
            return PolyScorer(snapshot, query, scales[0], allowed, threads)
        case Cross(model=model):
            assert judges is not None
            nearest = nearest or DenseScorer(snapshot, query, scales[0], allowed)
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


def _threads(size_bytes: int, threads: int | None) -> int:
    """Give how many threads vectors of that size are worth; ``None`` are all cores."""
    return (threads or usable_cores()) if size_bytes >= _WORTH_THREADS else 1


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
