"""What goes into a segment, how it is written, and how several are joined."""

from __future__ import annotations

import json
import zlib
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from functools import partial
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import sign_bits, token_lists, vector_graph
from shortlist.collection.array_file import ArrayFileWriter, offsets_of
from shortlist.collection.checksums import block_checksums, checksums
from shortlist.collection.directory import Directory
from shortlist.collection.postings import PARTS, Postings
from shortlist.collection.segment import FOLDER, Segment, id_hashes, segment_name
from shortlist.cores import usable_cores
from shortlist.scoring import TokenCodes, decode_tokens
from shortlist.types import Document

__all__ = [
    "SegmentData",
    "Texts",
    "Views",
    "document_bytes",
    "merge_bytes",
    "merge_segments",
    "write_segment",
]

_PASSAGES_AT_ONCE = 1000  # copied by a merge
CLUSTERING_BYTES = 300_000_000  # what tokens are clustered in, at most

Mask = NDArray[np.bool_]


class Views(NamedTuple):
    """Hold the vectors of some passages, in int8: ``dense [P, H]``, ``tokens [T, D]``, ``counts [P]``.

    ``counts`` says how many of ``tokens`` each passage has. Tokens may be codes of these vectors, ``[T, width]``.
    """

    dense: NDArray[np.int8]
    tokens: NDArray[np.int8] | NDArray[np.uint8]
    counts: NDArray[np.int64]


class Texts(NamedTuple):
    """Hold texts as bytes: the length and CRC-32 of each, and all of them joined, in blocks cut anywhere."""

    lengths: NDArray[np.int64]
    checksums: NDArray[np.uint32]
    blocks: Iterable[NDArray[np.uint8]]

    @classmethod
    def of(cls, texts: Sequence[bytes]) -> Texts:
        """Join texts that are in memory."""
        return cls(
            np.array(list(map(len, texts)), np.int64),
            np.array(list(map(zlib.crc32, texts)), np.uint32),
            [np.frombuffer(b"".join(texts), np.uint8)],
        )


