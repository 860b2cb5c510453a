"""What fusing and reranking make of the retrievers' scores."""

from itertools import pairwise, product
from pathlib import Path
from random import Random

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist import Collection
from shortlist.collection import Store
from shortlist.scoring import bm25_idf
from shortlist.scoring.adaptive import dense_weight, signs
from shortlist.search import BM25, NAMES, TFIDF, Dense, Fuse, MaxSim, Pipeline, PreparedQuery, Rerank, parse
from shortlist.search.execution import Execution
from shortlist.search.scorers import make_scorer
from shortlist.types import Ranking
from tests.search.corpus import QUERIES, documents
from tests.search.oracle import Scores, ranked

ALL = [document.doc_id for document in documents()]
TYPED = QUERIES[:7]  # queries that share words with documents


def search(collection: Collection, query: str, pipeline: Pipeline | str, k: int = 1000) -> Ranking:
    return collection.search(query, k=k, pipeline=pipeline).ranking


def scores_of(collection: Collection, query: str, leaf: Pipeline) -> Scores:
    """Give a retriever's own score for every document; 0 where it has no word of the query."""
    return dict.fromkeys(ALL, 0.0) | {hit.doc_id: hit.score for hit in search(collection, query, leaf)}


def retrieve(collection: Collection, query: str, pipeline: Pipeline) -> Ranking:
    """Run a pipeline as it is, without deepening it to some ``k``."""
    store = Store(Path(collection.info().path))
    scales = store.settings.dense_scale, store.settings.token_scale
    prepared = PreparedQuery(query, collection.analyzer, lambda: collection.encoder)
    with store.snapshot() as snapshot:
        allowed = snapshot.allowed(None)
        execution = Execution(
            snapshot, lambda leaf: make_scorer(leaf, snapshot, prepared, allowed, scales), {}
        )
        return execution.rank_alone(pipeline, 10_000)


def pairs(ranking: Ranking) -> list[tuple[str, float]]:
    return [(hit.doc_id, hit.score) for hit in ranking]


def unit_range(scores: Scores) -> Scores:
    low, high = min(scores.values()), max(scores.values())
    return {doc_id: (score - low) / (high - low) if high > low else 0.0 for doc_id, score in scores.items()}


# -- fuse ---------------------------------------------------------------------------------------------------

LEAVES = [BM25(), TFIDF(), Dense(), MaxSim(), BM25(k1=0.5)]
FUSED = st.lists(
    st.tuples(st.sampled_from(LEAVES), st.floats(0, 10)),
    min_size=2,
    max_size=5,
    unique_by=lambda pair: pair[0],
).filter(lambda chosen: any(weight for _, weight in chosen))


def scale_of(leaf: Pipeline, scores: Scores) -> float:
    return (max(scores.values()) or 1.0) if isinstance(leaf, BM25) else 1.0


@given(FUSED, st.sampled_from(QUERIES))
def test_fused_scores_are_weighted_sums_with_bm25_divided_by_its_best(
    collection: Collection, chosen: list[tuple[Pipeline, float]], query: str
) -> None:
    own = {leaf: scores_of(collection, query, leaf) for leaf, _ in chosen}
    fused = search(collection, query, Fuse(tuple(own), weights=tuple(weight for _, weight in chosen)))
    for hit in fused:
        expected = sum(weight * own[leaf][hit.doc_id] / scale_of(leaf, own[leaf]) for leaf, weight in chosen)
        assert hit.score == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(FUSED, st.sampled_from(QUERIES), st.randoms(use_true_random=False), st.sampled_from(["scores", "rrf"]))
def test_the_order_in_which_retrievers_are_fused_changes_no_bit(
    collection: Collection, chosen: list[tuple[Pipeline, float]], query: str, random: Random, method: str
) -> None:
    def fuse(parts: list[tuple[Pipeline, float]]) -> Fuse:
        return Fuse(tuple(leaf for leaf, _ in parts), tuple(weight for _, weight in parts), method)

    other = sorted(chosen, key=lambda _: random.random())
    assert pairs(search(collection, query, fuse(chosen))) == pairs(search(collection, query, fuse(other)))


def test_without_weights_every_retriever_counts_the_same(collection: Collection) -> None:
    plain, weighted = Fuse((TFIDF(), Dense())), Fuse((TFIDF(), Dense()), weights=(1, 1))
    assert pairs(search(collection, "moon", plain)) == pairs(search(collection, "moon", weighted))


