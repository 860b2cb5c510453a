"""A graph of a segment's text vectors that leads from near to nearer: HNSW, by usearch, where it was asked for.

Signs (`sign_bits`) read an eighth of all vectors' bytes; a graph reads some hundreds of vectors, however many there
are. It has a copy of them, so that it takes 1.4 times their memory again, and it takes minutes to build.
How hard to look is measured for each segment, with queries that lie as far from its vectors as questions do: some of
them, turned at random until their cosine with what they were is ``COSINE``. The vectors themselves are found too
easily, above all where texts have doubles. What a graph finds is compared exactly.

Source: Malkov and Yashunin 2018.
"""

from __future__ import annotations

import importlib.util
from threading import Lock
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import REPAIR
from shortlist.collection.sign_bits import sampled_rows
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.scoring import best_products

if TYPE_CHECKING:
    from usearch.index import Index

__all__ = [
    "GRAPH_FROM_PASSAGES",
    "BuiltGraph",
    "VectorGraph",
    "build_graph",
    "has_usearch",
    "require_usearch",
    "turn_away",
]

GRAPH_FROM_PASSAGES = 2_000_000
"""Segments of fewer passages have no graph: at a million signs take no longer, and find more (``graph_speed.py``)."""

LINKS = 16  # of a vector, on each level but the lowest, which has twice as many
BUILD_EFFORT = 128
EFFORTS = (16, 32, 64, 128, 256, 512, 1024, 2048)
"""How many candidates a search keeps on its way; never fewer than it is to find."""

COUNTS = (10, 100)
"""How many of the nearest samples ask for: the more, the more effort it takes to find most of them."""

COSINE = 0.45
"""How near samples are to the vector they were: as far as questions are from passages. Of 20,000 passages a graph finds
for questions no less than for such samples; where each stands six times it finds less, .90 of ten where samples find
.97. The vectors themselves are found with the least effort (``calibration.py``)."""


class BuiltGraph(NamedTuple):
    """Hold a graph as usearch writes it, and how many of the nearest samples find with how much effort.

    They are ``efforts [E]`` and ``counts [C]``, both ascending, and ``found [E, C, samples]`` of so many.
    """

    data: NDArray[np.uint8]
    efforts: NDArray[np.int32]
    counts: NDArray[np.int32]
    found: NDArray[np.int32]


def has_usearch() -> bool:
    """Whether what makes and reads graphs is installed."""
    return importlib.util.find_spec("usearch") is not None


def require_usearch() -> None:
    """Refuse to go on without what makes graphs.

    Raises:
        CollectionError: usearch isn't installed.
    """
    if not has_usearch():
        raise CollectionError(
            "a graph of the vectors needs usearch, which is not installed",
            hint='pip install "shortlist[hnsw]"',
        )


def build_graph(dense: NDArray[np.int8], threads: int = 1) -> BuiltGraph:
    """Make the graph of vectors ``[passages, H]``, and measure how well it leads to what is near.

    On more than one thread the graph is another each time; what it must find is measured for each.

    Raises:
        CollectionError: usearch isn't installed.
    """
    require_usearch()
    from usearch.index import Index

    index = Index(
        ndim=dense.shape[1], metric="ip", dtype="i8", connectivity=LINKS, expansion_add=BUILD_EFFORT
    )
    index.add(np.arange(len(dense)), dense, threads=threads)
    samples = turn_away(dense[sampled_rows(len(dense))])
    counts = np.unique(np.minimum(COUNTS, len(dense))).astype(np.int32)
    nearest = [
        passages[np.argsort(-products, kind="stable")]
        for passages, products in best_products(dense, samples, int(counts[-1]), threads=threads)
    ]
    found = np.array(
        [
            [
                [np.isin(its[:count], _nearest(index, sample, count, effort)).sum() for sample, its in asked]
                for count in counts.tolist()
            ]
            for asked, effort in ((list(zip(samples, nearest, strict=True)), effort) for effort in EFFORTS)
        ],
        np.int32,
    )
    written = index.save()
    assert written is not None  # it is where it is given no path
    return BuiltGraph(np.frombuffer(written, np.uint8), np.array(EFFORTS, np.int32), counts, found)


class VectorGraph:
    """Find vectors of a segment that are near to a query's.

    Raises:
        CollectionDamagedError: the graph is no graph of so many vectors.
    """

    def __init__(self, built: BuiltGraph, passages: int, dimensions: int, where: str) -> None:
        from usearch.index import Index

        self._data, self._efforts, self._counts, found = built
        if (
            found.ndim != 3
            or (*self._efforts.shape, *self._counts.shape) != found.shape[:2]
            or not found.size
        ):
            raise CollectionDamagedError(
                f"{where}: what was measured of its graph is of another shape", hint=REPAIR
            )
        self._recalls = found.mean(axis=2) / np.maximum(1, self._counts)
        self._lock = Lock()  # how hard to look is set for the whole index
        try:
            index = Index.restore(self._data.data, view=True)
        except (ValueError, RuntimeError):
            index = None
        if index is None or (len(index), index.ndim) != (passages, dimensions):
            raise CollectionDamagedError(
                f"{where}: its graph is not one of its vectors, or this version of usearch can't read it",
                hint=REPAIR,
            )
        self._index = index

    def __len__(self) -> int:
        return len(self._index)

    def effort(self, k: int, recall: float) -> int | None:
        """Give how hard to look for that share of the ``k`` nearest; ``None`` if no effort is known to find it."""
        which = min(int(np.searchsorted(self._counts, k)), len(self._counts) - 1)
        enough = np.flatnonzero(self._recalls[:, which] >= recall)
        if not len(enough):
            return None
        return int(max(self._efforts[enough[0]] * max(1.0, k / self._counts[which]), k))

    def nearest(self, vector: NDArray[np.int8], k: int, effort: int) -> NDArray[np.int64]:
        """Give ``k`` passages that are near to a query's vector ``[H]``, ascending; fewer if there are no more."""
        with self._lock:
            return np.sort(_nearest(self._index, vector, min(k, len(self)), effort))


def turn_away(vectors: NDArray[np.int8]) -> NDArray[np.int8]:
    """Turn vectors ``[N, H]`` at random, the same each time, until their cosine with what they were is ``COSINE``."""
    wide = vectors.astype(np.float64)
    lengths = np.linalg.norm(wide, axis=1, keepdims=True)
    noise = np.random.default_rng(0).normal(size=wide.shape)
    noise -= wide * ((noise * wide).sum(axis=1, keepdims=True) / np.maximum(1, lengths**2))
    noise *= lengths / np.maximum(1e-9, np.linalg.norm(noise, axis=1, keepdims=True))
    turned = COSINE * wide + np.sqrt(1 - COSINE**2) * noise
    stored: NDArray[np.int8] = np.clip(np.rint(turned), -127, 127).astype(np.int8)
    return stored


def _nearest(index: Index, vector: NDArray[np.int8], count: int, effort: int) -> NDArray[np.int64]:
    index.expansion_search = effort  # type: ignore[misc]  # it can be set
    return index.search(np.ascontiguousarray(vector), count, threads=1).keys.astype(np.int64)
