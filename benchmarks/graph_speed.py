"""From how many vectors on is a graph (HNSW) worth it, beside comparing all of them, or their signs first? One thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/graph_speed.py --vectors FILE [--sizes N ...]

FILE is what search_speed.py keeps: the vectors of 100,000 real passages. More are made of these, each of their steps of
int8 changed by up to 4. 100 questions ask for their ten nearest, as ``dense`` asks a segment; what is found is held to
the ten that comparing all vectors finds.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Iterator
from pathlib import Path
from typing import cast

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy reads them

import numpy as np
from measuring import arguments, data_folder, summary, write_results
from numpy.typing import NDArray
from search_speed import read_pairs

from shortlist.collection import Segment, SignBits
from shortlist.collection.sign_bits import build_sign_bits
from shortlist.collection.vector_graph import VectorGraph, build_graph
from shortlist.models import Encoder
from shortlist.search.scorers.nearest import nearest_documents
from shortlist.vectors import quantize, quantize_rows

TOP, RECALL = 10, 0.98
SIZES = (100_000, 1_000_000)
Int8 = NDArray[np.int8]


def grown(vectors: Int8, count: int) -> Int8:
    """Give so many vectors: these, and others that are like them."""
    if count <= len(vectors):
        return vectors[:count]
    random = np.random.default_rng(0)
    parts = [vectors]
    for _ in range(-(-count // len(vectors)) - 1):
        noise = random.integers(-4, 5, vectors.shape, dtype=np.int8)
        parts.append(np.clip(vectors.astype(np.int16) + noise, -127, 127).astype(np.int8))
    return np.concatenate(parts)[:count]


class Vectors:
    """Stand in for a segment of documents of one passage each: what dense search asks of it."""

    keeps_vectors = keeps_graph = True

    def __init__(self, vectors: Int8, bits: SignBits | None, graph: VectorGraph | None) -> None:
        self._vectors, self.sign_bits, self.vector_graph = vectors, bits, graph
        self.passage_count = len(vectors)
        self.first_passages = np.arange(len(vectors) + 1)
        self.passages = np.arange(len(vectors))[:, None]

    def __len__(self) -> int:
        return self.passage_count

    def dense_rows(self, passages: NDArray[np.int64]) -> Int8:
        return self._vectors[passages]

    def dense_blocks(self) -> Iterator[tuple[slice, Int8]]:
        yield slice(0, len(self)), self._vectors


def measure(vectors: Int8, queries: Int8) -> dict[str, object]:
    start = time.perf_counter()
    bits = build_sign_bits(vectors, threads=2)
    signs_built = time.perf_counter() - start
    start = time.perf_counter()
    built = build_graph(vectors, threads=2)
    graph_built = time.perf_counter() - start
    graph = VectorGraph(built, len(vectors), vectors.shape[1], "the benchmark")
    ways = {
        "all compared": (Vectors(vectors, None, None), 1),
        f"signs first, {RECALL} asked": (Vectors(vectors, bits, None), RECALL),
        f"graph, {RECALL} asked": (Vectors(vectors, None, graph), RECALL),
    }
    seconds: dict[str, list[float]] = {name: [] for name in ways}
    found: dict[str, list[set[int]]] = {name: [] for name in ways}
    for query in queries:
        for name, (segment, recall) in ways.items():
            start = time.perf_counter()
            ((rows, products),) = nearest_documents(
                cast(Segment, segment), query[None], TOP, None, threads=1, recall=recall
            )
            seconds[name].append(time.perf_counter() - start)
            found[name].append(set(rows[np.argsort(-products, kind="stable")[:TOP]].tolist()))
    return {
        name: {
            **summary(seconds[name][5:]),
            "recall@10": round(
                statistics.mean(
                    len(a & b) / TOP for a, b in zip(found[name], found["all compared"], strict=True)
                ),
                4,
            ),
            "bytes a vector": round(size / len(vectors), 1),
            "built in, s": round(built_in, 1),
        }
        for name, size, built_in in zip(
            ways,
            (vectors.nbytes, bits.bits.nbytes, built.data.nbytes),
            (0.0, signs_built, graph_built),
            strict=True,
        )
    }


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--vectors", type=Path, required=True, help="the .npy file that search_speed.py keeps"
    )
    parser.add_argument("--sizes", type=int, nargs="*", default=list(SIZES), metavar="N")
    given = parser.parse_args()
    encoder = Encoder.load()
    _, queries = read_pairs(data_folder(given.data, parser))
    asked, _ = quantize_rows(encoder.encode(queries["questions"], prompt="query"))
    stored = quantize(np.load(given.vectors), encoder.settings.dense_scale)
    results = {}
    for size in given.sizes:
        results[f"{size:,}"] = measure(grown(stored, size), asked)
        print(size, results[f"{size:,}"], flush=True)
    write_results("graph-speed", results, ["usearch"])


if __name__ == "__main__":
    main()
