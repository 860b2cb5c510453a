"""Judged questions about the corpus of the search tests."""

from __future__ import annotations

from collections.abc import Mapping

from shortlist.evaluation.judged import Judged
from shortlist.types import Document, Qrels, Query

QUESTIONS: list[tuple[str, dict[str, int]]] = [
    ("my card isn't working abroad", {"bank-0": 2, "bank-6": 1}),
    ("somebody took my purse", {"bank-2": 2}),
    ("cost of spending too much", {"bank-4": 2, "bank-3": 0}),
    ("the app won't let me in", {"bank-8": 2}),
    ("how long should dough rest", {"kitchen-0": 2, "kitchen-1": 1}),
    ("sauce separates", {"kitchen-4": 2}),
    ("blunt knives", {"kitchen-5": 2}),
    ("keep a loaf for later", {"kitchen-8": 2}),
    ("which process listens on port 8080", {"shell-0": 2}),
    ("unpack a tarball", {"shell-1": 2}),
    ("free space on disk", {"shell-3": 2}),
    ("telescope around the Earth", {"sky-0": 2}),
    ("why are there high and low tides", {"sky-4": 2}),
    ("snails eat my lettuce", {"garden-2": 2}),
    ("my child is hot and won't drink", {"health-0": 2}),
    ("burnt by the sun", {"health-4": 2, "sky-1": -1}),
]


def judged(questions: list[tuple[str, dict[str, int]]] = QUESTIONS) -> Judged:
    numbered = {f"q{number:02}": pair for number, pair in enumerate(questions)}
    return judge(
        {query_id: text for query_id, (text, _) in numbered.items()},
        {query_id: grades for query_id, (_, grades) in numbered.items()},
    )


def judge(queries: Mapping[str, str], relevance: Mapping[str, Mapping[str, int]]) -> Judged:
    """Judged queries from ids to texts, and from ids to grades."""
    return Judged("made up", tuple(Query(*pair) for pair in queries.items()), Qrels(relevance))


def document(doc_id: str, text: str, title: str = "") -> Document:
    return Document(doc_id, text, title)
