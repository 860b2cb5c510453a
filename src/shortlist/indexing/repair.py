"""Make a damaged collection whole again: what is derived is made anew from the documents."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from shortlist.collection import Analyzer, Segment, Store, Writer
from shortlist.collection.check import segment_is_sound
from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.generation import COPY, NAME, SegmentEntry, mend, read_generation
from shortlist.collection.writing import writer_lock
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.indexing.derived import derive
from shortlist.models import Encoder
from shortlist.protocols import Progress
from shortlist.types import Document

__all__ = ["Repair", "repair"]


@dataclass
class Repair:
    """Count what was done: segments written anew, and the documents in them.

    ``generation`` says whether the generation's file was put in its copy's place or the other way round. ``lost``
    names the documents that could not be read, by their ids where these are known.
    """

    generation: bool = False
    segments: int = 0
    documents: int = 0
    lost: list[str] = field(default_factory=list)


def repair(
    path: Path,
    encoder: Callable[[Store], Encoder],
    *,
    directory: Directory | None = None,
    drop: bool = False,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Repair:
    """Find damaged segments, read their documents, and derive all else again.

    Every document whose own bytes are as they were written is kept. If some are not, they are lost: nothing is
    changed unless ``drop`` says to go on without them.

    Raises:
        CollectionDamagedError: neither the newest generation nor its copy can be read; or documents are lost
            and ``drop`` is false.
        CollectionBusyError: another process or thread is writing.
    """
    directory = directory or Directory(path)
    with storage_errors(path, "repairing"):
        return _repair(directory, encoder, drop=drop, threads=threads, progress=progress)


def _repair(
    directory: Directory,
    encoder: Callable[[Store], Encoder],
    *,
    drop: bool,
    threads: int | None,
    progress: Progress | None,
) -> Repair:
    path = directory.path
    found = Repair(generation=_mend_generation(directory))
    store = Store(path, directory=directory)
    with store.writer() as writer:
        generation = read_generation(store.directory)
        damaged = [e for e in generation.segments if not segment_is_sound(store.directory, generation, e)]
        saved = [(entry, _readable(store, entry, found)) for entry in damaged]
        if found.lost and not drop:
            shown = "".join(f"\n  {one}" for one in found.lost[:10])
            more = f"\n  and {len(found.lost) - 10:,} more" if len(found.lost) > 10 else ""
            raise CollectionDamagedError(
                f"{store.path}: {len(found.lost):,} documents can't be read; nothing was changed{shown}{more}",
                hint="restore a backup, or go on without them: shortlist repair --drop COLLECTION",
            )
        for entry, documents in saved:
            _replace(store, writer, encoder(store), entry, documents, threads, progress)
            found.segments += 1
            found.documents += len(documents)
    return found


def _mend_generation(directory: Directory) -> bool:
    with storage_errors(directory.path, "repairing"):
        if not {NAME, COPY} & (set(directory.names()) if directory.path.is_dir() else set()):
            return False  # there is no collection: opening it says so
        with writer_lock(directory):
            return mend(directory)


def _replace(
    store: Store,
    writer: Writer,
    encoder: Encoder,
    entry: SegmentEntry,
    documents: list[Document],
    threads: int | None,
    progress: Progress | None,
) -> None:
    if not documents:
        writer.drop_segment(entry.number)
        return
    analyzer = Analyzer(store.settings.language)
    derived = derive(documents, store.settings, analyzer, encoder, threads=threads, progress=progress)
    writer.need_bytes(derived.least_bytes, "repairing")
    writer.replace_segment(entry.number, derived.data)


def _readable(store: Store, entry: SegmentEntry, found: Repair) -> list[Document]:
    """Read a damaged segment's live documents, one by one; note which can't be read."""
    dead = set(entry.dead.tolist())
    live = [number for number in range(entry.documents) if number not in dead]
    try:
        segment = Segment(store.directory, entry.number, entry.seal, lenient=True)
    except (CollectionDamagedError, FileNotFoundError):
        found.lost += [f"document {number} of segment {entry.number}" for number in live]
        return []
    try:
        saved = segment.saved_documents(entry.documents)
        found.lost += [_name(segment, number, entry) for number in live if number not in saved]
    finally:
        segment.close()
    return [saved[number] for number in live if number in saved]


def _name(segment: Segment, number: int, entry: SegmentEntry) -> str:
    try:
        return repr(segment.doc_id(number))
    except (CollectionError, ValueError, IndexError):
        return f"document {number} of segment {entry.number}"
