"""A collection on disk: create it, open it, add and delete documents, compact it.

::

    articles.shortlist/
      generation.safetensors           the newest generation: settings, segments, dead documents
      generation-copy.safetensors      the same again, in case that file is damaged
      segments/00000007.safetensors    documents, postings and vectors that one commit added; never changed
      writer.lock                      held by whoever writes

A commit writes a segment and waits for the disk; then it writes the new generation beside the old one, waits,
and renames it. That renaming is the only point at which a generation comes to exist: a crash before it leaves
files that no generation names, which the next writer removes.
"""

from __future__ import annotations

import os
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

from shortlist.collection import generation as generations
from shortlist.collection.array_file import REPAIR
from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.generation import Generation, SegmentEntry, StoreSettings
from shortlist.collection.segment import FOLDER, Segment, segment_name
from shortlist.collection.segment_data import SegmentData, merge_bytes, merge_segments, write_segment
from shortlist.collection.snapshot import Snapshot
from shortlist.collection.vector_graph import require_usearch
from shortlist.collection.writing import LOCK, writer_lock
from shortlist.errors import (
    CollectionBusyError,
    CollectionDamagedError,
    CollectionError,
    CollectionExistsError,
    CollectionFormatError,
    CollectionNotFoundError,
    CollectionStorageError,
)
from shortlist.memory import PROGRAM_BYTES
from shortlist.plain_text import size
from shortlist.types import Document

__all__ = ["MERGE_AT", "Store", "Writer"]

FORMAT_1 = "collection.db"
MERGE_AT = 8  # segments of about one size are joined; so a collection has at most some 8 for each power of 8


class Store:
    """Open a collection's folder; readers and writers are made from it.

    Writers keep to a limit of ``memory``, in bytes.

    Raises:
        CollectionNotFoundError: there is no collection at ``path``.
        CollectionFormatError: another version of shortlist made it.
        CollectionDamagedError: its newest generation can't be read.
    """

    def __init__(self, path: Path, *, directory: Directory | None = None, memory: int | None = None) -> None:
        self.path = path
        self.memory = memory
        self.directory = directory or Directory(path)
        with storage_errors(path, "opening"):
            try:
                found = generations.read_generation(self.directory)
            except (FileNotFoundError, NotADirectoryError):
                raise _not_found(path) from None
        self.settings = found.settings
        self.unfinished = found.unfinished

    @classmethod
    def create(
        cls,
        path: Path,
        settings: StoreSettings,
        *,
        unfinished: str = "",
        directory: Directory | None = None,
        memory: int | None = None,
    ) -> Store:
        """Create an empty collection; ``unfinished`` names the source of a build that is about to begin.

        Raises:
            CollectionExistsError: there is a file or a non-empty folder at ``path``.
            CollectionBusyError: another process is creating one.
        """
        directory = directory or Directory(path)
        with storage_errors(path, "creating"):
            fresh = not path.exists()
            if not fresh:
                _refuse_foreign(path)
            try:
                directory.make_folder()
                with writer_lock(directory):
                    if generations.NAME in directory.names():
                        raise _exists(path)
                    directory.make_folder(FOLDER)
                    generations.commit(directory, Generation(settings, unfinished=unfinished))
            except (CollectionExistsError, CollectionBusyError):
                raise
            except BaseException:
                _remove_empty(directory, whole=fresh)
                raise
        return cls(path, directory=directory, memory=memory)

    def discard_if_empty(self) -> None:
        """Remove the collection if nothing has ever been committed to it."""
        with writer_lock(self.directory), storage_errors(self.path, "removing"):
            if generations.read_generation(self.directory).number == 0:
                for name in self.directory.names(FOLDER):
                    self.directory.remove(f"{FOLDER}/{name}")
                self.directory.remove(generations.NAME)
                _remove_empty(self.directory, whole=True)

    def generation_bytes(self) -> int:
        """Give the size of the files that say what the collection consists of."""
        total = 0
        with storage_errors(self.path, "reading"):
            for name in (generations.NAME, generations.COPY):
                with suppress(FileNotFoundError):
                    file = self.directory.open(name)
                    total += file.size()
                    file.close()
        return total

    def snapshot(self, memory: int | None = None) -> Snapshot:
        """Open the newest generation for reading; close it when done. Searches of it keep to ``memory``, in bytes.

        Raises:
            CollectionError: such a collection can't be searched in so little memory.
            CollectionNotFoundError: the collection is gone, or another one is in its place.
        """
        return _open_own(self.directory, self.settings, memory)

    @contextmanager
    def writer(self) -> Iterator[Writer]:
        """Hold the right to write, and remove what a crash has left.

        Raises:
            CollectionBusyError: another process or thread is writing.
        """
        with writer_lock(self.directory):
            writer = Writer(self.directory, self.settings, self.memory)
            writer.remove_leftovers()
            yield writer


