"""Retrieval where not every document is read: by the segments' lists of tokens, and by the signs of text vectors.

The sizes from which on there are lists, and from which on they are used, are made small, and so is what is read.
"""

from collections.abc import Iterator
from itertools import permutations
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist import Collection, Document, scoring
from shortlist.collection import Store, sign_bits, token_lists
from shortlist.errors import PipelineError
from shortlist.search import Dense, MaxSim, Pipeline, leaves, parse
from shortlist.search.scorers import late, nearest
from shortlist.types import Query
from tests.search.corpus import QUERIES, documents

EXACT = MaxSim(exact=True)
LATE = MaxSim(depth=10)


def many() -> list[Document]:
    """Give 552 documents: every one of the corpus, and pairs of them as one text."""
    ours = [one for one in documents() if one.text][:24]
    return [
        Document(
            f"{a.doc_id}+{b.doc_id}", f"{a.title} {a.text} {b.title} {b.text}", metadata={"of": a.doc_id}
        )
        for a, b in permutations(ours, 2)
    ]


@pytest.fixture(autouse=True)
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_lists, "LISTS_FROM_PASSAGES", 100)
    monkeypatch.setattr(sign_bits, "BITS_FROM_PASSAGES", 100)
    monkeypatch.setattr(nearest, "LEAST", 10)
    monkeypatch.setattr(nearest, "TIMES", 2)
    monkeypatch.setattr(nearest, "SIGNS_SHARE", 1)
    monkeypatch.setattr(late, "EXHAUSTIVE", 50)
    monkeypatch.setattr(late, "CANDIDATES", 60)


