"""Every retriever's scores by brute force, from the documents and the encoder alone."""

from __future__ import annotations

import math
import operator
from collections import Counter
from collections.abc import Sequence

import numpy as np

from shortlist import Document, Encoder
from shortlist.collection import Analyzer
from shortlist.indexing.passages import split_passages
from shortlist.types import Passage, passage_text

Scores = dict[str, float]


class Oracle:
    """Score all documents for a query with the formulas as they are written down, one document at a time."""

    def __init__(self, documents: Sequence[Document], encoder: Encoder) -> None:
        self._encoder = encoder
        self._analyzer = Analyzer("english")
        self.documents = {document.doc_id: document for document in documents}
        self.passages = {one.doc_id: split_passages(one, encoder.tokenizer) for one in documents}
        self._terms = {one.doc_id: self._analyzer.terms(f"{one.title} {one.text}") for one in documents}
        self._views = {
            one.doc_id: encoder.views([passage_text(one, passage) for passage in self.passages[one.doc_id]])
            for one in documents
        }

    def _df(self, term: str) -> int:
        return sum(term in terms for terms in self._terms.values())

    def bm25(self, query: str, k1: float = 1.2, b: float = 0.75) -> Scores:
        average = sum(map(len, self._terms.values())) / len(self._terms)
        scores = {}
        for doc_id, terms in self._terms.items():
            score = 0.0
            for term in self._analyzer.terms(query):
                df, tf = self._df(term), terms.count(term)
                idf = math.log(1 + (len(self._terms) - df + 0.5) / (df + 0.5))
                if tf:
                    score += idf * tf / (tf + k1 * (1 - b + b * len(terms) / average))
            scores[doc_id] = score
        return scores

    def tfidf(self, query: str) -> Scores:
        def vector(terms: Sequence[str]) -> Scores:
            return {
                term: (1 + math.log(count)) * (math.log((1 + len(self._terms)) / (1 + self._df(term))) + 1)
                for term, count in Counter(terms).items()
                if self._df(term)
            }

        def length(found: Scores) -> float:
            return math.sqrt(sum(weight**2 for weight in found.values())) or 1.0

        asked = vector(self._analyzer.terms(query))
        scores = {}
        for doc_id, terms in self._terms.items():
            found = vector(terms)
            dot = sum(weight * found.get(term, 0.0) for term, weight in asked.items())
            scores[doc_id] = dot / length(asked) / length(found)
        return scores

    def dense_by_passage(self, query: str) -> dict[str, list[float]]:
        """Give the dot products of int8 steps: the model's for passages, the query's own for the query."""
        scale = self._encoder.settings.dense_scale
        vector = self._encoder.encode([query], prompt="query")[0]
        step = np.float32(np.abs(vector).max() / 127)
        asked = np.rint(vector / step).astype(np.int64)
        return {
            doc_id: [
                int(asked @ np.clip(np.rint(row * np.float32(1 / scale)), -127, 127).astype(np.int64))
                * (scale * float(step))
                for row in views.dense.data
            ]
            for doc_id, views in self._views.items()
        }

    def late_by_passage(self, query: str) -> dict[str, list[float]]:
        """Give the mean over query tokens of the best match, documents in int8 steps of the model."""
        scale = self._encoder.settings.token_scale

        def steps(values: np.ndarray[tuple[int, ...], np.dtype[np.float32]]) -> list[list[int]]:
            rounded = np.clip(np.rint(values * np.float32(1 / scale)), -127, 127)
            return rounded.astype(np.int64).tolist()  # type: ignore[no-any-return]

        (vectors,) = self._encoder.queries([query])
        own = [np.float32(np.abs(row).max() / 127) for row in vectors.tokens]
        asked = [np.rint(row / step).astype(np.int64) for row, step in zip(vectors.tokens, own, strict=True)]
        return {
            doc_id: [
                sum(
                    max((np.array(steps(tokens)) @ row).tolist()) * float(step)
                    for row, step in zip(asked, own, strict=True)
                )
                / len(asked)
                * scale
                for tokens in views.tokens
            ]
            for doc_id, views in self._views.items()
        }

    def poly_by_passage(self, query: str) -> dict[str, list[float]]:
        """Give each passage's mean similarity with the codes, weighed by their softmax (equation 5 of the paper)."""
        scale = self._encoder.settings.dense_scale
        (vectors,) = self._encoder.queries([query])
        assert vectors.codes is not None
        own = [float(np.float32(np.abs(row).max() / 127)) for row in vectors.codes]
        asked = [
            np.rint(row / np.float32(step)).astype(np.int64)
            for row, step in zip(vectors.codes, own, strict=True)
        ]
        found: dict[str, list[float]] = {}
        for doc_id, views in self._views.items():
            found[doc_id] = []
            for row in views.dense.data:
                stored = np.clip(np.rint(row * np.float32(1 / scale)), -127, 127).astype(np.int64)
                similar = [int(one @ stored) * step * scale for one, step in zip(asked, own, strict=True)]
                weights = [math.exp(vectors.sharpness * one) for one in similar]
                found[doc_id].append(math.fsum(map(operator.mul, weights, similar)) / math.fsum(weights))
        return found

    def poly(self, query: str) -> Scores:
        return {doc_id: max(scores) for doc_id, scores in self.poly_by_passage(query).items()}

    def dense(self, query: str) -> Scores:
        return {doc_id: max(scores) for doc_id, scores in self.dense_by_passage(query).items()}

    def late(self, query: str) -> Scores:
        return {doc_id: max(scores) for doc_id, scores in self.late_by_passage(query).items()}

    def best_passage(self, doc_id: str, scores: dict[str, list[float]]) -> Passage:
        """Give the passage of a document that scores highest, the first of equals."""
        return self.passages[doc_id][scores[doc_id].index(max(scores[doc_id]))]


def ranked(scores: Scores) -> list[tuple[str, float]]:
    """Sort as trec_eval does: score descending, then id descending."""
    return sorted(scores.items(), key=lambda pair: (pair[1], pair[0]), reverse=True)
