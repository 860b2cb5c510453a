"""The records that go in and come out: documents, queries, hits, rankings, runs, judgements.

Everything here is immutable and free of numpy. :meth:`Ranking.of` says in which order hits are; between the stages of
a search positions are in the same order (``search/execution.py``).
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field

from shortlist.errors import DataError

__all__ = [
    "Document",
    "Hit",
    "MetadataValue",
    "Passage",
    "Qrels",
    "Query",
    "Ranking",
    "Run",
    "check_text",
    "passage_text",
]

MetadataValue = str | int | float | bool | list["str | int | float | bool"]


def check_text(text: str, what: str) -> str:
    """Give ``text`` back if it can be written as UTF-8.

    Raises:
        DataError: it holds a lone surrogate, as Python makes of bytes that are not UTF-8.
    """
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"{what} is not UTF-8 at character {error.start + 1}", hint="write it in UTF-8"
        ) from None
    return text


@dataclass(frozen=True, slots=True)
class Document:
    """Hold one text of a corpus.

    ``metadata`` maps field names to strings, numbers, booleans or lists of these; nested mappings were
    flattened with dots when it was read (``author.name``). ``place`` says where it was read
    (``articles.jsonl:17``), for messages; it is not part of the document.
    """

    doc_id: str
    text: str
    title: str = ""
    metadata: Mapping[str, MetadataValue] = field(default_factory=dict)
    place: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True, slots=True)
class Query:
    """Hold one question and the id that runs and judgements know it by."""

    query_id: str
    text: str


@dataclass(frozen=True, slots=True)
class Passage:
    """Name the span ``text[start:end]`` of a document that a model reads at once (code points)."""

    start: int
    end: int


def passage_text(document: Document, passage: Passage) -> str:
    """Give what a model reads for a passage: the title, then the span of the text."""
    span = document.text[passage.start : passage.end]
    return f"{document.title} {span}" if document.title else span


@dataclass(frozen=True, slots=True)
class Hit:
    """Hold one document of a ranking.

    ``rank`` counts from 1; ``score`` is higher for better. ``stages`` has the score that every stage
    gave the document, by the stage's name, in the units of that stage. ``span`` is the passage that matched
    best, in code points of the text; ``None`` in rankings read from a file.
    """

    rank: int
    doc_id: str
    score: float
    stages: Mapping[str, float] = field(default_factory=dict)
    span: Passage | None = None


@dataclass(frozen=True, slots=True)
class Ranking:
    """Hold one query's hits, best first.

    Build one with :meth:`of`, which sorts as ``trec_eval`` does: score descending, ties by ``doc_id``
    descending. Iterating gives the hits.

    >>> [hit.doc_id for hit in Ranking.of([("a", 1.0), ("b", 2.0), ("c", 1.0)])]
    ['b', 'c', 'a']
    """

    hits: tuple[Hit, ...]

    @classmethod
    def of(
        cls,
        scored: Iterable[tuple[str, float]],
        *,
        k: int | None = None,
        stages: Mapping[str, Mapping[str, float]] | None = None,
        spans: Mapping[str, Passage] | None = None,
    ) -> Ranking:
        """Sort ``(doc_id, score)`` pairs into a ranking and keep the first ``k``.

        ``stages`` and ``spans`` give what each document's hit carries beside its score.

        Raises:
            DataError: a score is NaN, or a ``doc_id`` stands twice.
        """
        pairs = list(scored)
        scores = dict(pairs)
        if len(scores) != len(pairs):
            twice, _ = Counter(doc_id for doc_id, _ in pairs).most_common(1)[0]
            raise DataError(f"document {twice!r} stands twice in a ranking")
        for doc_id, score in pairs:
            if math.isnan(score):
                raise DataError(f"the score of document {doc_id!r} is NaN")
        pairs.sort(key=lambda pair: (pair[1], pair[0]), reverse=True)
        stages, spans = stages or {}, spans or {}
        return cls(
            tuple(
                Hit(rank, doc_id, score, stages.get(doc_id, {}), spans.get(doc_id))
                for rank, (doc_id, score) in enumerate(pairs[:k], start=1)
            )
        )

    def __iter__(self) -> Iterator[Hit]:
        return iter(self.hits)

    def __len__(self) -> int:
        return len(self.hits)

    def __getitem__(self, index: int) -> Hit:
        return self.hits[index]


@dataclass(frozen=True)
class Run:
    """Hold the rankings of many queries, by query id, and the name of the system that made them."""

    rankings: Mapping[str, Ranking]
    name: str = "shortlist"


@dataclass(frozen=True)
class Qrels:
    """Hold relevance judgements: query id -> document id -> grade (0 or less: not relevant)."""

    relevance: Mapping[str, Mapping[str, int]]
