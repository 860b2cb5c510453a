"""Each retriever against brute force, over every document of the corpus."""

import pytest

from shortlist import Collection
from shortlist.search import BM25, TFIDF
from tests.search.corpus import QUERIES, documents
from tests.search.oracle import Oracle, ranked


@pytest.fixture(scope="module")
def oracle(collection: Collection) -> Oracle:
    return Oracle(documents(), collection.encoder)


def found(collection: Collection, query: str, pipeline: str) -> dict[str, float]:
    ranking = collection.search(query, k=1000, pipeline=pipeline).ranking
    return {hit.doc_id: hit.score for hit in ranking}


def positive(scores: dict[str, float]) -> dict[str, float]:
    return {doc_id: score for doc_id, score in scores.items() if score > 0}


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("kind", [BM25(), BM25(k1=0.4, b=0.2), BM25(k1=0), BM25(b=1)], ids=str)
def test_bm25_equals_its_formula(collection: Collection, oracle: Oracle, query: str, kind: BM25) -> None:
    expected = positive(oracle.bm25(query, kind.k1, kind.b))
    assert found(collection, query, str(kind)) == pytest.approx(expected, rel=1e-12)


@pytest.mark.parametrize("query", QUERIES)
def test_tf_idf_equals_the_cosine_of_its_vectors(collection: Collection, oracle: Oracle, query: str) -> None:
    expected = positive(oracle.tfidf(query))
    scores = found(collection, query, str(TFIDF()))
    assert scores == pytest.approx(expected, rel=1e-12)
    assert all(0 < score <= 1 + 1e-12 for score in scores.values())


@pytest.mark.parametrize("query", QUERIES)
def test_dense_equals_the_dot_product_of_the_best_passages_int8_vector(
    collection: Collection, oracle: Oracle, query: str
) -> None:
    assert found(collection, query, "dense") == oracle.dense(query)


@pytest.mark.parametrize("query", QUERIES)
def test_late_equals_maxsim_over_the_tokens_of_the_best_passage(
    collection: Collection, oracle: Oracle, query: str
) -> None:
    assert found(collection, query, "late") == pytest.approx(oracle.late(query), rel=1e-12)


@pytest.mark.parametrize("query", QUERIES)
def test_the_order_is_that_of_a_full_sort(collection: Collection, oracle: Oracle, query: str) -> None:
    expected = [doc_id for doc_id, _ in ranked(oracle.dense(query))]
    ranking = collection.search(query, k=len(expected), pipeline="dense").ranking
    assert [hit.doc_id for hit in ranking] == expected


@pytest.mark.parametrize("query", QUERIES[:6])
def test_the_span_of_a_hit_is_the_passage_that_matched_best(
    collection: Collection, oracle: Oracle, query: str
) -> None:
    by_pipeline = {"dense": oracle.dense_by_passage(query), "late": oracle.late_by_passage(query)}
    # The scorer that reads closest says which passage it was.
    by_pipeline |= {"hybrid": by_pipeline["dense"], "hybrid+late": by_pipeline["late"]}
    for pipeline, scores in by_pipeline.items():
        for hit in collection.search(query, k=1000, pipeline=pipeline).ranking:
            assert hit.span == oracle.best_passage(hit.doc_id, scores)


def test_a_long_document_is_several_passages_and_each_can_be_the_best(
    collection: Collection, oracle: Oracle
) -> None:
    assert len(oracle.passages["long-6"]) > 3
    questions = [
        "moons of Jupiter",
        "roast chicken",
        "mow the lawn",
        "close an account",
        "sunburn lotion",
        "cron job",
    ]
    spans = set()
    for question in questions:
        hits = collection.search(question, k=1000, pipeline="late").ranking
        spans.add(next(hit.span for hit in hits if hit.doc_id == "long-6"))
    assert len(spans) > 3


def test_a_word_search_names_the_passage_that_has_the_rarest_words(collection: Collection) -> None:
    (hit, document), *_ = collection.search("hedgehogs slugs lavender", pipeline="bm25(b=0, k1=0)")
    assert document.doc_id.startswith("long-")
    assert hit.span is not None
    passage = document.text[hit.span.start : hit.span.end]
    assert "hedgehogs" in passage
    assert "lavender" in passage


@pytest.mark.parametrize("query", ["xyzzy", "the of and", "", "?!"])
@pytest.mark.parametrize("pipeline", ["bm25", "tfidf"])
def test_a_query_without_a_known_term_finds_nothing_by_words(
    collection: Collection, query: str, pipeline: str
) -> None:
    assert found(collection, query, pipeline) == {}


@pytest.mark.parametrize("query", ["xyzzy", "the of and", "", "?!"])
@pytest.mark.parametrize("pipeline", ["dense", "late", "hybrid", "hybrid+late"])
def test_a_query_without_a_known_term_still_ranks_every_document_by_meaning(
    collection: Collection, query: str, pipeline: str
) -> None:
    assert set(found(collection, query, pipeline)) == {document.doc_id for document in documents()}


def test_words_are_found_in_titles_and_in_any_inflection(collection: Collection) -> None:
    assert set(found(collection, "PRUNED", "bm25")) >= {"garden-0"}
    assert set(found(collection, "lost properties", "bm25")) >= {"title-only"}


def test_meaning_is_found_where_no_word_is_shared(collection: Collection) -> None:
    query = "payment refused in Spain"
    assert "bank-0" not in found(collection, query, "bm25")
    assert collection.search(query, pipeline="dense").ranking[0].doc_id == "bank-0"
