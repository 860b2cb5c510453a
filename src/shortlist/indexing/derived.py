"""All that is derived from some documents: their terms, passages and vectors, as a segment holds them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import (
    Analyzer,
    Postings,
    SegmentData,
    StoreSettings,
    Texts,
    Views,
    document_bytes,
    keys_of,
)
from shortlist.indexing.passages import fit_title, split_passages
from shortlist.indexing.token_pooling import pool_tokens
from shortlist.models import Encoder
from shortlist.protocols import Progress
from shortlist.scoring import encode_tokens
from shortlist.types import Document, Passage, passage_text
from shortlist.vectors import quantize

__all__ = ["derive"]

PASSAGES_AT_ONCE = 256  # held as float32 between the encoder and int8


@dataclass
class Derived:
    """Hold what goes into a segment. ``truncated_tokens`` is complete once its views have been read."""

    data: SegmentData
    passages: int
    truncated_tokens: int
    least_bytes: int
    """The least that it will take on the disk."""


def derive(
    documents: Sequence[Document],
    settings: StoreSettings,
    analyzer: Analyzer,
    encoder: Encoder,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Derived:
    """Analyse and cut documents; they are encoded when the segment that is being written asks for vectors."""
    lengths: list[int] = []

    def terms() -> Iterator[list[str]]:
        for document in documents:
            found = analyzer.terms(f"{document.title} {document.text}")
            lengths.append(len(found))
            yield found

    words = Postings.build(terms())
    fitted = [fit_title(document, encoder.tokenizer) for document in documents]
    readable = [document for document, _ in fitted]
    passages = [
        (number, passage)
        for number, document in enumerate(readable)
        for passage in split_passages(document, encoder.tokenizer)
    ]
    written = [document_bytes(document) for document in documents]
    codes = settings.token_codes

    def views() -> Iterator[Views]:
        remaining = Counter(number for number, _ in passages)
        for start in range(0, len(passages), PASSAGES_AT_ONCE):
            part = passages[start : start + PASSAGES_AT_ONCE]
            found = encoder.views(
                [passage_text(readable[number], passage) for number, passage in part], threads=threads
            )
            derived.truncated_tokens += sum(found.truncated_tokens)
            dense = found.dense.quantized(settings.dense_scale).data
            if settings.token_dimensions:
                kept = [pool_tokens(tokens, settings.token_pooling) for tokens in found.tokens]
                vectors = quantize(np.concatenate(kept), settings.token_scale)
                tokens = vectors if codes is None else encode_tokens(vectors, codes)
                yield Views(dense, tokens, np.array([len(one) for one in kept], np.int64))
            else:
                yield Views(dense, np.empty((0, 0), np.int8), np.zeros(len(part), np.int64))
            remaining.subtract(number for number, _ in part)
            _ = progress and progress(sum(1 for number in {n for n, _ in part} if not remaining[number]))

    derived = Derived(
        data=SegmentData(
            ids=[document.doc_id for document in documents],
            documents=Texts.of(written),
            lengths=np.array(lengths, np.int32),
            words=words,
            metadata=Postings.build(keys_of(document.metadata) for document in documents),
            passages=_spans(passages),
            views=views(),
            dimensions=settings.dimensions,
            token_dimensions=settings.token_dimensions,
            token_codes=codes,
            hnsw=settings.hnsw,
        ),
        passages=len(passages),
        truncated_tokens=sum(cut for _, cut in fitted),
        least_bytes=sum(map(len, written))
        + len(passages) * settings.dimensions
        + sum(p.end - p.start for _, p in passages)
        // (CHARACTERS_A_TOKEN * settings.token_pooling)
        * settings.token_dimensions
        * settings.token_bits
        // 8,
    )
    return derived


CHARACTERS_A_TOKEN = 6  # at most, in the languages measured: English prose has 4.5


def _spans(passages: Sequence[tuple[int, Passage]]) -> NDArray[np.int32]:
    return np.array([(number, p.start, p.end) for number, p in passages], np.int32).reshape(-1, 3)
