"""What one commit adds: documents with everything derived from them, in one file that is never changed.

::

    tokens             int8 [tokens, D]        one vector a token       (if the collection has the token view)
    token_offsets      int64 [passages + 1]    where each passage's tokens begin
    dense              int8 [passages, H]      one vector a passage
    passages           int32 [passages, 3]     document within the segment, start, end of its span in the text
    documents          bytes                   title, text and metadata of each, a JSON array
    document_offsets   int64 [documents + 1]   where each begins
    ids                bytes                   of each document, UTF-8
    id_offsets         int64 [documents + 1]   where each begins
    id_hashes          uint64 [documents]      of the ids, ascending
    id_order           int32 [documents]       the documents that they belong to
    lengths            int32 [documents]       terms of each document
    words_*            the inverted index of the terms: see `postings`
    metadata_*         the inverted index of the metadata: see `metadata`

``documents`` and ``ids`` are the truth; all else can be made again from them.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import ArrayFile, ArrayFileWriter, Section, runs
from shortlist.collection.directory import Directory
from shortlist.collection.postings import Postings
from shortlist.errors import CollectionDamagedError
from shortlist.types import Document

__all__ = [
    "FOLDER",
    "Segment",
    "SegmentData",
    "Texts",
    "Views",
    "document_bytes",
    "merge_segments",
    "segment_name",
    "write_segment",
]

FOLDER = "segments"
_PASSAGES_AT_ONCE = 1000  # copied by a merge
_BYTES_AT_ONCE = 1 << 20

Mask = NDArray[np.bool_]


class Views(NamedTuple):
    """Hold the vectors of some passages, in int8: ``dense [P, H]``, ``tokens [T, D]``, ``counts [P]``.

    ``counts`` says how many of ``tokens`` each passage has.
    """

    dense: NDArray[np.int8]
    tokens: NDArray[np.int8]
    counts: NDArray[np.int64]


class Texts(NamedTuple):
    """Hold texts as bytes: how long each is, and all of them joined, in blocks cut anywhere."""

    lengths: NDArray[np.int64]
    blocks: Iterable[NDArray[np.uint8]]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        """Join texts that are in memory."""
        return cls(np.array(list(map(len, texts)), np.int64), [np.frombuffer(b"".join(texts), np.uint8)])


@dataclass(frozen=True, eq=False)
class SegmentData:
    """Hold what goes into a segment that is about to be written.

    ``documents`` are what :func:`document_bytes` gave, joined; ``passages`` is ``[passages, 3]`` (document, start,
    end). ``views`` may be made while it is read: the token vectors of a commit need not fit into memory.
    ``token_dimensions`` is 0 without the token view.
    """

    ids: Sequence[str]
    documents: Texts
    lengths: NDArray[np.int32]
    words: Postings
    metadata: Postings
    passages: NDArray[np.int32]
    views: Iterable[Views]
    dimensions: int
    token_dimensions: int


class Segment:
    """Read a segment; small arrays are kept once read, the large ones are read in slices.

    Raises:
        CollectionDamagedError: the file is missing, damaged, or not the one with this ``seal``.
    """

    def __init__(
        self, directory: Directory, number: int, seal: bytes | None, *, lenient: bool = False
    ) -> None:
        self.number = number
        file = directory.open(segment_name(number))
        try:
            self.file = ArrayFile(file, seal, lenient=lenient)
        except BaseException:
            file.close()
            raise

    def close(self) -> None:
        """Close the file; arrays that were read stay."""
        self.file.close()

    def __len__(self) -> int:
        return len(self._section("lengths"))

    def _section(self, name: str) -> Section:
        try:
            return self.file.sections[name]
        except KeyError:
            raise CollectionDamagedError(f"{self.file.path}: holds no {name}") from None

    def _array(self, name: str) -> NDArray[Any]:
        array = np.require(self._section(name)[:], requirements="A")
        array.flags.writeable = False
        return array

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """The number of terms of every document."""
        return self._array("lengths")

    @cached_property
    def words(self) -> Postings:
        """The inverted index of the terms."""
        return self._postings("words")

    @cached_property
    def metadata(self) -> Postings:
        """The inverted index of the metadata."""
        return self._postings("metadata")

    @cached_property
    def passages(self) -> NDArray[np.int32]:
        """Document, start and end of every passage, ``[passages, 3]``."""
        return self._array("passages")

    @cached_property
    def first_passages(self) -> NDArray[np.int64]:
        """Where each document's passages begin, ``[documents + 1]``; every document has at least one."""
        return np.searchsorted(self.passages[:, 0], np.arange(len(self) + 1)).astype(np.int64)

    @cached_property
    def dense(self) -> NDArray[np.int8]:
        """One vector a passage."""
        return self._array("dense")

    @property
    def tokens(self) -> Section:
        """One vector a token of every passage; read in slices."""
        return self._section("tokens")

    @cached_property
    def token_offsets(self) -> NDArray[np.int64]:
        """Where each passage's tokens begin, ``[passages + 1]``."""
        return self._array("token_offsets")

    @property
    def has_tokens(self) -> bool:
        """Whether the token view was stored."""
        return "tokens" in self.file.sections

    @property
    def passage_count(self) -> int:
        """The number of passages."""
        return len(self._section("passages"))

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of every array, by name; of what keeps them together as ``checksums``."""
        sizes = {n: s.dtype.itemsize * int(np.prod(s.shape)) for n, s in self.file.sections.items()}
        return {**sizes, "checksums": self.file.size - sum(sizes.values())}

    def doc_id(self, document: int) -> str:
        """Give the id of a document."""
        start, end = self._id_offsets[document : document + 2].tolist()
        return self._ids[start:end].tobytes().decode()

    def document_bytes(self, document: int) -> bytes:
        """Give a document as it was written."""
        start, end = self._document_offsets[document : document + 2].tolist()
        return self._section("documents")[start:end].tobytes()

    @property
    def document_lengths(self) -> NDArray[np.int64]:
        """The bytes of every document."""
        return np.diff(self._document_offsets)

    def document_blocks(self, chosen: Mask) -> Iterator[NDArray[np.uint8]]:
        """Read the bytes of some documents, joined, in blocks."""
        offsets, numbers = self._document_offsets, np.flatnonzero(chosen)
        for start, end in runs(offsets[numbers], offsets[numbers + 1]):
            for at in range(start, end, _BYTES_AT_ONCE):
                yield self._section("documents")[at : min(at + _BYTES_AT_ONCE, end)]

    def document(self, document: int) -> Document:
        """Read a document."""
        title, text, metadata = json.loads(self.document_bytes(document))
        return Document(self.doc_id(document), text, title, metadata)

    def find(self, doc_ids: Sequence[str], hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
        """Give the document of every id, -1 where there is none; ``hashes`` are those of the ids."""
        found = np.full(len(doc_ids), -1, np.int64)
        order, known = self._id_index
        places = np.searchsorted(known, hashes)
        inside = places < len(known)
        inside[inside] = known[places[inside]] == hashes[inside]
        for index in np.flatnonzero(inside).tolist():
            place = int(places[index])
            while place < len(known) and known[place] == hashes[index]:
                if self.doc_id(int(order[place])) == doc_ids[index]:
                    found[index] = order[place]
                place += 1
        return found

    def damaged_sections(self) -> list[str]:
        """Read the whole file and name the arrays that are not as they were written."""
        return self.file.damaged_sections()

    def _postings(self, name: str) -> Postings:
        arrays = (self._array(f"{name}_{part}") for part in _POSTINGS[:3])
        return Postings(*arrays, *(self._section(f"{name}_{part}") for part in _POSTINGS[3:]))

    @cached_property
    def _ids(self) -> NDArray[np.uint8]:
        return self._array("ids")

    @cached_property
    def _id_offsets(self) -> NDArray[np.int64]:
        return self._array("id_offsets")

    @cached_property
    def _document_offsets(self) -> NDArray[np.int64]:
        return self._array("document_offsets")

    @cached_property
    def _id_index(self) -> tuple[NDArray[np.int32], NDArray[np.uint64]]:
        return self._array("id_order"), self._array("id_hashes")


_POSTINGS = tuple(one.name for one in fields(Postings))


def document_bytes(document: Document) -> bytes:
    """Write down a document, without its id."""
    content = [document.title, document.text, dict(document.metadata)]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def id_hashes(doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Give a hash of every id, the same in every process."""
    digests = b"".join(hashlib.blake2b(doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def segment_name(number: int) -> str:
    """Name the file of a segment."""
    return f"{FOLDER}/{number:08d}.safetensors"


def write_segment(directory: Directory, number: int, data: SegmentData, about: Mapping[str, str]) -> bytes:
    """Write a segment, wait until it is on the disk, and give its seal; leave nothing if that fails."""
    name = segment_name(number)
    file = directory.create(name)
    try:
        seal = _write(ArrayFileWriter(file), data, about)
        directory.sync(FOLDER)
    except BaseException:
        file.close()
        with suppress(OSError):  # the next writer removes it
            directory.remove(name)
        raise
    return seal


def _write(writer: ArrayFileWriter, data: SegmentData, about: Mapping[str, str]) -> bytes:
    dense, counts = [np.empty((0, data.dimensions), np.int8)], [np.empty(0, np.int64)]

    def tokens() -> Iterator[NDArray[np.int8]]:
        for views in data.views:
            dense.append(views.dense)
            counts.append(views.counts)
            yield views.tokens

    if data.token_dimensions:
        writer.add("tokens", np.int8, (data.token_dimensions,), tokens())
        writer.add_array("token_offsets", _offsets(np.concatenate(counts)))
    else:
        for _ in tokens():
            pass
    writer.add("dense", np.int8, (data.dimensions,), dense)
    writer.add_array("passages", data.passages)
    for name, texts in (
        ("document", data.documents),
        ("id", Texts.of([doc_id.encode() for doc_id in data.ids])),
    ):
        writer.add(f"{name}s", np.uint8, (), texts.blocks)
        writer.add_array(f"{name}_offsets", _offsets(texts.lengths))
    hashes = id_hashes(data.ids)
    order = np.argsort(hashes, kind="stable")
    writer.add_array("id_hashes", hashes[order])
    writer.add_array("id_order", order.astype(np.int32))
    writer.add_array("lengths", data.lengths)
    for name, postings in (("words", data.words), ("metadata", data.metadata)):
        for part in _POSTINGS:
            writer.add_array(f"{name}_{part}", np.asarray(getattr(postings, part)))
    return writer.finish(about)


def merge_segments(parts: Sequence[Segment], live: Sequence[Mask]) -> SegmentData:
    """Join segments into one without their dead documents; documents and vectors are copied in blocks.

    ``live[p][d]`` says whether document ``d`` of part ``p`` stays.
    """
    counts = np.cumsum([0, *(int(mask.sum()) for mask in live)])
    renumber = [
        np.where(mask, np.cumsum(mask) - 1 + start, -1).astype(np.int64)
        for mask, start in zip(live, counts, strict=False)
    ]
    passages, kept = [], []
    for part, numbers in zip(parts, renumber, strict=True):
        moved = numbers[part.passages[:, 0]]
        kept.append(np.flatnonzero(moved >= 0))
        passages.append(np.column_stack([moved, part.passages[:, 1:]])[kept[-1]])
    chosen = [(part, np.flatnonzero(mask).tolist()) for part, mask in zip(parts, live, strict=True)]
    return SegmentData(
        ids=[part.doc_id(document) for part, documents in chosen for document in documents],
        documents=Texts(
            np.concatenate([part.document_lengths[mask] for part, mask in zip(parts, live, strict=True)]),
            (block for part, mask in zip(parts, live, strict=True) for block in part.document_blocks(mask)),
        ),
        lengths=np.concatenate([part.lengths[mask] for part, mask in zip(parts, live, strict=True)]),
        words=Postings.merge([part.words for part in parts], renumber),
        metadata=Postings.merge([part.metadata for part in parts], renumber),
        passages=np.concatenate(passages).astype(np.int32),
        views=(views for part, numbers in zip(parts, kept, strict=True) for views in _views(part, numbers)),
        dimensions=parts[0].dense.shape[1],
        token_dimensions=parts[0].tokens.shape[1] if parts[0].has_tokens else 0,
    )


def _views(part: Segment, passages: NDArray[np.int64]) -> Iterator[Views]:
    for start in range(0, len(passages), _PASSAGES_AT_ONCE):
        some = passages[start : start + _PASSAGES_AT_ONCE]
        if part.has_tokens:
            firsts, ends = part.token_offsets[some], part.token_offsets[some + 1]
            yield Views(part.dense[some], part.tokens.gather(firsts, ends), ends - firsts)
        else:
            yield Views(part.dense[some], np.empty((0, 0), np.int8), np.zeros(len(some), np.int64))


def _offsets(lengths: NDArray[np.int64]) -> NDArray[np.int64]:
    return np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
