"""What one commit adds: documents with everything derived from them, in one file that is never changed.

::

    tokens             int8 [tokens, D]        one vector a token       (if the collection has the token view);
                       uint8 [tokens, width]   or codes of 4 or 2 bits a component, see `scoring/codes`
    token_offsets      int64 [passages + 1]    where each passage's tokens begin
    token_list_*       the passages around each centroid of the tokens, if there are many: see `token_lists`
    token_checksums    uint32 [passages]       CRC-32 of each passage's tokens, to read some without their blocks
    dense              int8 [passages, H]      one vector a passage
    dense_checksums    uint32 [passages]       CRC-32 of each
    dense_bits         uint64 [passages, H/64] their signs, if there are many: see `sign_bits`
    dense_bit_products int32 [pairs]           of pairs of them, how near they are,
    dense_bit_distances int32 [pairs]          and in how many signs they differ
    dense_graph        bytes                   a graph of them, if that was asked for: see `vector_graph`
    dense_graph_efforts int32 [efforts]        how hard samples looked,
    dense_graph_counts int32 [counts]          for how many of the nearest,
    dense_graph_found  int32 [efforts, counts, samples] and how many of these they found
    passages           int32 [passages, 3]     document within the segment, start, end of its span in the text
    documents          bytes                   id, title, text and metadata of each, a JSON array
    document_offsets   int64 [documents + 1]   where each begins
    document_checksums uint32 [documents]      CRC-32 of each, to save it from a block that is damaged elsewhere
    ids                bytes                   of each document, UTF-8
    id_offsets         int64 [documents + 1]   where each begins
    id_hashes          uint64 [documents]      of the ids, ascending
    id_order           int32 [documents]       the documents that they belong to
    lengths            int32 [documents]       terms of each document
    words_*            the inverted index of the terms: see `postings`
    metadata_*         the inverted index of the metadata: see `metadata`

``documents`` is the truth and has blocks of its own; all else can be made again from it.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Iterator, Sequence
from contextlib import suppress
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import (
    BLOCK,
    ArrayFile,
    Section,
    are_neighbours,
    offsets_of,
    rows_of,
    runs,
)
from shortlist.collection.directory import Directory
from shortlist.collection.postings import PARTS, Postings
from shortlist.collection.sign_bits import SignBits
from shortlist.collection.token_lists import TokenLists
from shortlist.collection.vector_graph import BuiltGraph, VectorGraph, has_usearch
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.types import Document

__all__ = ["FOLDER", "Segment", "id_hashes", "segment_name"]

FOLDER = "segments"
_BYTES_AT_ONCE = 1 << 20
_VECTORS_AT_ONCE = 1 << 15
_BYTES_A_CHECKSUM = BLOCK // 4
_IN_SLICES = {
    "tokens", "token_list_passages", "dense", "dense_graph", "documents", "words_documents", "words_frequencies",
    "metadata_documents", "metadata_frequencies",
}  # fmt: skip

Mask = NDArray[np.bool_]


class Segment:
    """Read a segment; small arrays are kept once read, the large ones are read in slices.

    Raises:
        CollectionDamagedError: the file is missing, damaged, or not the one with this ``seal``.
    """

    def __init__(
        self, directory: Directory, number: int, seal: bytes | None, *, lenient: bool = False
    ) -> None:
        self.number = number
        self.keeps_vectors = True
        """Whether all vectors of texts stay in memory once they are needed; else they are read for every search."""
        self.keeps_graph = True
        """Whether their graph is read into memory and used."""
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
        """One vector a passage, all of them, kept once read."""
        return self._array("dense")

    @property
    def dimensions(self) -> int:
        """H."""
        return self._section("dense").shape[1]

    def dense_blocks(self) -> Iterator[tuple[slice, NDArray[np.int8]]]:
        """Give the vectors of documents, and which documents those are: all, or some thousands at a time."""
        if self.keeps_vectors:
            yield slice(0, len(self)), self.dense
            return
        step = max(1, _VECTORS_AT_ONCE * len(self) // max(1, self.passage_count))
        for first in range(0, len(self), step):
            documents = slice(first, min(first + step, len(self)))
            begin, end = self.first_passages[[documents.start, documents.stop]].tolist()
            yield documents, self._section("dense")[begin:end]

    def dense_rows(self, passages: NDArray[np.int64]) -> NDArray[np.int8]:
        """Give the vectors of some passages, ascending."""
        if self.keeps_vectors:
            return rows_of(self.dense, passages)
        return self._checked_rows("dense", passages, passages + 1, self.dense_checksums, passages)

    def token_rows(self, passages: NDArray[np.int64]) -> tuple[NDArray[Any], NDArray[np.int64]]:
        """Give the tokens of some passages, ascending, as they are stored, and where each one's begin.

        The tokens are joined, ``[tokens, D]`` or codes; where they begin is ``[passages + 1]``.
        """
        firsts, ends = self.token_offsets[passages], self.token_offsets[passages + 1]
        found = self._checked_rows("tokens", firsts, ends, self.token_checksums, passages)
        return found, offsets_of(ends - firsts)

    def _checked_rows(
        self,
        name: str,
        firsts: NDArray[np.int64],
        ends: NDArray[np.int64],
        checksums: NDArray[np.uint32] | None,
        passages: NDArray[np.int64],
    ) -> NDArray[Any]:
        section = self._section(name)
        if checksums is None or are_neighbours(passages):  # whole blocks are not much more
            return section.gather(firsts, ends)
        return section.gather_checked(firsts, ends, checksums[passages])

    @cached_property
    def dense_checksums(self) -> NDArray[np.uint32] | None:
        """The CRC-32 of every vector; older segments have none."""
        return self._array("dense_checksums") if "dense_checksums" in self.file.sections else None

    @cached_property
    def token_checksums(self) -> NDArray[np.uint32] | None:
        """The CRC-32 of every passage's tokens; older segments have none."""
        return self._array("token_checksums") if "token_checksums" in self.file.sections else None

    @cached_property
    def sign_bits(self) -> SignBits | None:
        """The signs of the vectors, if the segment is large enough to have them; older segments can't use theirs."""
        if "dense_bit_distances" not in self.file.sections:
            return None
        names = ("dense_bits", "dense_bit_products", "dense_bit_distances")
        return SignBits(*(self._array(name) for name in names))

    @cached_property
    def vector_graph(self) -> VectorGraph | None:
        """The graph of the vectors, if the segment has one and usearch is there to read it; not an older segment's.

        Raises:
            CollectionDamagedError: it is not one of these vectors.
        """
        if "dense_graph_counts" not in self.file.sections or not has_usearch():
            return None
        names = ("dense_graph", "dense_graph_efforts", "dense_graph_counts", "dense_graph_found")
        built = BuiltGraph(*(self._array(name) for name in names))
        return VectorGraph(built, self.passage_count, self.dimensions, str(self.file.path))

    @property
    def tokens(self) -> Section:
        """One vector a token of every passage; read in slices."""
        return self._section("tokens")

    @cached_property
    def token_offsets(self) -> NDArray[np.int64]:
        """Where each passage's tokens begin, ``[passages + 1]``."""
        return self._array("token_offsets")

    @cached_property
    def token_lists(self) -> TokenLists | None:
        """The passages around each centroid of the token vectors, if the segment is large enough to have them."""
        if "token_list_passages" not in self.file.sections:
            return None
        return TokenLists(
            self._array("token_list_centroids"),
            self._array("token_list_offsets"),
            self._section("token_list_passages"),
        )

    @property
    def has_tokens(self) -> bool:
        """Whether the token view was stored."""
        return "tokens" in self.file.sections

    @property
    def passage_count(self) -> int:
        """The number of passages."""
        return len(self._section("passages"))

    @property
    def kept_bytes(self) -> int:
        """The bytes that stay in memory once everything has been searched, besides the vectors of texts."""
        unread = _IN_SLICES | {"frame"}
        if "dense_bit_distances" not in self.file.sections:
            unread |= {"dense_bits"}
        whole = (size for name, size in self.sizes.items() if name not in unread)
        return sum(whole) + self.file.size // _BYTES_A_CHECKSUM + 32 * len(self)

    @property
    def sizes(self) -> dict[str, int]:
        """The bytes of every array, by name; of headers, checksums and padding together as ``frame``."""
        sizes = {
            name: section.dtype.itemsize * int(np.prod(section.shape))
            for name, section in self.file.sections.items()
            if not name.startswith(("padding", "header"))
        }
        return {**sizes, "frame": self.file.size - sum(sizes.values())}

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

    @cached_property
    def document_checksums(self) -> NDArray[np.uint32]:
        """The CRC-32 of every document's bytes."""
        return self._array("document_checksums")

    def document_blocks(self, chosen: Mask) -> Iterator[NDArray[np.uint8]]:
        """Read the bytes of some documents, joined, in blocks."""
        offsets, numbers = self._document_offsets, np.flatnonzero(chosen)
        for start, end in runs(offsets[numbers], offsets[numbers + 1]):
            for at in range(start, end, _BYTES_AT_ONCE):
                yield self._section("documents")[at : min(at + _BYTES_AT_ONCE, end)]

    def document(self, document: int) -> Document:
        """Read a document."""
        return _document(json.loads(self.document_bytes(document)))

    def saved_documents(self, count: int) -> dict[int, Document]:
        """Read what can be read of a damaged segment of so many documents: each that a checksum confirms."""
        found: dict[int, Document] = {}
        with suppress(CollectionError, ValueError):
            offsets = self._section("document_offsets").unverified().tolist()
            checksums = self._section("document_checksums").unverified().tolist()
            for number in range(min(count, len(offsets) - 1, len(checksums))):
                with suppress(CollectionError, ValueError, TypeError):
                    start, end = offsets[number], offsets[number + 1]
                    found[number] = self._confirmed(start, end, checksums[number])
        if len(found) < count:  # where they begin may be lost, but one ends where the next begins
            found = {**dict(enumerate(self._in_a_row())), **found}
        return found

    def _confirmed(self, start: int, end: int, checksum: int) -> Document:
        whole = self._section("documents")
        if not 0 <= start < end <= len(whole):
            raise ValueError(f"bytes {start} to {end}")
        content = whole.unverified(start, end).tobytes()
        if zlib.crc32(content) != checksum:
            raise ValueError("not as it was written")
        return _document(json.loads(content))

    def _in_a_row(self) -> Iterator[Document]:
        with suppress(CollectionError, ValueError):
            text, decoder, at = self._section("documents")[:].tobytes().decode(), json.JSONDecoder(), 0
            while at < len(text):
                found, at = decoder.raw_decode(text, at)
                yield _document(found)

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
        arrays = (self._array(f"{name}_{part}") for part in PARTS[:3])
        return Postings(*arrays, *(self._section(f"{name}_{part}") for part in PARTS[3:]))

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


def _document(content: list[Any]) -> Document:
    doc_id, title, text, metadata = content
    return Document(doc_id, text, title, metadata)


def id_hashes(doc_ids: Sequence[str]) -> NDArray[np.uint64]:
    """Give a hash of every id, the same in every process."""
    digests = b"".join(hashlib.blake2b(doc_id.encode(), digest_size=8).digest() for doc_id in doc_ids)
    return np.frombuffer(digests, "<u8").astype(np.uint64)


def segment_name(number: int) -> str:
    """Name the file of a segment."""
    return f"{FOLDER}/{number:08d}.safetensors"
