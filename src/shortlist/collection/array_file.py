"""Arrays in one file, written once, so that damage is noticed before it is believed.

The file is a safetensors file, which any tool of that format opens. Beyond the format we hold to this::

    block 0          the header, padded with blanks to 16 KiB
    blocks 1 ...     the arrays, one after the other
    checksums        uint32, one CRC-32 for every block of 16 KiB before it (the last may be shorter)
    seal             32 bytes, SHA-256 of the checksums: the identity of the whole file

So every byte is covered; a part of an array can be read and verified without the rest; and whoever knows a
file's seal notices that another one lies in its place. Files are read into memory, never mapped: a mapped
file that shrinks kills its process with SIGBUS, and nothing would check what comes through a mapping.

Source: the layout is that of https://github.com/huggingface/safetensors.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.directory import File, storage_errors
from shortlist.errors import CollectionDamagedError, CollectionFormatError
from shortlist.version import VERSION

__all__ = ["FORMAT", "REPAIR", "SEAL_BYTES", "ArrayFile", "ArrayFileWriter", "Section", "runs"]

FORMAT = 2
"""The version of everything that lies in a collection's folder; 1 had its documents in SQLite."""

BLOCK = 16_384
SEAL_BYTES = 32
REPAIR = "mend it from its documents: shortlist repair COLLECTION; or restore a backup"
_DTYPES = {
    "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I32": np.int32, "U32": np.uint32,
    "I64": np.int64, "U64": np.uint64,
}  # fmt: skip
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


class ArrayFileWriter:
    """Write a new file array by array; :meth:`finish` completes it and waits for the disk."""

    def __init__(self, file: File) -> None:
        self._file = file
        self._tensors: dict[str, dict[str, Any]] = {}
        self._checksums: list[int] = []
        self._pending = bytearray()
        self._end = BLOCK

    def add(self, name: str, dtype: Any, row_shape: tuple[int, ...], blocks: Iterable[NDArray[Any]]) -> int:
        """Write an array whose rows come in blocks; give how many rows came."""
        kind = np.dtype(dtype)
        start, rows = self._end, 0
        for block in blocks:
            if block.shape[1:] != row_shape:
                raise ValueError(f"{name}: rows of shape {block.shape[1:]}, expected {row_shape}")
            rows += len(block)
            self._write(np.ascontiguousarray(block, kind).reshape(-1).view(np.uint8).data)
        self._tensors[name] = {
            "dtype": _NAMES[kind],
            "shape": [rows, *row_shape],
            "data_offsets": [start - BLOCK, self._end - BLOCK],
        }
        return rows

    def add_array(self, name: str, array: NDArray[Any]) -> None:
        """Write an array that is in memory."""
        self.add(name, array.dtype, array.shape[1:], [array])

    def finish(self, about: Mapping[str, str]) -> bytes:
        """Write header, checksums and seal, wait for the disk, close; give the seal."""
        if self._pending:
            self._flush(len(self._pending))
        count, end = len(self._checksums) + 1, self._end - BLOCK
        self._tensors["checksums"] = {
            "dtype": "U32",
            "shape": [count],
            "data_offsets": [end, end + 4 * count],
        }
        self._tensors["seal"] = {
            "dtype": "U8",
            "shape": [SEAL_BYTES],
            "data_offsets": [end + 4 * count, end + 4 * count + SEAL_BYTES],
        }
        header = json.dumps({"__metadata__": {"format": str(FORMAT), **about}, **self._tensors}).encode()
        if len(header) > BLOCK - 8:
            raise ValueError(f"a header of {len(header)} bytes, {BLOCK - 8} fit")
        first = (BLOCK - 8).to_bytes(8, "little") + header.ljust(BLOCK - 8)
        checksums = np.array([zlib.crc32(first), *self._checksums], np.uint32).tobytes()
        seal = hashlib.sha256(checksums).digest()
        self._file.write(checksums + seal, self._end)
        self._file.write(first, 0)
        self._file.sync()
        self._file.close()
        return seal

    def _write(self, data: memoryview) -> None:
        """Write to the file in whole blocks, and note their checksums."""
        if self._pending:
            missing = BLOCK - len(self._pending)
            self._pending += data[:missing]
            self._end += len(data[:missing])
            data = data[missing:]
            if len(self._pending) == BLOCK:
                self._flush(BLOCK)
        whole = len(data) - len(data) % BLOCK
        for start in range(0, whole, BLOCK):
            self._checksums.append(zlib.crc32(data[start : start + BLOCK]))
        for start in range(0, whole, _AT_ONCE):
            self._file.write(data[start : min(whole, start + _AT_ONCE)], self._end + start)
        self._end += len(data)
        self._pending += data[whole:]

    def _flush(self, count: int) -> None:
        self._checksums.append(zlib.crc32(self._pending))
        self._file.write(self._pending, self._end - count)
        self._pending = bytearray()


