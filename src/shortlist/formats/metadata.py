"""Which metadata a record carries: flat names, and values that filters can compare."""

import math
from collections.abc import Collection, Mapping

from shortlist.errors import DataError
from shortlist.formats.strings import MAX_ID_BYTES, checked_string, kind_of, quoted
from shortlist.types import MetadataValue

__all__ = ["MAX_NESTING", "metadata_of"]

MAX_NESTING = 32


def metadata_of(record: Mapping[str, object], *, apart_from: Collection[str]) -> dict[str, MetadataValue]:
    """Collect what a record holds under ``metadata`` and under every key but those of ``apart_from``.

    Nested mappings flatten with dots, fields that are ``None`` are no fields.

    Raises:
        DataError: a value is of a type that filters can't compare, NaN, infinite or beyond 64 bits; a
            name is no text, empty, longer than 512 bytes, or stands twice once flat; mappings nest
            deeper than 32.

    >>> metadata_of({"metadata": {"author": {"name": "Ada"}}, "year": 1843}, apart_from=())
    {'author.name': 'Ada', 'year': 1843}
    """
    nested = record.get("metadata")
    if nested is not None and not isinstance(nested, Mapping):
        raise DataError(f"metadata is {kind_of(nested)}, expected a mapping of names to values")
    fields: dict[str, MetadataValue] = {}
    _flatten(nested or {}, fields)
    beside = {name: value for name, value in record.items() if name != "metadata" and name not in apart_from}
    _flatten(beside, fields)
    return fields


def _flatten(
    nested: Mapping[str, object], into: dict[str, MetadataValue], prefix: str = "", depth: int = 1
) -> None:
    if depth > MAX_NESTING:
        raise DataError(f"metadata nests deeper than {MAX_NESTING} mappings")
    for name, value in nested.items():
        if not checked_string(name, "a metadata name"):
            raise DataError(f"a metadata name is empty{f' in {quoted(prefix[:-1])}' if prefix else ''}")
        full_name = f"{prefix}{name}"
        if len(full_name.encode()) > MAX_ID_BYTES:
            raise DataError(f"metadata name {quoted(full_name)} is longer than {MAX_ID_BYTES} bytes")
        if value is None:
            continue
        if isinstance(value, Mapping):
            _flatten(value, into, f"{full_name}.", depth + 1)
        elif full_name in into:
            raise DataError(f"metadata {quoted(full_name)} stands twice")
        else:
            into[full_name] = _checked_value(value, f"metadata {quoted(full_name)}")


def _checked_value(value: object, name: str) -> MetadataValue:
    if isinstance(value, list | tuple):
        return [_checked_scalar(item, f"an item of {name}") for item in value]
    return _checked_scalar(value, name)


def _checked_scalar(value: object, name: str) -> str | int | float | bool:
    if isinstance(value, str):
        return checked_string(value, name)
    if isinstance(value, int):
        if not -(2**63) <= value < 2**63:
            raise DataError(f"{name} is an integer beyond 64 bits; write it as a string")
        return value
    if isinstance(value, float):
        if not math.isfinite(value):
            raise DataError(f"{name} is {value}, expected a finite number")
        return value
    raise DataError(f"{name} is {kind_of(value)}, expected a string, number or boolean, or a list of these")
