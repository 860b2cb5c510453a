"""How the rows of a CSV or TSV file become records."""

import csv
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.lines import MAX_LINE_BYTES, count_lines, read_lines
from shortlist.formats.paths import shown
from shortlist.formats.records import check_columns, document_from_mapping, find_id_name
from shortlist.formats.source import Rejected, Source
from shortlist.formats.strings import quoted
from shortlist.types import Document

__all__ = ["find_invalid_utf8", "open_delimited", "read_rows", "read_table"]

CheckColumns = Callable[[Sequence[str], str], None]
"""Called with the names of the columns and the header's place; raises where they aren't what is needed."""


def open_delimited(path: Path, delimiter: str) -> Source:
    """Open a table whose first row names its columns.

    Quotes work as in spreadsheets, also where tabs separate. Every value is a string, as the file says
    nothing of types; an empty cell is no value.

    Raises:
        DataError: the file can't be read, or the columns aren't those of documents, see
            :func:`~shortlist.formats.records.check_columns`.
    """
    _read_header(path, read_rows(path, delimiter), check_columns)
    lines = count_lines(path)
    expected = None if lines is None else max(lines - 1, 0)
    return Source(shown(path), expected, partial(_read_documents, path, delimiter))


def read_table(
    path: Path, delimiter: str, check: CheckColumns
) -> Iterator[tuple[str, Mapping[str, str]] | Rejected]:
    """Read ``(place, cells by the names of their columns)`` of every row that isn't blank.

    Raises:
        DataError: the file can't be read, or ``check`` refuses its columns.
    """
    rows = read_rows(path, delimiter)
    header = _read_header(path, rows, check)
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        place, cells = row
        if len(cells) != len(header):
            yield Rejected(place, f"{len(cells)} fields, expected {len(header)} as in the header")
        elif problem := find_invalid_utf8(header, cells):
            yield Rejected(place, problem)
        else:
            yield place, dict(zip(header, cells, strict=True))


def _read_documents(path: Path, delimiter: str) -> Iterator[Document | Rejected]:
    for row in read_table(path, delimiter, check_columns):
        if isinstance(row, Rejected):
            yield row
            continue
        place, cells = row
        id_name = find_id_name(cells)
        record = {name: cell for name, cell in cells.items() if cell or name == id_name}
        yield document_from_mapping(record, place)


def _read_header(
    path: Path, rows: Iterator[tuple[str, list[str]] | Rejected], check: CheckColumns
) -> list[str]:
    first = next(rows, None)
    if first is None:
        raise DataError(f"{shown(path)}: empty, expected a header", hint="name the columns in the first line")
    if isinstance(first, Rejected):
        raise DataError(f"{first}; expected a header", hint="name the columns in the first line")
    place, header = first
    if problem := find_invalid_utf8(header, header):
        raise DataError(f"{place}: {problem}", hint="convert the file to UTF-8")
    check(header, place)
    return header


def read_rows(path: Path, delimiter: str) -> Iterator[tuple[str, list[str]] | Rejected]:
    """Read ``(place, cells)`` of every row that isn't blank.

    A byte that isn't UTF-8 is a surrogate in its cell, see :func:`find_invalid_utf8`.

    Raises:
        DataError: the file can't be read, or is a damaged gzip file.
    """
    # One number for the whole process and no argument of the reader; it is only ever raised, so that
    # readers of other modules lose nothing. Longer fields than a document may have are told apart later.
    if csv.field_size_limit() < MAX_LINE_BYTES:
        csv.field_size_limit(MAX_LINE_BYTES)
    lines = _TextLines(path)
    reader = csv.reader(lines, delimiter=delimiter, strict=True)
    while True:
        place = f"{shown(path)}:{lines.number + 1}"
        lines.all_whole = True
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            yield Rejected(place, f"malformed row: {error}; it is left out up to line {lines.number}")
            continue
        if not lines.all_whole:
            yield Rejected(place, f"line of more than {MAX_LINE_BYTES:,} bytes; split it")
        elif cells:
            yield place, cells


def find_invalid_utf8(header: list[str], cells: list[str]) -> str:
    """Say which cell has bytes that aren't UTF-8; empty where all are."""
    for name, cell in zip(header, cells, strict=True):
        try:
            cell.encode()
        except UnicodeEncodeError as error:
            byte = ord(cell[error.start]) - 0xDC00
            return f"invalid UTF-8 in column {quoted(name)} (0x{byte:02x})"
    return ""


class _TextLines:
    """Hand lines to the csv module as text, and remember how far it has read.

    A byte that isn't UTF-8 becomes a surrogate, which UTF-8 itself never has: it marks one bad cell
    and the rows behind it stay readable.
    """

    def __init__(self, path: Path) -> None:
        self._lines = read_lines(path)
        self.number = 0
        self.all_whole = True

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = next(self._lines)
        self.number = line.number
        self.all_whole = self.all_whole and line.is_whole
        return line.content.decode(errors="surrogateescape")
