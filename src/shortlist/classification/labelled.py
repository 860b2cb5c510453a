"""How texts with labels are read: JSON lines, CSV or TSV, a text a record; for predicting, plain lines as well."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from shortlist.errors import DataError
from shortlist.formats import Rejected
from shortlist.formats.delimited import read_table
from shortlist.formats.jsonl import read_objects, refuse_array
from shortlist.formats.lines import decode_line, read_lines
from shortlist.formats.paths import StrPath, existing_file, full_extension, shown
from shortlist.formats.records import find_repeated
from shortlist.formats.strings import checked_id, checked_string, checked_text, kind_of, quoted

__all__ = ["LabelledText", "LabelledTexts", "load_labelled", "read_labelled", "read_texts"]

LABEL_NAMES = ("label", "intent", "topic")
SHOWN_PROBLEMS = 10

_JSON_LINES = frozenset({".jsonl", ".ndjson", ".json"})
_DELIMITERS = {".csv": ",", ".tsv": "\t"}

Records = Iterator[tuple[str, Mapping[str, object]] | Rejected]


@dataclass(frozen=True, slots=True)
class LabelledText:
    """Hold one text with the label it should get.

    ``split`` is the part of the data it belongs to (``train``, ``test``), empty where the file has none.
    ``place`` says where it was read (``intents.jsonl:17``); it is not part of the text.
    """

    text: str
    label: str
    split: str = ""
    place: str = field(default="", compare=False, repr=False)


@dataclass(frozen=True)
class LabelledTexts:
    """Hold one split of a file in file order: ``texts[i]`` has ``labels[i]``.

    ``rejected`` says which records couldn't be taken; ``left_out`` counts the texts of other splits.
    """

    name: str
    texts: tuple[str, ...]
    labels: tuple[str, ...]
    rejected: tuple[Rejected, ...] = ()
    left_out: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def load_labelled(
    path: StrPath, *, label: str | None = None, split: str | None = None, strict: bool = False
) -> LabelledTexts:
    """Read one split of a file of labelled texts; for ``label`` see :func:`read_labelled`.

    Raises:
        DataError: the file can't be read, has no such split, has several and none is named, or holds no
            labelled text at all; or, with ``strict``, a record is bad.
    """
    name = shown(Path(path))
    found, rejected = _parted(read_labelled(path, label=label))
    if strict:
        refuse_rejected(rejected, len(found) + len(rejected), name)
    if not found:
        raise DataError(
            f"{name}: no labelled text in it, {len(rejected):,} bad records{_first(rejected)}",
            hint="each record needs a `text` and a `label`; --label names another column",
        )
    splits = Counter(one.split for one in found)
    listed = ", ".join(f"{quoted(one) if one else 'none'} {count:,}" for one, count in splits.items())
    if split is None and len(splits) > 1:
        # Training on what is meant for testing would look like an excellent model.
        raise DataError(f"{name}: has several splits ({listed})", hint="name one, as --split train")
    chosen = [one for one in found if split is None or one.split == split]
    if not chosen:
        raise DataError(
            f"{name}: no text of split {split!r} (splits: {listed})", hint="name one that is there"
        )
    return LabelledTexts(
        name,
        tuple(one.text for one in chosen),
        tuple(one.label for one in chosen),
        tuple(rejected),
        len(found) - len(chosen),
    )


def refuse_rejected(rejected: Sequence[Rejected], records: int, name: str) -> None:
    """Raise if there is a bad record; the message shows the first ones.

    Raises:
        DataError: there is one.
    """
    if rejected:
        lines = "".join(f"\n  {problem}" for problem in rejected[:SHOWN_PROBLEMS])
        more = len(rejected) - SHOWN_PROBLEMS
        lines += f"\n  and {more:,} more" if more > 0 else ""
        raise DataError(
            f"{name}: {len(rejected):,} bad of {records:,} records{lines}",
            hint="mend them, or leave --strict out to go on with the rest",
        )


def read_labelled(path: StrPath, *, label: str | None = None) -> Iterator[LabelledText | Rejected]:
    """Read texts with their labels, in file order.

    A record is a JSON object a line, or a row of a table with a header (.csv, .tsv); all may be ``.gz``. It has a
    ``text``, and its label under ``label``, ``intent`` or ``topic`` (the first that is there), or under the
    name that the argument ``label`` gives. A label is a string or an integer. ``split`` is optional, other
    fields don't matter.

    Raises:
        DataError: at once where the path isn't a file of these kinds; when iterated, where it is damaged.
    """
    names = LABEL_NAMES if label is None else (label,)
    file = existing_file(path)
    return _labelled(_records(file, names), names)


def read_texts(path: StrPath) -> Iterator[tuple[str, str] | Rejected]:
    """Read ``(place, text)`` in file order: records as for :func:`read_labelled`, or the lines of a .txt file.

    Raises:
        DataError: as for :func:`read_labelled`.
    """
    file = existing_file(path)
    plain = full_extension(file) in {".txt", ".txt.gz"}
    return _texts(_read_lines(file) if plain else _records(file, ()))


def _labelled(records: Records, names: Sequence[str]) -> Iterator[LabelledText | Rejected]:
    for item in records:
        if isinstance(item, Rejected):
            yield item
            continue
        place, record = item
        try:
            yield LabelledText(_text(record), _label(record, names), _split(record), place)
        except DataError as error:
            yield Rejected(place, error.message)


def _texts(records: Records) -> Iterator[tuple[str, str] | Rejected]:
    for item in records:
        if isinstance(item, Rejected):
            yield item
            continue
        place, record = item
        try:
            yield place, _text(record)
        except DataError as error:
            yield Rejected(place, error.message)


def _text(record: Mapping[str, object]) -> str:
    if "text" not in record:
        raise DataError("no `text`")
    text = checked_text(record["text"], "text")
    if not text.strip():
        raise DataError("empty text")
    return text


def _label(record: Mapping[str, object], names: Sequence[str]) -> str:
    name = next((name for name in names if name in record), None)
    if name is None:
        raise DataError(f"no label, expected one under {_listed(names)}")
    return checked_id(record[name], name)


def _split(record: Mapping[str, object]) -> str:
    value = record.get("split")
    if value is not None and not isinstance(value, str):
        raise DataError(f"split is {kind_of(value)}, expected a string")
    return checked_string(value or "", "split")


def _records(file: Path, label_names: Sequence[str]) -> Records:
    """Open a file by the ending of its name; a table must have the columns that are needed."""
    extension = full_extension(file).removesuffix(".gz")
    if extension in _JSON_LINES:
        refuse_array(file)
        return read_objects(file)
    if extension in _DELIMITERS:
        return read_table(file, _DELIMITERS[extension], partial(_check_columns, label_names))
    raise DataError(
        f"{shown(file)}: the ending {full_extension(file)!r} is of no known kind of texts",
        hint="JSON lines (.jsonl) or tables (.csv, .tsv)" + ("" if label_names else ", or lines (.txt)"),
    )


def _check_columns(label_names: Sequence[str], columns: Sequence[str], place: str) -> None:
    listed = ", ".join(map(quoted, columns[:20]))
    if repeated := find_repeated(columns):
        raise DataError(
            f"{place}: column {quoted(repeated[0])} stands twice", hint="rename or remove one of them"
        )
    if "text" not in columns:
        raise DataError(
            f"{place}: no column `text` (columns: {listed})", hint="name the columns in the first line"
        )
    if label_names and not set(label_names) & set(columns):
        raise DataError(
            f"{place}: no label column, expected {_listed(label_names)} (columns: {listed})",
            hint="name the column with --label NAME",
        )


def _read_lines(file: Path) -> Records:
    for line in read_lines(file):
        if line.is_whole and not line.content.strip():
            continue
        place = f"{shown(file)}:{line.number}"
        try:
            yield place, {"text": decode_line(line).rstrip("\r\n")}
        except DataError as error:
            yield Rejected(place, error.message)


def _parted(items: Iterable[LabelledText | Rejected]) -> tuple[list[LabelledText], list[Rejected]]:
    found: list[LabelledText] = []
    rejected: list[Rejected] = []
    for item in items:
        if isinstance(item, Rejected):
            rejected.append(item)
        else:
            found.append(item)
    return found, rejected


def _first(rejected: Sequence[Rejected]) -> str:
    return f"; the first: {rejected[0]}" if rejected else ""


def _listed(names: Sequence[str]) -> str:
    *first, last = [f"`{name}`" for name in names]
    return f"{', '.join(first)} or {last}" if first else last
