"""Can these judgements be trusted? Named rules over documents, queries and judgements, run before anything else.

===========================  ==========================================================================
``bad-queries``              lines that are no query, or have the id of one before; left out
``judged-without-query``     judged ids that no query has; left out
``duplicate-documents``      documents with the words of another one: they tie, and perhaps one only is judged
``duplicate-queries``        queries with the words of another one: they count twice
``absent-documents``         judged relevant, but not in the corpus: can't be found, and count as missed
``nothing-relevant``         queries without a relevant document but themselves: every system gets 0
``nothing-left``             queries whose relevant documents are all absent: every system gets 0
``self-hits``                a query that is a document: that document is taken out of the query's rankings
``unjudged``                 systems of whose first ten hits less than half of what could be is judged
===========================  ==========================================================================

A *self hit* is a document with the query's words, whitespace and case aside, that has the query's id or isn't
judged relevant for it (as in ArguAna, whose queries are documents of the corpus; BEIR's own rule goes by the id
alone, which takes real answers away where queries and documents are both numbered from 1).
"""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from shortlist.evaluation.judged import Judged
from shortlist.evaluation.results import Finding
from shortlist.types import Document, Qrels, Ranking, Run

__all__ = ["RULES", "Checked", "check_judgements", "unjudged"]

RULES = (
    "bad-queries",
    "judged-without-query",
    "duplicate-documents",
    "duplicate-queries",
    "absent-documents",
    "nothing-relevant",
    "nothing-left",
    "self-hits",
    "unjudged",
)
EXAMPLES = 3
LEAST_OF_ATTAINABLE = 0.5  # share of the first ten that is judged, against what the judgements allow
ONE_JUDGED = 0.1  # of the first ten, as every judged query allows


@dataclass(frozen=True)
class Checked:
    """Hold judged queries after the check, and by query the documents that are the query itself."""

    judged: Judged
    self_hits: Mapping[str, frozenset[str]]

    def without_self_hits(self, run: Run, k: int) -> Run:
        """Take self hits out of the rankings and keep ``k`` hits."""
        rankings = {
            query_id: _without(ranking, self.self_hits.get(query_id, frozenset()), k)
            for query_id, ranking in run.rankings.items()
        }
        return Run(rankings, run.name)

    @property
    def most_self_hits(self) -> int:
        """How many more hits than ``k`` a run needs, so that ``k`` are left."""
        return max(map(len, self.self_hits.values()), default=0)


def check_judgements(documents: Iterable[Document], judged: Judged) -> Checked:
    """Apply all rules that need no run; reads every document once and keeps its id and two hashes."""
    words: defaultdict[bytes, list[str]] = defaultdict(list)  # of titles and texts
    texts: defaultdict[bytes, list[str]] = defaultdict(list)  # of texts alone, where there is a title
    for document in documents:
        words[_fingerprint(f"{document.title} {document.text}")].append(document.doc_id)
        if document.title:
            texts[_fingerprint(document.text)].append(document.doc_id)
    present = {doc_id for same in words.values() for doc_id in same}
    findings = list(judged.findings)

    same = [ids for ids in words.values() if len(ids) > 1]
    _add(findings, "duplicate-documents", sum(len(ids) - 1 for ids in same),
         "documents with the words of another one: the two tie, and perhaps only one of them is judged",
         ["=".join(ids[:2]) for ids in same])  # fmt: skip
    _check_queries(findings, judged)

    self_hits: dict[str, frozenset[str]] = {}
    relevance = {query_id: dict(grades) for query_id, grades in judged.qrels.relevance.items()}
    for query in judged.queries:
        grades, key = relevance[query.query_id], _fingerprint(query.text)
        hits = {
            doc_id
            for doc_id in (*words.get(key, ()), *texts.get(key, ()))
            if doc_id == query.query_id or grades.get(doc_id, 0) < 1
        }
        if hits:
            self_hits[query.query_id] = frozenset(hits)
            for doc_id in hits:
                grades.pop(doc_id, None)
    _check_relevant(
        findings, relevance, present
    )  # a query may have had no other relevant document than itself
    _add(findings, "self-hits", len(self_hits),
         "queries that are documents of the corpus themselves: that document is taken out of their rankings",
         list(self_hits))  # fmt: skip
    return Checked(replace(judged, qrels=Qrels(relevance), findings=tuple(findings)), self_hits)


def unjudged(judged_at_10: Mapping[str, float], qrels: Qrels | None = None) -> Finding | None:
    """Name the systems of whose first ten hits little is judged, with that share; ``None`` if there is none.

    A share is little below half of what is attainable: a query with one judgement, the rule in many sets, allows
    no more than one in ten. Without ``qrels`` no more is taken to be.

    >>> unjudged({"bm25": 0.04, "dense": 0.09}).examples
    ('bm25 4%',)
    """
    attainable = ONE_JUDGED
    if qrels is not None and qrels.relevance:
        counts = [min(10, len(grades)) for grades in qrels.relevance.values()]
        attainable = sum(counts) / (10 * len(counts))
    least = LEAST_OF_ATTAINABLE * attainable
    shown = tuple(f"{name} {share:.0%}" for name, share in judged_at_10.items() if share < least)
    message = (
        f"pipelines of whose first ten hits less than {least:.0%} is judged, where {attainable:.0%} could be: "
        "the others count as not relevant, whatever they are"
    )
    return Finding("unjudged", len(shown), message, shown) if shown else None


def _check_queries(findings: list[Finding], judged: Judged) -> None:
    asked: defaultdict[bytes, list[str]] = defaultdict(list)
    for query in judged.queries:
        asked[_fingerprint(query.text)].append(query.query_id)
    twice = [ids for ids in asked.values() if len(ids) > 1]
    _add(findings, "duplicate-queries", sum(len(ids) - 1 for ids in twice),
         "queries with the words of another one: each counts by itself",
         ["=".join(ids[:2]) for ids in twice])  # fmt: skip


def _check_relevant(
    findings: list[Finding], relevance: Mapping[str, Mapping[str, int]], present: set[str]
) -> None:
    absent, nothing, nothing_left = [], [], []
    for query_id, grades in relevance.items():
        relevant = [doc_id for doc_id, grade in grades.items() if grade > 0]
        missing = [doc_id for doc_id in relevant if doc_id not in present]
        absent += missing
        if not relevant:
            nothing.append(query_id)
        elif len(missing) == len(relevant):
            nothing_left.append(query_id)
    _add(findings, "absent-documents", len(absent),
         "documents judged relevant that are not in the corpus: they count as missed", absent)  # fmt: skip
    _add(findings, "nothing-relevant", len(nothing),
         "queries for which no document but themselves is judged relevant: every pipeline gets 0",
         nothing)  # fmt: skip
    _add(findings, "nothing-left", len(nothing_left),
         "queries whose relevant documents are all absent: every pipeline gets 0", nothing_left)  # fmt: skip


def _add(findings: list[Finding], rule: str, count: int, message: str, examples: list[str]) -> None:
    if count:
        findings.append(Finding(rule, count, message, tuple(examples[:EXAMPLES])))


def _fingerprint(text: str) -> bytes:
    return hashlib.blake2b(" ".join(text.lower().split()).encode(), digest_size=16).digest()


def _without(ranking: Ranking, doc_ids: frozenset[str], k: int) -> Ranking:
    kept = ((hit.doc_id, hit.score) for hit in ranking if hit.doc_id not in doc_ids)
    return Ranking.of(kept, k=k) if doc_ids else Ranking(ranking.hits[:k])
