"""How documents and mappings that a program already holds become a source."""

from collections.abc import Iterable, Iterator, Mapping, Sized
from functools import partial

from shortlist.formats.records import document_from_mapping, recheck_document
from shortlist.formats.source import Rejected, Source, only_once
from shortlist.formats.strings import kind_of
from shortlist.types import Document

__all__ = ["open_records"]

_NAME = "records"


def open_records(records: Iterable[object]) -> Source:
    """Open an iterable of documents or mappings; places count from 1, as in ``records:17``.

    Nothing is read before the source is iterated, and nothing is copied. A list can be read again; a
    generator is read once, and a second time raises instead of giving nothing.
    """
    read = partial(_read, records)
    expected = len(records) if isinstance(records, Sized) else None
    return Source(_NAME, expected, only_once(read, _NAME) if isinstance(records, Iterator) else read)


def _read(records: Iterable[object]) -> Iterator[Document | Rejected]:
    for number, record in enumerate(records, start=1):
        place = f"{_NAME}:{number}"
        if isinstance(record, Document):
            yield recheck_document(record, place)
        elif isinstance(record, Mapping):
            yield document_from_mapping(record, place)
        else:
            yield Rejected(place, f"{kind_of(record)}, expected a Document or a mapping of names to values")