_AT_ONCE = 64 * BLOCK


@dataclass(frozen=True, eq=False)
class Section:
    """Stand for an array in a file: slices are read, and verified, when they are asked for.

    There are ``section[10:20]``, ``np.asarray(section)``, ``len(section)``, ``shape`` and ``dtype``.
    """

    file: ArrayFile
    name: str
    dtype: np.dtype[Any]
    shape: tuple[int, ...]
    start: int

    def __len__(self) -> int:
        return self.shape[0]

    def __getitem__(self, rows: slice) -> NDArray[Any]:
        first, last, step = rows.indices(len(self))
        if step != 1:
            raise IndexError("a section gives neighbouring rows only")
        width = self.dtype.itemsize * prod(self.shape[1:])
        count = max(0, last - first)
        data = self.file.read(self.start + first * width, count * width, self.name)
        return data.view(self.dtype).reshape(count, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def gather(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[Any]:
        """Give the rows ``starts[i]:ends[i]`` of all ``i``, joined."""
        parts = [self[first:last] for first, last in runs(starts, ends)]
        if len(parts) == 1:
            return parts[0]
        return np.concatenate([np.empty((0, *self.shape[1:]), self.dtype), *parts])


def runs(starts: NDArray[np.int64], ends: NDArray[np.int64]) -> Iterator[tuple[int, int]]:
    """Join ranges of which one ends where the next begins."""
    if not len(starts):
        return iter(())
    breaks = np.flatnonzero(starts[1:] != ends[:-1])
    firsts = starts[np.concatenate([[0], breaks + 1])]
    lasts = ends[np.concatenate([breaks, [len(ends) - 1]])]
    return zip(firsts.tolist(), lasts.tolist(), strict=True)


class ArrayFile:
    """Read a file that :class:`ArrayFileWriter` wrote.

    Opening reads the header and the checksums, and compares the seal with ``seal``, if that is known.
    ``lenient`` believes every block that its own checksum confirms, if only the file is not another whole one;
    for repairs.

    Raises:
        CollectionDamagedError: the file is not as it was written, or is another file than expected.
        CollectionFormatError: a newer version of shortlist wrote it.
    """

    def __init__(self, file: File, seal: bytes | None = None, *, lenient: bool = False) -> None:
        self.path = file.path
        self._file = file
        self.size = file.size()
        blocks = -(-(self.size - SEAL_BYTES) // (BLOCK + 4))
        self._end = self.size - SEAL_BYTES - 4 * blocks
        if blocks < 1 or self._end <= (blocks - 1) * BLOCK or self._end < BLOCK:
            self._refuse_newer()
            raise self._damaged(f"{self.size} bytes are not what was written")
        tail = np.empty(self.size - self._end, np.uint8)
        if file.read(tail, self._end) != len(tail):
            raise self._damaged("shorter than it was")
        self._checksums: list[int] = tail[:-SEAL_BYTES].view(np.uint32).tolist()
        self.seal = tail[-SEAL_BYTES:].tobytes()
        if hashlib.sha256(tail[:-SEAL_BYTES].data).digest() != self.seal:
            if not lenient:
                self._refuse_newer()
                raise self._damaged("its checksums are not those it was written with")
        elif seal is not None and seal != self.seal:
            raise self._damaged("is not the file that was committed, but another one in its place")
        header = self.read(0, BLOCK, "header")  # a damaged one must not be taken for a newer one
        self._refuse_newer()
        try:
            self.about, self.sections = self._parse(header)
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
            raise self._damaged(f"its header: {error}") from error

    def read(self, start: int, count: int, name: str) -> NDArray[np.uint8]:
        """Read and verify bytes; ``name`` says in an error what they are."""
        if count == 0:
            return np.empty(0, np.uint8)
        first, last = start // BLOCK, (start + count - 1) // BLOCK
        begin, end = first * BLOCK, min((last + 1) * BLOCK, self._end)
        buffer = np.empty(end - begin, np.uint8)
        with storage_errors(self.path, "reading"):
            found = self._file.read(buffer, begin)
        if found != len(buffer):
            raise self._damaged("has become shorter", name)
        view = buffer.data
        for number in range(first, last + 1):
            at = number * BLOCK - begin
            if zlib.crc32(view[at : at + BLOCK]) != self._checksums[number]:
                raise self._damaged("its checksum is not the one it was written with", name)
        return buffer[start - begin : start - begin + count]

    def damaged_sections(self) -> list[str]:
        """Read everything and name the arrays that are not as they were written."""
        return [section.name for section in self.sections.values() if not self._is_sound(section)]

    def _is_sound(self, section: Section) -> bool:
        rows = max(1, _AT_ONCE // max(1, section.dtype.itemsize * prod(section.shape[1:])))
        try:
            for start in range(0, len(section), rows):
                _ = section[start : start + rows]
        except CollectionDamagedError:
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _parse(self, block: NDArray[np.uint8]) -> tuple[dict[str, str], dict[str, Section]]:
        """Read the header; its arrays must follow each other up to the end of the file."""
        content = block.tobytes()
        if int.from_bytes(content[:8], "little") != BLOCK - 8:
            raise ValueError("of another length")
        tensors = json.loads(content[8:])
        about = tensors.pop("__metadata__")
        sections, end = {}, BLOCK
        for name, tensor in tensors.items():
            dtype, shape = np.dtype(_DTYPES[tensor["dtype"]]), tuple(tensor["shape"])
            size = dtype.itemsize * prod(shape)
            if tensor["data_offsets"] != [end - BLOCK, end - BLOCK + size] or min(shape) < 0:
                raise ValueError(f"array {name} is not where it should be")
            sections[name] = Section(self, name, dtype, shape, end)
            end += size
        if end != self.size:
            raise ValueError("its arrays don't fill the file")
        del sections["checksums"], sections["seal"]
        return about, sections

    def _refuse_newer(self) -> None:
        """Raise if the header, believed or not, says that a newer version wrote the file."""
        content = bytearray(min(BLOCK, self.size))
        self._file.read(content, 0)
        try:
            about = json.loads(content[8:])["__metadata__"]
            newer, made_by = int(about["format"]) > FORMAT, str(about.get("made_by", "a newer version"))
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            return
        if newer:
            raise CollectionFormatError(
                f"{self.path}: format {about['format']}, written by shortlist {made_by}; "
                f"this version ({VERSION}) reads formats up to {FORMAT}",
                hint="upgrade shortlist: pip install --upgrade shortlist",
            )

    def _damaged(self, problem: str, name: str = "") -> CollectionDamagedError:
        what = f"{self.path}: {name}: {problem}" if name else f"{self.path}: {problem}"
        return CollectionDamagedError(what, hint=REPAIR)
