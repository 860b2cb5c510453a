"""Score by words: BM25 and TF-IDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from itertools import pairwise

import numpy as np

from shortlist.collection import Snapshot
from shortlist.collection.kept_postings import SegmentPostings
from shortlist.lazy import lazy
from shortlist.scoring import best_bm25, bm25_idf, bm25_weights, tfidf_idf, tfidf_weights
from shortlist.scoring.lexical import Postings
from shortlist.search.pipeline import BM25
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.passages import BestFound, Found, Mask, Positions, Scores, best_of, merged
from shortlist.types import Passage

__all__ = ["BM25Scorer", "TfidfScorer"]


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

    @lazy
    def _frequencies(self) -> dict[str, int]:
        """How many live documents have each term of the query."""
        return {term: self._snapshot.count_live(found) for term, found in self._postings.items()}

    @lazy
    def _postings(self) -> dict[str, SegmentPostings]:
        """Which documents have each term of the query, by segment."""
        return {term: self._snapshot.segment_postings(term) for term in self._query.terms}

    @lazy
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
        self._found = BestFound(snapshot, allowed, self._find)

    def best(self, k: int) -> Found:
        """Give the ``k`` best candidates and all that tie with the last."""
        return self._found.allowed(k)

    def top(self, k: int) -> Scores:
        """Give the ``k`` highest scores of live documents, whatever a filter lets through, the highest first."""
        scores = np.sort(self._found.live(k)[1])[::-1][:k]
        return np.pad(scores, (0, max(0, min(k, self._snapshot.document_count) - len(scores))))

    def _find(self, k: int, allowed: Mask) -> Found:
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
        return merged(parts, k)

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

    @lazy
    def _terms(self) -> list[list[tuple[Postings, float]]]:
        """Each segment's postings of the query's terms, in their order, and what they are worth."""
        terms: list[list[tuple[Postings, float]]] = [[] for _ in self._snapshot.segments]
        for term, count in self._query.terms.items():
            for number, postings in self._postings[term]:
                terms[number].append((postings, self._idf[term] * count))
        return terms


class TfidfScorer(_Words):
    """Score by the cosine of TF-IDF vectors."""

    @lazy
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
        return best_of(np.where(self._allowed, self._scores, 0.0), k, above=0.0)

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions."""
        return self._scores[positions]

    def scale(self) -> float:
        """Give 1: a cosine is taken as it is."""
        return 1.0
