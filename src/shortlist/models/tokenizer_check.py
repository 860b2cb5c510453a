"""What may a tokenizer.json say? Known ids, bounded lists and patterns, nothing that makes a text explode."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from shortlist.errors import ModelError
from shortlist.models.safety import TOKENIZER_VALUES, parse_json, shown

__all__ = ["check_tokenizer"]

_ADDED_TOKENS = 20_000  # a Gemma has 6,400; each costs the library 3 us and 500 bytes
_PART_VALUES = 2_000  # of a normalizer, a pre-tokenizer or a post-processor
_PATTERN = 2_000
_REPEATS = 1_000  # what the {n,m} of one pattern may multiply to
_GROWTH = 10_000  # how many characters a normaliser may make of one
_TEXT = 1_000
_LAST_ID = (1 << 31) - 1

_COUNTED = re.compile(r"\{(\d*),?(\d*)\}")


def check_tokenizer(data: bytes, where: Path) -> int:
    """Check a tokenizer.json; give the highest token id that it can make.

    Raises:
        ModelError: it is no tokenizer, or beyond the bounds.
    """
    value = parse_json(data, where, limit_values=TOKENIZER_VALUES)
    if not isinstance(value, dict) or not isinstance(value.get("model"), dict):
        raise ModelError(f"{where}: can't be read: expected an object with a model")
    highest = max(_model(value["model"], where), _added(value.get("added_tokens") or [], where))
    for part in ("normalizer", "pre_tokenizer", "post_processor", "decoder"):
        highest = max(highest, _part(value.get(part), f"{where}: {part}"))
    for part in ("padding", "truncation"):  # switched off once loaded, yet the library reads them
        for key, found in _walk(value.get(part), f"{where}: {part}"):
            if type(found) in (int, float) and not 0 <= found <= _LAST_ID:
                raise ModelError(f"{where}: {part}: {shown(key)} is {shown(found)}")
    return highest


def _model(model: dict[str, Any], where: Path) -> int:
    vocabulary, dropout = model.get("vocab"), model.get("dropout")
    if dropout:
        raise ModelError(
            f"{where}: model: dropout {shown(dropout)} cuts the same text differently every time"
        )
    prefix = model.get("continuing_subword_prefix")
    if prefix is not None and (not isinstance(prefix, str) or len(prefix) > _TEXT):
        raise ModelError(
            f"{where}: model: continuing_subword_prefix is {shown(prefix)}, expected a short text"
        )
    if isinstance(vocabulary, dict) and vocabulary:
        return _ids(vocabulary.values(), f"{where}: vocab")
    if isinstance(vocabulary, list) and vocabulary:  # Unigram: the position is the id
        if not all(isinstance(one, list) and len(one) == 2 and isinstance(one[0], str) for one in vocabulary):
            raise ModelError(f"{where}: vocab: expected pairs of a text and a number")
        if not all(type(score) in (int, float) and math.isfinite(score) for _, score in vocabulary):
            raise ModelError(f"{where}: vocab: a score that is no finite number")
        return len(vocabulary) - 1
    raise ModelError(f"{where}: can't be read: its model has no vocab")


def _added(tokens: Any, where: Path) -> int:
    if not isinstance(tokens, list) or len(tokens) > _ADDED_TOKENS:
        raise ModelError(f"{where}: added_tokens: expected a list of at most {_ADDED_TOKENS:,}")
    for token in tokens:
        content = token.get("content") if isinstance(token, dict) else None
        if not isinstance(content, str) or len(content) > _TEXT:
            raise ModelError(f"{where}: added_tokens: {shown(token)} has no content of at most {_TEXT:,}")
    return _ids([token.get("id") for token in tokens], f"{where}: added_tokens") if tokens else -1


def _ids(values: Any, place: str) -> int:
    if set(map(type, values)) != {int} or min(values) < 0 or max(values) > _LAST_ID:
        wrong = next(one for one in values if type(one) is not int or not 0 <= one <= _LAST_ID)
        raise ModelError(f"{place}: token id {shown(wrong)}, expected a whole number from 0 to {_LAST_ID:,}")
    highest: int = max(values)
    return highest


def _part(part: Any, place: str) -> int:
    """Check one stage of the tokenizer; give the highest id that it names."""
    growth, highest = 1, -1
    for key, value in _walk(part, place):
        if key == "ids" and isinstance(value, list) and value:
            highest = max(highest, _ids(value, place))
        if key in ("sep", "cls") and isinstance(value, list) and len(value) == 2:
            highest = max(highest, _ids(value[1:], place))
        if key in ("content", "prepend") and isinstance(value, str) and len(value) > 1:
            growth *= 1 + len(value)
        if key == "Regex" and isinstance(value, str):
            _pattern(value, place)
        if key == "length" and (type(value) is not int or value < 1):
            raise ModelError(f"{place}: length is {shown(value)}, expected 1 or more")
        if isinstance(value, str) and len(value) > _TEXT and key not in ("Regex", "precompiled_charsmap"):
            raise ModelError(f"{place}: {shown(key)} is a text of {len(value):,} characters")
    if growth > _GROWTH:
        raise ModelError(f"{place}: may make {growth:,} characters of one, at most {_GROWTH:,} are supported")
    return highest


def _pattern(pattern: str, place: str) -> None:
    repeats = 1
    for low, high in _COUNTED.findall(pattern):
        repeats *= max(
            1, *(int(digits) if len(digits) < 10 else 1 << 31 for digits in (low or "0", high or "0"))
        )
    if len(pattern) > _PATTERN or repeats > _REPEATS:
        raise ModelError(
            f"{place}: pattern {shown(pattern)} is too large: {len(pattern):,} characters (at most {_PATTERN:,})"
            f" and {repeats:,} repetitions (at most {_REPEATS:,})"
        )


def _walk(part: Any, place: str) -> Iterator[tuple[str, Any]]:
    """Give every key and value below a part, those of lists under the list's key."""
    waiting: list[tuple[str, Any]] = [("", part)]
    for count in range(_PART_VALUES + 1):
        if not waiting:
            return
        key, value = waiting.pop()
        yield key, value
        if isinstance(value, dict):
            waiting += value.items()
        elif isinstance(value, list):
            waiting += [(key, one) for one in value[: _PART_VALUES - count + 1]]
    raise ModelError(f"{place}: more than {_PART_VALUES:,} values")
