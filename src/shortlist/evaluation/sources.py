"""What can be compared: a BEIR folder, indexed for the purpose, or a collection with judged queries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

from shortlist.api import Collection
from shortlist.collection.generation import COPY, NAME
from shortlist.errors import CollectionExistsError, DataError
from shortlist.evaluation.judged import Judged, find_split, read_judged
from shortlist.evaluation.results import Finding
from shortlist.formats import open_source
from shortlist.indexing import Report
from shortlist.models.encoder import Mode
from shortlist.protocols import Steps

__all__ = ["is_collection", "judged_files", "opened"]


def judged_files(source: Path, queries: Path | None, qrels: Path | None, split: str | None) -> Judged | None:
    """Read the judged queries that belong to a source, ``None`` where it has none.

    Raises:
        DataError: only one of queries and judgements is named, or one of them can't be read.
    """
    in_folder = source / "queries.jsonl"
    in_folder = in_folder if in_folder.exists() else source / "queries.jsonl.gz"
    if queries is None and in_folder.exists():
        queries = in_folder
    if qrels is None and queries is not None and ((source / "qrels").is_dir() or split is not None):
        qrels = find_split(source, split)
    if queries is None and qrels is None:
        return None
    if queries is None or qrels is None:
        missing, option = ("queries", "--queries") if queries is None else ("judgements", "--qrels")
        raise DataError(f"{source}: no {missing} in it", hint=f"name their file with {option} FILE")
    return replace(read_judged(queries, qrels), name=f"{source.name} ({qrels.name.split('.')[0]})")


@contextmanager
def opened(
    source: Path,
    *,
    keep: Path | None = None,
    model: Path | None = None,
    mode: Mode = "fast",
    token_vectors: bool = True,
    threads: int | None = None,
    steps: Steps | None = None,
) -> Iterator[tuple[Collection, tuple[Finding, ...]]]:
    """Open a collection, or index a source of documents: into ``keep``, or for the time of the context.

    A collection at ``keep`` that the same source went into is used again. The findings say what of the source
    could not be indexed.

    Raises:
        CollectionExistsError: ``keep`` is something else.
    """
    if is_collection(source):
        with Collection.open(source, model=model) as collection:
            yield collection, ()
        return
    documents = open_source(source)
    progress = steps("indexing", documents.expected or 0) if steps else None
    with tempfile.TemporaryDirectory(prefix="shortlist-") as temporary:
        path = keep or Path(temporary) / "compared.shortlist"
        try:
            collection, report = Collection.build(
                path, documents, model=model, mode=mode, token_vectors=token_vectors, threads=threads,
                progress=progress,
            )  # fmt: skip
        except CollectionExistsError:
            if not is_collection(path):
                raise
            collection = Collection.open(path, model=model)
            report = collection.add(documents, threads=threads, progress=progress)
        with collection:
            yield collection, _findings(report)


def is_collection(path: Path) -> bool:
    """Say whether a path is the folder of a collection."""
    return any((path / name).exists() for name in (NAME, COPY))


def _findings(report: Report) -> tuple[Finding, ...]:
    findings = []
    shown = tuple(str(problem) for problem in report.problems[:3])
    if report.rejected:
        findings.append(
            Finding("bad-documents", report.rejected, "can't be read as documents, left out", shown)
        )
    if report.duplicates:
        message = "have an id that stands before; the last one counts"
        findings.append(Finding("duplicate-ids", report.duplicates, message, shown))
    if report.truncated_tokens:
        message = "tokens of long titles are beyond the model's limit: words find them, vectors don't"
        findings.append(Finding("cut-titles", report.truncated_tokens, message))
    return tuple(findings)