class Writer:
    """Change a collection, one generation at a time; made by :meth:`Store.writer`.

    Every method reads the newest generation first, so that a failure leaves nothing behind here either.
    """

    def __init__(self, directory: Directory, settings: StoreSettings, memory: int | None = None) -> None:
        self._directory = directory
        self._settings = settings
        self._memory = memory
        self._process = os.getpid()

    def find(self, doc_ids: Iterable[str]) -> dict[str, Document]:
        """Give the documents that stand under these ids in the newest generation."""
        with _open_own(self._directory, self._settings) as snapshot:
            found = snapshot.find(doc_ids)
            return dict(zip(found, snapshot.documents(list(found.values())), strict=True))

    def add(self, data: SegmentData, threads: int | None = None) -> int:
        """Commit documents with all that is derived from them; give how many of them replaced another.

        A few segments of about the same size are then joined into one, in a generation of its own.

        Raises:
            CollectionError: a document comes twice, or there is nothing to make a graph with that was asked for.
        """
        if self._settings.hnsw:
            require_usearch()
        if len(set(data.ids)) != len(data.ids):
            raise CollectionError("a commit needs every document once")
        with self._committing("adding") as (snapshot, number):
            replaced = snapshot.find(data.ids)
            entries = _without(snapshot, replaced.values())
            seal = write_segment(self._directory, number, data, _about(number), threads)
            self._commit(snapshot.generation, [*entries, SegmentEntry(number, seal, len(data.ids))])
        with suppress(CollectionError):  # what was asked for is done; the next commit tries again
            self._merge(_run_to_merge)
        return len(replaced)

    def delete(self, doc_ids: Iterable[str]) -> int:
        """Delete documents by id; give how many there were. Ids that don't exist are no error."""
        with self._committing("deleting") as (snapshot, _):
            found = snapshot.find(doc_ids)
            if found:
                self._commit(snapshot.generation, _without(snapshot, found.values()))
        return len(found)

    def compact(self) -> bool:
        """Join all segments into one without dead documents; give whether there was anything to do.

        Raises:
            CollectionStorageError: the disk has no room for the new segment beside the old ones.
            CollectionError: joining them would take more memory than the limit, or there is nothing to make a graph
                with that was asked for.
        """
        if self._settings.hnsw:
            require_usearch()
        return self._merge(lambda entries: slice(0, len(entries)))

    def replace_segment(self, number: int, data: SegmentData) -> None:
        """Put documents, with all that is derived from them, in the place of a segment."""
        with storage_errors(self._directory.path, "repairing"):
            newest = generations.read_generation(self._directory)
            fresh = self._next_number(newest)
            seal = write_segment(self._directory, fresh, data, _about(fresh))
            entry = SegmentEntry(fresh, seal, len(data.ids))
            self._commit(newest, [entry if e.number == number else e for e in newest.segments])
        self.remove_leftovers()

    def drop_segment(self, number: int) -> None:
        """Give a segment up, with all of its documents."""
        with storage_errors(self._directory.path, "repairing"):
            newest = generations.read_generation(self._directory)
            self._commit(newest, [entry for entry in newest.segments if entry.number != number])
        self.remove_leftovers()

    def finish(self) -> None:
        """Say that the first build has come to its end."""
        with storage_errors(self._directory.path, "committing"):
            newest = generations.read_generation(self._directory)
            if newest.unfinished:
                self._commit(replace(newest, unfinished=""), newest.segments)

    def need_bytes(self, count: int, doing: str) -> None:
        """Refuse to begin what the disk has no room for.

        Raises:
            CollectionStorageError: fewer than ``count`` bytes are free.
        """
        with storage_errors(self._directory.path, doing):
            free = self._directory.free_bytes()
        if free < count:
            raise CollectionStorageError(
                f"{self._directory.path}: {doing} needs about {_megabytes(count)}, {_megabytes(free)} are free",
                hint="free some space; nothing was changed",
            )

    def _need_memory(self, parts: Sequence[Segment]) -> None:
        """Refuse to join segments that the limit of memory has no room for."""
        needed = PROGRAM_BYTES + merge_bytes(parts, hnsw=self._settings.hnsw)
        if self._memory is not None and needed > self._memory:
            raise CollectionError(
                f"{self._directory.path}: joining segments needs about {size(needed)} of memory,"
                f" the limit is {size(self._memory)}",
                hint="raise the limit; nothing was changed",
            )

    def remove_leftovers(self) -> None:
        """Remove files that the newest generation does not name; who has one open can go on reading it.

        Only once that generation and its copy are on the disk for certain: until then the older one, which
        may be all that a power loss leaves, needs its segments.
        """
        with storage_errors(self._directory.path, "opening"):
            if FOLDER not in self._directory.names():  # archives may leave an empty folder out
                self._directory.make_folder(FOLDER)
            newest = generations.read_generation(self._directory)
            named = {segment_name(entry.number) for entry in newest.segments}
            found = {f"{FOLDER}/{name}" for name in self._directory.names(FOLDER)}
            generations.renew_copy(self._directory, newest)
            unfinished = {generations.NEW} & set(self._directory.names())
            for name in sorted(found - named) + sorted(unfinished):
                with suppress(OSError):  # Windows refuses while a reader has it open: the next writer tries
                    self._directory.remove(name)

    @contextmanager
    def _committing(self, doing: str) -> Iterator[tuple[Snapshot, int]]:
        """Open the newest generation and number the next segment; at the end remove what is not needed."""
        try:
            with (
                storage_errors(self._directory.path, doing),
                _open_own(self._directory, self._settings) as snapshot,
            ):
                yield snapshot, self._next_number(snapshot.generation)
        finally:
            with suppress(CollectionError):  # the next writer tries again
                self.remove_leftovers()

    def _merge(self, choose: Callable[[Sequence[SegmentEntry]], slice]) -> bool:
        """Join neighbouring segments into one without their dead documents."""
        with self._committing("compacting") as (snapshot, number):
            entries = snapshot.generation.segments
            chosen = choose(entries)
            parts = snapshot.segments[chosen]
            live = snapshot.live_by_segment()[chosen]
            if not parts or (len(parts) == 1 and live[0].all()):
                return False
            kept = sum(entry.live_documents for entry in entries[chosen])
            merged = []
            if kept:
                share = [
                    part.file.size * int(mask.sum()) // len(mask)
                    for part, mask in zip(parts, live, strict=True)
                ]
                self.need_bytes(sum(share), "compacting")
                self._need_memory(parts)
                for part in parts:
                    part.keeps_vectors = False  # each is copied once
                data = merge_segments(parts, live, self._settings.token_codes, hnsw=self._settings.hnsw)
                seal = write_segment(self._directory, number, data, _about(number))
                merged = [SegmentEntry(number, seal, kept)]
            rest = list(entries)
            rest[chosen] = merged
            self._commit(snapshot.generation, rest)
        return True

    def _commit(self, old: Generation, entries: Sequence[SegmentEntry]) -> None:
        """Make the next generation; segments without a live document are left out of it."""
        if os.getpid() != self._process:  # its lock stayed with the parent
            raise CollectionError("a writer can't be used in a process forked from its own")
        living = tuple(entry for entry in entries if entry.live_documents)
        generations.commit(self._directory, replace(old, number=old.number + 1, segments=living))

    def _next_number(self, newest: Generation) -> int:
        """Give a number that no segment has, not even one that a crash has left."""
        names = [name.partition(".")[0] for name in self._directory.names(FOLDER)]
        used = [int(name) for name in names if name.isdigit()]
        return max([newest.number, *used, *(entry.number for entry in newest.segments)]) + 1


