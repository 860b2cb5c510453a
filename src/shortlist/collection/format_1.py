"""Collections of format 1, which kept their documents in SQLite: read for an upgrade, never written."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.generation import COPY, NAME, StoreSettings
from shortlist.collection.segment import FOLDER
from shortlist.collection.store import FORMAT_1, Store
from shortlist.collection.writing import writer_lock
from shortlist.errors import (
    CollectionDamagedError,
    CollectionFormatError,
    CollectionNotFoundError,
    CollectionStorageError,
)
from shortlist.types import Document

__all__ = ["read_format_1", "upgrading"]

INSIDE = "upgrade"
_FILES = tuple(f"{FORMAT_1}{ending}" for ending in ("", "-wal", "-shm", "-journal"))


def read_format_1(path: Path) -> tuple[StoreSettings, Iterator[Document]]:
    """Give the settings and the live documents, oldest first.

    Raises:
        CollectionNotFoundError: there is no collection of format 1 at ``path``.
        CollectionDamagedError: its database can't be read.
    """
    if not (path / FORMAT_1).is_file():
        raise _none(path)
    database = sqlite3.connect(path / FORMAT_1)
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
        if "unable to open" in str(error):  # too few open files, or no right to read it
            raise CollectionStorageError(f"{path / FORMAT_1}: {error}") from error
        raise CollectionDamagedError(f"{path / FORMAT_1}: {error}", hint="restore a backup") from error
    except BaseException:
        database.close()
        raise


def _documents(database: sqlite3.Connection, path: Path) -> Iterator[Document]:
    query = "SELECT doc_id, text, title, metadata FROM documents WHERE died IS NULL ORDER BY row"
    try:
        for doc_id, text, title, metadata in database.execute(query):
            yield Document(doc_id, text, title, json.loads(metadata), place=f"{path}: {doc_id}")
    except (sqlite3.Error, ValueError, UnicodeDecodeError) as error:
        raise CollectionDamagedError(f"{path / FORMAT_1}: {error}", hint="restore a backup") from error
    finally:
        database.close()


@contextmanager
def upgrading(
    path: Path, renewed: Callable[[StoreSettings], StoreSettings]
) -> Iterator[tuple[Store, Iterator[Document]] | None]:
    """Make a new collection inside the old one's folder, to be filled; then put it in the old one's place.

    Gives the new collection, whose settings are the old one's ``renewed``, with the documents to fill it with; or
    ``None`` if an earlier upgrade had filled it.
    Until the last renaming the old collection stands; what an interrupted upgrade has left is gone on with.

    Raises:
        CollectionNotFoundError: there is no collection of format 1 at ``path``.
    """
    directory = Directory(path)
    if not (path / FORMAT_1).is_file():
        raise _none(path)
    with writer_lock(directory), storage_errors(path, "upgrading"):
        in_place = NAME in directory.names()
        yield None if in_place else _to_fill(path, renewed)
        if not in_place:
            for name in directory.names(f"{INSIDE}/{FOLDER}"):
                directory.rename(f"{INSIDE}/{FOLDER}/{name}", f"{FOLDER}/{name}")
            directory.sync(FOLDER)
            if COPY in directory.names(INSIDE):
                directory.rename(f"{INSIDE}/{COPY}", COPY)
            directory.rename(f"{INSIDE}/{NAME}", NAME)
            directory.sync()
        _remove_format_1(directory)


def _to_fill(
    path: Path, renewed: Callable[[StoreSettings], StoreSettings]
) -> tuple[Store, Iterator[Document]] | None:
    inside = path / INSIDE
    if (inside / NAME).exists() and not Store(inside).unfinished:
        return None
    settings, documents = read_format_1(path)
    found = (inside / NAME).exists()
    store = Store(inside) if found else Store.create(inside, renewed(settings), unfinished="format 1")
    return store, documents


def _remove_format_1(directory: Directory) -> None:
    """Remove what an upgrade leaves; the database last, which says that there is something to be removed."""
    folders = [f"{FOLDER}/{name}" for name in directory.names(FOLDER) if name.isdigit()]
    if INSIDE in directory.names():
        folders += [f"{INSIDE}/{FOLDER}"] if FOLDER in directory.names(INSIDE) else []
        folders += [INSIDE]
    for folder in folders:
        for name in directory.names(folder):
            directory.remove(f"{folder}/{name}")
        directory.remove_folder(folder)
    names = directory.names()
    for name in ("readers.lock", *reversed(_FILES)):
        if name in names:
            directory.remove(name)


def _none(path: Path) -> CollectionNotFoundError:
    return CollectionNotFoundError(f"{path}: no collection of format 1")
