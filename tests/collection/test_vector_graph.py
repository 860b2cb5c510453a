"""A graph of vectors: what it finds, how hard it looks, and a collection that has one."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, CollectionDamagedError, CollectionError, Document
from shortlist.collection import Store, segment_data, sign_bits, vector_graph
from shortlist.collection.vector_graph import (
    COSINE,
    EFFORTS,
    BuiltGraph,
    VectorGraph,
    build_graph,
    turn_away,
)
from shortlist.memory import PROGRAM_BYTES
from shortlist.scoring import dot_products
from shortlist.search.scorers import nearest as nearest_scorer
from tests.collection.test_sign_bits import vectors
from tests.search.corpus import QUERIES, documents

DENSE = vectors(3000)
BUILT = build_graph(DENSE, threads=2)
GRAPH = VectorGraph(BUILT, len(DENSE), DENSE.shape[1], "here")


@pytest.fixture(autouse=True)
def small_segments_have_graphs(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vector_graph, "GRAPH_FROM_PASSAGES", 10)
    monkeypatch.setattr(sign_bits, "BITS_FROM_PASSAGES", 10)
    monkeypatch.setattr(nearest_scorer, "GRAPH_SHARE", 1)
    # On one thread, whatever a collection has: a graph built on more is another each time, and may miss one of ten.
    monkeypatch.setattr(vector_graph, "build_graph", lambda dense, _threads: build_graph(dense))


@pytest.mark.parametrize("recall", [0.8, 0.98])
@pytest.mark.parametrize("k", [1, 10, 100, 300])
def test_it_finds_the_share_that_is_asked_for(k: int, recall: float) -> None:
    queries = vectors(3050)[3000:]  # of the same kind, not among them
    effort = GRAPH.effort(k, recall)
    assert effort is not None
    shares = []
    for query in queries:
        products = dot_products(DENSE, query[None])[0]
        found = GRAPH.nearest(query, k, effort)
        assert (np.diff(found) > 0).all()
        shares.append(np.isin(np.argsort(-products, kind="stable")[:k], found).mean())
    assert np.mean(shares) >= recall


def test_it_looks_harder_for_more_documents_and_for_a_higher_recall() -> None:
    few = np.linspace(7, 9, len(EFFORTS)).astype(np.int32)
    found = np.stack([few, np.linspace(60, 95, len(EFFORTS)).astype(np.int32)], axis=1)[:, :, None]
    graph = VectorGraph(BuiltGraph(BUILT.data, BUILT.efforts, BUILT.counts, found), 3000, 96, "")
    assert BUILT.counts.tolist() == [10, 100]
    assert graph.effort(10, 0.7) == graph.effort(1, 0.7) == EFFORTS[0]
    assert graph.effort(10, 0.9) == EFFORTS[-1]
    assert (graph.effort(11, 0.6), graph.effort(100, 0.6)) == (EFFORTS[0], 100)
    assert graph.effort(100, 0.95) == EFFORTS[-1]
    assert graph.effort(300, 0.95) == 3 * EFFORTS[-1]
    assert graph.effort(10, 0.95) is graph.effort(100, 0.96) is None


def test_what_was_measured_for_few_of_the_nearest_holds_for_few() -> None:
    """Vectors with no structure are hard to find: least effort finds two thirds of the ten nearest, and is known to."""
    dense = np.random.default_rng(0).integers(-100, 101, (3000, 96), dtype=np.int8)
    graph = VectorGraph(build_graph(dense, threads=2), 3000, 96, "")
    queries = np.random.default_rng(1).integers(-100, 101, (50, 96), dtype=np.int8)
    for k, recall in ((10, 0.9), (10, 0.97), (100, 0.97)):
        effort = graph.effort(k, recall)
        assert effort is not None
        shares = []
        for query in queries:
            nearest = np.argsort(-dot_products(dense, query[None])[0], kind="stable")[:k]
            shares.append(np.isin(nearest, graph.nearest(query, k, effort)).mean())
        assert np.mean(shares) > recall - 0.03


def test_samples_are_turned_by_as_much_and_stay_as_long() -> None:
    before = np.concatenate([vectors(50), np.zeros((1, 96), np.int8)])
    after = turn_away(before).astype(float)
    lengths = np.linalg.norm(before, axis=1)
    assert np.linalg.norm(after, axis=1) == pytest.approx(lengths, rel=0.02)
    cosines = (after * before).sum(axis=1)[:50] / lengths[:50] ** 2
    assert cosines == pytest.approx(np.full(50, COSINE), abs=0.02)
    assert np.array_equal(turn_away(before), turn_away(before))


@pytest.mark.parametrize("count", [1, 2, 5])
def test_few_vectors_are_all_found(count: int) -> None:
    graph = VectorGraph(build_graph(DENSE[:count]), count, DENSE.shape[1], "")
    assert graph.nearest(DENSE[0], 9, 64).tolist() == list(range(count))


@pytest.mark.parametrize("size", [0, 10, 1000])
def test_what_is_no_graph_of_the_vectors_is_refused(size: int) -> None:
    with pytest.raises(CollectionDamagedError, match="here: its graph is not one of its vectors"):
        VectorGraph(BuiltGraph(BUILT.data[:size].copy(), *BUILT[1:]), len(DENSE), DENSE.shape[1], "here")
    with pytest.raises(CollectionDamagedError):
        VectorGraph(BUILT, len(DENSE) + 1, DENSE.shape[1], "here")


def corpus() -> list[Document]:
    """Some documents, of which one has many passages."""
    long = " ".join(document.text for document in documents()) * 3
    return [*documents(), Document("long", long)]


@pytest.fixture
def path(tmp_path: Path) -> Path:
    with Collection.create(tmp_path / "c", hnsw=True) as made:
        made.add(corpus()[:12])
        made.add(corpus()[12:])
        made.delete([corpus()[3].doc_id])
    return tmp_path / "c"


def found(
    collection: Collection, query: str, recall: float, k: int = 10, **options: str
) -> list[tuple[str, float]]:
    results = collection.search(query, k, pipeline=f"dense(depth={k})", recall=recall, **options)  # type: ignore[arg-type]
    return [(hit.doc_id, hit.score) for hit, _ in results]


def test_a_collection_finds_with_it_what_it_finds_without(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[int] = []
    nearest = VectorGraph.nearest

    def watched(graph: VectorGraph, vector: np.ndarray, k: int, effort: int) -> np.ndarray:
        asked.append(k)
        return nearest(graph, vector, k, effort)

    monkeypatch.setattr(VectorGraph, "nearest", watched)
    with Collection.open(path) as collection:
        assert collection.info().hnsw
        for query in QUERIES:
            for k in (1, 10, 100):
                ours, all_compared = found(collection, query, 0.9, k), found(collection, query, 1, k)
                assert [score for _, score in ours] == [score for _, score in all_compared]
                last = all_compared[-1][1]  # of those that score as the last it may lead to another
                assert [hit for hit in ours if hit[1] > last] == [
                    hit for hit in all_compared if hit[1] > last
                ]
        assert len(asked) >= 2 * 2 * len(QUERIES)  # of two segments, if not for all that there are
        assert max(asked) >= 40  # of one document's many passages more had to be asked for
        asked.clear()
        assert found(collection, "salt", 0.9, condition='topic = "sky"')
        assert not asked  # behind a filter all is compared


def test_a_segments_graph_is_built_on_all_cores(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    given: list[int] = []

    def watched(dense: np.ndarray, threads: int) -> BuiltGraph:
        given.append(threads)
        return build_graph(dense, threads)

    monkeypatch.setattr(vector_graph, "build_graph", watched)
    monkeypatch.setattr(segment_data, "usable_cores", lambda: 3)
    with Collection.create(tmp_path / "c", hnsw=True) as made:
        made.add(corpus())
        assert found(made, "salt", 0.5)
    assert given == [3]


def test_it_is_made_anew_when_segments_are_joined_and_repaired(path: Path) -> None:
    with Collection.open(path) as collection:
        collection.compact()
        assert collection.check(deep=True) == []
        assert found(collection, "salt", 0.9) == found(collection, "salt", 1)
        with collection.store.snapshot() as snapshot:
            (segment,) = snapshot.segments
            assert segment.vector_graph is not None
            assert len(segment.vector_graph) == segment.passage_count
            file, place = segment.file.path, bytes(np.asarray(segment.file.sections["dense_graph"])[:64])
    content = bytearray(file.read_bytes())
    content[content.find(place) + 40] ^= 255
    file.write_bytes(content)
    with Collection.open(path) as collection:
        assert any("dense_graph" in problem for problem in collection.check(deep=True))
        with pytest.raises(CollectionDamagedError):
            found(collection, "salt", 0.9)
    assert Collection.repair(path).segments == 1
    with Collection.open(path) as collection:
        assert collection.check(deep=True) == []
        assert found(collection, "salt", 0.9) == found(collection, "salt", 1)


def test_it_stays_on_the_disk_where_memory_is_short(path: Path) -> None:
    with Store(path).snapshot() as snapshot:
        kept = sum(segment.kept_bytes for segment in snapshot.segments)
        vectors = sum(segment.sizes["dense"] for segment in snapshot.segments)
        graphs = sum(segment.sizes["dense_graph"] for segment in snapshot.segments)
    for more, keeps in ((0, (False, False)), (vectors, (True, False)), (vectors + graphs, (True, True))):
        with Collection.open(path, memory=PROGRAM_BYTES + kept + more) as collection:
            assert found(collection, "salt", 0.9) == found(collection, "salt", 1)
            with collection._searching() as searcher:
                for segment in searcher.snapshot.segments:
                    assert (segment.keeps_vectors, segment.keeps_graph) == keeps
                    assert ("vector_graph" in vars(segment)) == keeps[1]


@pytest.mark.parametrize("kind", ["dead", "same"])
def test_where_it_leads_to_too_little_all_is_compared(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str
) -> None:
    """Nine of ten documents are dead, or all have the same vector."""
    monkeypatch.setattr(nearest_scorer, "GRAPH_SHARE", 4)
    documents = [
        Document(str(n), "salt" if kind == "same" else f"about {n} grains of salt") for n in range(400)
    ]
    with Collection.create(tmp_path / "c", hnsw=True, token_vectors=False) as collection:
        collection.add(documents)
        if kind == "dead":
            best = [doc_id for doc_id, _ in found(collection, "about 7 grains of salt", 1, 360)]
            collection.delete(best)
        for k in (1, 10, 40):
            ours = found(collection, "about 7 grains of salt", 0.9, k)
            assert len(ours) == k
            assert [score for _, score in ours] == [
                s for _, s in found(collection, "about 7 grains of salt", 1, k)
            ]


def test_without_usearch_signs_are_compared_and_nothing_is_added(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(vector_graph, "has_usearch", lambda: False)
    monkeypatch.setattr("shortlist.collection.segment.has_usearch", lambda: False)
    with Collection.open(path) as collection:
        assert found(collection, "salt", 0.9) == found(collection, "salt", 1)
        before = collection.info().documents
        with pytest.raises(CollectionError, match="usearch"):
            collection.compact()
        with pytest.raises(CollectionError, match="usearch, which is not installed") as refused:
            collection.add([Document("new", "salt")])
        assert "shortlist[hnsw]" in refused.value.hint
        assert collection.info().documents == before
        assert collection.delete(["new"]) == 0
    with pytest.raises(CollectionError, match="usearch"):
        Collection.create(path.parent / "other", hnsw=True)
    assert not (path.parent / "other").exists()
    first = min((path / "segments").iterdir())
    content = bytearray(first.read_bytes())
    content[len(content) // 2] ^= 255
    first.write_bytes(content)
    assert Collection.repair(path).segments == 1  # without a graph, rather than not at all
    with Collection.open(path) as collection:
        assert collection.check(deep=True) == []
        assert found(collection, "salt", 0.9) == found(collection, "salt", 1)