@pytest.fixture(scope="module")
def built(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(token_lists, "LISTS_FROM_PASSAGES", 100)
        patch.setattr(sign_bits, "BITS_FROM_PASSAGES", 100)
        made = Collection.create(tmp_path_factory.mktemp("many") / "whole")
        made.add(many())
    with made:
        assert made.info().size_bytes["token_list_passages"] > 0
        yield made


def found(
    collection: Collection, query: str, pipeline: Pipeline, **options: object
) -> list[tuple[str, float]]:
    result = collection.search(query, 10, pipeline=pipeline, **options)  # type: ignore[arg-type]
    return [(hit.doc_id, hit.score) for hit in result.ranking]


def test_nearly_all_of_the_best_are_found_and_their_scores_are_exact(built: Collection) -> None:
    shares = []
    for query in QUERIES[:6]:  # the others mean nothing: all documents are equally far
        exact = dict(found(built, query, EXACT))
        ours = dict(found(built, query, LATE))
        assert all(score == exact[doc_id] for doc_id, score in ours.items() if doc_id in exact)
        assert max(ours.values(), default=0) <= max(exact.values(), default=0)
        shares.append(len(exact.keys() & ours.keys()) / max(1, len(exact)))
    assert np.mean(shares) >= 0.97


@pytest.mark.parametrize(("bits", "pooling"), [(4, 1), (2, 1), (4, 2)])
def test_tokens_in_few_bits_have_lists_too(tmp_path: Path, bits: int, pooling: int) -> None:
    with Collection.create(tmp_path / "c", token_bits=bits, token_pooling=pooling) as made:
        made.add(many()[:300])
        made.add(many()[300:])
        made.compact()
        assert made.check(deep=True) == []
        assert made.info().size_bytes["token_list_passages"] > 0
        shares = []
        for query in QUERIES[:6]:
            exact, ours = (dict(found(made, query, stage)) for stage in (EXACT, LATE))
            assert all(score == exact[doc_id] for doc_id, score in ours.items() if doc_id in exact)
            shares.append(len(exact.keys() & ours.keys()) / max(1, len(exact)))
        assert np.mean(shares) >= 0.95


def test_a_run_reads_no_documents(built: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    asked = [Query(str(number), query) for number, query in enumerate(QUERIES[:3])]
    expected = [built.search(query.text, 10, pipeline="hybrid+late").ranking for query in asked]

    def read(*_: object) -> object:
        raise AssertionError("a document was read")

    monkeypatch.setattr("shortlist.collection.segment.Segment.document_bytes", read)
    run = built.run(asked, 10, pipeline="hybrid+late")
    assert [run.rankings[query.query_id] for query in asked] == expected


def test_not_all_are_read(built: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[int] = []
    whole = late.LateScorer._score_passages

    def counted(scorer: late.LateScorer, segment: object, passages: np.ndarray) -> object:
        read.append(len(passages))
        return whole(scorer, segment, passages)  # type: ignore[arg-type]

    monkeypatch.setattr(late.LateScorer, "_score_passages", counted)
    found(built, QUERIES[0], LATE)
    assert sum(read) <= 60 + 10  # and the best again, for their passages
    read.clear()
    found(built, QUERIES[0], EXACT)
    assert sum(read) >= 552


@pytest.mark.parametrize("share", [1, 5, 12])
def test_a_filter_leaves_as_many_as_it_lets_through(built: Collection, share: int) -> None:
    firsts = sorted({str(one.metadata["of"]) for one in many()})[:share]
    condition = " or ".join(f'of = "{first}"' for first in firsts)
    ours = found(built, "a card that was declined", LATE, condition=condition)
    exact = found(built, "a card that was declined", EXACT, condition=condition)
    assert len(ours) == len(exact) == 10
    assert {doc_id.partition("+")[0] for doc_id, _ in ours} <= set(firsts)
    assert len(dict(ours).keys() & dict(exact).keys()) >= 9


def test_as_many_are_found_as_are_asked_for(built: Collection) -> None:
    assert len(built.search("salt", 552, pipeline=MaxSim()).ranking) == 552


def test_deleted_documents_are_not_found_and_new_ones_are(tmp_path: Path) -> None:
    every = many()
    with Collection.create(tmp_path / "grown") as grown:
        grown.add(every)
        query = "a card that was declined abroad"
        best = found(grown, query, LATE)[0][0]
        grown.delete([best])
        assert best not in dict(found(grown, query, LATE))
        grown.add([Document("new", "The card was declined abroad."), *(d for d in every if d.doc_id == best)])
        again = dict(found(grown, query, LATE))
        assert best in again
        assert "new" in again
        assert grown.info().segments == 2  # the smaller one without lists


def test_compacting_gives_the_lists_that_a_fresh_collection_has(tmp_path: Path) -> None:
    every = many()
    with Collection.create(tmp_path / "grown") as grown, Collection.create(tmp_path / "fresh") as fresh:
        for start in range(0, len(every), 200):
            grown.add([*every[start : start + 200], Document(f"gone {start}", "soon deleted")])
        grown.delete([f"gone {start}" for start in range(0, len(every), 200)])
        assert grown.compact()
        assert grown.check(deep=True) == []
        fresh.add(every)
        for query in QUERIES:
            assert found(grown, query, LATE) == found(fresh, query, LATE)
    arrays = []
    for name in ("grown", "fresh"):
        with Store(tmp_path / name).snapshot() as snapshot:
            lists = snapshot.segments[0].token_lists
            assert lists is not None
            arrays.append([np.asarray(array).tobytes() for array in lists])
    assert arrays[0] == arrays[1]


def test_signs_first_find_nearly_all_and_compare_few(
    built: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    compared: list[int] = []
    whole = scoring.dot_products

    def counted(rows: NDArray[np.int8], queries: NDArray[np.int8], **options: int) -> NDArray[np.float32]:
        compared.append(len(rows))
        return whole(rows, queries, **options)

    def all_of_them(*_: object, **__: object) -> object:
        raise AssertionError("all vectors were compared")

    monkeypatch.setattr(nearest, "dot_products", counted)
    shares = []
    for query in (*QUERIES[:4], QUERIES[5]):  # nothing says when the ferry leaves: all is as far
        exact = dict(found(built, query, Dense()))
        compared.clear()
        with pytest.MonkeyPatch.context() as patch:
            patch.setattr(nearest, "best_products", all_of_them)
            ours = dict(found(built, query, Dense(depth=10, recall=0.95)))
        assert 30 <= compared[0] < 100
        assert max(compared) < 400
        assert all(score == exact[doc_id] for doc_id, score in ours.items() if doc_id in exact)
        shares.append(len(exact.keys() & ours.keys()) / 10)
    assert np.mean(shares) >= 0.88  # of five queries


def test_signs_first_keep_to_filters_and_to_what_is_alive(tmp_path: Path) -> None:
    pipeline = Dense(recall=0.9)
    with Collection.create(tmp_path / "c") as collection:
        collection.add(many())
        assert collection.info().size_bytes["dense_bits"] > 0
        first = str(many()[0].metadata["of"])
        ours = found(collection, "a declined card", pipeline, condition=f'of = "{first}"')
        assert len(ours) == 10
        assert {doc_id.partition("+")[0] for doc_id, _ in ours} == {first}
        best = found(collection, "a declined card", pipeline)[0][0]
        collection.delete([best])
        assert best not in dict(found(collection, "a declined card", pipeline))
        assert collection.check(deep=True) == []


def test_a_run_finds_what_searches_find(built: Collection) -> None:
    pipelines = [parse("fuse(bm25, dense(recall=0.9), method='adaptive')"), Dense(recall=0.9), Dense(), LATE]
    queries = [Query(str(number), text) for number, text in enumerate(QUERIES) if text]
    for pipeline, run in zip(pipelines, built.run_all(queries, pipelines, 10), strict=True):
        for query in queries:
            hits = run.rankings[query.query_id].hits[:10]
            assert [(hit.doc_id, hit.score) for hit in hits] == found(built, query.text, pipeline)


@pytest.mark.parametrize(
    "name", ["dense", "hybrid", "hybrid+poly", "hybrid+late", "hybrid+cross", "cascade", None]
)
def test_recall_is_given_for_all_dense_stages(built: Collection, name: str | None) -> None:
    result = built.search("a declined card", 10, pipeline=name, recall=0.9)
    dense = [leaf for leaf in leaves(result.pipeline) if isinstance(leaf, Dense)]
    assert [leaf.recall for leaf in dense] == [0.9]
    assert all("dense" in hit.stages for hit, _ in result)  # a score has no recall
    query = Query("q", "a declined card")
    run = built.run([query], 10, pipeline=name, recall=0.9)
    assert [hit.doc_id for hit in run.rankings["q"]] == [hit.doc_id for hit, _ in result]
    if name is not None:
        (other,) = built.run_all([query], [name], 10, recall=0.9)
        assert other.name == run.name
        assert [hit.doc_id for hit in other.rankings["q"]] == [hit.doc_id for hit, _ in result]


@pytest.mark.parametrize("name", ["bm25", "tfidf", "poly", "late", "rerank(bm25, maxsim)"])
def test_recall_without_a_dense_stage_is_refused(built: Collection, name: str) -> None:
    with pytest.raises(PipelineError, match="no dense stage"):
        built.search("salt", pipeline=name, recall=0.9)


@pytest.mark.parametrize("recall", [-0.1, 1.1, float("nan")])
def test_recall_is_a_share(built: Collection, recall: float) -> None:
    with pytest.raises(PipelineError, match="recall"):
        built.search("salt", pipeline="dense", recall=recall)


LONG = " ".join(["And so it went on, with nothing to say about cards, bread or ports."] * 60)
"""Some passages that answer nothing."""


def shaped(place: Path, *, long: bool, parts: int, gone: int) -> Collection:
    """Build a collection: documents of one passage or of several, in so many segments, some deleted."""
    every = many()
    if long:
        every = [
            Document(d.doc_id, f"{d.text} {LONG}" if n % 3 == 0 else d.text)
            for n, d in enumerate(every[:280])
        ]
    collection = Collection.create(place)
    step = -(-len(every) // parts)
    for start in range(0, len(every), step):
        collection.add(every[start : start + step])
    collection.delete([document.doc_id for document in every[:gone]])
    return collection


@pytest.mark.parametrize("gone", [0, 40])
@pytest.mark.parametrize("parts", [1, 3])
@pytest.mark.parametrize("long", [False, True])
def test_whatever_the_segments_nearly_all_of_the_best_are_found(
    tmp_path: Path, long: bool, parts: int, gone: int
) -> None:
    with shaped(tmp_path / "c", long=long, parts=parts, gone=gone) as collection:
        assert collection.info().segments == parts
        assert (collection.info().passages > 552) == long
        with Store(tmp_path / "c").snapshot() as snapshot:
            assert all(segment.token_lists is not None for segment in snapshot.segments)
        with Collection.open(tmp_path / "c", memory="300MB") as limited:
            with limited._searching() as searcher:
                for segment in searcher.snapshot.segments:
                    segment.keeps_vectors = False
            for exact, ours in ((EXACT, LATE), (Dense(), Dense(recall=0.95))):
                shares = []
                for query in (*QUERIES[:4], QUERIES[5]):
                    right, first = dict(found(collection, query, exact)), found(collection, query, ours)
                    assert all(score == right[doc_id] for doc_id, score in first if doc_id in right)
                    assert len(first) == 10
                    assert found(limited, query, ours) == first
                    shares.append(len(right.keys() & dict(first).keys()) / 10)
                assert np.mean(shares) >= 0.88  # of five queries


def test_segments_without_lists_are_read_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(token_lists, "LISTS_FROM_PASSAGES", 10_000)
    with Collection.create(tmp_path / "c") as collection:
        collection.add(many()[:120])
        assert "token_list_passages" not in collection.info().size_bytes
        for query in QUERIES:
            assert found(collection, query, LATE) == found(collection, query, EXACT)


@pytest.mark.parametrize("k", [10, 120, 280])
def test_documents_of_many_passages_leave_room_for_others(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, k: int
) -> None:
    monkeypatch.setattr(
        late, "SHORTLISTED", 1
    )  # so the passages of a few documents are more than those looked at
    with shaped(tmp_path / "c", long=True, parts=1, gone=0) as collection:
        assert len(collection.search("nothing to say about cards", k, pipeline=MaxSim()).ranking) == k


def test_behind_a_filter_all_vectors_are_compared(built: Collection) -> None:
    nearest = found(built, "a card that was declined", Dense())
    of = {doc_id.partition("+")[0] for doc_id, _ in nearest}
    condition = " and ".join(f'not of = "{one}"' for one in sorted(of))  # all that is near is left out
    ours = found(built, "a card that was declined", Dense(recall=0.5), condition=condition)
    assert ours == found(built, "a card that was declined", Dense(), condition=condition)


def test_exact_is_a_setting_with_a_text_form() -> None:
    assert parse("maxsim(exact=True)") == EXACT
    assert str(EXACT) == "maxsim(exact=True)"
    assert parse("late") == MaxSim()
