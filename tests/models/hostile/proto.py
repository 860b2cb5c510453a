"""Write ONNX graphs byte by byte: hostile ones can't be made with the onnx package, and it is no dependency."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

FLOAT, UINT8, INT8, INT64, STRING, FLOAT8 = 1, 2, 3, 7, 8, 17
_TYPES = {"float32": FLOAT, "uint8": UINT8, "int8": INT8, "int64": INT64}


def varint(value: int) -> bytes:
    value &= (1 << 64) - 1
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*out, value])


def field(number: int, value: int | str | bytes) -> bytes:
    if isinstance(value, int):
        return varint(number << 3) + varint(value)
    data = value.encode() if isinstance(value, str) else value
    return varint(number << 3 | 2) + varint(len(data)) + data


def tensor(name: str, array: NDArray[np.generic]) -> bytes:
    return raw_tensor(name, _TYPES[str(array.dtype)], array.shape, array.tobytes())


def raw_tensor(name: str, dtype: int, dims: Sequence[int], data: bytes | None = None) -> bytes:
    shape = b"".join(field(1, dim) for dim in dims)
    return shape + field(2, dtype) + field(8, name) + (b"" if data is None else field(9, data))


def external(name: str, dtype: int, dims: Sequence[int], location: str = "bound-at-load") -> bytes:
    entry = field(1, "location") + field(2, location)
    return raw_tensor(name, dtype, dims) + field(13, entry) + field(14, 1)


def attribute(name: str, *, i: int | None = None, t: bytes | None = None, g: bytes | None = None) -> bytes:
    kind, number, value = next(
        (kind, number, value)
        for kind, number, value in ((2, 3, i), (4, 5, t), (5, 6, g))
        if value is not None
    )
    return field(1, name) + field(number, value) + field(20, kind)


def node(operator: str, inputs: Sequence[str], output: str, *attributes: bytes, domain: str = "") -> bytes:
    found = b"".join(field(1, name) for name in inputs) + field(2, output) + field(4, operator)
    return found + b"".join(field(5, one) for one in attributes) + (field(7, domain) if domain else b"")


def value(name: str, dtype: int, *dims: int | str) -> bytes:
    shape = b"".join(field(1, field(1 if isinstance(dim, int) else 2, dim)) for dim in dims)
    return field(1, name) + field(2, field(1, field(1, dtype) + field(2, shape)))


def graph(
    nodes: Sequence[bytes],
    initialisers: Sequence[bytes] = (),
    inputs: Sequence[bytes] = (),
    outputs: Sequence[bytes] = (),
    *more: bytes,
) -> bytes:
    parts = ((1, nodes), (5, initialisers), (11, inputs), (12, outputs))
    found = b"".join(field(number, one) for number, several in parts for one in several)
    return field(2, "graph") + found + b"".join(more)


def model(body: bytes, *more: bytes, opsets: Sequence[str] = ("",)) -> bytes:
    imports = b"".join(
        field(8, (field(1, name) if name else b"") + field(2, 1 if name else 17)) for name in opsets
    )
    return field(1, 8) + field(7, body) + imports + b"".join(more)


IDS = value("input_ids", INT64, "B", "S")
VECTORS = value("last_hidden_state", FLOAT, "B", "S", 8)
TABLE = tensor("table", np.ones((50, 8), np.float32))
LOOK_UP = node("Gather", ["table", "input_ids"], "last_hidden_state")


def encoder(
    *nodes: bytes,
    initialisers: Sequence[bytes] = (),
    table: bytes = TABLE,
    more: Sequence[bytes] = (),
    in_graph: Sequence[bytes] = (),
    opsets: Sequence[str] = ("",),
) -> bytes:
    """Write a graph that looks ids up in a table of 50 words, with something more in it."""
    body = graph([LOOK_UP, *nodes], [table, *initialisers], [IDS], [VECTORS], *in_graph)
    return model(body, *more, opsets=opsets)


def branch(nodes: Sequence[bytes], initialisers: Sequence[bytes] = (), output: str = "inner") -> bytes:
    return graph(nodes, initialisers, (), [value(output, FLOAT, 1)])