@pytest.mark.parametrize("query", TYPED[:4])
def test_a_document_that_one_retriever_found_gets_its_exact_score_from_the_other(
    collection: Collection, query: str
) -> None:
    bm25, dense = scores_of(collection, query, BM25()), scores_of(collection, query, Dense())
    best_bm25 = [doc_id for doc_id, score in ranked(bm25) if score > 0][:4]
    best_dense = [doc_id for doc_id, _ in ranked(dense)][:4]
    candidates = {*best_bm25, *best_dense}
    assert set(best_dense) - set(best_bm25), "this test is about documents that only one of them found"
    expected = {c: bm25[c] / max(bm25.values()) + 4 * dense[c] for c in candidates}
    result = collection.search(query, k=4, pipeline="fuse(bm25(depth=4), dense(depth=4), weights=[1, 4])")
    assert [hit.doc_id for hit in result.ranking] == [doc_id for doc_id, _ in ranked(expected)][:4]
    for hit in result.ranking:
        assert hit.score == pytest.approx(expected[hit.doc_id], rel=1e-12)
        assert dict(hit.stages) == {"bm25": bm25[hit.doc_id], "dense": dense[hit.doc_id]}


def test_a_document_without_a_word_of_the_query_adds_nothing_from_bm25(collection: Collection) -> None:
    dense = scores_of(collection, "xyzzy", Dense())
    fused = search(collection, "xyzzy", "fuse(bm25, dense, weights=[1, 4])")
    assert {hit.doc_id: hit.score for hit in fused} == pytest.approx({d: 4 * s for d, s in dense.items()})


def test_a_fusion_can_be_part_of_a_fusion(collection: Collection) -> None:
    inner = scores_of(collection, "moon", NAMES["hybrid"])
    late = scores_of(collection, "moon", MaxSim())
    fused = search(collection, "moon", Fuse((NAMES["hybrid"], MaxSim()), weights=(1, 2)))
    expected = {doc_id: inner[doc_id] + 2 * late[doc_id] for doc_id in ALL}
    assert {hit.doc_id: hit.score for hit in fused} == pytest.approx(expected, rel=1e-12)


# -- weights that the scores themselves decide ---------------------------------------------------------------


@pytest.mark.parametrize("query", ["moon", "when does the ferry leave", "xyzzy", "moon xyzzy plugh", "the"])
def test_adaptive_weights_are_those_of_the_formula(collection: Collection, query: str) -> None:
    bm25, dense = (scores_of(collection, query, stage) for stage in (BM25(), Dense()))
    terms = collection.analyzer.terms(query)
    with collection.store.snapshot() as snapshot:
        length, documents = snapshot.average_length, snapshot.document_count
        frequencies = [snapshot.count_live(snapshot.segment_postings(term)) for term in terms]
    idf = [bm25_idf(frequency, documents) for frequency in frequencies]
    strange = sum(weight for weight, frequency in zip(idf, frequencies, strict=True) if not frequency)
    words, meaning = np.array([(bm25[doc_id], dense[doc_id]) for doc_id in ALL]).T
    weight = dense_weight(signs(words, meaning, length, strange / (sum(idf) or 1)))
    best = max(bm25.values()) or 1.0
    expected = {d: (bm25[d] / best + weight * dense[d]) / (1 + weight) for d in ALL}
    fused = search(collection, query, "fuse(bm25, dense, method='adaptive')")
    assert {hit.doc_id: hit.score for hit in fused} == pytest.approx(
        {hit.doc_id: expected[hit.doc_id] for hit in fused}, rel=1e-9
    )


# -- reciprocal ranks ---------------------------------------------------------------------------------------


def reciprocal_ranks(scores: Scores, constant: float, *, by_words: bool) -> Scores:
    """Give 1 / (constant + rank): documents that tie share the best rank, one without the words gets 0."""
    return {
        doc_id: 0.0
        if by_words and score <= 0
        else 1 / (constant + 1 + sum(other > score for other in scores.values()))
        for doc_id, score in scores.items()
    }


@pytest.mark.parametrize("query", TYPED)
@pytest.mark.parametrize("constant", [60, 0.5])
def test_rrf_adds_weighted_reciprocal_ranks_among_the_documents_found(
    collection: Collection, query: str, constant: float
) -> None:
    pipeline = Fuse((BM25(), Dense(), MaxSim()), weights=(2, 1, 0.5), method="rrf", rrf_k=constant)
    expected = dict.fromkeys(ALL, 0.0)
    for leaf, weight in zip(pipeline.stages, (2, 1, 0.5), strict=True):
        ranks = reciprocal_ranks(
            scores_of(collection, query, leaf), constant, by_words=isinstance(leaf, BM25)
        )
        expected = {doc_id: expected[doc_id] + weight * ranks[doc_id] for doc_id in ALL}
    found = search(collection, query, pipeline)
    assert {hit.doc_id: hit.score for hit in found} == pytest.approx(expected, rel=1e-12)