def _open_own(directory: Directory, settings: StoreSettings, memory: int | None = None) -> Snapshot:
    """Open the newest generation, if it is still that of the collection that was opened."""
    snapshot = Snapshot(directory, memory)
    if snapshot.generation.settings != settings:
        snapshot.close()
        raise CollectionNotFoundError(
            f"{directory.path}: another collection has taken the place of the one that was open",
            hint="open it again",
        )
    return snapshot


def _without(snapshot: Snapshot, positions: Iterable[int]) -> list[SegmentEntry]:
    """Give the segments with the documents at some positions dead."""
    dead: dict[int, list[int]] = {}
    for position in positions:
        number, document = snapshot.locate(position)
        dead.setdefault(number, []).append(document)
    return [entry.without(dead.get(at, ())) for at, entry in enumerate(snapshot.generation.segments)]


def _run_to_merge(entries: Sequence[SegmentEntry]) -> slice:
    """Choose the newest segments, once there are enough of about one size; small sizes before large ones.

    Sizes are powers of ``MERGE_AT``. So a document is copied once for each power, and a collection has at
    most a few segments of each.

    Source: the logarithmic merge policy of Lucene (LogDocMergePolicy).
    """
    largest = max((entry.documents for entry in entries), default=0)
    lower = 1
    while lower <= largest:
        upper = lower * MERGE_AT
        start = len(entries)
        while start and entries[start - 1].documents < upper:
            start -= 1
        if sum(entry.documents >= lower for entry in entries[start:]) >= MERGE_AT:
            return slice(start, len(entries))
        lower = upper
    return slice(0, 0)


