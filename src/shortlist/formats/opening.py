"""How anything that holds documents is recognised and opened."""

import os
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.arrow import ArrowStream, open_table
from shortlist.formats.beir import find_corpus, read_corpus
from shortlist.formats.delimited import open_delimited
from shortlist.formats.in_memory import open_records
from shortlist.formats.jsonl import open_jsonl
from shortlist.formats.paths import StrPath, existing_path, full_extension, shown
from shortlist.formats.source import Source
from shortlist.formats.strings import kind_of
from shortlist.formats.text_files import TEXT_EXTENSIONS, open_text_file, open_text_folder
from shortlist.types import Document

__all__ = ["open_source"]

_TABLE_OPENERS: Mapping[str, Callable[[Path], Source]] = {
    ".jsonl": open_jsonl,
    ".ndjson": open_jsonl,
    ".json": open_jsonl,
    ".csv": partial(open_delimited, delimiter=","),
    ".tsv": partial(open_delimited, delimiter="\t"),
}
_OPENERS: Mapping[str, Callable[[Path], Source]] = {
    **_TABLE_OPENERS,
    **{f"{extension}.gz": opener for extension, opener in _TABLE_OPENERS.items()},
    **dict.fromkeys(sorted(TEXT_EXTENSIONS), open_text_file),
}


def open_source(
    source: Source | StrPath | Iterable[Document | Mapping[str, object]] | ArrowStream,
) -> Source:
    """Open a path, a table or an iterable of records.

    A path leads to a BEIR folder (it holds ``corpus.jsonl`` or ``corpus.jsonl.gz``), any other folder
    (its text and Markdown files), JSON lines, CSV or TSV (plain or ``.gz``), or one text file. A table
    is anything with ``__arrow_c_stream__``. An iterable gives documents or mappings. A source is one already.

    Raises:
        DataError: the path doesn't exist, the kind isn't known, or the file can't be read as its kind.
        MissingExtraError: the source is a table and pyarrow is not installed.

    >>> [document.doc_id for document in open_source([{"id": 1, "text": "A cat."}])]
    ['1']
    """
    if isinstance(source, Source):
        return source
    if isinstance(source, str | os.PathLike):
        return _open_path(existing_path(source))
    if isinstance(source, ArrowStream):
        return open_table(source)
    if isinstance(source, Mapping | bytes) or not isinstance(source, Iterable):
        raise DataError(
            f"{kind_of(source)} is no source of documents",
            hint="pass a path, a table, or a list of documents or mappings",
        )
    return open_records(source)


def _open_path(path: Path) -> Source:
    if path.is_dir():
        return open_text_folder(path) if find_corpus(path) is None else read_corpus(path)
    extension = full_extension(path)
    if extension not in _OPENERS:
        raise DataError(
            f"{shown(path)}: the ending {extension!r} is of no known kind of file",
            hint=f"the name has to end in one of {', '.join(_OPENERS)}",
        )
    return _OPENERS[extension](path)
