"""Take documents from a source into a collection: read, cut, encode, commit, and count what happened."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

from shortlist.collection import Analyzer, Store, Writer
from shortlist.errors import CollectionError, DataError
from shortlist.formats import Rejected, Source
from shortlist.indexing.derived import derive
from shortlist.memory import PROGRAM_BYTES
from shortlist.models import Encoder
from shortlist.plain_text import size
from shortlist.protocols import Progress
from shortlist.types import Document

__all__ = ["Indexer", "Report"]

DOCUMENTS_A_COMMIT = 5000
WHOLE_COMMIT = 1000  # documents that are never divided, however long they are
CHARACTERS_A_COMMIT = 32_000_000  # of more documents than that: a commit should not take an hour
ENCODING_BYTES = 160_000_000  # beside the program: batches in the encoder, vectors on their way to the disk
BYTES_A_BYTE = 12  # of a commit's documents, as UTF-8: their text, passages and postings
BYTES_AN_ID = 250  # of a record that was read: ids may not come twice
LEAST_BYTES = 1_000_000  # that a limit of memory must leave room for
MAX_SHOWN = 1000  # rejected records kept word for word; the rest are only counted


@dataclass
class Report:
    """Count what became of a source's records.

    ``added`` are new ids, ``replaced`` took the place of a document with the same id, ``unchanged`` were
    there already word for word. ``duplicates`` are records whose id came again later in the same source
    (the last one wins); they and ``rejected`` records are listed in ``problems``. ``truncated_tokens`` were
    cut because a title is longer than the model reads; everything else is searchable.
    """

    added: int = 0
    replaced: int = 0
    unchanged: int = 0
    rejected: int = 0
    duplicates: int = 0
    passages: int = 0
    truncated_tokens: int = 0
    commits: int = 0
    problems: list[Rejected] = field(default_factory=list)

    def note(self, problem: Rejected) -> None:
        """Keep a problem for the record, up to a limit; counting is the caller's."""
        if len(self.problems) < MAX_SHOWN:
            self.problems.append(problem)


class Indexer:
    """Add documents to a store with its analyzer and encoder.

    Commits are so small that they fit into the store's limit of memory, if it has one.

    Raises:
        CollectionError: the limit leaves no room for documents.
    """

    def __init__(self, store: Store, encoder: Encoder, *, threads: int | None = None) -> None:
        self._store = store
        self._encoder = encoder
        self._threads = threads
        self._analyzer = Analyzer(store.settings.language)
        self._room = None if store.memory is None else _Room(store)

    def add(self, source: Source, *, strict: bool = False, progress: Progress | None = None) -> Report:
        """Add a source's documents; one with a known id replaces the old one.

        Up to 1,000 documents are one commit. More are committed 5,000 at a time, or, from 1,000 on, whenever
        32 million characters have come together; and whenever there are as many as a limit of memory has room for.
        What was committed before an error is there. With ``strict`` the source is read once before, and held
        whatever the limit is, and nothing is committed if any record is bad or any id comes twice.

        Raises:
            DataError: the source can't be read; or, with ``strict``, a record is bad.
            CollectionBusyError: another process or thread is writing.
            CollectionStorageError: the disk has no room for what is to come, or refuses a file.
            CollectionError: the limit of memory has no room for more ids.
        """
        report = Report()
        if strict:
            source = _checked(source, self._room)
        with self._store.writer() as writer:
            seen: dict[str, str] = {}
            for batch in self._batches(source, seen, report, progress):
                self._commit(writer, batch, source.expected, report, progress)
        return report

    def _batches(
        self, source: Source, seen: dict[str, str], report: Report, progress: Progress | None
    ) -> Iterator[list[Document]]:
        """Read documents in commits; in a commit every id stands once, the last of a source's records."""
        batch: dict[str, Document] = {}
        characters = taken = 0
        for record in source:
            if isinstance(record, Rejected):
                report.rejected += 1
                report.note(record)
                _ = progress and progress(1)
                continue
            if self._room is not None:
                own = bytes_of(record)
                if problem := self._room.refusal(record, own, len(seen)):
                    report.rejected += 1
                    report.note(problem)
                    _ = progress and progress(1)
                    continue
                if batch and taken + own > self._room.left(len(seen)):
                    yield list(batch.values())
                    batch, characters, taken = {}, 0, 0
                taken += own
            if record.doc_id in seen:
                report.duplicates += 1
                report.note(_duplicate(record, seen[record.doc_id]))
                _ = record.doc_id in batch and progress and progress(1)
            seen[record.doc_id] = record.place
            batch[record.doc_id] = record
            characters += len(record.text)
            long = len(batch) >= WHOLE_COMMIT and characters >= CHARACTERS_A_COMMIT
            if len(batch) == DOCUMENTS_A_COMMIT or long:
                yield list(batch.values())
                batch, characters, taken = {}, 0, 0
        if batch:
            yield list(batch.values())

    def _commit(
        self,
        writer: Writer,
        batch: Sequence[Document],
        expected: int | None,
        report: Report,
        progress: Progress | None,
    ) -> None:
        known = writer.find(document.doc_id for document in batch)
        documents = [document for document in batch if known.get(document.doc_id) != document]
        report.unchanged += len(batch) - len(documents)
        _ = progress and progress(len(batch) - len(documents))
        if not documents:
            return
        derived = derive(
            documents,
            self._store.settings,
            self._analyzer,
            self._encoder,
            threads=self._threads,
            progress=progress,
        )
        self._need_room(writer, derived.least_bytes, len(documents), expected, report)
        replaced = writer.add(derived.data, self._threads)
        report.commits += 1
        report.replaced += replaced
        report.added += len(documents) - replaced
        report.passages += derived.passages
        report.truncated_tokens += derived.truncated_tokens

    def _need_room(
        self, writer: Writer, needed: int, documents: int, expected: int | None, report: Report
    ) -> None:
        """Refuse to encode what the disk can't hold; before the first commit, all that is still to come."""
        if expected is not None and report.commits == 0:
            coming = expected - report.unchanged - report.rejected - report.duplicates
            if coming > documents:
                needed, documents = needed * coming // documents, coming
        writer.need_bytes(needed, f"adding {documents:,} documents")