def test_documents_that_tie_share_a_reciprocal_rank(collection: Collection) -> None:
    found = search(collection, "when does the ferry leave", "fuse(bm25, dense, method='rrf')")
    twins = [hit for hit in found if hit.doc_id.startswith("twin")]
    assert [hit.score for hit in twins] == [1 / 61 + 1 / 61] * 4
    assert [hit.doc_id for hit in twins] == ["twin-d", "twin-c", "twin-b", "twin-a"]


# -- rerank -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("query", TYPED)
@pytest.mark.parametrize("judge", [BM25(), TFIDF(), Dense(), MaxSim()], ids=str)
@pytest.mark.parametrize("first", [BM25(), TFIDF(), Dense(), MaxSim()], ids=str)
def test_any_retriever_can_rerank_any_other(
    collection: Collection, first: Pipeline, judge: Pipeline, query: str
) -> None:
    found = search(collection, query, first)
    judged = scores_of(collection, query, judge)
    expected = ranked({hit.doc_id: judged[hit.doc_id] for hit in found})
    assert pairs(search(collection, query, Rerank(first, judge))) == expected


@pytest.mark.parametrize("query", TYPED)
@pytest.mark.parametrize("weight", [0, 0.25, 0.5, 0.9])
def test_a_blend_interpolates_between_both_on_the_range_of_what_was_read(
    collection: Collection, query: str, weight: float
) -> None:
    first = {hit.doc_id: hit.score for hit in search(collection, query, "dense", k=12)}
    late = scores_of(collection, query, MaxSim())
    judged, before = unit_range({doc_id: late[doc_id] for doc_id in first}), unit_range(first)
    expected = {doc_id: weight * judged[doc_id] + (1 - weight) * before[doc_id] for doc_id in first}
    found = search(collection, query, Rerank(Dense(), MaxSim(), depth=12, weight=weight), k=12)
    assert {hit.doc_id: hit.score for hit in found} == pytest.approx(expected, abs=1e-12)


def test_a_blend_of_weight_0_keeps_the_first_order(collection: Collection) -> None:
    found = search(collection, "moon", Rerank(Dense(), MaxSim(), weight=0))
    assert [hit.doc_id for hit in found] == [hit.doc_id for hit in search(collection, "moon", "dense")]


def test_a_blend_of_equal_scores_is_decided_by_the_other_side(collection: Collection) -> None:
    # All documents that BM25 finds for this word are twins, so their scores are equal: they become 0.
    found = search(collection, "ferry", Rerank(BM25(), Dense(), weight=0.5))
    assert {hit.score for hit in found} == {0.0}
    assert [hit.doc_id for hit in found] == ["twin-d", "twin-c", "twin-b", "twin-a"]


@pytest.mark.parametrize("weight", [1, 0.5])
def test_what_the_judge_did_not_read_keeps_its_order_below_what_it_read(
    collection: Collection, weight: float
) -> None:
    for query, depth in product(TYPED, [1, 5, 20, 64]):
        first = [hit.doc_id for hit in search(collection, query, "dense")]
        found = retrieve(collection, query, Rerank(Dense(), MaxSim(), depth, weight))
        assert {hit.doc_id for hit in found.hits[:depth]} == set(first[:depth])
        assert [hit.doc_id for hit in found.hits[depth:]] == first[depth:]
        assert all(above.score >= below.score for above, below in pairwise(found))


@pytest.mark.parametrize("weight", [1, 0.5])
def test_a_judge_reads_no_more_than_its_depth_however_many_hits_are_asked_for(
    collection: Collection, weight: float
) -> None:
    # Otherwise asking for more changes the top, and run() with its k of 1000 is another pipeline than search().
    for query, depth in product(TYPED, [1, 5, 20]):
        pipeline = Rerank(Dense(), MaxSim(), depth, weight)
        fewer, more = search(collection, query, pipeline, k=depth), search(collection, query, pipeline, k=30)
        assert [hit.doc_id for hit in more.hits[:depth]] == [hit.doc_id for hit in fewer]


def test_a_reranked_list_can_be_reranked_again(collection: Collection) -> None:
    cascade = parse("rerank(rerank(bm25, dense, depth=8), late, depth=4)")
    dense = search(collection, "moon", "rerank(bm25, dense)", k=4)
    late = scores_of(collection, "moon", MaxSim())
    expected = ranked({hit.doc_id: late[hit.doc_id] for hit in dense})
    assert pairs(search(collection, "moon", cascade, k=4)) == expected


def test_hybrid_late_is_hybrid_reread_with_late_interaction(collection: Collection) -> None:
    query = TYPED[0]
    hybrid, late = scores_of(collection, query, NAMES["hybrid"]), scores_of(collection, query, MaxSim())
    expected = {d: hybrid[d] + 2 * late[d] for d in ALL}
    found = {hit.doc_id: hit.score for hit in search(collection, query, "hybrid+late", k=1000)}
    assert found == pytest.approx(expected, rel=1e-12)
