"""How queries are read, from JSON lines as in BEIR or from ``id<TAB>text``."""

from collections.abc import Iterator
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.jsonl import read_objects, refuse_array
from shortlist.formats.lines import decode_line, read_lines
from shortlist.formats.paths import StrPath, existing_file, full_extension, shown
from shortlist.formats.source import Rejected
from shortlist.formats.strings import checked_id, checked_text
from shortlist.types import Query

__all__ = ["read_queries"]

_ID_NAMES = ("_id", "id", "query_id", "query-id", "qid")
_TEXT_NAMES = ("text", "query")
_JSONL_EXTENSIONS = frozenset({".jsonl", ".ndjson", ".json"})

Fields = tuple[object, object]


def read_queries(path: StrPath) -> Iterator[Query | Rejected]:
    """Read queries in file order; the second of two with the same id is rejected.

    JSON lines hold ``_id`` and ``text``, other keys are no part of a query. A TSV file holds two columns
    without quoting; a header such as ``query-id<TAB>text`` may stand in its first line. Both may be ``.gz``.

    Raises:
        DataError: at once where the path isn't a file of these kinds; when iterated, where it is damaged.
    """
    file = existing_file(path)
    extension = full_extension(file).removesuffix(".gz")
    if extension in _JSONL_EXTENSIONS:
        refuse_array(file)
        return _check(_read_jsonl(file))
    if extension == ".tsv":
        return _check(_read_tsv(file))
    raise DataError(
        f"{shown(file)}: the ending {full_extension(file)!r} is of no known kind of queries",
        hint="queries are JSON lines (.jsonl) or id and text separated by a tab (.tsv)",
    )


def _check(found: Iterator[tuple[str, Fields] | Rejected]) -> Iterator[Query | Rejected]:
    places: dict[str, str] = {}
    for item in found:
        if isinstance(item, Rejected):
            yield item
            continue
        place, (query_id, text) = item
        try:
            query = _query(query_id, text)
        except DataError as error:
            yield Rejected(place, error.message)
            continue
        first_place = places.setdefault(query.query_id, place)
        if first_place == place:
            yield query
        else:
            yield Rejected(place, f"query {query.query_id!r} stands at {first_place} already")


def _query(query_id: object, text: object) -> Query:
    query = Query(checked_id(query_id, "query id"), checked_text(text, "text"))
    if not query.text.strip():
        raise DataError("empty query: text is blank")
    return query


def _read_jsonl(path: Path) -> Iterator[tuple[str, Fields] | Rejected]:
    for item in read_objects(path):
        if isinstance(item, Rejected):
            yield item
            continue
        place, record = item
        id_name = next((name for name in _ID_NAMES if name in record), "")
        text_name = next((name for name in _TEXT_NAMES if name in record), "")
        if id_name and text_name:
            yield place, (record[id_name], record[text_name])
        else:
            yield Rejected(place, "no query, expected `_id` and `text`")


def _read_tsv(path: Path) -> Iterator[tuple[str, Fields] | Rejected]:
    for line in read_lines(path):
        place = f"{shown(path)}:{line.number}"
        try:
            columns = decode_line(line).rstrip("\r\n").split("\t")
        except DataError as error:
            yield Rejected(place, error.message)
            continue
        if line.number == 1 and columns[0] in _ID_NAMES and columns[1:] in [[name] for name in _TEXT_NAMES]:
            continue
        if len(columns) == 2:
            yield place, (columns[0], columns[1])
        elif columns != [""]:
            yield Rejected(place, f"{len(columns)} columns, expected an id, a tab and a text")