def _about(number: int) -> dict[str, str]:
    return {"what": "shortlist segment", "segment": str(number)}


def _not_found(path: Path) -> CollectionError:
    if (path / generations.COPY).is_file() and any((path / FOLDER).glob("*.safetensors")):
        return CollectionDamagedError(f"{path / generations.NAME}: is missing", hint=REPAIR)
    if (path / FORMAT_1).is_file():
        return CollectionFormatError(
            f"{path}: collection format 1, this version of shortlist reads format 2",
            hint=f"upgrade it: shortlist upgrade {path}",
        )
    what = "is not a collection" if path.exists() else "does not exist"
    return CollectionNotFoundError(f"{path}: {what}", hint=f"create it: shortlist index {path} SOURCE")


def _exists(path: Path) -> CollectionExistsError:
    return CollectionExistsError(
        f"{path}: is a collection already", hint=f"to add to it: shortlist add {path} SOURCE"
    )


def _refuse_foreign(path: Path) -> None:
    """Refuse a path with something in it that is not what a crash while creating has left there."""
    if not path.is_dir():
        raise CollectionExistsError(f"{path}: is a file", hint="choose another path")
    names = {entry.name for entry in path.iterdir()}
    if generations.NAME in names or FORMAT_1 in names:
        raise _exists(path)
    own = names <= {FOLDER, LOCK, generations.NEW, generations.COPY}
    if not own or (FOLDER in names and any((path / FOLDER).iterdir())):
        raise CollectionExistsError(f"{path}: is not empty", hint="choose another path")


def _remove_empty(directory: Directory, *, whole: bool) -> None:
    """Remove what a collection without a generation consists of, as far as possible; ``whole``: its folder too."""
    with suppress(OSError):
        if generations.NAME in directory.names():
            return
        for name in (generations.COPY, LOCK):
            with suppress(OSError):
                directory.remove(name)
        with suppress(OSError):
            directory.remove_folder(FOLDER)
        if whole:
            directory.remove_folder()


def _megabytes(count: int) -> str:
    return f"{count / 1e6:,.1f} MB"
