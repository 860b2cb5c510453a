"""Whether a collection is whole: every file as it was written, every view about the same documents."""

from __future__ import annotations

import json
import sqlite3
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import numpy as np

from shortlist.collection.database import DAMAGE, LIVE
from shortlist.collection.segment import Segment, document_digest
from shortlist.collection.snapshot import Snapshot
from shortlist.collection.store import StoreSettings, metadata_values
from shortlist.errors import CollectionError

__all__ = ["find_problems"]


def find_problems(path: Path, settings: StoreSettings) -> list[str]:
    """Read the newest generation whole and give what is wrong with it, a line each."""
    try:
        with Snapshot(path) as snapshot:
            return [
                *_database_problems(path),
                *(
                    problem
                    for segment in snapshot.segments
                    for problem in _segment_problems(segment, settings)
                ),
                *_document_problems(path, snapshot),
            ]
    except CollectionError as error:
        return [error.message]
    except (*DAMAGE, ValueError) as error:  # ValueError: metadata that is no JSON
        return [f"{path / 'collection.db'}: {error}"]


def _database_problems(path: Path) -> Iterator[str]:
    database = sqlite3.connect(path / "collection.db")
    try:
        for (line,) in database.execute("PRAGMA integrity_check"):
            if line != "ok":
                yield f"{path / 'collection.db'}: {line}"
    finally:
        database.close()


def _segment_problems(segment: Segment, settings: StoreSettings) -> Iterator[str]:
    damaged = list(segment.damaged_files())
    if damaged:
        yield from (
            f"{segment.folder / name}: its checksum is not the one it was written with" for name in damaged
        )
        return
    documents, passages = len(segment.rows), len(segment.passages)
    postings = segment.postings
    counted = np.bincount(postings.documents, postings.frequencies, minlength=documents)
    rules = {
        "one digest a document": len(segment.digests) == documents,
        "rows ascend": bool(np.all(np.diff(segment.rows) > 0)),
        "one length a document, and the postings add up to it": np.array_equal(counted, segment.lengths),
        "every document has a passage": np.array_equal(
            np.unique(segment.passages[:, 0]), np.arange(documents)
        ),
        "one vector a passage": segment.dense.shape == (passages, settings.dimensions),
        "token vectors as the settings say": segment.has_tokens == bool(settings.token_dimensions),
    }
    if segment.has_tokens:
        offsets = segment.token_offsets
        rules["token offsets fit the tokens"] = (
            len(offsets) == passages + 1
            and offsets[-1] == len(segment.tokens)
            and segment.tokens.shape[1] == settings.token_dimensions
        )
    yield from (f"{segment.folder}: not true: {rule}" for rule, holds in rules.items() if not holds)


def _document_problems(path: Path, snapshot: Snapshot) -> Iterator[str]:
    database = sqlite3.connect(path / "collection.db")
    try:
        at = {"generation": snapshot.generation}
        digests = dict(zip(snapshot.rows.tolist(), _digests(snapshot), strict=True))
        fields: dict[int, set[tuple[str, object]]] = defaultdict(set)
        for field, value, row in database.execute("SELECT field, value, row FROM metadata"):
            fields[row].add((field, value))
        found = set()
        query = f"SELECT row, doc_id, title, text, metadata FROM documents WHERE {LIVE}"
        for row, doc_id, title, text, metadata in database.execute(query, at):
            found.add(row)
            if row in digests and document_digest(doc_id, title, text, metadata) != digests[row]:
                yield f"{path}: document {doc_id!r} or its metadata is not the one that was indexed"
            elif set(metadata_values(json.loads(metadata))) != fields[row]:
                yield f"{path}: the metadata table disagrees with document {doc_id!r}"
        ((counted,),) = database.execute(
            "SELECT live_documents FROM generations WHERE generation = :generation", at
        ).fetchall()
    finally:
        database.close()
    indexed = set(snapshot.rows[snapshot.live].tolist())
    if found != indexed:
        missing, gone = len(found - indexed), len(indexed - found)
        yield f"{path}: {missing} documents are not indexed, {gone} indexed ones are gone"
    if counted != len(found):
        yield f"{path}: generation {snapshot.generation} counts {counted} documents, there are {len(found)}"


def _digests(snapshot: Snapshot) -> list[int]:
    return [digest for segment in snapshot.segments for digest in segment.digests.tolist()]
