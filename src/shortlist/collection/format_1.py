"""Collections of format 1, which kept their documents in SQLite: read for an upgrade, never written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.generation import NAME, StoreSettings
from shortlist.collection.segment import FOLDER
from shortlist.collection.store import Store, writer_lock
from shortlist.errors import CollectionDamagedError, CollectionFormatError, CollectionNotFoundError
from shortlist.types import Document

__all__ = ["read_format_1", "upgrading"]

DATABASE = "collection.db"
INSIDE = "upgrade"
_FILES = tuple(f"{DATABASE}{ending}" for ending in ("", "-wal", "-shm", "-journal"))


def read_format_1(path: Path) -> tuple[StoreSettings, Iterator[Document]]:
    """Give the settings and the live documents, oldest first.

    Raises:
        CollectionNotFoundError: there is no collection of format 1 at ``path``.
        CollectionDamagedError: its database can't be read.
    """
    if not (path / DATABASE).is_file():
        raise CollectionNotFoundError(f"{path}: no collection of format 1")
    database = sqlite3.connect(path / DATABASE)
    try:
        (version,) = database.execute("PRAGMA user_version").fetchone()
        if version != 1:
            raise CollectionFormatError(f"{path}: collection format {version} in SQLite is not known")
        values = {
            key: json.loads(value) for key, value in database.execute("SELECT key, value FROM settings")
        }
        return StoreSettings(**values), _documents(database, path)
    except (sqlite3.Error, ValueError, TypeError) as error:
        database.close()
        raise CollectionDamagedError(f"{path / DATABASE}: {error}", hint="restore a backup") from error
    except BaseException:
        database.close()
        raise


def _documents(database: sqlite3.Connection, path: Path) -> Iterator[Document]:
    query = "SELECT doc_id, text, title, metadata FROM documents WHERE died IS NULL ORDER BY row"
    try:
        for doc_id, text, title, metadata in database.execute(query):
            yield Document(doc_id, text, title, json.loads(metadata), place=f"{path}: {doc_id}")
    except (sqlite3.Error, ValueError, UnicodeDecodeError) as error:
        raise CollectionDamagedError(f"{path / DATABASE}: {error}", hint="restore a backup") from error
    finally:
        database.close()


@contextmanager
def upgrading(path: Path, settings: StoreSettings) -> Iterator[Store]:
    """Make a new collection inside the old one's folder, to be filled; then put it in the old one's place.

    Until the last renaming the old collection stands; what an interrupted upgrade has left is gone on with.
    """
    directory = Directory(path)
    with writer_lock(directory), storage_errors(path, "upgrading"):
        if NAME not in directory.names():
            inside = path / INSIDE
            yield (
                Store(inside)
                if (inside / NAME).exists()
                else Store.create(inside, settings, unfinished=path.name)
            )
            for name in directory.names(f"{INSIDE}/{FOLDER}"):
                directory.rename(f"{INSIDE}/{FOLDER}/{name}", f"{FOLDER}/{name}")
            directory.sync(FOLDER)
            directory.rename(f"{INSIDE}/{NAME}", NAME)
            directory.sync()
        _remove_format_1(directory)


def _remove_format_1(directory: Directory) -> None:
    names = directory.names()
    folders = [f"{FOLDER}/{name}" for name in directory.names(FOLDER) if name.isdigit()]
    if INSIDE in names:
        folders += [f"{INSIDE}/{FOLDER}", INSIDE]
    for folder in folders:
        for name in directory.names(folder):
            directory.remove(f"{folder}/{name}")
        directory.remove_folder(folder)
    for name in (*_FILES, "readers.lock"):
        if name in names:
            directory.remove(name)
