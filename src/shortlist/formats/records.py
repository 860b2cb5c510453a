"""How a record with named fields becomes a document, or why it can't."""

from collections import Counter
from collections.abc import Container, Iterable, Mapping, Sequence

from shortlist.errors import DataError
from shortlist.formats.metadata import metadata_of
from shortlist.formats.source import Rejected
from shortlist.formats.strings import checked_id, checked_text, quoted
from shortlist.types import Document

__all__ = ["check_columns", "document_from_mapping", "find_id_name", "find_repeated", "recheck_document"]

_ID_NAMES = ("_id", "id", "doc_id")
_MAX_SHOWN = 20


def find_id_name(names: Container[str]) -> str | None:
    """Find which of ``_id``, ``id`` and ``doc_id`` holds the id: the first that is there."""
    return next((name for name in _ID_NAMES if name in names), None)


def find_repeated(names: Iterable[str]) -> list[str]:
    """List the names that stand more than once, in the order of their first places."""
    return [name for name, count in Counter(names).items() if count > 1]


def check_columns(names: Sequence[str], place: str) -> None:
    """Hold the column names of a table to what documents need.

    Raises:
        DataError: a column has no name or that of another, none is the id, or neither ``text`` nor
            ``title`` is there.
    """
    listed = ", ".join(map(quoted, names[:_MAX_SHOWN]))
    if len(names) > _MAX_SHOWN:
        listed += ", ..."
    if "" in names:
        raise DataError(
            f"{place}: column {names.index('') + 1} has no name (columns: {listed})",
            hint="name it or leave it out (pandas: to_csv(index=False))",
        )
    if repeated := find_repeated(names):
        raise DataError(
            f"{place}: column {quoted(repeated[0])} stands twice", hint="rename or remove one of them"
        )
    if find_id_name(names) is None:
        raise DataError(f"{place}: no id column (columns: {listed})", hint="name one _id, id or doc_id")
    if "text" not in names and "title" not in names:
        raise DataError(f"{place}: no text column (columns: {listed})", hint="name one text or title")


def document_from_mapping(record: Mapping[str, object], place: str) -> Document | Rejected:
    """Take ``title``, ``text`` and the id from a record; all its other fields are metadata.

    The id stands under ``_id``, ``id`` or ``doc_id``. ``title`` or ``text`` may be missing, not both. A
    mapping under ``metadata`` adds its fields to those that stand beside it. ``place`` says where the
    record stands, should it be rejected.

    >>> document_from_mapping({"id": 7, "text": "A cat.", "year": 2020}, "articles.jsonl:1")
    Document(doc_id='7', text='A cat.', title='', metadata={'year': 2020})
    >>> document_from_mapping({"id": 7, "text": " "}, "articles.jsonl:2").reason
    'empty document: title and text are blank'
    """
    try:
        return _document(record, place)
    except DataError as error:
        return Rejected(place, error.message)


def recheck_document(document: Document, place: str) -> Document | Rejected:
    """Hold a document that a caller built to the rules for records from files."""
    fields: dict[str, object] = {
        "_id": document.doc_id,
        "title": document.title,
        "text": document.text,
        "metadata": document.metadata,
    }
    return document_from_mapping(fields, place)


def _document(record: Mapping[str, object], place: str) -> Document:
    id_name = find_id_name(record)
    if id_name is None:
        raise DataError("no id, expected one under `_id`, `id` or `doc_id`")
    doc_id = checked_id(record[id_name], id_name)
    title = checked_text(record.get("title"), "title")
    text = checked_text(record.get("text"), "text")
    if not title.strip() and not text.strip():
        raise DataError("empty document: title and text are blank")
    metadata = metadata_of(record, apart_from=(id_name, "title", "text"))
    return Document(doc_id, text, title, metadata, place)
