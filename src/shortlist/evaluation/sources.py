"""What can be compared: a BEIR folder, indexed for the purpose, or a collection with judged queries."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import numpy as np

from shortlist.api import Collection
from shortlist.collection.generation import COPY, NAME
from shortlist.errors import CollectionExistsError, DataError
from shortlist.evaluation.judged import Judged, find_split, read_judged
from shortlist.evaluation.results import Finding
from shortlist.formats import Rejected, Source, open_source
from shortlist.indexing import Report
from shortlist.models.encoder import Mode
from shortlist.protocols import Steps
from shortlist.types import Document

__all__ = ["bad_documents", "is_collection", "judged_files", "opened"]


def judged_files(source: Path, queries: Path | None, qrels: Path | None, split: str | None) -> Judged | None:
    """Read the judged queries that belong to a source, ``None`` where it has none.

    Raises:
        DataError: only one of queries and judgements is named, both a file of judgements and a split are, or
            one of the files can't be read.
    """
    if qrels is not None and split is not None:
        raise DataError(
            f"judgements are named twice: the file {qrels} and the split {split!r}",
            hint="leave out --qrels or --split",
        )
    in_folder = source / "queries.jsonl"
    in_folder = in_folder if in_folder.exists() else source / "queries.jsonl.gz"
    if queries is None and in_folder.exists():
        queries = in_folder
    if qrels is None and queries is not None and ((source / "qrels").is_dir() or split is not None):
        qrels = find_split(source, split)
    if queries is None and qrels is None and split is None:
        return None
    if queries is None or qrels is None:
        missing, option = ("queries", "--queries") if queries is None else ("judgements", "--qrels")
        raise DataError(f"{source}: no {missing} in it", hint=f"name their file with {option} FILE")
    return replace(read_judged(queries, qrels), name=f"{source.resolve().name} ({qrels.name.split('.')[0]})")


@contextmanager
def opened(
    source: Path,
    *,
    keep: Path | None = None,
    model: Path | None = None,
    mode: Mode = "fast",
    token_vectors: bool = True,
    token_pooling: int = 1,
    token_bits: int = 8,
    threads: int | None = None,
    steps: Steps | None = None,
) -> Iterator[tuple[Collection, tuple[Finding, ...]]]:
    """Open a collection, or index a source of documents: into ``keep``, or for the time of the context.

    A collection at ``keep`` that the same source went into is used again; what has changed in the source since
    is added to it. The findings say what of the source could not be indexed.

    Raises:
        CollectionExistsError: ``keep`` is something else, holds other documents or was indexed in another mode.
        DataError: ``keep`` is given, but the source is a collection already.
    """
    if is_collection(source):
        if keep is not None:
            raise DataError(f"{source}: is a collection already, nothing is indexed", hint="leave out --keep")
        with Collection.open(source, model=model) as collection:
            yield collection, ()
        return
    documents = open_source(source)
    progress = steps("indexing", documents.expected or 0) if steps else None
    with tempfile.TemporaryDirectory(prefix="shortlist-") as temporary:
        path = keep or Path(temporary) / "compared.shortlist"
        try:
            collection, report = Collection.build(
                path, documents, model=model, mode=mode, token_vectors=token_vectors,
                token_pooling=token_pooling, token_bits=token_bits, threads=threads, progress=progress,
            )  # fmt: skip
        except CollectionExistsError:
            if not is_collection(path):
                raise
            with Collection.open(path, model=model) as collection:
                _refuse_others(collection, documents, mode, token_pooling, token_bits)
                report = collection.add(documents, threads=threads, progress=progress)
                yield collection, _findings(report)
            return
        with collection:
            yield collection, _findings(report)


def is_collection(path: Path) -> bool:
    """Say whether a path is the folder of a collection."""
    return any((path / name).exists() for name in (NAME, COPY))


def bad_documents(count: int, problems: Sequence[Rejected]) -> tuple[Finding, ...]:
    """Say how many records of a source are no documents; nothing, if there are none."""
    if not count:
        return ()
    shown = tuple(str(problem) for problem in problems[:3])
    return (Finding("bad-documents", count, "records that can't be read as documents: left out", shown),)


def _refuse_others(
    collection: Collection, documents: Source, mode: Mode, token_pooling: int, token_bits: int
) -> None:
    """Refuse a collection that another source or other options made: ours must not be added to it."""
    info = collection.info()
    if info.mode != mode:
        raise CollectionExistsError(
            f"{info.path}: was indexed in mode {info.mode}, not {mode}",
            hint=f"use it with --mode {info.mode}, or keep the collection elsewhere",
        )
    if info.token_pooling != token_pooling:
        raise CollectionExistsError(
            f"{info.path}: has token vectors pooled by {info.token_pooling}, not {token_pooling}",
            hint="keep the collection elsewhere",
        )
    if info.token_bits != token_bits:
        raise CollectionExistsError(
            f"{info.path}: has token vectors of {info.token_bits} bits, not {token_bits}",
            hint="keep the collection elsewhere",
        )
    ours = {record.doc_id for record in documents if isinstance(record, Document)}
    with collection.store.snapshot() as snapshot:
        there = snapshot.doc_ids(np.flatnonzero(snapshot.live))
    other = next((doc_id for doc_id in there if doc_id not in ours), None)
    if other is not None:
        raise CollectionExistsError(
            f"{info.path}: holds documents that {documents.name} has not, such as {other!r}",
            hint="keep the collection elsewhere, or remove the folder",
        )


def _findings(report: Report) -> tuple[Finding, ...]:
    findings: list[Finding] = []
    shown = tuple(str(problem) for problem in report.problems[:3])
    findings += bad_documents(report.rejected, report.problems)
    if report.duplicates:
        message = "records with an id that stands before: the last one counts"
        findings.append(Finding("duplicate-ids", report.duplicates, message, shown))
    if report.truncated_tokens:
        message = "tokens of long titles are beyond the model's limit: words find them, vectors don't"
        findings.append(Finding("cut-titles", report.truncated_tokens, message))
    return tuple(findings)
