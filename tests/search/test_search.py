"""What a search gives: hits, spans, timings; and the laws that hold for every pipeline."""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import Collection, DataError, Document, Encoder, FilterError, PipelineError, Query
from shortlist.models import QueryVectors
from shortlist.search import NAMES, Rerank, can_run, deepen, name_of, parse, searcher
from shortlist.types import Ranking
from tests.search.corpus import QUERIES, TOPICS, build_in_steps, documents

BY_MEANING = [name for name in NAMES if name not in ("bm25", "tfidf")]
EVERY_NAME = pytest.mark.parametrize("name", NAMES)
CORPUS = {document.doc_id: document for document in documents()}


@pytest.fixture
def empty(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "empty") as made:
        yield made


def pairs(ranking: Ranking) -> list[tuple[str, float]]:
    return [(hit.doc_id, hit.score) for hit in ranking]


# -- hits ---------------------------------------------------------------------------------------------------


@EVERY_NAME
@pytest.mark.parametrize("query", QUERIES)
def test_every_hit_comes_with_its_document_and_a_span_of_its_text(
    collection: Collection, name: str, query: str
) -> None:
    result = collection.search(query, k=100, pipeline=name)
    assert list(result) == [(hit, CORPUS[hit.doc_id]) for hit in result.ranking]
    for hit, document in result:
        assert hit.span is not None
        assert 0 <= hit.span.start <= hit.span.end <= len(document.text)
        assert (hit.span.start, hit.span.end) == (0, len(document.text)) or hit.doc_id.startswith("long")


STAGES = {
    "bm25": {"bm25"},
    "tfidf": {"tfidf"},
    "dense": {"dense"},
    "poly": {"poly"},
    "late": {"late"},
    "cross": {"judge"},
    "hybrid": {"bm25", "dense"},
    "hybrid+poly": {"bm25", "dense", "poly"},
    "hybrid+late": {"bm25", "dense", "late"},
    "hybrid+cross": {"bm25", "dense", "late", "judge"},
    "cascade": {"bm25", "dense", "late", "judge-small", "judge"},
}
ALONE = {"judge": "cross", "judge-small": "cross(model='judge-small')"}
READING_FEW = ("hybrid+cross", "cascade")
"""Pipelines whose judges don't read all of the corpus: the rest keeps its order below."""


@EVERY_NAME
def test_every_hit_carries_the_score_that_every_scorer_gave_it(collection: Collection, name: str) -> None:
    own = {
        stage: dict(pairs(collection.search("moon dust", k=100, pipeline=ALONE.get(stage, stage)).ranking))
        for stage in STAGES[name]
    }
    for hit in collection.search("moon dust", k=100, pipeline=name).ranking:
        unread = {stage for stage in ALONE if name in READING_FEW and stage not in hit.stages}
        assert dict(hit.stages) == {stage: own[stage].get(hit.doc_id, 0.0) for stage in STAGES[name] - unread}


def test_a_cascade_reads_ever_fewer_documents_and_those_it_read_come_first(collection: Collection) -> None:
    stage = NAMES["cascade"]
    assert isinstance(stage, Rerank)
    assert isinstance(stage.first, Rerank)
    count = collection.info().documents
    assert stage.depth < stage.first.depth < count
    hits = collection.search("moon dust", k=count, pipeline=stage).ranking.hits
    read = ["judge" in hit.stages for hit in hits]
    assert read == [True] * stage.depth + [False] * (count - stage.depth)
    small = ["judge-small" in hit.stages for hit in hits]
    assert small == [True] * stage.first.depth + [False] * (count - stage.first.depth)


def test_a_scorer_with_settings_is_named_by_them(collection: Collection) -> None:
    pipeline = "rerank(fuse(bm25(k1=0.9, depth=50), bm25), maxsim(depth=7))"
    result = collection.search("moon", pipeline=pipeline)
    assert set(result.ranking[0].stages) == {"bm25(k1=0.9)", "bm25", "late"}


@EVERY_NAME
def test_documents_of_the_same_text_tie_and_stand_in_descending_order_of_their_ids(
    collection: Collection, name: str
) -> None:
    hits = collection.search("when does the ferry leave", k=4, pipeline=name).ranking
    assert [hit.doc_id for hit in hits] == ["twin-d", "twin-c", "twin-b", "twin-a"]
    assert len({hit.score for hit in hits}) == 1


@pytest.mark.parametrize(
    "pipeline",
    ["bm25(depth=2)", "tfidf(depth=2)", "dense(depth=2)", "maxsim(depth=2)", "fuse(bm25(depth=2), dense(depth=2))",
     "rerank(dense(depth=2), bm25, depth=2)"],
)  # fmt: skip
def test_of_documents_that_tie_at_the_cut_the_highest_ids_pass(collection: Collection, pipeline: str) -> None:
    hits = collection.search("when does the ferry leave", k=2, pipeline=pipeline).ranking
    assert [hit.doc_id for hit in hits] == ["twin-d", "twin-c"]


