"""How lines of runs and judgements split into columns, and what may stand in a column."""

import math
import re

from shortlist.errors import DataError
from shortlist.formats.lines import Line, decode_line
from shortlist.formats.strings import quoted

__all__ = ["checked_column", "read_integer", "read_score", "split_columns"]

_INTEGER = re.compile(r"[+-]?[0-9]{1,18}")


def split_columns(line: Line, separator: bytes | None = None) -> list[str]:
    """Split a line at ``separator``, or at ASCII white space as ``trec_eval`` does; a blank line has none.

    Other white space, such as the no-break space, is part of an id.

    Raises:
        DataError: the line is too long or isn't UTF-8.
    """
    decode_line(line)  # no column can be invalid where the line isn't: separators are ASCII
    if not line.content.strip():
        return []
    return [column.strip().decode() for column in line.content.split(separator)]


def checked_column(value: str, name: str) -> str:
    """Return what can stand as one column.

    Raises:
        DataError: it is empty, has white space in it or a lone surrogate, or starts with a byte order
            mark, which a reader takes for that of the file.
    """
    try:
        content = value.encode()
    except UnicodeEncodeError as error:
        raise DataError(f"{name} {quoted(value)} has a lone surrogate") from error
    if content.split() != [content] or value.startswith("\ufeff"):
        raise DataError(
            f"{name} {quoted(value)} can't be a column of a TREC file, where white space separates columns",
            hint="replace white space, by _ for example, and fill what is empty",
        )
    return value


def read_integer(column: str, name: str) -> int:
    """Read an integer.

    Raises:
        DataError: it is none, or has more than 18 digits.
    """
    if not _INTEGER.fullmatch(column):
        raise DataError(f"{name} {quoted(column)} is no integer")
    return int(column)


def read_score(column: str) -> float:
    """Read a score, which may be infinite.

    Raises:
        DataError: it is no number or NaN.
    """
    try:
        value = math.nan if "_" in column else float(column)  # float() would take 1_000
    except ValueError:
        value = math.nan
    if math.isnan(value):
        raise DataError(f"score {quoted(column)} is no number")
    return value
