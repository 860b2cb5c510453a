"""What a search asks of every scorer: see ``ScoresDocuments`` in shortlist/protocols.py."""

from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import Collection
from shortlist.collection import Snapshot, Store
from shortlist.protocols import ScoresDocuments
from shortlist.search import BM25, TFIDF, Dense, MaxSim, PreparedQuery
from shortlist.search.pipeline import Leaf
from shortlist.search.scorers import make_scorer
from tests.search.corpus import QUERIES

RETRIEVERS: list[Leaf] = [BM25(), BM25(k1=0.5, b=0.3), BM25(k1=0), TFIDF(), Dense(), MaxSim()]

every_retriever = pytest.mark.parametrize("retriever", RETRIEVERS, ids=str)
every_collection = pytest.mark.parametrize("where", ["fresh", "grown"])

Bind = Callable[..., ScoresDocuments]
"""``bind(where, retriever, query, condition=...)``: the retriever's scorer for one query."""


@pytest.fixture(scope="module")
def snapshots(collections: dict[str, Collection]) -> Iterator[dict[str, Snapshot]]:
    stores = {where: Store(Path(made.info().path)) for where, made in collections.items()}
    found = {where: store.snapshot() for where, store in stores.items()}
    yield found
    for snapshot in found.values():
        snapshot.close()


@pytest.fixture(scope="module")
def bind(collections: dict[str, Collection], snapshots: dict[str, Snapshot]) -> Bind:
    def make(where: str, retriever: Leaf, query: str) -> ScoresDocuments:
        collection, snapshot = collections[where], snapshots[where]
        about = collection.encoder.settings
        prepared = PreparedQuery(query, collection.analyzer, lambda: collection.encoder)
        scales = about.dense_scale, about.token_scale
        return make_scorer(retriever, snapshot, prepared, snapshot.allowed(None), scales)

    return make


@every_collection
@every_retriever
@settings(max_examples=30)
@given(query=st.sampled_from(QUERIES), data=st.data())
def test_some_documents_get_the_scores_that_all_give_them(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str, data: st.DataObject
) -> None:
    live = np.flatnonzero(snapshots[where].live).tolist()
    positions = np.array(data.draw(st.lists(st.sampled_from(live), max_size=8)), np.int64)
    whole = bind(where, retriever, query).score_all()
    some = bind(where, retriever, query).score(positions)
    assert whole.dtype == some.dtype == np.float64
    assert whole.shape == (snapshots[where].size,)
    assert some.tobytes() == whole[positions].tobytes()


@every_retriever
def test_documents_may_be_asked_for_in_any_order_and_twice(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf
) -> None:
    count = snapshots["fresh"].size
    whole = bind("fresh", retriever, "moon").score_all()
    for first in range(0, count - 4, 3):
        # As many as lie between the first and the last, but not those: a judge reads in the order of ranks.
        elsewhere = (first + 20) % count
        for asked in (
            [first, elsewhere, first + 2],
            [first, first + 1, first + 1, first + 3],
            [first + 1, first],
        ):
            positions = np.array(asked)
            found = bind("fresh", retriever, "moon").score(positions)
            assert found.tolist() == whole[positions].tolist(), asked


@every_collection
@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_no_score_is_nan_and_no_live_document_scores_minus_infinity(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str
) -> None:
    scores = bind(where, retriever, query).score_all()
    assert not np.isnan(scores).any()
    assert np.isfinite(scores[snapshots[where].live]).all()


@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_the_same_question_again_gets_the_same_bytes(bind: Bind, retriever: Leaf, query: str) -> None:
    scorer = bind("grown", retriever, query)
    first = scorer.score_all().tobytes()
    positions = np.array([3, 1, 2])
    before = scorer.score(positions).tobytes()
    assert scorer.score_all().tobytes() == first
    assert scorer.score(positions).tobytes() == before
    assert bind("grown", retriever, query).score_all().tobytes() == first


@every_retriever
def test_scoring_some_first_changes_nothing(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf
) -> None:
    scorer = bind("grown", retriever, "moon")
    live = np.flatnonzero(snapshots["grown"].live)
    scorer.score(live[::3])
    scorer.score(live[::2])
    assert scorer.score_all().tobytes() == bind("grown", retriever, "moon").score_all().tobytes()


@every_retriever
def test_no_documents_have_no_scores_and_no_passages(bind: Bind, retriever: Leaf) -> None:
    scorer = bind("fresh", retriever, "moon")
    assert scorer.score(np.empty(0, np.int64)).shape == (0,)
    assert scorer.best_passages([]) == []


@every_collection
@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_the_best_passage_is_a_passage_of_its_document(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str
) -> None:
    positions = np.flatnonzero(snapshots[where].live).tolist()
    found = bind(where, retriever, query).best_passages(positions)
    assert len(found) == len(positions)
    for position, passage in zip(positions, found, strict=True):
        assert passage in snapshots[where].passages(position)


@every_retriever
def test_the_best_passage_does_not_depend_on_who_else_is_asked_for(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf
) -> None:
    scorer = bind("fresh", retriever, "the moon over the garden")
    positions = np.flatnonzero(snapshots["fresh"].live).tolist()
    together = scorer.best_passages(positions[::-1])[::-1]
    assert together == [scorer.best_passages([position])[0] for position in positions]


@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_the_scale_is_a_number_that_can_be_divided_by(bind: Bind, retriever: Leaf, query: str) -> None:
    scorer = bind("fresh", retriever, query)
    assert scorer.scale() > 0
    if scorer.scale() != 1:
        assert scorer.scale() == scorer.score_all().max()


@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_a_score_is_never_below_that_of_a_document_that_is_no_candidate(
    bind: Bind, retriever: Leaf, query: str
) -> None:
    scorer = bind("fresh", retriever, query)
    if scorer.absent is not None:
        assert scorer.score_all().min() >= scorer.absent