@dataclass(frozen=True, eq=False)
class SegmentData:
    """Hold what goes into a segment that is about to be written.

    ``documents`` are what :func:`document_bytes` gave, joined; ``passages`` is ``[passages, 3]`` (document, start,
    end). ``views`` may be made while it is read: the token vectors of a commit need not fit into memory.
    ``token_dimensions`` is 0 without the token view; ``token_codes`` says how tokens lie in few bits, if they do.
    With ``hnsw`` text vectors get a graph, if they are many and usearch is there to make it.
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
    token_codes: TokenCodes | None = None
    hnsw: bool = False


def document_bytes(document: Document) -> bytes:
    """Write down a document."""
    content = [document.doc_id, document.title, document.text, dict(document.metadata)]
    return json.dumps(content, ensure_ascii=False, separators=(",", ":")).encode()


def write_segment(
    directory: Directory, number: int, data: SegmentData, about: Mapping[str, str], threads: int | None = None
) -> bytes:
    """Write a segment, wait until it is on the disk, and give its seal; leave nothing if that fails.

    Vectors are clustered on ``threads`` (default: all cores).
    """
    name = segment_name(number)
    file = directory.create(name)
    try:
        seal = _write(ArrayFileWriter(file, copy_header=True), data, about, threads or usable_cores())
        directory.sync(FOLDER)
    except BaseException:
        file.close()
        with suppress(OSError):  # the next writer removes it
            directory.remove(name)
        raise
    return seal


def _write(writer: ArrayFileWriter, data: SegmentData, about: Mapping[str, str], threads: int) -> bytes:
    _write_vectors(writer, data, threads)
    writer.add_array("passages", data.passages)
    ids = [doc_id.encode() for doc_id in data.ids]
    writer.begin_block()
    writer.add("documents", np.uint8, (), data.documents.blocks)
    writer.begin_block()
    writer.add_array("document_offsets", offsets_of(data.documents.lengths))
    writer.add_array("document_checksums", data.documents.checksums)
    writer.add_array("ids", np.frombuffer(b"".join(ids), np.uint8))
    writer.add_array("id_offsets", offsets_of(np.array(list(map(len, ids)), np.int64)))
    hashes = id_hashes(data.ids)
    order = np.argsort(hashes, kind="stable")
    writer.add_array("id_hashes", hashes[order])
    writer.add_array("id_order", order.astype(np.int32))
    writer.add_array("lengths", data.lengths)
    for name, postings in (("words", data.words), ("metadata", data.metadata)):
        for part in PARTS:
            writer.add_array(f"{name}_{part}", np.asarray(getattr(postings, part)))
    return writer.finish(about)


def _write_vectors(writer: ArrayFileWriter, data: SegmentData, threads: int) -> None:
    """Write the vectors of tokens as they come, then those of texts, and what helps to find some among many."""
    dense, counts = [np.empty((0, data.dimensions), np.int8)], [np.empty(0, np.int64)]
    sums = [np.empty(0, np.uint32)]

    def tokens() -> Iterator[NDArray[Any]]:
        for views in data.views:
            dense.append(views.dense)
            counts.append(views.counts)
            sums.append(checksums(views.tokens.reshape(-1).view(np.uint8), offsets_of(views.counts * width)))
            yield views.tokens

    codes = data.token_codes
    width = data.token_dimensions if codes is None else codes.width
    if data.token_dimensions:
        writer.add("tokens", np.int8 if codes is None else np.uint8, (width,), tokens())
        token_offsets = offsets_of(np.concatenate(counts))
        writer.add_array("token_offsets", token_offsets)
        writer.add_array("token_checksums", np.concatenate(sums))
        if len(data.passages) >= token_lists.LISTS_FROM_PASSAGES:
            tokens_of = partial(_vectors, partial(writer.read_back, "tokens"), codes)
            lists = token_lists.build_lists(tokens_of, token_offsets, threads)
            for name, array in lists._asdict().items():
                writer.add_array(f"token_list_{name}", array)
    else:
        for _ in tokens():
            pass
    vectors = np.concatenate(dense)
    writer.add_array("dense", vectors)
    writer.add_array("dense_checksums", block_checksums(vectors.reshape(-1).view(np.uint8), data.dimensions))
    if len(vectors) >= sign_bits.BITS_FROM_PASSAGES:
        built = sign_bits.build_sign_bits(vectors, threads)
        writer.add_array("dense_bits", built.bits)
        writer.add_array("dense_bit_products", built.products)
        writer.add_array("dense_bit_distances", built.distances)
    if data.hnsw and len(vectors) >= vector_graph.GRAPH_FROM_PASSAGES and vector_graph.has_usearch():
        graph = vector_graph.build_graph(vectors, threads)
        writer.add_array("dense_graph", graph.data)
        writer.add_array("dense_graph_efforts", graph.efforts)
        writer.add_array("dense_graph_counts", graph.counts)
        writer.add_array("dense_graph_found", graph.found)


def _vectors(
    read: Callable[[int, int], NDArray[Any]], codes: TokenCodes | None, first: int, last: int
) -> NDArray[np.int8]:
    rows = read(first, last)
    return rows if codes is None else decode_tokens(rows, codes)


def merge_bytes(parts: Sequence[Segment], *, hnsw: bool = False) -> int:
    """Give about how many bytes of memory joining segments takes: postings and text vectors are in it as a whole.

    So is their graph, with ``hnsw``: while it is written down twice.
    """
    postings = sum(len(part.words.documents) + len(part.metadata.documents) for part in parts)
    tokens = sum(len(part.tokens) for part in parts if part.has_tokens)
    vectors = sum(part.sizes["dense"] for part in parts) * (2 if hnsw else 1)
    return (
        CLUSTERING_BYTES + 100 * postings + 10 * tokens + 3 * vectors + sum(part.kept_bytes for part in parts)
    )


def merge_segments(
    parts: Sequence[Segment], live: Sequence[Mask], codes: TokenCodes | None = None, *, hnsw: bool = False
) -> SegmentData:
    """Join segments into one without their dead documents; documents and vectors are copied in blocks.

    ``live[p][d]`` says whether document ``d`` of part ``p`` stays; ``codes`` how tokens lie in few bits, if they do;
    ``hnsw`` whether text vectors get a graph.
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
            np.concatenate([part.document_checksums[mask] for part, mask in zip(parts, live, strict=True)]),
            (block for part, mask in zip(parts, live, strict=True) for block in part.document_blocks(mask)),
        ),
        lengths=np.concatenate([part.lengths[mask] for part, mask in zip(parts, live, strict=True)]),
        words=Postings.merge([part.words for part in parts], renumber),
        metadata=Postings.merge([part.metadata for part in parts], renumber),
        passages=np.concatenate(passages).astype(np.int32),
        views=(views for part, numbers in zip(parts, kept, strict=True) for views in _views(part, numbers)),
        dimensions=parts[0].dimensions,
        token_dimensions=_token_dimensions(parts[0], codes),
        token_codes=codes,
        hnsw=hnsw,
    )


def _token_dimensions(part: Segment, codes: TokenCodes | None) -> int:
    if not part.has_tokens:
        return 0
    return part.tokens.shape[1] if codes is None else codes.dimensions


def _views(part: Segment, passages: NDArray[np.int64]) -> Iterator[Views]:
    for start in range(0, len(passages), _PASSAGES_AT_ONCE):
        some = passages[start : start + _PASSAGES_AT_ONCE]
        if part.has_tokens:
            tokens, offsets = part.token_rows(some)
            yield Views(part.dense_rows(some), tokens, np.diff(offsets))
        else:
            yield Views(part.dense_rows(some), np.empty((0, 0), np.int8), np.zeros(len(some), np.int64))
