"""Arrays in one file, written once, so that damage is noticed before it is believed.

The file is a safetensors file, which any tool of that format opens. Beyond the format we hold to this::

    block 0          the header, padded with blanks to 16 KiB
    blocks 1 ...     the arrays, one after the other; some begin a block of their own, after padding
    header_copy      4 KiB: the header again, should the first block be damaged (if asked for)
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
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from math import prod
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.checksums import block_checksums, checksums
from shortlist.collection.directory import File, storage_errors
from shortlist.errors import CollectionDamagedError, CollectionFormatError, CollectionStorageError
from shortlist.version import VERSION

__all__ = [
    "BLOCK",
    "FORMAT",
    "REPAIR",
    "SEAL_BYTES",
    "ArrayFile",
    "ArrayFileWriter",
    "Section",
    "are_neighbours",
    "offsets_of",
    "rows_of",
    "runs",
]

FORMAT = 2
"""The version of everything that lies in a collection's folder; 1 had its documents in SQLite."""

BLOCK = 16_384
HEADER_COPY = 4096
SEAL_BYTES = 32
REPAIR = "mend it from its documents: shortlist repair COLLECTION; or restore a backup"
_DTYPES = {
    "U8": np.uint8, "I8": np.int8, "U16": np.uint16, "I32": np.int32, "U32": np.uint32,
    "I64": np.int64, "U64": np.uint64,
}  # fmt: skip
_UNREADABLE = (ValueError, KeyError, TypeError, AttributeError, RecursionError)
_NAMES = {np.dtype(dtype): name for name, dtype in _DTYPES.items()}


