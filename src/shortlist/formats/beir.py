"""Where the corpus of a BEIR folder is, and how it is read."""

from dataclasses import replace
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats.jsonl import open_jsonl
from shortlist.formats.paths import StrPath, existing_folder, shown
from shortlist.formats.source import Source

__all__ = ["find_corpus", "read_corpus"]


def read_corpus(folder: StrPath) -> Source:
    """Open ``corpus.jsonl`` in a BEIR folder, or ``corpus.jsonl.gz`` where only that is there.

    Raises:
        DataError: there is no such folder, no corpus in it, or it can't be read.
    """
    found = existing_folder(folder)
    corpus = find_corpus(found)
    if corpus is None:
        raise DataError(
            f"{shown(found)}: no corpus.jsonl in it",
            hint="a BEIR folder holds corpus.jsonl or corpus.jsonl.gz",
        )
    return replace(open_jsonl(corpus), name=shown(found))


def find_corpus(folder: Path) -> Path | None:
    """Return the corpus of a BEIR folder, ``None`` where there is none."""
    candidates = (folder / "corpus.jsonl", folder / "corpus.jsonl.gz")
    return next((path for path in candidates if path.is_file()), None)
