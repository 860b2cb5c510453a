"""What does a pipeline cost? Latency by stage, bytes a document by part, time to encode, size of the model."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from shortlist.api import Collection
from shortlist.errors import DataError
from shortlist.evaluation.results import Costs, Latency
from shortlist.models.catalogue import named
from shortlist.models.folders import DEFAULT
from shortlist.protocols import Progress
from shortlist.search import BM25, TFIDF, Cross, Dense, MaxSim, Pipeline, Poly, leaves
from shortlist.types import Query, passage_text

__all__ = ["bytes_by_part", "costs", "encode_ms", "model_bytes", "time_searches"]

QUERIES = 100
LEAST_QUERIES = 20
BUDGET_S = 15.0
WARM_UP = 3
ENCODED = 64

_FIXED = ("generation", "frame")
_PARTS = {"words": ("words", "lengths"), "vectors": ("dense",), "tokens": ("token",)}
"""How the names of a part's arrays begin; all others are of the texts."""


def time_searches(
    searched: Sequence[tuple[Collection, Pipeline]],
    queries: Sequence[Query],
    *,
    seed: int = 0,
    most: int = QUERIES,
    progress: Progress | None = None,
) -> list[Latency]:
    """Time single searches of ten hits, encoding included, of several pipelines, or of one in several collections.

    They take turns, query by query, so that all see the same machine. Up to ``most`` queries are drawn with ``seed``;
    what has used up its budget of seconds stops after 20.

    Raises:
        DataError: there is no query to time with.
    """
    if not queries or most < 1:
        raise DataError("there is no query to time searches with")
    order = np.random.default_rng(seed).permutation(len(queries))[:most]
    chosen = [queries[index] for index in order.tolist()]
    for collection, pipeline in searched:
        for query in chosen[:WARM_UP]:
            collection.search(query.text, pipeline=pipeline, threads=1)
    timings: list[list[Mapping[str, float]]] = [[] for _ in searched]
    spent = [0.0] * len(searched)
    for query in chosen:
        for index, (collection, pipeline) in enumerate(searched):
            if spent[index] < BUDGET_S or len(timings[index]) < LEAST_QUERIES:
                collection.forget_scores()  # the quality of the same queries was measured before
                found = collection.search(query.text, pipeline=pipeline, threads=1)
                timings[index].append(found.timings_ms)
                spent[index] += timings[index][-1]["total"] / 1000
        if progress is not None:
            progress(1)
    return [_latency(found) for found in timings]


def _latency(timings: Sequence[Mapping[str, float]]) -> Latency:
    def quantiles(name: str) -> tuple[float, float]:
        p50, p95 = np.quantile([found.get(name, 0.0) for found in timings], [0.5, 0.95])
        return float(p50), float(p95)

    names = dict.fromkeys(name for found in timings for name in found)
    stages = {name: quantiles(name) for name in names if name not in ("total", "load")}
    return Latency(*quantiles("total"), stages, len(timings))


def encode_ms(collection: Collection, *, seed: int = 0) -> float:
    """Time one thread on a sample of documents; give milliseconds a document."""
    with collection.store.snapshot() as snapshot:
        live = np.flatnonzero(snapshot.live)
        chosen = np.sort(np.random.default_rng(seed).permutation(live)[:ENCODED])
        texts = [
            passage_text(document, passage)
            for document, position in zip(snapshot.documents(chosen), chosen.tolist(), strict=True)
            for passage in snapshot.passages(position)
        ]
    encoder = collection.encoder
    encoder.views(texts[:4], prompt="document", threads=1)
    begin = time.perf_counter()
    encoder.views(texts, prompt="document", threads=1)
    return (time.perf_counter() - begin) * 1000 / max(1, len(chosen))


def bytes_by_part(collection: Collection) -> dict[str, float]:
    """Give bytes a live document of ``texts`` (with ids and metadata), ``words``, ``vectors`` and ``tokens``.

    What a collection has whatever its size (generation, headers) is left out.
    """
    info = collection.info()
    sizes = dict.fromkeys(("texts", *_PARTS), 0.0)
    for name, size in info.size_bytes.items():
        if name in _FIXED:
            continue
        part = next((p for p, starts in _PARTS.items() if name.startswith(starts)), "texts")
        sizes[part] += size / max(1, info.documents)
    return sizes


def costs(
    pipeline: Pipeline, by_part: Mapping[str, float], encode_ms_per_document: float, model_bytes: int
) -> Costs:
    """Say what of a collection one pipeline needs."""
    found = leaves(pipeline)
    kinds = {
        "words": any(isinstance(leaf, BM25 | TFIDF) for leaf in found),
        "vectors": any(isinstance(leaf, Dense | Poly | Cross) for leaf in found),
        "tokens": any(isinstance(leaf, MaxSim) for leaf in found),
    }
    parts = {name: size for name, size in by_part.items() if kinds.get(name, True)}
    needs_vectors = any(leaf.needs_vectors for leaf in found)
    judges = {leaf.model for leaf in found if isinstance(leaf, Cross)}
    size = (model_bytes if needs_vectors else 0) + sum(_folder_bytes(named(judge)) for judge in judges)
    return Costs(parts, encode_ms_per_document if needs_vectors else 0.0, size)


def model_bytes(collection: Collection) -> int:
    """Give the size of the model's folder."""
    return _folder_bytes(collection.model or DEFAULT)


def _folder_bytes(folder: Path) -> int:
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