# -- how many -----------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.sampled_from(list(NAMES)), st.sampled_from(QUERIES), st.integers(1, 70))
def test_the_best_k_are_a_prefix_of_the_best_k_plus_one(
    collection: Collection, name: str, query: str, k: int
) -> None:
    fewer = collection.search(query, k=k, pipeline=name).ranking.hits
    more = collection.search(query, k=k + 1, pipeline=name).ranking.hits
    assert fewer == more[:k]
    assert len(fewer) == min(k, len(more))


@pytest.mark.parametrize("pipeline", ["bm25(depth=3)", "tfidf(depth=3)", "dense(depth=3)", "maxsim(depth=3)"])
@pytest.mark.parametrize("query", QUERIES[:6])
def test_the_prefix_goes_on_beyond_the_depth_of_a_retriever(
    collection: Collection, pipeline: str, query: str
) -> None:
    whole = collection.search(query, k=1000, pipeline=pipeline).ranking.hits
    for k in (1, 2, 3, 4, 5, 10):
        assert collection.search(query, k=k, pipeline=pipeline).ranking.hits == whole[:k]


@EVERY_NAME
def test_more_hits_than_a_pipeline_passes_on_deepen_it_and_the_result_says_so(
    collection: Collection, name: str
) -> None:
    assert collection.search("moon", k=200, pipeline=name).pipeline == NAMES[name]
    deeper = collection.search("moon", k=201, pipeline=name).pipeline
    assert deeper == deepen(NAMES[name], 201)
    assert "depth=201" in str(deeper)
    assert parse(str(deeper)) == deeper


def test_a_shallow_pipeline_still_gives_as_many_hits_as_are_asked_for(collection: Collection) -> None:
    result = collection.search("moon", k=20, pipeline="fuse(bm25(depth=3), dense(depth=3))")
    assert len(result.ranking) == 20


@pytest.mark.parametrize("k", [0, -1, True, 1.0, "10", None])
def test_a_k_that_is_no_whole_number_from_1_is_refused(collection: Collection, k: object) -> None:
    with pytest.raises(PipelineError, match=f"k must be a whole number from 1, not {k!r}"):
        collection.search("moon", k)  # type: ignore[arg-type]
    with pytest.raises(PipelineError, match="k must be a whole number from 1"):
        collection.run([Query("1", "moon")], k)  # type: ignore[arg-type]


# -- filters ------------------------------------------------------------------------------------------------

TOPIC_NAMES = [*TOPICS, "long", "twin", "odd"]


@settings(max_examples=60)
@given(
    st.sampled_from(BY_MEANING),
    st.sampled_from(QUERIES),
    st.lists(st.sampled_from(TOPIC_NAMES), min_size=1, max_size=3, unique=True),
    st.integers(1, 30),
)
def test_a_filter_gives_k_hits_whenever_k_documents_match(
    collection: Collection, name: str, query: str, topics: list[str], k: int
) -> None:
    matching = {doc_id for doc_id, one in CORPUS.items() if one.metadata["topic"] in topics}
    hits = collection.search(query, k=k, pipeline=name, condition={"topic": list(topics)}).ranking
    assert len(hits) == min(k, len(matching))
    assert {hit.doc_id for hit in hits} <= matching


@pytest.mark.parametrize("name", [name for name in NAMES if name not in READING_FEW])
@pytest.mark.parametrize("query", QUERIES[:6])
def test_a_filtered_ranking_is_the_whole_one_without_the_others(
    collection: Collection, name: str, query: str
) -> None:
    whole = collection.search(query, k=1000, pipeline=name).ranking
    found = collection.search(
        query, k=1000, pipeline=name, condition='topic in (sky, garden, "long")'
    ).ranking
    expected = [hit for hit in pairs(whole) if CORPUS[hit[0]].metadata["topic"] in ("sky", "garden", "long")]
    assert pairs(found) == expected


@pytest.mark.parametrize("name", READING_FEW)
def test_what_stages_say_of_a_document_is_the_same_whatever_a_filter_lets_through(
    collection: Collection, name: str
) -> None:
    whole = {hit.doc_id: hit.stages for hit in collection.search("moon", k=1000, pipeline=name).ranking}
    found = collection.search("moon", k=1000, pipeline=name, condition="topic in (sky, garden)").ranking
    assert {CORPUS[hit.doc_id].metadata["topic"] for hit in found} == {"sky", "garden"}
    both = [(stage, hit.stages[stage], whole[hit.doc_id][stage])
            for hit in found for stage in hit.stages if stage in whole[hit.doc_id]]  # fmt: skip
    assert {stage for stage, _, _ in both} == STAGES[name]
    assert all(one == other for _, one, other in both)


