"""Collections without a model: real stores whose vectors are made up from the text."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.collection import Analyzer, Postings, SegmentData, Store, StoreSettings
from shortlist.types import Document

DIMENSIONS, TOKEN_DIMENSIONS = 4, 2
SETTINGS = StoreSettings(
    language="english",
    model="",
    model_name="none",
    fingerprint="0123456789abcdef",
    mode="fast",
    similarity="cosine",
    dimensions=DIMENSIONS,
    dense_scale=1 / 127,
    token_dimensions=TOKEN_DIMENSIONS,
    token_scale=1 / 127,
)
_ANALYZER = Analyzer()


def document(doc_id: str, text: str = "", **metadata: Any) -> Document:
    return Document(doc_id, text or f"text of {doc_id}", metadata=metadata)


def segment_data(documents: Sequence[Document], rows: Any, *, with_tokens: bool = True) -> SegmentData:
    """Index documents, each of two passages with as many tokens as it has words."""
    terms = [_ANALYZER.terms(f"{d.title} {d.text}") for d in documents]
    passages = [(n, *span) for n, d in enumerate(documents) for span in ((0, 1), (1, len(d.text)))]
    seeds = [zlib.crc32(f"{documents[n].text}{start}".encode()) for n, start, _ in passages]
    counts = [1 + len(terms[n]) for n, _, _ in passages]
    dense = [_noise(seed, (DIMENSIONS,)) for seed in seeds]
    tokens = [_noise(seed + 1, (count, TOKEN_DIMENSIONS)) for seed, count in zip(seeds, counts, strict=True)]
    return SegmentData(
        rows=np.asarray(rows, np.int64),
        lengths=np.array([len(t) for t in terms], np.int32),
        postings=Postings.build(terms),
        passages=np.array(passages, np.int32).reshape(-1, 3),
        dense=np.array(dense, np.int8).reshape(-1, DIMENSIONS),
        dimensions=DIMENSIONS,
        tokens=np.concatenate([np.empty((0, TOKEN_DIMENSIONS), np.int8), *tokens]) if with_tokens else None,
        token_offsets=np.cumsum([0, *counts]) if with_tokens else None,
        token_dimensions=TOKEN_DIMENSIONS if with_tokens else 0,
        digests=np.array([zlib.crc32(d.doc_id.encode()) for d in documents], np.uint64),
    )


def create(path: Path, *batches: Sequence[Document]) -> Store:
    """Create a collection; every batch is a generation."""
    store = Store.create(path, SETTINGS)
    for batch in batches:
        add(store, *batch)
    return store


def add(store: Store, *documents: Document) -> int:
    with store.writer() as writer:
        return writer.add(documents, segment_data(documents, writer.next_rows(len(documents))))


def delete(store: Store, *doc_ids: str) -> int:
    with store.writer() as writer:
        return writer.delete(doc_ids)


def compact(store: Store) -> bool:
    with store.writer() as writer:
        return writer.compact()


def ids(store: Store) -> list[str]:
    """The ids of the newest generation, sorted."""
    with store.snapshot() as snapshot:
        return sorted(snapshot.doc_ids(snapshot.live.nonzero()[0]))


def flip_byte(path: Path, at: int, bits: int = 0xFF) -> None:
    """Change one byte; the size stays."""
    content = bytearray(path.read_bytes())
    content[at] ^= bits
    path.write_bytes(content)


def _noise(seed: int, shape: tuple[int, ...]) -> np.ndarray[Any, np.dtype[np.int8]]:
    return np.random.default_rng(seed).integers(-127, 128, shape, np.int8)
