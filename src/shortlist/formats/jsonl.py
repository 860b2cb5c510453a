"""How JSON lines, one object a line, become records."""

import json
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.lines import Line, count_lines, decode_line, read_lines
from shortlist.formats.paths import full_extension, shown
from shortlist.formats.records import document_from_mapping, find_repeated
from shortlist.formats.source import Rejected, Source
from shortlist.formats.strings import kind_of, quoted
from shortlist.types import Document

__all__ = ["open_jsonl", "read_objects", "refuse_array"]


def open_jsonl(path: Path) -> Source:
    """Open a file of JSON lines.

    Raises:
        DataError: the file can't be read, or holds one JSON array instead of lines.
    """
    refuse_array(path)
    return Source(shown(path), count_lines(path), partial(_read_documents, path))


def refuse_array(path: Path) -> None:
    """Refuse a ``.json`` file that holds one array, of which no line is an object.

    Raises:
        DataError: it does, or can't be read.
    """
    first = next(read_lines(path), None)
    may_be_array = full_extension(path) in {".json", ".json.gz"}
    if may_be_array and first is not None and first.content.lstrip().startswith(b"["):
        raise DataError(
            f"{shown(path)}:1: starts a JSON array, expected one object a line",
            hint="write each item on a line of its own, as jq -c '.[]' does",
        )


def read_objects(path: Path) -> Iterator[tuple[str, dict[str, object]] | Rejected]:
    """Read ``(place, object)`` of every line that isn't blank.

    Raises:
        DataError: the file can't be read, or is a damaged gzip file.
    """
    for line in read_lines(path):
        if line.is_whole and not line.content.strip():
            continue
        place = f"{shown(path)}:{line.number}"
        try:
            record = _parse(line)
        except DataError as error:
            yield Rejected(place, error.message)
        else:
            yield place, record


def _read_documents(path: Path) -> Iterator[Document | Rejected]:
    for item in read_objects(path):
        if isinstance(item, Rejected):
            yield item
        else:
            place, record = item
            yield document_from_mapping(record, place)


def _parse(line: Line) -> dict[str, object]:
    text = decode_line(line).rstrip("\r\n")
    try:
        value = json.loads(text, object_pairs_hook=_without_repeats)
    except json.JSONDecodeError as error:
        raise DataError(f"malformed JSON at column {error.colno}: {error.msg}") from error
    except RecursionError as error:
        raise DataError("JSON nests too deep") from error
    except DataError:
        raise
    except ValueError as error:  # an integer of thousands of digits
        raise DataError(f"JSON can't be read: {error}") from error
    if not isinstance(value, dict):
        raise DataError(f"{kind_of(value)}, expected a JSON object")
    return value


def _without_repeats(pairs: list[tuple[str, object]]) -> dict[str, object]:
    """Build an object; by itself the parser keeps the last of two equal keys and says nothing."""
    record = dict(pairs)
    if len(record) != len(pairs):
        repeated = find_repeated(name for name, _ in pairs)
        raise DataError(f"key {quoted(repeated[0])} stands twice in one object")
    return record
