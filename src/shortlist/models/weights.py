"""What is in a weights file? Its header is checked against the file's size before anything is allocated."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ModelError
from shortlist.models.safety import WEIGHTS_BYTES, ModelFolder, parse_json, read_exactly, shown

__all__ = ["Form", "bind_weights", "read_bytes", "read_weights"]

Form = Literal["groups", "columns", "floats"]
"""How a graph wants its matrices: int8 with a scale for each group of a row (``NAME.q8`` and ``NAME.scale``), in seven
bits with one for each output (``NAME.i7`` and ``NAME.step``), or as float32 (``NAME``)."""

_HEADER_BYTES = 10 << 20
_TENSORS = 100_000
_SEVEN_BITS = 63
_DIMENSIONS = 8
_TYPES: dict[str, np.dtype[Any]] = {
    "F32": np.dtype("<f4"),
    "F16": np.dtype("<f2"),
    "I8": np.dtype("i1"),
}  # what bind_weights knows
_FIELDS = {"dtype", "shape", "data_offsets"}


@dataclass(frozen=True)
class _Span:
    """Say where a tensor's bytes lie, counted from the end of the header."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    first: int
    last: int


def read_bytes(folder: ModelFolder, name: str) -> bytearray:
    """Read a weights file, its data after its header.

    Raises:
        ModelError: the file can't be read, or its header says another thing than the file's size.
    """
    where = folder.path / name
    with folder.open(name, WEIGHTS_BYTES) as file:
        size_bytes = file.seek(0, 2)
        file.seek(0)
        start = read_exactly(file, min(8, size_bytes), where)
        start += read_exactly(file, _header_size(start, size_bytes, where), where)
        _check_header(start, size_bytes, where)
        data = bytearray(size_bytes)
        file.seek(0)
        if file.readinto(data) != size_bytes:
            raise ModelError(f"{where}: can't be read: it became shorter meanwhile")
    return data


def _check_header(start: bytes | bytearray, size_bytes: int, where: Path) -> list[_Span]:
    """Check a safetensors header, ``start`` being the file's first bytes, the header whole among them.

    Every byte of the file belongs to exactly one tensor, so nothing that is allocated by the header's word
    is larger than the file.

    Raises:
        ModelError: the header is malformed, or says another thing than the file's size.
    """
    header_bytes = _header_size(start, size_bytes, where)
    tensors = parse_json(start[8 : 8 + header_bytes], where)
    if not isinstance(tensors, dict) or len(tensors) > _TENSORS:
        raise ModelError(f"{where}: can't be read: its header is no object of at most {_TENSORS:,} tensors")
    metadata = tensors.pop("__metadata__", {})
    if not isinstance(metadata, dict) or not all(isinstance(value, str) for value in metadata.values()):
        raise ModelError(f"{where}: can't be read: __metadata__ is no object of texts")
    spans = sorted(
        (_span(name, said, where) for name, said in tensors.items()), key=lambda span: (span.first, span.last)
    )
    end = 0
    for span in spans:
        if span.first != end:
            raise ModelError(f"{where}: tensor {shown(span.name)} begins at {span.first}, expected at {end}")
        end = span.last
    if 8 + header_bytes + end != size_bytes:
        raise ModelError(f"{where}: {size_bytes:,} bytes, its header speaks of {8 + header_bytes + end:,}")
    return spans


def _header_size(start: bytes | bytearray, size_bytes: int, where: Path) -> int:
    """Give the size of the header from the first eight bytes of a safetensors file.

    Raises:
        ModelError: it is too large, or larger than the file.
    """
    size = int.from_bytes(start[:8], "little")
    if len(start) < 8 or not 2 <= size <= min(_HEADER_BYTES, size_bytes - 8):
        raise ModelError(f"{where}: can't be read: a header of {size:,} bytes in a file of {size_bytes:,}")
    return size


def _span(name: str, said: Any, where: Path) -> _Span:
    place = f"{where}: tensor {shown(name)}"
    if not isinstance(said, dict) or said.keys() != _FIELDS:
        raise ModelError(f"{place}: expected dtype, shape and data_offsets, found {shown(said)}")
    dtype, shape, offsets = said["dtype"], said["shape"], said["data_offsets"]
    if not isinstance(dtype, str) or dtype not in _TYPES:
        raise ModelError(f"{place}: dtype {shown(dtype)} is not supported, supported are F32, F16 and I8")
    if not _naturals(shape) or len(shape) > _DIMENSIONS:
        raise ModelError(f"{place}: shape {shown(shape)} is no list of at most {_DIMENSIONS} whole numbers")
    if not _naturals(offsets) or len(offsets) != 2:
        raise ModelError(f"{place}: data_offsets {shown(offsets)} are no two whole numbers")
    if offsets[1] - offsets[0] != math.prod(shape) * _TYPES[dtype].itemsize:
        raise ModelError(f"{place}: {dtype} of shape {shown(shape)} doesn't take bytes {shown(offsets)}")
    return _Span(name, dtype, tuple(shape), *offsets)