class ArrayFileWriter:
    """Write a new file array by array; :meth:`finish` completes it and waits for the disk."""

    def __init__(self, file: File, *, copy_header: bool = False) -> None:
        self._file = file
        self._copy_header = copy_header
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

    def read_back(self, name: str, first: int, last: int) -> NDArray[Any]:
        """Give rows ``first:last`` of an array that was written before.

        Raises:
            CollectionDamagedError: the file is not as it was written.
        """
        tensor = self._tensors[name]
        dtype, row_shape = np.dtype(_DTYPES[tensor["dtype"]]), tensor["shape"][1:]
        width = dtype.itemsize * prod(row_shape)
        begin = BLOCK + tensor["data_offsets"][0] + first * width
        end = begin + (last - first) * width
        flushed = self._end - len(self._pending)  # what follows is in memory still
        start, stop = begin // BLOCK, min(-(-end // BLOCK), flushed // BLOCK)
        whole = np.empty(max(0, stop - start) * BLOCK, np.uint8)
        if self._file.read(whole, start * BLOCK) != len(whole):
            raise CollectionDamagedError(f"{self._file.path}: has become shorter while it was written")
        if block_checksums(whole, BLOCK).tolist() != self._checksums[start - 1 : max(start, stop) - 1]:
            raise CollectionDamagedError(f"{self._file.path}: {name}: is not as it was written")
        rest = np.frombuffer(bytes(self._pending), np.uint8)[max(0, begin - flushed) : max(0, end - flushed)]
        found = np.concatenate([whole[begin - start * BLOCK :][: end - begin], rest])
        return found.view(dtype).reshape(-1, *row_shape)

    def begin_block(self) -> None:
        """Let the next array begin a block, so that damage to its neighbours doesn't reach it."""
        missing = -self._end % BLOCK
        if missing:
            self.add_array(f"padding_{self._end // BLOCK}", np.zeros(missing, np.uint8))

    def finish(self, about: Mapping[str, str]) -> bytes:
        """Write header, checksums and seal, wait for the disk, close; give the seal."""
        copied = HEADER_COPY if self._copy_header else 0
        count = -(-(self._end + copied) // BLOCK)
        end = self._end - BLOCK
        for name, dtype, rows, size in (
            ("header_copy", "U8", copied, copied),
            ("checksums", "U32", count, 4 * count),
            ("seal", "U8", SEAL_BYTES, SEAL_BYTES),
        ):
            if size:
                self._tensors[name] = {"dtype": dtype, "shape": [rows], "data_offsets": [end, end + size]}
            end += size
        metadata = {"format": str(FORMAT), **about}
        header = json.dumps({"__metadata__": metadata, **self._tensors}, ensure_ascii=False).encode()
        room = copied or BLOCK - 8
        if len(header) > room:
            raise ValueError(f"a header of {len(header)} bytes, {room} fit")
        if copied:
            self._write(memoryview(header.ljust(copied)))
        if self._pending:
            self._flush(len(self._pending))
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
_NOTHING = np.empty(0, np.uint8)


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

    def unverified(self, first: int = 0, last: int | None = None) -> NDArray[Any]:
        """Give rows ``first:last`` as they are, damaged or not."""
        width = self.dtype.itemsize * prod(self.shape[1:])
        count = (len(self) if last is None else last) - first
        data = self.file.read(self.start + first * width, count * width, self.name, verify=False)
        return data.view(self.dtype).reshape(count, *self.shape[1:])

    def __array__(self, dtype: Any = None, copy: bool | None = None) -> NDArray[Any]:
        return self[:] if dtype is None else self[:].astype(dtype)

    def gather(self, starts: NDArray[np.int64], ends: NDArray[np.int64]) -> NDArray[Any]:
        """Give the rows ``starts[i]:ends[i]`` of all ``i``, joined; no range begins before the last one ended.

        Every block is read, and verified, once, however many of the ranges it has part of.
        """
        return self._rows(self.file.gather(self._places(starts), self._places(ends), self.name))

    def gather_checked(
        self, starts: NDArray[np.int64], ends: NDArray[np.int64], checksums: NDArray[np.uint32]
    ) -> NDArray[Any]:
        """Give the rows ``starts[i]:ends[i]`` of all ``i``, joined, of which each has a checksum of its own.

        Nothing but these rows is read: of a few small rows that is less than the blocks they lie in. Any order will do.
        """
        begins, stops = self._places(starts), self._places(ends)
        return self._rows(self.file.gather_checked(begins, stops, checksums, self.name))

    def _places(self, rows: NDArray[np.int64]) -> NDArray[np.int64]:
        """Give where in the file rows begin."""
        return self.start + self.dtype.itemsize * prod(self.shape[1:]) * rows.astype(np.int64)

    def _rows(self, data: NDArray[np.uint8]) -> NDArray[Any]:
        return data.view(self.dtype).reshape(-1, *self.shape[1:])


def offsets_of(lengths: NDArray[Any]) -> NDArray[np.int64]:
    """Give where each of some neighbours begins, and where the last one ends."""
    result = np.zeros(len(lengths) + 1, np.int64)
    np.cumsum(lengths, out=result[1:])
    return result


def are_neighbours(rows: NDArray[np.int64]) -> bool:
    """Say whether ascending numbers leave none out."""
    return len(rows) > 0 and bool(rows[-1] - rows[0] + 1 == len(rows))


def rows_of(array: NDArray[Any], rows: NDArray[np.int64]) -> NDArray[Any]:
    """Give some rows of an array, without a copy if they lie beside each other."""
    return array[rows[0] : rows[-1] + 1] if are_neighbours(rows) else array[rows]


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
    ``lenient`` opens what is left of a damaged file, for repairs, if only it is not another whole one.

    Raises:
        CollectionDamagedError: the file is not as it was written, or is another file than expected.
        CollectionFormatError: a newer version of shortlist wrote it.
        CollectionStorageError: the system refuses to read it.
    """

    def __init__(self, file: File, seal: bytes | None = None, *, lenient: bool = False) -> None:
        self.path = file.path
        self._file = file
        self.size = file.size()
        self._checksums = np.empty(0, np.uint32)
        self._end, self.seal = self.size, b""
        try:
            with storage_errors(self.path, "reading"):
                self._read_checksums(seal)
                header = self._read(0, BLOCK, "header")  # a damaged one must not be taken for a newer one
                self._refuse_newer()
            self.about, self.sections = self._parse(header.tobytes()[8:])
        except (CollectionDamagedError, CollectionStorageError):
            if not lenient or (self.seal and self.seal != seal):
                raise
            self.about, self.sections = self._parse_leniently()

    def _read_checksums(self, seal: bytes | None) -> None:
        blocks = -(-(self.size - SEAL_BYTES) // (BLOCK + 4))
        end = self.size - SEAL_BYTES - 4 * blocks
        if blocks < 1 or end <= (blocks - 1) * BLOCK or end < BLOCK:
            self._refuse_newer()
            raise self._damaged(f"{self.size} bytes are not what was written")
        tail = np.empty(self.size - end, np.uint8)
        if self._file.read(tail, end) != len(tail):
            raise self._damaged("shorter than it was")
        self._checksums, self._end = tail[:-SEAL_BYTES].view(np.uint32).copy(), end
        if hashlib.sha256(tail[:-SEAL_BYTES].data).digest() != tail[-SEAL_BYTES:].tobytes():
            self._refuse_newer()
            raise self._damaged("its checksums are not those it was written with")
        self.seal = tail[-SEAL_BYTES:].tobytes()
        if seal is not None and seal != self.seal:
            raise self._damaged("is not the file that was committed, but another one in its place")

    def read(self, start: int, count: int, name: str, *, verify: bool = True) -> NDArray[np.uint8]:
        """Read and verify bytes; ``name`` says in an error what they are.

        Without ``verify`` the caller knows another way to tell whether they are as they were written.
        """
        with storage_errors(self.path, "reading"):
            return self._read(start, count, name, verify=verify)

    def _read(self, start: int, count: int, name: str, *, verify: bool = True) -> NDArray[np.uint8]:
        if count == 0:
            return _NOTHING
        if verify:
            first = start // BLOCK
            whole = self._blocks([(first, (start + count - 1) // BLOCK + 1)], name)
            found = whole[start - first * BLOCK :][:count]
        else:  # nothing beyond: a neighbour in the same block may be what can't be read
            found = np.empty(max(0, min(count, self.size - start)), np.uint8)
            self._fill(found, start, name)
        if len(found) < count:
            raise self._damaged("has become shorter", name)
        return found

    def gather(self, starts: NDArray[np.int64], ends: NDArray[np.int64], name: str) -> NDArray[np.uint8]:
        """Read and verify the bytes ``starts[i]:ends[i]`` of all ``i``, ascending, joined."""
        if (starts[1:] < ends[:-1]).any():
            raise ValueError("ranges must ascend")
        some = ends > starts
        ranges = np.array(list(runs(starts[some], ends[some])), np.int64).reshape(-1, 2)
        if not len(ranges):
            return _NOTHING
        begins, stops = ranges[:, 0] // BLOCK, (ranges[:, 1] - 1) // BLOCK + 1
        # A block that two of them have part of is read with the first.
        begins[1:] = np.maximum(begins[1:], stops[:-1])
        blocks = list(runs(begins, stops))
        with storage_errors(self.path, "reading"):
            whole = self._blocks(blocks, name)
            if self._end < ranges[-1, 1]:
                raise self._damaged("has become shorter", name)
        firsts, lasts = np.array(blocks).T
        shifts = BLOCK * (firsts - offsets_of(lasts - firsts)[:-1])  # from the buffer to the file
        ranges -= shifts[np.searchsorted(firsts, ranges[:, 0] // BLOCK, side="right") - 1][:, None]
        parts = [whole[start:end] for start, end in ranges.tolist()]
        return parts[0] if len(parts) == 1 else np.concatenate(parts)

    def gather_checked(
        self,
        starts: NDArray[np.int64],
        ends: NDArray[np.int64],
        expected: NDArray[np.uint32],
        name: str,
    ) -> NDArray[np.uint8]:
        """Read the bytes ``starts[i]:ends[i]`` of all ``i``, joined, and verify each by its checksum."""
        offsets = offsets_of(ends - starts)
        buffer = np.empty(int(offsets[-1]), np.uint8)
        at = 0
        with storage_errors(self.path, "reading"):
            for start, end in runs(starts, ends):
                self._fill(buffer[at : at + end - start], start, name)
                at += end - start
            if not np.array_equal(checksums(buffer, offsets), expected):
                raise self._damaged("its checksum is not the one it was written with", name)
        return buffer

    def _blocks(self, ranges: Sequence[tuple[int, int]], name: str) -> NDArray[np.uint8]:
        """Read and verify the blocks from each first to before each last, joined; the file's last may be shorter."""
        spans = [(first * BLOCK, min(last * BLOCK, self._end)) for first, last in ranges]
        buffer = np.empty(sum(max(0, end - begin) for begin, end in spans), np.uint8)
        at = 0
        for begin, end in spans:
            self._fill(buffer[at : at + end - begin], begin, name)
            at += end - begin
        expected = b"".join(self._checksums[first:last].tobytes() for first, last in ranges)
        if block_checksums(buffer, BLOCK).tobytes() != expected:
            raise self._damaged("its checksum is not the one it was written with", name)
        return buffer

    def _fill(self, buffer: NDArray[np.uint8], start: int, name: str) -> None:
        if self._file.read(buffer, start) != len(buffer):
            raise self._damaged("has become shorter", name)

    def damaged_sections(self) -> list[str]:
        """Read everything and name the arrays that are not as they were written."""
        return [section.name for section in self.sections.values() if not self._is_sound(section)]

    def _is_sound(self, section: Section) -> bool:
        rows = max(1, _AT_ONCE // max(1, section.dtype.itemsize * prod(section.shape[1:])))
        try:
            for start in range(0, len(section), rows):
                _ = section[start : start + rows]
        except (CollectionDamagedError, CollectionStorageError):  # the disk may refuse to read a block
            return False
        return True

    def close(self) -> None:
        """Close the file."""
        self._file.close()

    def _parse_leniently(self) -> tuple[dict[str, str], dict[str, Section]]:
        """Read the header, or the copy of it, as well as can be; what they lead to will be verified."""
        first, copy = (8, BLOCK - 8), (max(0, self._end - HEADER_COPY), HEADER_COPY)
        for (start, count), verify in ((first, True), (copy, False), (first, False)):
            with suppress(CollectionDamagedError, CollectionStorageError):
                header = self.read(start, count, "header", verify=verify)
                return self._parse(header.tobytes(), whole=False)
        raise self._damaged("neither its header nor the copy of it can be read")

    def _parse(self, header: bytes, *, whole: bool = True) -> tuple[dict[str, str], dict[str, Section]]:
        """Read the header; its arrays must follow each other, up to the end of the file if that is ``whole``."""
        try:
            tensors = json.loads(header)
            about = tensors.pop("__metadata__")
            sections, end = {}, BLOCK
            for name, tensor in tensors.items():
                dtype, shape = np.dtype(_DTYPES[tensor["dtype"]]), tuple(tensor["shape"])
                size = dtype.itemsize * prod(shape)
                if tensor["data_offsets"] != [end - BLOCK, end - BLOCK + size] or min(shape) < 0:
                    raise ValueError(f"array {name} is not where it should be")
                sections[name] = Section(self, name, dtype, shape, end)
                end += size
            if whole and end != self.size:
                raise ValueError("its arrays don't fill the file")
            del sections["checksums"], sections["seal"]
        except _UNREADABLE as error:
            raise self._damaged(f"its header: {error}") from error
        return about, sections

    def _refuse_newer(self) -> None:
        """Raise if the header, believed or not, says that a newer version wrote the file."""
        content = bytearray(min(BLOCK, self.size))
        self._file.read(content, 0)
        try:
            about = json.loads(content[8:])["__metadata__"]
            newer, made_by = int(about["format"]) > FORMAT, str(about.get("made_by", "a newer version"))
        except _UNREADABLE:
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
