"""How pairs of texts are read: JSON lines, tables with a header, and the layout of the STS benchmark."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats import Rejected
from shortlist.formats.columns import read_score
from shortlist.formats.delimited import find_invalid_utf8, read_rows
from shortlist.formats.jsonl import read_objects, refuse_array
from shortlist.formats.lines import decode_line, read_lines
from shortlist.formats.paths import StrPath, existing_file, full_extension, shown
from shortlist.formats.records import find_repeated
from shortlist.formats.strings import checked_text, kind_of, quoted

__all__ = ["Pair", "read_pairs"]

_SENTENCES = ("sentence1", "sentence2")
_FIELDS = (*_SENTENCES, "score", "label", "split")
_STS_COLUMNS = ("genre", "filename", "year", "old_index", "score", *_SENTENCES)
_JSONL_EXTENSIONS = frozenset({".jsonl", ".ndjson", ".json"})
_TABLE_EXTENSIONS = frozenset({".tsv", ".csv"})

Records = Iterator[tuple[str, Mapping[str, object]] | Rejected]


@dataclass(frozen=True, slots=True)
class Pair:
    """Hold two texts and what people said of them.

    ``score`` is a grade, higher for more alike, on any scale; ``label`` is 1 if the two belong together and 0 if
    not; ``None`` where nobody said. ``category`` is a label by its name, for classifiers that know more than two.
    ``place`` says where it was read (``pairs.jsonl:17``).
    """

    sentence1: str
    sentence2: str
    score: float | None = None
    label: int | None = None
    split: str = ""
    category: str = ""
    place: str = field(default="", compare=False, repr=False)


def read_pairs(
    path: StrPath, *, split: str | None = None, categories: bool = False
) -> Iterator[Pair | Rejected]:
    """Read pairs in file order; with ``split`` only those of that split; labels as ``categories`` may be any names.

    JSON lines and tables with a header have ``sentence1`` and ``sentence2``, and may have ``score``, ``label``
    and ``split``; other fields are no part of a pair. A table without a header has the columns of the STS
    benchmark: genre, filename, year, old_index, score, sentence1, sentence2, and any after them. Tabs separate
    without quoting, whatever the file's ending, commas as in spreadsheets. All may be ``.gz``.

    Raises:
        DataError: at once where the path isn't a file of these kinds; when iterated, where the file is damaged,
            or has no pair of this split.
    """
    file = existing_file(path)
    extension = full_extension(file).removesuffix(".gz")
    if extension in _JSONL_EXTENSIONS:
        refuse_array(file)
        return _pairs(file, read_objects(file), split, categories)
    if extension in _TABLE_EXTENSIONS:
        return _pairs(file, _read_table(file), split, categories)
    raise DataError(
        f"{shown(file)}: the ending {full_extension(file)!r} is of no known kind of pairs",
        hint="pairs are JSON lines (.jsonl) or a table (.tsv, .csv)",
    )


def _pairs(path: Path, records: Records, split: str | None, categories: bool) -> Iterator[Pair | Rejected]:
    others: set[str] = set()
    found = False
    for record in records:
        if isinstance(record, Rejected):
            yield record
            continue
        place, fields = record
        named = fields.get("split")
        if split is not None and named != split:
            others |= {named} if isinstance(named, str) else set()
            continue
        found = True
        try:
            yield _pair(fields, place, categories)
        except DataError as error:
            yield Rejected(place, error.message)
    if split is not None and not found:
        known = ", ".join(sorted(others)) or "none: the file has no splits"
        raise DataError(f"{shown(path)}: no pair of split {quoted(split)}", hint=f"it has {known}")


def _pair(fields: Mapping[str, object], place: str, categories: bool) -> Pair:
    missing = [name for name in _SENTENCES if fields.get(name) is None]
    if missing:
        raise DataError(f"no {missing[0]}, expected `sentence1` and `sentence2`")
    first, second = (checked_text(fields[name], name) for name in _SENTENCES)
    for name, sentence in zip(_SENTENCES, (first, second), strict=True):
        if not sentence.strip():
            raise DataError(f"empty pair: {name} is blank")
    return Pair(
        first,
        second,
        _grade(fields.get("score")),
        None if categories else _label(fields.get("label")),
        checked_text(fields.get("split"), "split"),
        _category(fields.get("label")) if categories else "",
        place,
    )


def _grade(value: object) -> float | None:
    if value is None:
        return None
    number = _number(value, "score")
    if not abs(number) < float("inf"):
        raise DataError(f"score is {number}, expected a finite number")
    return number


def _label(value: object) -> int | None:
    if value is None:
        return None
    number = float(value) if isinstance(value, bool) else _number(value, "label")
    if number not in (0, 1):
        raise DataError(f"label is {number:g}, expected 0 or 1; a grade goes under `score`")
    return int(number)


def _category(value: object) -> str:
    if type(value) is int:
        return str(value)
    return checked_text(value, "label")


def _number(value: object, name: str) -> float:
    """Give a number; a table has its digits."""
    if isinstance(value, str):
        try:
            return read_score(value)
        except DataError:
            raise DataError(f"{name} is {quoted(value)}, expected a number") from None
    if isinstance(value, bool) or not isinstance(value, int | float):
        raise DataError(f"{name} is {kind_of(value)}, expected a number")
    try:
        return float(value)
    except OverflowError:
        raise DataError(f"{name} is an integer beyond all floats") from None


def _read_table(path: Path) -> Records:
    """Read the rows of a table; its first line tells what separates, and whether it is a header."""
    first = next((line for line in read_lines(path) if line.content.strip() or not line.is_whole), None)
    if first is None:
        return iter(())
    tabs = b"\t" in first.content
    rows = _read_tabs(path) if tabs else read_rows(path, ",")
    head = next(rows)
    if isinstance(head, Rejected):
        raise DataError(f"{head}; expected a header or a pair", hint="mend the first line")
    place, cells = head
    names = [cell.strip() for cell in cells]
    if set(_SENTENCES) <= set(names):
        repeated = [name for name in find_repeated(names) if name in _FIELDS]
        if repeated:
            raise DataError(f"{place}: column {quoted(repeated[0])} stands twice")
        return _records(rows, names, lambda count: count == len(names))
    if tabs and len(cells) >= len(_STS_COLUMNS):
        return _records(chain([head], rows), list(_STS_COLUMNS), lambda count: count >= len(_STS_COLUMNS))
    raise DataError(
        f"{place}: neither a header nor a row of the STS benchmark",
        hint="name the columns sentence1, sentence2 and score or label; "
        "or separate genre, filename, year, old_index, score, sentence1 and sentence2 by tabs",
    )


def _records(
    rows: Iterator[tuple[str, list[str]] | Rejected], names: list[str], fits: Callable[[int], bool]
) -> Records:
    for row in rows:
        if isinstance(row, Rejected):
            yield row
            continue
        place, cells = row
        if not fits(len(cells)):
            yield Rejected(place, f"{len(cells)} fields, expected {len(names)}")
            continue
        cells = cells[: len(names)]
        if problem := find_invalid_utf8(names, cells):
            yield Rejected(place, problem)
        else:
            yield (
                place,
                {
                    name: cell
                    for name, cell in zip(names, cells, strict=True)
                    if name in _FIELDS and (cell or name in _SENTENCES)
                },
            )


def _read_tabs(path: Path) -> Iterator[tuple[str, list[str]] | Rejected]:
    for line in read_lines(path):
        if line.is_whole and not line.content.strip():
            continue
        place = f"{shown(path)}:{line.number}"
        try:
            yield place, decode_line(line).rstrip("\r\n").split("\t")
        except DataError as error:
            yield Rejected(place, error.message)
