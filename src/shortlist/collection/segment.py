"""What one commit adds beside the documents, in one folder of immutable files.

::

    rows.npy        int64 [documents]       document rows in the database, ascending
    lengths.npy     int32 [documents]       terms of each document
    digests.npy     uint64 [documents]      of each document's row in the database, for `check`
    terms.npy ...                           the inverted index, see postings.py
    passages.npy    int32 [passages, 3]     document within the segment, start, end of its span in the text
    dense.npy       int8 [passages, H]      one vector a passage
    tokens.npy      int8 [tokens, D]        one vector a token       (if the collection has the token view)
    token_offsets.npy int64 [passages + 1]  where each passage's tokens begin
    manifest.json                           size and checksum of each of the above

Plain ``.npy`` files, mapped when read, never written again.
"""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field, fields
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.postings import Postings
from shortlist.errors import CollectionDamagedError

__all__ = ["Segment", "SegmentData", "document_digest", "merge_segments", "segment_folder", "write_segment"]

MANIFEST = "manifest.json"
_POSTINGS = tuple(one.name for one in fields(Postings))


@dataclass(frozen=True, eq=False)
class SegmentData:
    """Hold the arrays of a segment that is about to be written; see the module for shapes.

    ``dense`` and ``tokens`` may be iterables of blocks instead of one array, for what does not fit into
    memory; then ``passages`` and ``token_offsets`` say how many rows will come. The writer adds ``digests``.
    """

    rows: NDArray[np.int64]
    lengths: NDArray[np.int32]
    postings: Postings
    passages: NDArray[np.int32]
    dense: NDArray[np.int8] | Iterable[NDArray[np.int8]]
    dimensions: int
    tokens: NDArray[np.int8] | Iterable[NDArray[np.int8]] | None
    token_offsets: NDArray[np.int64] | None
    token_dimensions: int
    digests: NDArray[np.uint64] = field(default_factory=lambda: np.empty(0, np.uint64))


