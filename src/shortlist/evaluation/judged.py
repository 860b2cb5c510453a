"""Which queries are judged, and by whom: a BEIR folder's own, or files named beside a collection."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortlist.errors import DataError
from shortlist.evaluation.results import Finding
from shortlist.formats import Rejected, read_qrels, read_queries
from shortlist.types import Qrels, Query

__all__ = ["Judged", "find_split", "read_judged"]

SPLITS = ("test", "heldout", "dev", "validation", "train")
"""In which order the splits of a BEIR folder are looked for."""

ENDINGS = (".tsv", ".tsv.gz", ".txt", ".qrels")


@dataclass(frozen=True)
class Judged:
    """Hold the judged queries of a source.

    ``queries`` are those with judgements, in their file's order; ``qrels`` has exactly these. ``findings`` say
    what was left out on the way, ``name`` where they come from.
    """

    name: str
    queries: tuple[Query, ...]
    qrels: Qrels
    findings: tuple[Finding, ...] = ()

    def __post_init__(self) -> None:
        if [query.query_id for query in self.queries] != list(self.qrels.relevance):
            raise DataError("queries and judgements must be of the same queries, in the same order")

    def some(self, count: int, seed: int) -> Judged:
        """Keep up to ``count`` queries drawn at random, in their order."""
        chosen = np.sort(np.random.default_rng(seed).permutation(len(self.queries))[:count])
        return self.only(tuple(self.queries[index] for index in chosen.tolist()))

    def only(self, queries: tuple[Query, ...]) -> Judged:
        """Keep some of the queries."""
        return Judged(
            self.name,
            queries,
            Qrels({query.query_id: self.qrels.relevance[query.query_id] for query in queries}),
            self.findings,
        )


def find_split(folder: Path, split: str | None = None) -> Path:
    """Give the judgements of a BEIR folder: of ``split``, or the first there is of test, heldout, dev and so on.

    Where a split has files of several endings, ``.tsv`` goes before ``.tsv.gz``, ``.txt`` and ``.qrels``.

    Raises:
        DataError: there are none; the message says which there are.
    """
    found = {
        path.name.removesuffix(ending): path
        for ending in reversed(ENDINGS)
        for path in (folder / "qrels").glob(f"*{ending}")
    }
    if not found:
        raise DataError(
            f"{folder}: no judgements in it",
            hint="a BEIR folder holds qrels/test.tsv; or name a file: --qrels FILE",
        )
    if split is not None and split not in found:
        raise DataError(
            f"{folder}: no judgements for {split!r}", hint=f"there are: {', '.join(sorted(found))}"
        )
    return found[split or next((name for name in SPLITS if name in found), min(found))]


def read_judged(queries: Path, qrels: Path) -> Judged:
    """Read queries and judgements, and keep the queries that are judged.

    Raises:
        DataError: a file can't be read, or no query of the one is judged in the other.
    """
    judged = read_qrels(qrels)
    found = list(read_queries(queries))
    asked = {query.query_id: query for query in found if isinstance(query, Query)}
    rejected = [item for item in found if isinstance(item, Rejected)]
    kept = tuple(query for query in asked.values() if query.query_id in judged.relevance)
    if not kept:
        one, other = next(iter(asked), "none"), next(iter(judged.relevance))
        raise DataError(
            f"{qrels}: judges no query of {queries}",
            hint=f"their ids differ: the first query is {one!r}, the first judged one {other!r}",
        )
    findings = []
    if rejected:
        shown = tuple(str(problem) for problem in rejected[:3])
        findings.append(
            Finding(
                "bad-queries",
                len(rejected),
                "lines that are no query, or have the id of one before: left out",
                shown,
            )
        )
    missing = [query_id for query_id in judged.relevance if query_id not in asked]
    if missing:
        message = "judged ids that no query has: left out"
        findings.append(Finding("judged-without-query", len(missing), message, tuple(missing[:3])))
    return Judged(
        f"{queries}, {qrels}",
        kept,
        Qrels({query.query_id: judged.relevance[query.query_id] for query in kept}),
        tuple(findings),
    )
