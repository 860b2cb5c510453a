"""A collection on disk: create it, open it, add and delete documents, compact it.

::

    articles.shortlist/
      collection.db        SQLite: documents, metadata, generations. The truth.
      segments/00000007/   what generation 7 added: postings and vectors, immutable
      writer.lock  readers.lock

A commit writes the segment's files and waits for the disk; then one SQLite transaction names the segment,
adds the documents and marks the replaced ones dead. That transaction is the only point at which a generation
comes to exist: a crash before it leaves an orphan folder, which the next writer removes.
"""

from __future__ import annotations

import json
import shutil
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from pathlib import Path

import numpy as np

from shortlist.collection import database
from shortlist.collection.locks import no_readers, writer_lock
from shortlist.collection.segment import (
    Segment,
    SegmentData,
    document_digest,
    merge_segments,
    segment_folder,
    sync_folder,
    write_segment,
)
from shortlist.collection.snapshot import Snapshot
from shortlist.errors import (
    CollectionDamagedError,
    CollectionError,
    CollectionExistsError,
    CollectionNotFoundError,
)
from shortlist.types import Document, MetadataValue

__all__ = ["Store", "StoreSettings", "Writer", "metadata_values"]

_UNFINISHED = {"segments", *(f"collection.db.new{ending}" for ending in ("", "-wal", "-shm", "-journal"))}
_VARIABLES = 500  # of one SQL statement; SQLite allows more, but not every build


@dataclass(frozen=True)
class StoreSettings:
    """Hold what is fixed when a collection is created.

    ``model`` is the folder of the encoder, empty for the one that comes with shortlist; ``fingerprint`` is
    its identity. ``mode`` is how it runs. ``token_dimensions`` is 0 in a collection without the token view.
    """

    language: str
    model: str
    model_name: str
    fingerprint: str
    mode: str
    similarity: str
    dimensions: int
    dense_scale: float
    token_dimensions: int
    token_scale: float


class Store:
    """Open a collection's folder; readers and writers are made from it.

    Raises:
        CollectionNotFoundError: there is no collection at ``path``.
        CollectionError: another version of shortlist made it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if not (path / "collection.db").is_file():
            what = "is not a collection" if path.exists() else "does not exist"
            raise CollectionNotFoundError(f"{path}: {what}", hint=f"create it: shortlist index {path} SOURCE")
        self._database = database.connect(path / "collection.db")
        try:
            (version,) = self._database.execute("PRAGMA user_version").fetchone()
            if version != database.FORMAT:
                raise CollectionError(
                    f"{path}: collection format {version}, this version of shortlist reads {database.FORMAT}",
                    hint="upgrade shortlist, or index the documents again",
                )
            rows = self._database.execute("SELECT key, value FROM settings").fetchall()
        except BaseException as error:
            self._database.close()
            if isinstance(error, database.DAMAGE):
                raise CollectionDamagedError(f"{path / 'collection.db'}: {error}") from error
            raise
        try:
            self.settings = StoreSettings(**{key: json.loads(value) for key, value in rows})
        except (ValueError, TypeError) as error:
            self._database.close()
            raise CollectionDamagedError(f"{path / 'collection.db'}: its settings: {error}") from error

    @classmethod
    def create(cls, path: Path, settings: StoreSettings) -> Store:
        """Create an empty collection.

        Raises:
            CollectionExistsError: there is a file or a non-empty folder at ``path``.
        """
        _remove_unfinished(path)
        if path.is_file() or (path.is_dir() and any(path.iterdir())):
            if (path / "collection.db").exists():
                raise CollectionExistsError(
                    f"{path}: is a collection already", hint=f"to add to it: shortlist add {path} SOURCE"
                )
            what = "is not empty" if path.is_dir() else "is a file"
            raise CollectionExistsError(f"{path}: {what}", hint="choose another path")
        (path / "segments").mkdir(parents=True, exist_ok=True)
        unfinished = path / "collection.db.new"
        database.create(unfinished)
        connection = database.connect(unfinished)
        with connection:
            values = ((key, json.dumps(value)) for key, value in asdict(settings).items())
            connection.executemany("INSERT INTO settings VALUES (?, ?)", values)
        connection.execute("PRAGMA journal_mode = DELETE")  # so that one file is all there is to rename
        connection.close()
        unfinished.rename(path / "collection.db")
        sync_folder(path)
        sync_folder(path.absolute().parent)
        return cls(path)

    def discard_if_empty(self) -> None:
        """Remove the collection if nothing has ever been committed to it."""
        with writer_lock(self.path / "writer.lock"):
            (newest,) = self._database.execute("SELECT max(generation) FROM generations").fetchone()
            if newest == 0:
                self.close()
                shutil.rmtree(self.path)

    def snapshot(self) -> Snapshot:
        """Open the newest generation for reading; close it when done."""
        return Snapshot(self.path)

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Hold the right to write, and remove what a crash has left.

        Raises:
            CollectionBusyError: another process is writing.
        """
        with writer_lock(self.path / "writer.lock"):
            writer = Writer(self.path, self._database)
            writer.remove_leftovers()
            yield writer

    def live_documents(self, doc_ids: Iterable[str]) -> dict[str, Document]:
        """Give the documents that stand under these ids in the newest generation."""
        found = {}
        for part in _parts(list(doc_ids)):
            where = f"died IS NULL AND doc_id IN ({_marks(part)})"
            query = f"SELECT doc_id, text, title, metadata FROM documents WHERE {where}"
            for doc_id, text, title, metadata in self._database.execute(query, part):
                found[doc_id] = Document(doc_id, text, title, json.loads(metadata))
        return found

    def close(self) -> None:
        """Close the database."""
        self._database.close()