class Segment:
    """Read a segment's files; arrays are mapped when first asked for.

    Raises:
        CollectionDamagedError: a file is missing, or has another size than when it was written.
    """

    def __init__(self, folder: Path, checksum: str) -> None:
        self.folder = folder
        self._manifest = _read_manifest(folder, checksum)
        for name, (size, _) in self._manifest.items():
            try:
                found = (folder / name).stat().st_size
            except OSError as error:
                raise CollectionDamagedError(f"{folder / name}: {error.strerror}", hint=_REBUILD) from error
            if found != size:
                raise CollectionDamagedError(f"{folder / name}: {found} bytes, {size} written", hint=_REBUILD)

    def _map(self, name: str) -> NDArray[Any]:
        path = self.folder / f"{name}.npy"
        try:
            return np.load(path, mmap_mode="r", allow_pickle=False)  # type: ignore[no-any-return]
        except Exception as error:  # a damaged header makes numpy raise anything that Python's parser can
            raise CollectionDamagedError(f"{path}: can't be read: {error}", hint=_REBUILD) from error

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The database row of every document, ascending."""
        return np.asarray(self._map("rows"))

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """The number of terms of every document."""
        return np.asarray(self._map("lengths"))

    @cached_property
    def digests(self) -> NDArray[np.uint64]:
        """What :func:`document_digest` gave for every document."""
        return np.asarray(self._map("digests"))

    @cached_property
    def postings(self) -> Postings:
        """The inverted index."""
        return Postings(*(np.asarray(self._map(name)) for name in _POSTINGS))

    @cached_property
    def passages(self) -> NDArray[np.int32]:
        """Document, start and end of every passage, ``[passages, 3]``."""
        return np.asarray(self._map("passages"))

    @cached_property
    def first_passages(self) -> NDArray[np.int64]:
        """Where each document's passages begin, ``[documents + 1]``; every document has at least one."""
        documents = np.arange(len(self.rows) + 1)
        return np.searchsorted(self.passages[:, 0], documents).astype(np.int64)

    @cached_property
    def dense(self) -> NDArray[np.int8]:
        """One vector a passage."""
        return np.asarray(self._map("dense"))

    @cached_property
    def tokens(self) -> NDArray[np.int8]:
        """One vector a token of every passage."""
        return np.asarray(self._map("tokens"))

    @cached_property
    def token_offsets(self) -> NDArray[np.int64]:
        """Where each passage's tokens begin, ``[passages + 1]``."""
        return np.asarray(self._map("token_offsets"))

    @property
    def has_tokens(self) -> bool:
        """Whether the token view was stored."""
        return "tokens.npy" in self._manifest

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of every file, by name."""
        return {name: size for name, (size, _) in self._manifest.items()}

    def damaged_files(self) -> Iterator[str]:
        """Read every file whole and yield the names of those that are not as they were written."""
        for name, (_, checksum) in self._manifest.items():
            with (self.folder / name).open("rb") as file:
                if hashlib.file_digest(file, "sha256").hexdigest() != checksum:
                    yield name


_REBUILD = "restore the collection from a backup, or index the documents again"


def document_digest(doc_id: str, title: str, text: str, metadata: str) -> int:
    """Give 64 bits that stand for what the database holds of a document."""
    content = "\0".join((doc_id, title, text, metadata)).encode()  # none of them holds a NUL
    return int.from_bytes(hashlib.blake2b(content, digest_size=8).digest())


def segment_folder(segments: Path, number: int) -> Path:
    """Name the folder of the segment that generation ``number`` wrote."""
    return segments / f"{number:08d}"


def write_segment(folder: Path, data: SegmentData) -> str:
    """Write a segment, wait until it is on the disk, and give the checksum of its manifest."""
    folder.mkdir()
    manifest: dict[str, tuple[int, str]] = {}
    arrays: dict[str, NDArray[Any]] = {
        "rows": data.rows,
        "lengths": data.lengths,
        "digests": data.digests,
        "passages": data.passages,
        **{name: getattr(data.postings, name) for name in _POSTINGS},
    }
    for name, array in arrays.items():
        manifest[f"{name}.npy"] = _write_array(folder / f"{name}.npy", [array], array.dtype, array.shape)
    count = len(data.passages)
    manifest["dense.npy"] = _write_array(
        folder / "dense.npy", _blocks(data.dense), np.dtype(np.int8), (count, data.dimensions)
    )
    if data.tokens is not None and data.token_offsets is not None:
        offsets = data.token_offsets
        shape = (int(offsets[-1]), data.token_dimensions)
        manifest["token_offsets.npy"] = _write_array(
            folder / "token_offsets.npy", [offsets], offsets.dtype, offsets.shape
        )
        manifest["tokens.npy"] = _write_array(
            folder / "tokens.npy", _blocks(data.tokens), np.dtype(np.int8), shape
        )
    text = json.dumps(manifest, indent=1).encode()
    _write(folder / MANIFEST, lambda write: write(text))
    sync_folder(folder)
    sync_folder(folder.parent)
    return hashlib.sha256(text).hexdigest()


def sync_folder(folder: Path) -> None:
    """Wait until the names in ``folder`` are on the disk."""
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def merge_segments(parts: list[Segment], live: list[NDArray[np.bool_]]) -> SegmentData:
    """Join segments into one without their dead documents; vectors are copied block by block.

    ``live[p][d]`` says whether document ``d`` of part ``p`` stays. Row numbers stay what they are.
    """
    counts = np.cumsum([0, *(int(mask.sum()) for mask in live)])
    renumber = [
        np.where(mask, np.cumsum(mask) - 1 + start, -1).astype(np.int64)
        for mask, start in zip(live, counts, strict=False)
    ]
    passages, kept_passages = [], []
    for part, numbers in zip(parts, renumber, strict=True):
        moved = numbers[part.passages[:, 0]]
        kept_passages.append(moved >= 0)
        passages.append(np.column_stack([moved, part.passages[:, 1:]])[moved >= 0])
    with_tokens = all(part.has_tokens for part in parts)
    token_lengths = [
        np.diff(part.token_offsets)[kept]
        for part, kept in zip(parts, kept_passages, strict=True)
        if with_tokens
    ]
    return SegmentData(
        rows=np.concatenate([part.rows[mask] for part, mask in zip(parts, live, strict=True)]),
        lengths=np.concatenate([part.lengths[mask] for part, mask in zip(parts, live, strict=True)]),
        digests=np.concatenate([part.digests[mask] for part, mask in zip(parts, live, strict=True)]),
        postings=Postings.merge([part.postings for part in parts], renumber),
        passages=np.concatenate(passages).astype(np.int32),
        dense=(part.dense[kept] for part, kept in zip(parts, kept_passages, strict=True)),
        dimensions=parts[0].dense.shape[1],
        tokens=_live_tokens(parts, kept_passages) if with_tokens else None,
        token_offsets=np.concatenate([[0], np.cumsum(np.concatenate(token_lengths))])
        if with_tokens
        else None,
        token_dimensions=parts[0].tokens.shape[1] if with_tokens else 0,
    )


def _live_tokens(parts: list[Segment], kept_passages: list[NDArray[np.bool_]]) -> Iterator[NDArray[np.int8]]:
    for part, kept in zip(parts, kept_passages, strict=True):
        for passage in np.flatnonzero(kept):
            yield part.tokens[part.token_offsets[passage] : part.token_offsets[passage + 1]]


def _blocks(array: NDArray[Any] | Iterable[NDArray[Any]]) -> Iterable[NDArray[Any]]:
    return [array] if isinstance(array, np.ndarray) else array


def _write_array(
    path: Path, blocks: Iterable[NDArray[Any]], dtype: np.dtype[Any], shape: tuple[int, ...]
) -> tuple[int, str]:
    """Write blocks of rows as one ``.npy`` file; give its size and checksum."""

    def save(write: Callable[[Any], object]) -> None:
        header = {"descr": np.lib.format.dtype_to_descr(dtype), "fortran_order": False, "shape": shape}
        np.lib.format.write_array_header_2_0(_Sink(write), header)
        for block in blocks:
            write(np.ascontiguousarray(block, dtype).data)

    return _write(path, save)


class _Sink:
    """Offer ``write`` to numpy's header writer."""

    def __init__(self, write: Callable[[Any], object]) -> None:
        self.write = write


def _write(path: Path, save: Callable[[Callable[[Any], object]], object]) -> tuple[int, str]:
    digest = hashlib.sha256()
    with path.open("xb") as file:

        def write(data: Any) -> None:
            digest.update(data)
            file.write(data)

        save(write)
        file.flush()
        os.fsync(file.fileno())
        return file.tell(), digest.hexdigest()


def _read_manifest(folder: Path, checksum: str) -> dict[str, tuple[int, str]]:
    path = folder / MANIFEST
    try:
        text = path.read_bytes()
    except OSError as error:
        raise CollectionDamagedError(f"{path}: {error.strerror}", hint=_REBUILD) from error
    if hashlib.sha256(text).hexdigest() != checksum:
        raise CollectionDamagedError(f"{path}: is not the one that was committed", hint=_REBUILD)
    return {name: (size, digest) for name, (size, digest) in json.loads(text).items()}