@pytest.mark.parametrize("pipeline", ["bm25(depth=1)", "dense(depth=1)", "maxsim(depth=1)"])
def test_a_filter_comes_before_the_cut(collection: Collection, pipeline: str) -> None:
    best = collection.search("moon", k=1, pipeline=pipeline).ranking[0].doc_id
    other = "not (topic = sky)" if best.startswith("sky") else "topic = sky"
    hits = collection.search("moon", k=1, pipeline=pipeline, condition=other).ranking
    assert len(hits) == 1
    assert hits[0].doc_id != best


@EVERY_NAME
def test_a_filter_that_lets_nothing_through_gives_an_empty_ranking(collection: Collection, name: str) -> None:
    assert len(collection.search("moon", pipeline=name, condition="topic = nothing").ranking) == 0


def test_a_filter_that_can_not_be_read_is_refused(collection: Collection) -> None:
    with pytest.raises(FilterError):
        collection.search("moon", condition="topic = = sky")


# -- what a result says about itself ------------------------------------------------------------------------


@EVERY_NAME
def test_every_stage_is_timed_and_the_total_is_no_less_than_any(collection: Collection, name: str) -> None:
    timings = collection.search("moon", pipeline=name).timings_ms
    expected = {"filter", "passages", "fetch", "total"} | STAGES[name]
    assert set(timings) >= (expected | {"encode"} if name in BY_MEANING else expected)
    assert all(0 <= spent <= timings["total"] for spent in timings.values())


def test_what_every_retriever_passed_on_is_counted(collection: Collection) -> None:
    result = collection.search("moon", pipeline="rerank(fuse(bm25, dense(depth=11)), late)")
    with_the_word = len(collection.search("moon", k=100, pipeline="bm25").ranking)
    assert dict(result.seen) == {"bm25": with_the_word, "dense": 11}


def test_a_result_knows_its_query_and_its_generation(grown: Collection) -> None:
    result = grown.search("  Moon? ")
    assert result.query == "  Moon? "
    assert result.generation == grown.info().generation


@EVERY_NAME
def test_a_pipeline_can_be_given_as_a_name_as_text_or_as_a_value(collection: Collection, name: str) -> None:
    by_name = collection.search("moon", pipeline=name).ranking
    assert by_name == collection.search("moon", pipeline=str(NAMES[name])).ranking
    assert by_name == collection.search("moon", pipeline=NAMES[name]).ranking


def test_a_search_again_gives_the_same_bytes(collection: Collection) -> None:
    assert all(collection.search(q).ranking == collection.search(q).ranking for q in QUERIES)


# -- many queries at once -----------------------------------------------------------------------------------


@EVERY_NAME
@pytest.mark.parametrize("threads", [1, 2])
@pytest.mark.parametrize("where", ["collection", "grown"])
def test_a_run_is_the_same_as_one_search_each(
    request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch, where: str, name: str, threads: int
) -> None:
    collection: Collection = request.getfixturevalue(where)
    monkeypatch.setattr(searcher, "QUERIES_AT_ONCE", 4)  # the last part has fewer
    queries = [Query(f"q{number}", text) for number, text in enumerate(QUERIES)]
    run = collection.run(queries, 20, pipeline=name, threads=threads)
    assert list(run.rankings) == [query.query_id for query in queries]
    for query in queries:
        assert run.rankings[query.query_id] == collection.search(query.text, 20, pipeline=name).ranking


@EVERY_NAME
def test_a_filtered_run_is_the_same_as_one_filtered_search_each(collection: Collection, name: str) -> None:
    queries = [Query(text, text) for text in QUERIES[:4]]
    run = collection.run(queries, 5, pipeline=name, condition={"topic": "sky"})
    for text in QUERIES[:4]:
        assert (
            run.rankings[text]
            == collection.search(text, 5, pipeline=name, condition={"topic": "sky"}).ranking
        )


def test_a_run_has_the_name_of_its_pipeline_without_blanks(collection: Collection) -> None:
    queries = [Query("1", "moon")]
    assert collection.run(queries).name == "cascade"
    assert collection.run(queries, pipeline="maxsim").name == "late"
    name = collection.run(queries, pipeline="rerank(bm25, dense, depth=9)").name
    assert name == "rerank(bm25,dense,depth=9)"
    assert parse(name) == parse("rerank(bm25, dense, depth=9)")