def _naturals(value: Any) -> bool:
    return isinstance(value, list) and all(type(one) is int and 0 <= one < 1 << 48 for one in value)


def read_weights(data: bytearray, where: Path) -> dict[str, NDArray[Any]]:
    """Give all tensors of a file; they are views of its bytes where these are aligned.

    safetensors' own reader would copy them, which is a tenth of the time that a model takes to load, and
    would read the header a second time, perhaps not as it was checked.

    Raises:
        ModelError: the header is not as it should be, or a number is NaN or infinite.
    """
    begin = 8 + _header_size(data, len(data), where)
    stored = {}
    for span in _check_header(data, len(data), where):
        dtype = _TYPES[span.dtype]
        value = np.frombuffer(data, dtype, math.prod(span.shape), begin + span.first).reshape(span.shape)
        if dtype.kind == "f" and not np.isfinite(value).all():
            raise ModelError(f"{where}: tensor {shown(span.name)} holds NaN or an infinite number")
        stored[span.name] = value if value.flags.aligned else value.copy()
    return stored


def bind_weights(
    stored: Mapping[str, NDArray[Any]], where: Path, *, group: int, form: Form
) -> dict[str, NDArray[Any]]:
    """Shape the tensors of a weights file for a graph; takes them over and may change them.

    Matrices are stored as ``NAME.i8 [rows, columns]`` with ``NAME.scale [rows, columns / group]``. As ``groups`` they
    stay as they are (ONNX counts from 128 upwards where we count from 0), as ``floats`` they are their float32
    expansion, as ``columns`` that is rounded again, ``[columns, rows]`` with a scale for each row of before: to seven
    bits, with which no processor's products overflow, so that all give the same. Embedding tables stay int8 in all: a
    lookup expands only its rows.

    Raises:
        ModelError: a matrix has no scales, or shapes that don't fit each other.
    """
    bound: dict[str, NDArray[Any]] = {}

    def bind(name: str, value: NDArray[Any]) -> None:
        if name in bound:
            raise ModelError(f"{where}: tensor {shown(name)} is there twice")
        bound[name] = value

    for name, value in stored.items():
        base, kind = name.rsplit(".", 1) if "." in name else (name, "")
        if kind == "scale":
            if f"{base}.i8" not in stored:
                raise ModelError(f"{where}: tensor {shown(name)} has no {shown(f'{base}.i8')} beside it")
            continue
        if kind != "i8":
            if value.dtype != np.float32:
                raise ModelError(f"{where}: tensor {shown(name)} is {value.dtype}, expected float32")
            bind(name, value)
            continue
        scale = stored.get(f"{base}.scale")
        if scale is None or scale.dtype.kind != "f":
            raise ModelError(f"{where}: tensor {shown(name)} has no scales {shown(f'{base}.scale')}")
        if value.dtype != np.int8 or value.ndim != 2 or not value.size or value.shape[1] % group:
            shape = f"{value.dtype} {list(value.shape)}"
            raise ModelError(
                f"{where}: tensor {shown(name)} is {shape}, expected int8 rows of groups of {group}"
            )
        if scale.shape != (len(value), value.shape[1] // group):
            expected = [len(value), value.shape[1] // group]
            raise ModelError(f"{where}: scales of {shown(name)} are {list(scale.shape)}, expected {expected}")
        scale = scale.astype(np.float32)
        grouped = value.reshape(len(value), -1, group)
        if base.startswith("embeddings."):
            bind(name, grouped)
            bind(f"{base}.scale", scale[..., None])
        elif form == "groups":
            steps = grouped.view(np.uint8)
            bind(f"{base}.q8", np.bitwise_xor(steps, np.uint8(0x80), out=steps))
            bind(f"{base}.scale", scale)
        else:
            with np.errstate(over="ignore"):
                floats = (grouped * scale[..., None]).reshape(value.shape)
            if not np.isfinite(floats).all():
                raise ModelError(f"{where}: tensor {shown(name)} times its scales is infinite")
            if form == "floats":
                bind(base, floats)
                continue
            step = np.maximum(np.abs(floats).max(axis=1) / _SEVEN_BITS, np.float32(1e-12))
            floats /= step[:, None]
            bind(f"{base}.i7", np.ascontiguousarray(np.rint(floats).astype(np.int8).T))
            bind(f"{base}.step", step)
    return bound
