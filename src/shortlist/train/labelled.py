"""What a cross-encoder learns to classify or to grade: pairs of texts with a label or a score each.

One JSON object a line, as ``shortlist similarity`` reads them: ``sentence1``, ``sentence2``, then ``label`` (a name or
a whole number) or ``score`` (a number), and if wanted ``split``.
"""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from shortlist.errors import DataError
from shortlist.types import check_text

__all__ = ["LabelledPair", "LabelledPairs", "read_labelled"]


@dataclass(frozen=True, slots=True)
class LabelledPair:
    """Hold two texts and what is to be learned of them: the number of a label, or a grade from 0 to 1."""

    first: str
    second: str
    target: float


@dataclass(frozen=True)
class LabelledPairs:
    """Say which pairs are learned from.

    ``files`` are relative to the recipe, ``split`` the one that is used, all if empty. ``target`` is ``label`` or
    ``score``; scores run from ``low`` to ``high``. ``labels`` names the labels in the order of their numbers; by
    default those found, in order. With ``both_ways`` every pair is learned in both orders: for questions such as
    whether two texts say the same, to which the order is nothing.
    """

    files: tuple[str, ...]
    target: str = "label"
    split: str = ""
    low: float = 0.0
    high: float = 1.0
    labels: tuple[str, ...] = ()
    both_ways: bool = False

    def __post_init__(self) -> None:
        if not self.files:
            raise DataError("pairs.files names no file")
        if self.target not in ("label", "score"):
            raise DataError(f"pairs.target must be 'label' or 'score', not {self.target!r}")
        if not -math.inf < self.low < self.high < math.inf:
            raise DataError(f"pairs.low must be below pairs.high, {self.low} isn't below {self.high}")
        if self.target == "label" and (self.low, self.high) != (0.0, 1.0):
            raise DataError("pairs.low and pairs.high are about scores, pairs.target is 'label'")
        if self.target == "score" and self.labels:
            raise DataError("pairs.labels names labels, pairs.target is 'score'")


def read_labelled(settings: LabelledPairs, folder: Path) -> tuple[list[LabelledPair], tuple[str, ...]]:
    """Give the pairs and the names of their labels, in the order of their numbers; graded pairs have none.

    Raises:
        DataError: a file can't be read, a line is no pair, or a label or grade is none that was announced.
    """
    splits: set[object] = set()
    found = [record for name in settings.files for record in _records(folder / name, settings, splits)]
    if not settings.split and len(splits) > 1:
        named = ", ".join(sorted(map(str, splits)))
        raise DataError(f"{settings.files[0]}: has the splits {named}", hint="name one as pairs.split")
    if not found:
        split = f" of split {settings.split!r}" if settings.split else ""
        raise DataError(f"{settings.files[0]}: no pair{split} in it")
    labels = settings.labels
    if settings.target == "label" and not labels:
        labels = tuple(sorted({str(value) for _, _, value, _ in found}, key=lambda name: (len(name), name)))
    numbers = {name: number for number, name in enumerate(labels)}
    if settings.target == "label" and len(labels) < 2:
        raise DataError(f"pairs have the label {labels[0]!r} alone: nothing to tell apart")
    pairs = []
    for first, second, value, place in found:
        if settings.target == "score":
            target = (value - settings.low) / (settings.high - settings.low) if abs(value) < 1e300 else -1.0
            if not 0 <= target <= 1:
                raise DataError(f"{place}: score {value} isn't from {settings.low} to {settings.high}")
        elif str(value) not in numbers:
            raise DataError(
                f"{place}: label {str(value)!r} is none of {', '.join(labels)}", hint="set pairs.labels"
            )
        else:
            target = float(numbers[str(value)])
        pairs.append(LabelledPair(first, second, target))
        if settings.both_ways:
            pairs.append(LabelledPair(second, first, target))
    return pairs, labels if settings.target == "label" else ()


def _records(file: Path, settings: LabelledPairs, splits: set[object]) -> Iterator[tuple[str, str, Any, str]]:
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    record = _record(line, f"{file}:{number}", settings, splits)
                    if record is not None:
                        yield record
    except (OSError, UnicodeDecodeError) as error:
        raise DataError(f"{file}: can't be read: {error}") from error


def _record(
    line: str, place: str, settings: LabelledPairs, splits: set[object]
) -> tuple[str, str, Any, str] | None:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON: {error}") from error
    if not isinstance(values, dict):
        raise DataError(f"{place}: expected an object, found {type(values).__name__}")
    splits.add(str(values.get("split", "")))
    if settings.split and values.get("split") != settings.split:
        return None
    for name in ("sentence1", "sentence2"):
        if not isinstance(values.get(name), str):
            raise DataError(f"{place}: {name} is {values.get(name)!r}, expected a text")
        check_text(values[name], f"{place}: {name}")
    value = values.get(settings.target)
    kinds = (str, int) if settings.target == "label" else (int, float)
    if type(value) not in kinds or (isinstance(value, float) and not math.isfinite(value)):
        expected = "a name or a whole number" if settings.target == "label" else "a number"
        raise DataError(f"{place}: {settings.target} is {value!r}, expected {expected}")
    return values["sentence1"], values["sentence2"], value, place
