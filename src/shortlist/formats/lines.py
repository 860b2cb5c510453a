"""How a file, plain or gzip, is read line by line without trusting its content, and written."""

import gzip
import itertools
import os
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import BufferedIOBase
from pathlib import Path
from typing import NamedTuple, TextIO

from shortlist.errors import DataError
from shortlist.formats.paths import StrPath, shown

__all__ = ["MAX_LINE_BYTES", "Line", "count_lines", "decode_line", "decode_text", "read_lines", "write_lines"]

MAX_LINE_BYTES = 64 * 1024 * 1024

_BYTE_ORDER_MARK = b"\xef\xbb\xbf"
_CHUNK_BYTES = 1024 * 1024


class Line(NamedTuple):
    """Hold one line with its line end; where it isn't whole it was too long and ``content`` is empty."""

    number: int
    content: bytes
    is_whole: bool


def read_lines(path: Path) -> Iterator[Line]:
    """Read lines, counted from 1, in memory for one line of at most 64 MiB.

    A line ends with a line feed and nothing else. A UTF-8 byte order mark at the start is dropped.

    Raises:
        DataError: the file can't be read, or is a damaged gzip file.
    """
    with _open_bytes(path) as file:
        for number in itertools.count(1):
            content = file.readline(MAX_LINE_BYTES + 1)
            if not content:
                return
            is_whole = len(content) <= MAX_LINE_BYTES or content.endswith(b"\n")
            if not is_whole:
                _skip_line(file)
                content = b""
            if number == 1:
                content = content.removeprefix(_BYTE_ORDER_MARK)
            yield Line(number, content, is_whole)


def decode_line(line: Line) -> str:
    """Return a line as text, with its line end.

    Raises:
        DataError: the line is too long or isn't UTF-8.
    """
    if not line.is_whole:
        raise DataError(f"line of more than {MAX_LINE_BYTES:,} bytes; split it")
    return decode_text(line.content)


def decode_text(content: bytes) -> str:
    """Return bytes as text.

    Raises:
        DataError: they aren't UTF-8.
    """
    try:
        return content.decode()
    except UnicodeDecodeError as error:
        raise DataError(f"invalid UTF-8 at byte {error.start + 1} (0x{content[error.start]:02x})") from error


def count_lines(path: Path) -> int | None:
    """Count the lines of a plain file; ``None`` for a gzip file, which would have to be unpacked.

    Raises:
        DataError: the file can't be read.
    """
    if _is_gzip(path):
        return None
    count, last = 0, b"\n"
    with _open_bytes(path) as file:
        while chunk := file.read(_CHUNK_BYTES):
            count += chunk.count(b"\n")
            last = chunk[-1:]
    return count + (last != b"\n")


def write_lines(lines: Iterable[str], target: StrPath | TextIO) -> None:
    """Write lines to a path, compressed where it ends in ``.gz``, or to an open text file.

    Raises:
        OSError: the file can't be written.
    """
    ended = (f"{line}\n" for line in lines)
    if not isinstance(target, str | os.PathLike):
        target.writelines(ended)
        return
    path = Path(target)
    opener = gzip.open if _is_gzip(path) else open
    with opener(path, "wt", encoding="utf-8", newline="\n") as file:
        file.writelines(ended)


def _is_gzip(path: Path) -> bool:
    return path.suffix.lower() == ".gz"


@contextmanager
def _open_bytes(path: Path) -> Iterator[BufferedIOBase]:
    opener = gzip.open if _is_gzip(path) else open
    try:
        with opener(path, "rb") as file:
            yield file
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise DataError(
            f"{shown(path)}: damaged gzip file: {error}", hint="compress or download it again"
        ) from error
    except OSError as error:
        raise DataError(f"{shown(path)}: can't be read: {error.strerror or error}") from error


def _skip_line(file: BufferedIOBase) -> None:
    while chunk := file.readline(_CHUNK_BYTES):
        if chunk.endswith(b"\n"):
            return
