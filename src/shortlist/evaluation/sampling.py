"""Draw the documents and queries that stand for a source that is too large to be measured whole."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np

from shortlist.errors import DataError
from shortlist.evaluation.judged import Judged
from shortlist.types import Document, Query

__all__ = ["Sample", "draw_sample", "first_words"]

QUERIES = 500
WORDS = 12


@dataclass(frozen=True)
class Sample:
    """Hold documents in random order, judged queries, and how many documents the source has in ``total``.

    All documents of the source that are judged relevant for these queries are among the documents.
    """

    documents: tuple[Document, ...]
    judged: Judged | None
    total: int

    @property
    def is_whole(self) -> bool:
        """Whether the sample is all there is."""
        return len(self.documents) == self.total


def draw_sample(documents: Iterable[Document], judged: Judged | None, size: int, seed: int) -> Sample:
    """Draw up to ``size`` documents in one pass: all that are judged relevant for the queries kept, others at random.

    Up to 500 judged queries are kept, fewer if their relevant documents would be more than half of the sample.

    Raises:
        DataError: there is no document.
    """
    random = np.random.default_rng(seed)
    required: set[str] = set()
    if judged is not None:
        judged, required = _some_queries(judged, size, random)
    kept: dict[str, Document] = {}
    others: list[Document] = []
    total = seen = 0
    for document in documents:
        total += 1
        if document.doc_id in required:
            kept[document.doc_id] = document
            continue
        seen += 1
        if len(others) < size:
            others.append(document)
        elif (place := int(random.integers(seen))) < size:  # every one stays with the same probability
            others[place] = document
    if not total:
        raise DataError("there is no document to measure on")
    order = random.permutation(len(others))[: max(0, size - len(kept))]
    chosen = [*kept.values(), *(others[index] for index in order.tolist())]
    mixed = random.permutation(len(chosen))
    return Sample(tuple(chosen[index] for index in mixed.tolist()), judged, total)


def first_words(documents: Iterable[Document], most: int = 100) -> list[Query]:
    """Make queries to time with, where none are given: titles, or the first words of texts."""
    texts = (" ".join((document.title or document.text).split()[:WORDS]) for document in documents)
    return [Query(str(number), text) for number, text in zip(range(most), filter(None, texts), strict=False)]


def _some_queries(judged: Judged, size: int, random: np.random.Generator) -> tuple[Judged, set[str]]:
    chosen: set[str] = set()
    required: set[str] = set()
    for index in random.permutation(len(judged.queries)).tolist():
        query = judged.queries[index]
        grades = judged.qrels.relevance[query.query_id]
        relevant = {doc_id for doc_id, grade in grades.items() if grade > 0}
        if chosen and (len(chosen) == QUERIES or len(required | relevant) > size // 2):
            break
        chosen.add(query.query_id)
        required |= relevant
    return judged.only(tuple(query for query in judged.queries if query.query_id in chosen)), required