def test_the_queries_of_a_run_are_encoded_together_and_only_where_vectors_are_compared(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = Encoder.queries

    def counting(encoder: Encoder, texts: list[str], **settings: Any) -> list[QueryVectors]:
        encoded.append(len(texts))
        return original(encoder, texts, **settings)

    monkeypatch.setattr(Encoder, "queries", counting)
    monkeypatch.setattr(searcher, "QUERIES_AT_ONCE", 4)
    queries = [Query(text, text) for text in QUERIES]
    collection.run(queries, pipeline="bm25")
    assert encoded == []
    collection.run(queries, pipeline="hybrid")
    assert encoded == [4, 4, 2]


def test_a_run_reports_progress_a_query_at_a_time(collection: Collection) -> None:
    done: list[int] = []
    collection.run([Query(text, text) for text in QUERIES], pipeline="bm25", progress=done.append)
    assert done == [1] * len(QUERIES)


def test_a_run_without_queries_is_empty(collection: Collection) -> None:
    assert dict(collection.run([]).rankings) == {}


# -- collections of every shape -----------------------------------------------------------------------------


@EVERY_NAME
@pytest.mark.parametrize("query", QUERIES)
def test_several_segments_with_deleted_documents_rank_as_one_built_fresh(
    collection: Collection, grown: Collection, name: str, query: str
) -> None:
    fresh = collection.search(query, k=100, pipeline=name).ranking
    assert grown.search(query, k=100, pipeline=name).ranking == fresh


def test_compacting_changes_no_ranking(tmp_path: Path) -> None:
    with build_in_steps(tmp_path / "grown") as grown:
        before = [grown.search(query, pipeline=name).ranking for query in QUERIES for name in NAMES]
        assert grown.compact()
        assert grown.info().segments == 1
        assert [grown.search(query, pipeline=name).ranking for query in QUERIES for name in NAMES] == before


@EVERY_NAME
@pytest.mark.parametrize("query", ["moon", ""])
def test_an_empty_collection_finds_nothing(empty: Collection, name: str, query: str) -> None:
    assert len(empty.search(query, pipeline=name).ranking) == 0
    assert len(empty.run([Query("1", query)], pipeline=name).rankings["1"]) == 0


@EVERY_NAME
def test_a_collection_of_deleted_documents_finds_nothing(empty: Collection, name: str) -> None:
    empty.add([{"id": "a", "text": "moon"}, {"id": "b", "text": "sun"}])
    empty.delete(["a", "b"])
    assert len(empty.search("moon", pipeline=name).ranking) == 0
    assert len(empty.run([Query("1", "moon")], pipeline=name).rankings["1"]) == 0


@EVERY_NAME
def test_a_single_document_is_found(empty: Collection, name: str) -> None:
    empty.add([Document("a", "moon")])
    assert [hit.doc_id for hit in empty.search("moon", pipeline=name).ranking] == ["a"]


@EVERY_NAME
def test_a_collection_without_token_vectors_has_no_late_interaction_and_the_rest_is_the_same(
    collection: Collection, tmp_path: Path, name: str
) -> None:
    with Collection.create(tmp_path / "small", token_vectors=False) as small:
        small.add(documents())
        if not can_run(NAMES[name], has_tokens=False, has_codes=True):
            with pytest.raises(PipelineError, match="has no token vectors") as caught:
                small.search("moon", pipeline=name)
            assert "--pipeline hybrid" in caught.value.hint
        else:
            found = small.search("moon", k=100, pipeline=name).ranking
            assert found == collection.search("moon", k=100, pipeline=name).ranking
        assert name_of(small.search("moon").pipeline) == "hybrid"


def test_a_search_sees_what_was_added_and_deleted_since_the_last_one(empty: Collection) -> None:
    empty.add([{"id": "a", "text": "moon"}])
    assert [hit.doc_id for hit in empty.search("moon").ranking] == ["a"]
    empty.add([{"id": "b", "text": "moon"}])
    assert [hit.doc_id for hit in empty.search("moon").ranking] == ["b", "a"]
    empty.delete(["a"])
    assert [hit.doc_id for hit in empty.search("moon").ranking] == ["b"]


@EVERY_NAME
def test_a_query_that_is_not_utf_8_is_refused_with_the_place(collection: Collection, name: str) -> None:
    with pytest.raises(DataError, match="the query is not UTF-8 at character 16"):
        collection.search("half an emoji: \ud83d", pipeline=name)


def test_a_query_longer_than_the_model_reads_says_by_how_much(collection: Collection) -> None:
    assert collection.search("card " * 300, 1).truncated_tokens == 300 + 2 - 256
    assert collection.search("card", 1).truncated_tokens == 0
