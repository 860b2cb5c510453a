"""Which documents of a segment are compared: two looks at signs, against comparing all."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist import Collection, scoring
from shortlist.collection import (
    Postings,
    Segment,
    SegmentData,
    Snapshot,
    Store,
    StoreSettings,
    Texts,
    Views,
    document_bytes,
    sign_bits,
)
from shortlist.search.scorers import nearest
from shortlist.search.scorers.nearest import nearest_documents
from shortlist.types import Document
from tests.collection.test_sign_bits import vectors

H, COUNT = 96, 6000
DENSE = vectors(COUNT + 60, H)
QUERIES, DENSE = DENSE[COUNT:], DENSE[:COUNT]


def stored(path: Path, dense: NDArray[np.int8], of: NDArray[np.int64]) -> Store:
    """Store passages with these vectors; passage ``p`` is one of document ``of[p]``."""
    count = int(of[-1]) + 1
    documents = [Document(f"d{number}", "x") for number in range(count)]
    settings = StoreSettings("english", "", "m", "0" * 16, "fast", "cosine", H, 1 / 254, 0, 0.0)
    store = Store.create(path, settings)
    with store.writer() as writer:
        writer.add(
            SegmentData(
                ids=[document.doc_id for document in documents],
                documents=Texts.of(list(map(document_bytes, documents))),
                lengths=np.ones(count, np.int32),
                words=Postings.build(["x"] for _ in documents),
                metadata=Postings.build([] for _ in documents),
                passages=np.stack([of, np.zeros_like(of), np.ones_like(of)], axis=1).astype(np.int32),
                views=[Views(dense, np.empty((0, 0), np.int8), np.zeros(len(dense), np.int64))],
                dimensions=H,
                token_dimensions=0,
            )
        )
    return store


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sign_bits, "BITS_FROM_PASSAGES", 10)


@pytest.fixture(scope="module")
def opened(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Snapshot]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_bits, "BITS_FROM_PASSAGES", 10)
        store = stored(tmp_path_factory.mktemp("nearest") / "c", DENSE, np.arange(COUNT))
    with store.snapshot() as snapshot:
        yield snapshot


@pytest.fixture(scope="module")
def segment(opened: Snapshot) -> Segment:
    (one,) = opened.segments
    return one


@pytest.fixture
def compared(monkeypatch: pytest.MonkeyPatch) -> list[int]:
    """Count the vectors that are compared, look by look; ``COUNT`` where all are."""
    counts: list[int] = []
    products, best = scoring.dot_products, scoring.best_products

    def some(rows: NDArray[np.int8], *rest: object, **options: object) -> object:
        counts.append(len(rows))
        return products(rows, *rest, **options)  # type: ignore[arg-type]

    def every(rows: NDArray[np.int8], *rest: object, **options: object) -> object:
        counts.append(len(rows))
        return best(rows, *rest, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nearest, "dot_products", some)
    monkeypatch.setattr(nearest, "best_products", every)
    return counts


def found(
    segment: Segment, query: NDArray[np.int8], k: int, recall: float, allowed: object = None
) -> list[tuple[int, float]]:
    ((documents, products),) = nearest_documents(segment, query[None], k, allowed, 1, recall)  # type: ignore[arg-type]
    order = np.lexsort((documents, -products))
    return [(int(documents[at]), float(products[at])) for at in order]


@pytest.mark.parametrize("recall", [0.8, 0.95, 0.99])
@pytest.mark.parametrize("k", [1, 10, 40])
def test_the_share_that_was_asked_for_is_found_by_comparing_few(
    segment: Segment, compared: list[int], k: int, recall: float
) -> None:
    shares, looks = [], []
    for query in QUERIES:
        exact = dict(found(segment, query, k, 1))
        compared.clear()
        ours = found(segment, query, k, recall)
        looks.append(len(compared))
        assert len(ours) >= k
        assert sum(compared) < COUNT // 2
        assert all(exact[document] == product for document, product in ours if document in exact)
        shares.append(len(exact.keys() & dict(ours).keys()) / len(exact))
    assert np.mean(shares) >= recall
    assert max(looks) == (2 if recall > 0.9 else 1)


def test_who_is_near_needs_no_second_look_and_who_is_far_is_compared_with_all(
    segment: Segment, compared: list[int]
) -> None:
    near, far = DENSE[17], -DENSE[17]
    found(segment, near, 1, 0.5)
    assert len(compared) == 1
    compared.clear()
    nowhere = np.random.default_rng(0).integers(
        -20, 21, H, dtype=np.int8
    )  # vectors lie in 8 dimensions of 96
    assert found(segment, nowhere, 40, 0.99) == found(segment, nowhere, 40, 1)
    assert compared[-1] == COUNT
    assert found(segment, far, 1, 0.99) == found(segment, far, 1, 1)


@pytest.mark.parametrize("k", [700, COUNT, 2 * COUNT])
def test_for_a_large_share_of_the_documents_all_are_compared(
    segment: Segment, compared: list[int], k: int
) -> None:
    assert found(segment, QUERIES[0], k, 0.8) == found(segment, QUERIES[0], k, 1)
    assert compared == [COUNT, COUNT]


def test_queries_are_helped_one_by_one(segment: Segment, compared: list[int]) -> None:
    """One that all must be compared with finds what it finds alone, and so do the others."""
    nowhere = np.random.default_rng(0).integers(-20, 21, H, dtype=np.int8)
    together = np.stack([QUERIES[0], nowhere, QUERIES[1], nowhere, QUERIES[2]])
    every = nearest_documents(segment, together, 40, None, 1, 0.9)
    assert compared.count(COUNT) == 1
    for query, (documents, products) in zip(together, every, strict=True):
        ((alone, its),) = nearest_documents(segment, query[None], 40, None, 1, 0.9)
        assert documents.tolist() == alone.tolist()
        assert products.tolist() == its.tolist()


@pytest.mark.parametrize("dead", [1, 3000, COUNT - 5, COUNT])
def test_the_dead_take_no_places(segment: Segment, dead: int) -> None:
    query = QUERIES[3]
    alive = np.ones(COUNT, np.bool_)
    alive[[document for document, _ in found(segment, query, COUNT, 1)[:dead]]] = False
    ours, exact = (found(segment, query, 10, recall, alive) for recall in (0.98, 1))
    assert len(ours) == len(exact) == min(10, COUNT - dead)
    assert len(set(ours) & set(exact)) >= 0.8 * len(exact)


def test_documents_of_many_passages_leave_room_for_others(tmp_path: Path, compared: list[int]) -> None:
    """Half of the passages are one document's, and they are the nearest."""
    query = QUERIES[5]
    order = np.argsort(-(DENSE.astype(np.int32) @ query.astype(np.int32)), kind="stable")
    of = np.concatenate([np.zeros(COUNT // 2, np.int64), 1 + np.arange(COUNT // 2) // 2])
    with stored(tmp_path / "c", DENSE[order], of).snapshot() as snapshot:
        (segment,) = snapshot.segments
        ours, exact = (found(segment, query, 10, recall) for recall in (0.98, 1))
        assert ours == exact
        assert ours[0][0] == 0
    with stored(tmp_path / "d", DENSE, np.arange(COUNT) // 3).snapshot() as snapshot:
        (segment,) = snapshot.segments
        compared.clear()
        shares = []
        for query in QUERIES:
            documents = [{one for one, _ in found(segment, query, 10, recall)} for recall in (0.98, 1)]
            shares.append(len(documents[0] & documents[1]) / 10)
        assert np.mean(shares) >= 0.98
        assert min(compared) < COUNT // 8


def test_what_must_be_read_from_the_file_is_read_in_fewer_places(
    segment: Segment, compared: list[int], monkeypatch: pytest.MonkeyPatch
) -> None:
    query = QUERIES[0]
    kept = found(segment, query, 10, 0.9)
    monkeypatch.setattr(segment, "keeps_vectors", False)
    compared.clear()
    assert found(segment, query, 10, 0.9) == found(segment, query, 10, 1)
    assert min(compared) > 1000  # a hundred for a first look are more than a 64th: all are, block by block
    monkeypatch.setattr(nearest, "READ_SHARE", nearest.SIGNS_SHARE)
    compared.clear()
    assert found(segment, query, 10, 0.9) == kept
    assert max(compared) < COUNT // 8


@pytest.mark.parametrize("effort", [None, 64])
def test_signs_are_asked_where_a_graph_is_known_not_to_find_so_many(
    segment: Segment, monkeypatch: pytest.MonkeyPatch, effort: int | None
) -> None:
    graph = SimpleNamespace(effort=lambda *_: effort, nearest=lambda _, k, *__: np.arange(100, 100 + k))
    monkeypatch.setitem(vars(segment), "vector_graph", graph)
    asked = []
    distances = scoring.bit_distances

    def watched(*given: object, **options: object) -> object:
        asked.append(given)
        return distances(*given, **options)  # type: ignore[arg-type]

    monkeypatch.setattr(nearest, "bit_distances", watched)
    ours = found(segment, QUERIES[0], 10, 0.9)
    assert bool(asked) == (effort is None)
    assert (min(ours)[0] >= 100 and max(ours)[0] < 110) == (effort is not None)


def test_many_are_gathered_in_blocks(segment: Segment, monkeypatch: pytest.MonkeyPatch) -> None:
    whole = found(segment, QUERIES[0], 10, 0.98)
    monkeypatch.setattr(nearest, "_ROWS", 7)
    assert found(segment, QUERIES[0], 10, 0.98) == whole


def test_the_signs_of_an_older_segment_are_not_used(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Up to November 2026 segments said how many of the nearest to look at, and had no pairs."""
    from shortlist.collection.array_file import ArrayFileWriter

    add = ArrayFileWriter.add_array

    def as_before(writer: ArrayFileWriter, name: str, array: NDArray[np.generic]) -> object:
        if name == "dense_bit_distances":
            return None
        if name == "dense_bit_products":
            return add(writer, "dense_bit_ranks", np.zeros((64, 100), np.int32))
        return add(writer, name, array)

    monkeypatch.setattr(ArrayFileWriter, "add_array", as_before)
    store = stored(tmp_path / "c", DENSE, np.arange(COUNT))
    monkeypatch.undo()
    with store.snapshot() as snapshot:
        (segment,) = snapshot.segments
        assert segment.sign_bits is None
        assert (
            segment.kept_bytes
            < segment.file.size - segment.sizes["dense"] - segment.sizes["dense_bits"] + 64 * COUNT
        )
        assert found(segment, QUERIES[0], 10, 0.9) == found(segment, QUERIES[0], 10, 1)
    with Collection.open(tmp_path / "c") as collection:
        assert not [problem for problem in collection.check(deep=True) if "sign" in problem]
