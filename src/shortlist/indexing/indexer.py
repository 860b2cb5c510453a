"""Take documents from a source into a collection: read, cut, encode, commit, and count what happened."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

import numpy as np

from shortlist.collection import Analyzer, Postings, SegmentData, Store, Writer
from shortlist.errors import DataError
from shortlist.formats import Rejected, Source
from shortlist.indexing.passages import fit_title, passage_text, split_passages
from shortlist.models import Encoder
from shortlist.protocols import Progress
from shortlist.types import Document

__all__ = ["Indexer", "Report"]

DOCUMENTS_A_COMMIT = 5000
CHARACTERS_A_COMMIT = 32_000_000  # whichever comes first: token vectors take some 30 bytes a character
PASSAGES_AT_ONCE = 256  # held as float32 between the encoder and int8
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
    """Add documents to a store with its analyzer and encoder."""

    def __init__(self, store: Store, encoder: Encoder, *, threads: int | None = None) -> None:
        self._store = store
        self._encoder = encoder
        self._threads = threads
        self._analyzer = Analyzer(store.settings.language)

    def add(self, source: Source, *, strict: bool = False, progress: Progress | None = None) -> Report:
        """Add a source's documents; one with a known id replaces the old one.

        Documents are committed 5,000 at a time, or 32 million characters; what was committed before an error
        is there. With ``strict`` the source is read once before, and nothing is committed if any
        record is bad or any id comes twice.

        Raises:
            DataError: the source can't be read; or, with ``strict``, a record is bad.
            CollectionBusyError: another process is writing.
        """
        report = Report()
        if strict:
            source = _checked(source)
        with self._store.writer() as writer:
            seen: dict[str, str] = {}
            for batch in self._batches(source, seen, report, progress):
                self._commit(writer, batch, report, progress)
        return report

    def _batches(
        self, source: Source, seen: dict[str, str], report: Report, progress: Progress | None
    ) -> Iterator[list[Document]]:
        """Read documents in commits; in a commit every id stands once, the last of a source's records."""
        batch: dict[str, Document] = {}
        characters = 0
        for record in source:
            if isinstance(record, Rejected):
                report.rejected += 1
                report.note(record)
                _ = progress and progress(1)
                continue
            if record.doc_id in seen:
                report.duplicates += 1
                report.note(_duplicate(record, seen[record.doc_id]))
                _ = record.doc_id in batch and progress and progress(1)
            seen[record.doc_id] = record.place
            batch[record.doc_id] = record
            characters += len(record.text)
            if len(batch) == DOCUMENTS_A_COMMIT or characters >= CHARACTERS_A_COMMIT:
                yield list(batch.values())
                batch, characters = {}, 0
        if batch:
            yield list(batch.values())

    def _commit(
        self, writer: Writer, batch: Sequence[Document], report: Report, progress: Progress | None
    ) -> None:
        known = self._store.live_documents(document.doc_id for document in batch)
        documents = [document for document in batch if known.get(document.doc_id) != document]
        report.unchanged += len(batch) - len(documents)
        _ = progress and progress(len(batch) - len(documents))
        if not documents:
            return
        data = self._segment(documents, writer.next_rows(len(documents)), report, progress)
        replaced = writer.add(documents, data)
        report.commits += 1
        report.replaced += replaced
        report.added += len(documents) - replaced

    def _segment(
        self,
        documents: Sequence[Document],
        rows: np.ndarray[tuple[int], np.dtype[np.int64]],
        report: Report,
        progress: Progress | None,
    ) -> SegmentData:
        """Analyse and encode documents, in document order."""
        settings = self._store.settings
        terms = [self._analyzer.terms(f"{document.title} {document.text}") for document in documents]
        fitted = [fit_title(document, self._encoder.tokenizer) for document in documents]
        report.truncated_tokens += sum(cut for _, cut in fitted)
        readable = [document for document, _ in fitted]
        passages = [
            (number, passage)
            for number, document in enumerate(readable)
            for passage in split_passages(document, self._encoder.tokenizer)
        ]
        remaining = Counter(number for number, _ in passages)
        dense, tokens, offsets = [], [], [np.zeros(1, np.int64)]
        for start in range(0, len(passages), PASSAGES_AT_ONCE):
            part = passages[start : start + PASSAGES_AT_ONCE]
            views = self._encoder.views(
                [passage_text(readable[number], passage) for number, passage in part], threads=self._threads
            )
            dense.append(views.dense.quantized(settings.dense_scale).data)
            if settings.token_dimensions:
                tokens.append(views.tokens.quantized(settings.token_scale).data)
                offsets.append(views.tokens.offsets[1:] + offsets[-1][-1])
            report.truncated_tokens += sum(views.truncated_tokens)
            remaining.subtract(number for number, _ in part)
            _ = progress and progress(sum(1 for number in {n for n, _ in part} if not remaining[number]))
        report.passages += len(passages)
        return SegmentData(
            rows=rows,
            lengths=np.fromiter(map(len, terms), np.int32, len(terms)),
            postings=Postings.build(terms),
            passages=np.array([(number, p.start, p.end) for number, p in passages], np.int32).reshape(-1, 3),
            dense=np.concatenate(dense),
            dimensions=settings.dimensions,
            tokens=np.concatenate(tokens) if tokens else None,
            token_offsets=np.concatenate(offsets) if tokens else None,
            token_dimensions=settings.token_dimensions,
        )


def _checked(source: Source) -> Source:
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
