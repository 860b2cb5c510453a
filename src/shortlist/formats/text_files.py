"""How text and Markdown files become documents, one a file."""

import os
from collections.abc import Iterator
from functools import partial
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.lines import decode_text
from shortlist.formats.markdown import first_heading
from shortlist.formats.paths import shown
from shortlist.formats.records import recheck_document
from shortlist.formats.source import Rejected, Source
from shortlist.formats.strings import MAX_TEXT_BYTES
from shortlist.types import Document

__all__ = ["TEXT_EXTENSIONS", "open_text_file", "open_text_folder"]

_MARKDOWN_EXTENSIONS = frozenset({".md", ".markdown"})
TEXT_EXTENSIONS = _MARKDOWN_EXTENSIONS | {".txt", ".rst"}


def open_text_folder(folder: Path) -> Source:
    """Open all text and Markdown files in a folder and its folders, in the order of their ids.

    The id is the path from ``folder`` on, with ``/`` between names. What begins with a dot is skipped,
    links to folders aren't followed. Files that appear later are found when the source is read again.

    Raises:
        DataError: there is no such file, or a folder can't be listed.
    """
    count = len(_find_files(folder))
    if not count:
        raise DataError(
            f"{shown(folder)}: neither a BEIR corpus nor a text file in it",
            hint=f"give it a corpus.jsonl, or files that end in {', '.join(sorted(TEXT_EXTENSIONS))}",
        )
    return Source(shown(folder), count, partial(_read_folder, folder))


def open_text_file(path: Path) -> Source:
    """Open one text or Markdown file; its id is its name."""
    return Source(shown(path), 1, partial(_read_files, [(path.name, path)]))


def _read_folder(folder: Path) -> Iterator[Document | Rejected]:
    return _read_files(_find_files(folder))


def _find_files(folder: Path) -> list[tuple[str, Path]]:
    """List ``(id, path)`` of the text files in a folder."""

    def refuse(error: OSError) -> None:
        raise DataError(f"{shown(Path(error.filename))}: can't be listed: {error.strerror}") from error

    found: list[tuple[str, Path]] = []
    for parent, folders, names in os.walk(folder, onerror=refuse):
        folders[:] = [name for name in folders if not name.startswith(".")]
        for name in names:
            path = Path(parent, name)
            if not name.startswith(".") and path.suffix.lower() in TEXT_EXTENSIONS:
                found.append((path.relative_to(folder).as_posix(), path))
    return sorted(found)


def _read_files(files: list[tuple[str, Path]]) -> Iterator[Document | Rejected]:
    for doc_id, path in files:
        place = shown(path)
        try:
            text = _read_text(path)
        except DataError as error:
            yield Rejected(place, error.message)
        else:
            title = first_heading(text) if path.suffix.lower() in _MARKDOWN_EXTENSIONS else ""
            yield recheck_document(Document(doc_id, text, title), place)


def _read_text(path: Path) -> str:
    try:
        if not path.is_file():  # a pipe would never end
            raise DataError("not a file, or a link to nothing")
        size = path.stat().st_size
        if size > MAX_TEXT_BYTES:
            raise DataError(f"text of {size:,} bytes is more than {MAX_TEXT_BYTES:,}; split it")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"can't be read: {error.strerror}") from error
    return decode_text(content.removeprefix(b"\xef\xbb\xbf"))