class Writer:
    """Change a collection, one generation at a time; made by :meth:`Store.writer`."""

    def __init__(self, path: Path, connection: sqlite3.Connection) -> None:
        self._path = path
        self._segments = path / "segments"
        self._database = connection

    def next_rows(self, count: int) -> np.ndarray[tuple[int], np.dtype[np.int64]]:
        """Give the rows that the next ``count`` documents will have."""
        _, next_row, _ = self._newest()
        return np.arange(next_row, next_row + count, dtype=np.int64)

    def add(self, documents: Sequence[Document], data: SegmentData) -> int:
        """Commit documents with their postings and vectors; give how many of them replaced another.

        ``data.rows`` came from :meth:`next_rows`; document ``i`` is at ``data.rows[i]``.
        """
        generation, next_row, live = self._newest()
        generation += 1
        if len(documents) != len(data.rows) or len({document.doc_id for document in documents}) != len(
            documents
        ):
            raise CollectionError("a commit needs one row a document and every document once")
        columns = [
            (d.doc_id, d.title, d.text, json.dumps(dict(d.metadata), ensure_ascii=False)) for d in documents
        ]
        digests = np.array([document_digest(*values) for values in columns], np.uint64)
        with self._new_segment(generation, replace(data, digests=digests)):
            replaced = self._kill([document.doc_id for document in documents], generation)
            rows = [int(row) for row in data.rows]
            self._database.executemany(
                "INSERT INTO documents VALUES (?, ?, ?, ?, ?, ?, NULL)",
                ((row, *values, generation) for row, values in zip(rows, columns, strict=True)),
            )
            self._database.executemany(
                "INSERT OR IGNORE INTO metadata VALUES (?, ?, ?)",
                (
                    (field, value, row)
                    for row, document in zip(rows, documents, strict=True)
                    for field, value in metadata_values(document.metadata)
                ),
            )
            self._generation(generation, next_row + len(rows), live - replaced + len(rows))
        return replaced

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents by id; give how many there were. Ids that don't exist are no error."""
        generation, next_row, live = self._newest()
        with self._database:
            deleted = self._kill(list(doc_ids), generation + 1)
            if deleted:
                self._generation(generation + 1, next_row, live - deleted)
        return deleted

    def compact(self) -> bool:
        """Join all segments into one without dead documents; give whether there was anything to do.

        Old segments and dead documents go at once if nobody reads, else when the next writer comes.
        """
        with Snapshot(self._path) as snapshot:
            parts, live = snapshot.segments, snapshot.live_by_segment()
            if not parts or (len(parts) == 1 and all(mask.all() for mask in live)):
                return False
            generation, next_row, count = self._newest()
            generation += 1
            data = merge_segments(list(parts), live) if count else None
            with self._new_segment(generation, data):
                self._database.execute(
                    "UPDATE segments SET died = ? WHERE died IS NULL AND born < ?", (generation, generation)
                )
                self._generation(generation, next_row, count)
        self.remove_leftovers()
        return True

    def remove_leftovers(self) -> None:
        """Remove folders that no generation names and, while nobody reads, what only old generations need."""
        named = self._named_segments()
        for folder in self._segments.iterdir():
            if folder.name.isdigit() and int(folder.name) not in named:
                shutil.rmtree(folder)
        with no_readers(self._path / "readers.lock") as alone:
            if alone:
                self._purge()

    def _purge(self) -> None:
        """Remove merged segments, and dead documents that no living segment mentions."""
        dead = [n for (n,) in self._database.execute("SELECT segment FROM segments WHERE died IS NOT NULL")]
        if not dead:
            return
        living = self._database.execute(
            "SELECT segment, checksum FROM segments WHERE died IS NULL"
        ).fetchall()
        mentioned = [Segment(segment_folder(self._segments, n), checksum).rows for n, checksum in living]
        found = self._database.execute("SELECT row FROM documents WHERE died IS NOT NULL").fetchall()
        dead_rows = np.array([row for (row,) in found], np.int64)
        kept = np.isin(dead_rows, np.concatenate([np.empty(0, np.int64), *mentioned]))
        gone = [(row,) for row in dead_rows[~kept].tolist()]
        with self._database:
            self._database.executemany("DELETE FROM metadata WHERE row = ?", gone)
            self._database.executemany("DELETE FROM documents WHERE row = ?", gone)
            self._database.executemany("DELETE FROM segments WHERE segment = ?", [(n,) for n in dead])
        self._database.execute("VACUUM")  # gives the space of the dead documents back
        for number in dead:
            shutil.rmtree(segment_folder(self._segments, number), ignore_errors=True)

    @contextmanager
    def _new_segment(self, generation: int, data: SegmentData | None) -> Iterator[None]:
        """Write a segment, then name it in the same transaction as what the caller changes; or leave no trace."""
        folder = segment_folder(self._segments, generation)
        try:
            checksum = write_segment(folder, data) if data else ""
            with self._database:
                if data:
                    values = (generation, generation, checksum)
                    self._database.execute("INSERT INTO segments VALUES (?, ?, NULL, ?)", values)
                yield
        except BaseException:
            # The database decides: a commit that was interrupted, or reported as failed, may still be there.
            if not self._database.in_transaction and generation not in self._named_segments():
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def _named_segments(self) -> set[int]:
        return {number for (number,) in self._database.execute("SELECT segment FROM segments")}

    def _newest(self) -> tuple[int, int, int]:
        query = (
            "SELECT generation, next_row, live_documents FROM generations ORDER BY generation DESC LIMIT 1"
        )
        generation, next_row, live = self._database.execute(query).fetchone()
        return generation, next_row, live

    def _kill(self, doc_ids: list[str], generation: int) -> int:
        count = 0
        for part in _parts(doc_ids):
            statement = f"UPDATE documents SET died = ? WHERE died IS NULL AND doc_id IN ({_marks(part)})"
            count += self._database.execute(statement, [generation, *part]).rowcount
        return count

    def _generation(self, generation: int, next_row: int, live: int) -> None:
        self._database.execute(
            "INSERT INTO generations VALUES (?, datetime('now'), ?, ?)", (generation, next_row, live)
        )


def metadata_values(metadata: Mapping[str, MetadataValue]) -> Iterator[tuple[str, str | int | float]]:
    """Give the rows of the metadata table that a document's fields make: one a value."""
    for field, value in metadata.items():
        for one in value if isinstance(value, list) else [value]:
            yield field, int(one) if isinstance(one, bool) else one


def _remove_unfinished(path: Path) -> None:
    """Remove what a crash while creating a collection has left at ``path``, and nothing else."""
    found = {entry.name for entry in path.iterdir()} if path.is_dir() else set()
    if "collection.db.new" in found and found <= _UNFINISHED and not any((path / "segments").iterdir()):
        for name in found - {"segments"}:
            (path / name).unlink()
        (path / "segments").rmdir()


def _parts(values: list[str]) -> Iterator[list[str]]:
    unique = list(dict.fromkeys(values))
    return (unique[start : start + _VARIABLES] for start in range(0, len(unique), _VARIABLES))


def _marks(values: Sequence[object]) -> str:
    return ",".join("?" * len(values))