class _Room:
    """Say how much of documents fits into a limit of memory at once.

    Raises:
        CollectionError: the limit leaves no room for any.
    """

    def __init__(self, store: Store) -> None:
        assert store.memory is not None
        self._limit, self._path = store.memory, store.path
        with store.snapshot() as snapshot:  # where the documents that are there already are looked up
            ids = ("ids", "id_offsets", "id_hashes", "id_order", "document_offsets")
            known = sum(segment.sizes[name] for segment in snapshot.segments for name in ids)
        self._least = PROGRAM_BYTES + ENCODING_BYTES + known
        self.left(0)

    def left(self, records: int) -> int:
        """Give how many bytes of documents a commit may have, once the ids of so many records are remembered.

        Raises:
            CollectionError: too few.
        """
        least = self._least + records * BYTES_AN_ID
        found = (self._limit - least) // BYTES_A_BYTE
        if found < LEAST_BYTES:
            raise CollectionError(
                f"{self._path}: adding documents needs about {size(least + LEAST_BYTES * BYTES_A_BYTE)}"
                f" of memory, the limit is {size(self._limit)}",
                hint="raise the limit, or add fewer documents at once; what was committed is there",
            )
        return found

    def refusal(self, document: Document, taken: int, records: int) -> Rejected | None:
        """Refuse a document of so many bytes that even alone, after so many records, is too large."""
        if taken <= self.left(records):
            return None
        needed = size(self._least + records * BYTES_AN_ID + taken * BYTES_A_BYTE)
        return Rejected(document.place, f"id {document.doc_id!r} needs about {needed} of memory")


def bytes_of(document: Document) -> int:
    """Give the bytes of a document's title and text, as UTF-8."""
    return len(document.title.encode()) + len(document.text.encode())


def _checked(source: Source, room: _Room | None) -> Source:
    """Read a source to its end; give one that can be read again.

    Raises:
        DataError: a record is bad, or an id comes twice; the message shows the first ones.
    """
    records = list(source)
    places: dict[str, str] = {}
    problems = []
    for record in records:
        if isinstance(record, Rejected):
            problems.append(record)
        elif record.doc_id in places:
            problems.append(_duplicate(record, places[record.doc_id]))
        elif room is not None and (problem := room.refusal(record, bytes_of(record), len(places))):
            problems.append(problem)
        else:
            places[record.doc_id] = record.place
    if problems:
        shown = "".join(f"\n  {problem}" for problem in problems[:10])
        more = f"\n  and {len(problems) - 10:,} more" if len(problems) > 10 else ""
        raise DataError(
            f"{source.name}: {len(problems):,} bad of {len(records):,} records; nothing was committed{shown}{more}",
            hint="mend them, or leave --strict out to index the rest",
        )
    return Source(source.name, len(records), lambda: iter(records))


def _duplicate(record: Document, earlier: str) -> Rejected:
    return Rejected(record.place, f"id {record.doc_id!r} stands before at {earlier}; the last one counts")
