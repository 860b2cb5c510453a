"""What is learned from: queries with a passage that answers each, and others that don't.

One JSON object a line: ``query``, ``passage``, and where they are known ``negatives`` (texts), ``scores`` (numbers: the
passage's, then each negative's, from whoever is to be learned from or corrected) and ``source`` (a name).
"""

from __future__ import annotations

import json
import os
import random
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from shortlist.errors import DataError
from shortlist.types import check_text

__all__ = ["Example", "read_examples", "write_examples"]

_KNOWN = {"query", "passage", "negatives", "scores", "source"}


@dataclass(frozen=True, slots=True)
class Example:
    """Hold a query, the passage that answers it, and passages that don't.

    ``scores`` is empty, or has one number for the passage and one for each negative, in that order.
    """

    query: str
    passage: str
    negatives: tuple[str, ...] = ()
    scores: tuple[float, ...] = ()
    source: str = ""

    def __post_init__(self) -> None:
        if self.scores and len(self.scores) != 1 + len(self.negatives):
            raise DataError(
                f"{len(self.scores)} scores for a passage and {len(self.negatives)} negatives,"
                f" expected {1 + len(self.negatives)}"
            )

    @property
    def passages(self) -> tuple[str, ...]:
        """The passage, then the negatives."""
        return (self.passage, *self.negatives)

    def drawn(self, count: int, draw: random.Random) -> Example:
        """Give the example with ``count`` of its negatives, in the order they were drawn in."""
        chosen = draw.sample(range(len(self.negatives)), count)
        negatives = tuple(self.negatives[index] for index in chosen)
        scores = (self.scores[0], *(self.scores[1 + index] for index in chosen)) if self.scores else ()
        return replace(self, negatives=negatives, scores=scores)


def read_examples(path: str | os.PathLike[str]) -> Iterator[Example]:
    """Read examples, one JSON object a line; empty lines are passed over.

    Raises:
        DataError: the file can't be read or a line is no example; the message names it.
    """
    file = Path(path)
    try:
        with file.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    yield _example(line, f"{file}:{number}")
    except (OSError, UnicodeDecodeError) as error:
        reason = error.strerror if isinstance(error, OSError) else error
        raise DataError(f"{file}: can't be read: {reason or error}") from error


def write_examples(path: str | os.PathLike[str], examples: Iterable[Example]) -> int:
    """Write examples, one JSON object a line; the file appears when it is whole. Gives how many there are."""
    file = Path(path)
    new, count = file.with_name(f"{file.name}.new"), 0
    with new.open("w", encoding="utf-8") as out:
        for example in examples:
            count += 1
            record: dict[str, Any] = {"query": example.query, "passage": example.passage}
            if example.negatives:
                record["negatives"] = example.negatives
            if example.scores:
                record["scores"] = [round(score, 6) for score in example.scores]
            if example.source:
                record["source"] = example.source
            out.write(json.dumps(record, ensure_ascii=False) + "\n")
    new.replace(file)
    return count


def _example(line: str, place: str) -> Example:
    try:
        values = json.loads(line)
    except (ValueError, RecursionError) as error:
        raise DataError(f"{place}: no JSON: {error}") from error
    if not isinstance(values, Mapping):
        raise DataError(f"{place}: holds {type(values).__name__}, expected an object")
    if unknown := sorted(values.keys() - _KNOWN):
        raise DataError(
            f"{place}: has {unknown[0]!r}, which is not known", hint=f"known: {', '.join(sorted(_KNOWN))}"
        )
    for name, default in (("query", None), ("passage", None), ("source", "")):
        value = values.get(name, default)
        if not isinstance(value, str):
            raise DataError(f"{place}: {name} is {value!r}, expected a text")
        check_text(value, f"{place}: {name}")
    negatives, scores = values.get("negatives", []), values.get("scores", [])
    if not isinstance(negatives, list) or not all(isinstance(text, str) for text in negatives):
        raise DataError(f"{place}: negatives are no list of texts")
    for negative in negatives:
        check_text(negative, f"{place}: a negative")
    if not isinstance(scores, list) or not all(
        type(score) in (int, float) and abs(score) <= 1e30 for score in scores
    ):
        raise DataError(f"{place}: scores are no list of finite numbers")
    try:
        return Example(
            values["query"],
            values["passage"],
            tuple(negatives),
            tuple(map(float, scores)),
            values.get("source", ""),
        )
    except DataError as error:
        raise DataError(f"{place}: {error}") from None
