"""Which documents have a value in a metadata field: an inverted index whose terms are fields with values.

A key's bytes sort as its values do (numbers by size, whole or not, then text by its UTF-8), so everything a
filter can ask for is one stretch of neighbouring keys::

    length of the field, 4 bytes | field | "n" | the number: 10 bytes, see `_number`
                                         | "t" | the text
"""

from __future__ import annotations

import math
import struct
from collections.abc import Iterator, Mapping

from shortlist.types import MetadataValue

__all__ = ["keys_of", "stretch"]

Value = str | int | float


def keys_of(metadata: Mapping[str, MetadataValue]) -> list[bytes]:
    """Give the keys of a document's fields, one a value, each once."""
    return sorted({_key(field, value) for field, value in _values(metadata)})


def stretch(field: str, relation: str = "exists", value: Value = "") -> tuple[bytes, bytes]:
    """Give the first key, and the one after the last, of what stands in a relation to a value.

    ``relation`` is ``exists`` or one of ``= < <= > >=``, which hold between numbers or between texts.
    """
    if relation == "exists":
        return _field(field), _field(field) + b"\xff"
    if value != value:  # NaN stands in no relation to anything
        return b"", b""
    kind, key = _field(field) + _kind(value), _key(field, value)
    after = key + b"\0"
    end = kind[:-1] + bytes([kind[-1] + 1])
    match relation:
        case "=":
            return key, after
        case "<":
            return kind, key
        case "<=":
            return kind, after
        case ">":
            return after, end
        case _:
            return key, end


def _values(metadata: Mapping[str, MetadataValue]) -> Iterator[tuple[str, Value]]:
    for field, value in metadata.items():
        for one in value if isinstance(value, list) else [value]:
            yield field, int(one) if isinstance(one, bool) else one


def _key(field: str, value: Value) -> bytes:
    return _field(field) + _kind(value) + (value.encode() if isinstance(value, str) else _number(value))


def _field(field: str) -> bytes:
    name = field.encode()
    return len(name).to_bytes(4, "big") + name


def _kind(value: Value) -> bytes:
    return b"t" if isinstance(value, str) else b"n"


def _number(value: int | float) -> bytes:
    """Write a number so that its bytes sort as numbers do: the float below or at it, and what is missing.

    A float's bits sort as numbers once the sign is turned; whole numbers beyond 2**53 that no float can tell
    apart differ in the last two bytes.
    """
    nearest, missing = float(value) + 0.0, 0  # -0.0 is 0.0
    if isinstance(value, int):
        if int(nearest) > value:
            nearest = math.nextafter(nearest, -math.inf)
        missing = value - int(nearest)
    (bits,) = struct.unpack(">Q", struct.pack(">d", nearest))
    ordered = bits ^ (0xFFFF_FFFF_FFFF_FFFF if bits >> 63 else 1 << 63)
    return struct.pack(">QH", ordered, missing)
