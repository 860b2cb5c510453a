"""The tables of ``collection.db``: the documents, and which of them and which segments each generation has.

A row (of ``documents``, of ``segments``) carries the generation in which it was born and, once it is
replaced, deleted or merged away, the one in which it died. Generation ``g`` consists of what was born by
``g`` and has not died by ``g``. Row numbers are never reused.
"""

from __future__ import annotations

import sqlite3
from pathlib import Path

from shortlist.errors import CollectionDamagedError

__all__ = ["DAMAGE", "LIVE", "connect", "create"]

FORMAT = 1

_TABLES = """
CREATE TABLE settings (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;

CREATE TABLE generations (
    generation INTEGER PRIMARY KEY,
    committed_at TEXT NOT NULL,
    next_row INTEGER NOT NULL,          -- the first document row that no generation has used
    live_documents INTEGER NOT NULL
);

CREATE TABLE segments (
    segment INTEGER PRIMARY KEY,        -- the generation that wrote it; names its folder
    born INTEGER NOT NULL,
    died INTEGER,
    checksum TEXT NOT NULL              -- of its manifest, which has those of its files
);

CREATE TABLE documents (
    row INTEGER PRIMARY KEY,
    doc_id TEXT NOT NULL,
    title TEXT NOT NULL,
    text TEXT NOT NULL,
    metadata TEXT NOT NULL,             -- JSON object
    born INTEGER NOT NULL,
    died INTEGER
);
CREATE UNIQUE INDEX documents_live ON documents (doc_id) WHERE died IS NULL;
CREATE INDEX documents_dead ON documents (died) WHERE died IS NOT NULL;

CREATE TABLE metadata (
    field TEXT NOT NULL,
    value NOT NULL,                     -- no type: integers, reals and texts stay what they are
    row INTEGER NOT NULL,
    PRIMARY KEY (field, value, row)
) WITHOUT ROWID;
CREATE INDEX metadata_rows ON metadata (row);
"""

DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged database raises; its messages may quote bytes that are no text."""

LIVE = "born <= :generation AND (died IS NULL OR died > :generation)"
"""The rows of a generation, for a WHERE clause."""


def create(path: Path) -> None:
    """Create an empty database with its tables, and generation 0."""
    database = connect(path)
    with database:
        database.executescript(f"{_TABLES}\nPRAGMA user_version = {FORMAT};")
        database.execute("INSERT INTO generations VALUES (0, datetime('now'), 0, 0)")
    database.close()


def connect(path: Path) -> sqlite3.Connection:
    """Open the database; a commit returns only when it is on the disk."""
    database = sqlite3.connect(path, timeout=30, check_same_thread=False)
    try:
        database.execute("PRAGMA journal_mode = WAL")
        database.execute("PRAGMA synchronous = FULL")
    except DAMAGE as error:
        database.close()
        raise CollectionDamagedError(f"{path}: {error}") from error
    return database
