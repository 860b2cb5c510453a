"""How does a comparison go to another program and come back? JSON with every value, and the way back."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Mapping, Sequence
from dataclasses import fields, is_dataclass
from typing import Any

from shortlist.errors import DataError
from shortlist.evaluation.results import Comparison

__all__ = ["from_json", "to_json"]

FORMAT = "shortlist comparison"
VERSION = 1


def to_json(comparison: Comparison) -> str:
    """Write all of a comparison as one line of ASCII; the keys are the names of the fields.

    Raises:
        DataError: a number isn't finite; JSON has no word for it.
    """
    record = {"format": FORMAT, "format_version": VERSION, **_record(comparison)}
    try:
        return json.dumps(record, allow_nan=False) + "\n"
    except ValueError as error:
        raise DataError(f"the comparison can't be written as JSON: {error}") from error


def from_json(text: str) -> Comparison:
    """Read what :func:`to_json` wrote; sequences come back as tuples, mappings as dicts.

    Raises:
        DataError: it is something else; the message says where.
    """
    try:
        record = json.loads(text)
    except ValueError as error:
        raise DataError(f"the comparison is no JSON: {error}") from error
    found = record.get("format") if isinstance(record, dict) else None
    if found != FORMAT or record.get("format_version") != VERSION:
        raise DataError(
            f"this is no comparison of format {VERSION}", hint="write one with shortlist compare --json"
        )
    del record["format"], record["format_version"]
    return typing.cast(Comparison, _value(record, Comparison, "comparison"))


def _record(value: Any) -> Any:
    if is_dataclass(value):
        return {field.name: _record(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {key: _record(inner) for key, inner in value.items()}
    if isinstance(value, Sequence) and not isinstance(value, str):
        return [_record(inner) for inner in value]
    return value


def _value(found: Any, kind: Any, place: str) -> Any:
    """Turn JSON's ``found`` into ``kind``, a type as it stands beside a field."""
    origin, inner = typing.get_origin(kind), typing.get_args(kind)
    if isinstance(kind, type) and is_dataclass(kind):
        return _instance(found, kind, place)
    if origin is types.UnionType:
        return None if found is None else _value(found, inner[0], place)
    if origin is Mapping:
        _check(found, dict, place)
        return {key: _value(value, inner[1], f"{place}.{key}") for key, value in found.items()}
    if origin in (Sequence, tuple):
        _check(found, list, place)
        if origin is tuple and inner[-1] is not Ellipsis:
            if len(found) != len(inner):
                raise DataError(f"{place}: {len(found)} values, {len(inner)} expected")
            kinds = inner
        else:
            kinds = (inner[0],) * len(found)
        pairs = enumerate(zip(found, kinds, strict=True))
        return tuple(_value(value, kind, f"{place}[{index}]") for index, (value, kind) in pairs)
    _check(found, (int, float) if kind is float else kind, place)
    return found


def _instance(found: Any, kind: Any, place: str) -> Any:
    _check(found, dict, place)
    hints = typing.get_type_hints(kind)
    names = [field.name for field in fields(kind)]
    if set(found) != set(names):
        wrong = ", ".join(sorted(set(found) ^ set(names)))
        raise DataError(f"{place}: fields that are missing or too many: {wrong}")
    return kind(**{name: _value(found[name], hints[name], f"{place}.{name}") for name in names})


def _check(found: Any, kind: Any, place: str) -> None:
    if not isinstance(found, kind) or isinstance(found, bool):
        raise DataError(f"{place}: {found!r:.60} has another type than expected")
