"""How tables that speak the Arrow stream protocol (pyarrow, pandas, polars, DuckDB) become records."""

import re
from collections.abc import Iterator, Sized
from functools import partial
from typing import Any, Protocol, runtime_checkable

from shortlist.errors import DataError, MissingExtraError
from shortlist.formats.records import check_columns, document_from_mapping
from shortlist.formats.source import Rejected, Source, only_once
from shortlist.types import Document

__all__ = ["ArrowStream", "open_table"]

_NAME = "table"
_BATCH_ROWS = 1024
_PANDAS_INDEX = re.compile(r"__index_level_\d+__")


@runtime_checkable
class ArrowStream(Protocol):
    """Say what a table must offer: the Arrow C stream protocol."""

    def __arrow_c_stream__(self, requested_schema: object | None = None) -> object:
        """Export the table as a stream of record batches."""
        ...


def open_table(table: ArrowStream) -> Source:
    """Open a table; its columns are the fields of its records, places count rows as in ``table:17``.

    Rows become Python values 1,024 at a time. The unnamed index that pandas writes into a table
    (``__index_level_0__``) is no field. A table can be read again, a reader of record batches can't and
    says so.

    Raises:
        MissingExtraError: pyarrow is not installed.
        DataError: when iterated, the table can't be read or its columns aren't those of documents.
    """
    _import_pyarrow()
    read = partial(_read, table)
    expected = len(table) if isinstance(table, Sized) else None
    return Source(_NAME, expected, only_once(read, _NAME) if isinstance(table, Iterator) else read)


def _import_pyarrow() -> Any:
    try:
        import pyarrow as pa
    except ImportError as error:
        raise MissingExtraError("reading a table needs pyarrow", hint="pip install pyarrow") from error
    return pa


def _read(table: ArrowStream) -> Iterator[Document | Rejected]:
    pa = _import_pyarrow()
    try:
        reader = pa.RecordBatchReader.from_stream(table)
        columns = _checked_columns(reader.schema.names)
        start = 1
        for batch in reader:
            kept = batch.select(columns)
            for offset in range(0, kept.num_rows, _BATCH_ROWS):
                yield from _documents(kept.slice(offset, _BATCH_ROWS), start + offset)
            start += batch.num_rows
    except pa.ArrowException as error:
        raise DataError(f"{_NAME}: can't be read: {error}") from error


def _checked_columns(names: list[str]) -> list[str]:
    columns = [name for name in names if not _PANDAS_INDEX.fullmatch(name)]
    check_columns(columns, _NAME)
    return columns


def _documents(batch: Any, start: int) -> Iterator[Document | Rejected]:
    for number, row in enumerate(_rows(batch), start=start):
        place = f"{_NAME}:{number}"
        yield Rejected(place, row) if isinstance(row, str) else document_from_mapping(row, place)


def _rows(batch: Any) -> Iterator[dict[str, object] | str]:
    """Convert rows to mappings; a row that can't be becomes the reason."""
    try:
        yield from batch.to_pylist()
    except _conversion_errors():
        for index in range(batch.num_rows):
            try:
                yield batch.slice(index, 1).to_pylist()[0]
            except _conversion_errors() as error:
                yield f"a value can't become a Python value: {error}"


def _conversion_errors() -> tuple[type[Exception], ...]:
    # Invalid UTF-8 is a ValueError, a date beyond the year 9999 an OverflowError.
    return ValueError, OverflowError, _import_pyarrow().ArrowException
