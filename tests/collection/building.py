"""Collections without a model: real stores whose vectors are made up from the text."""

import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.collection import (
    Analyzer,
    Postings,
    SegmentData,
    Store,
    StoreSettings,
    Texts,
    Views,
    document_bytes,
    keys_of,
)
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


def segment_data(documents: Sequence[Document], *, with_tokens: bool = True) -> SegmentData:
    """Index documents, each of two passages with as many tokens as it has words."""
    terms = [_ANALYZER.terms(f"{d.title} {d.text}") for d in documents]
    spans = [(n, *span) for n, d in enumerate(documents) for span in ((0, 1), (1, len(d.text)))]
    return SegmentData(
        ids=[d.doc_id for d in documents],
        documents=Texts.of([document_bytes(d) for d in documents]),
        lengths=np.array([len(t) for t in terms], np.int32),
        words=Postings.build(terms),
        metadata=Postings.build(keys_of(d.metadata) for d in documents),
        passages=np.array(spans, np.int32).reshape(-1, 3),
        views=[_views(documents[n].text, start, len(terms[n]), with_tokens) for n, start, _ in spans],
        dimensions=DIMENSIONS,
        token_dimensions=TOKEN_DIMENSIONS if with_tokens else 0,
    )


def _views(text: str, start: int, words: int, with_tokens: bool) -> Views:
    """Make the vectors of one passage up."""
    seed = zlib.crc32(f"{text}{start}".encode())
    count = 1 + words if with_tokens else 0
    return Views(
        _noise(seed, (1, DIMENSIONS)),
        _noise(seed + 1, (count, TOKEN_DIMENSIONS)),
        np.array([count], np.int64),
    )


def create(path: Path, *batches: Sequence[Document]) -> Store:
    """Create a collection; every batch is a generation."""
    store = Store.create(path, SETTINGS)
    for batch in batches:
        add(store, *batch)
    return store


def add(store: Store, *documents: Document) -> int:
    with store.writer() as writer:
        return writer.add(segment_data(documents))


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
