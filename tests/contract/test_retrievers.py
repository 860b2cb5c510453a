"""What a search asks of every scorer: see ``ScoresDocuments`` in shortlist/protocols.py."""

from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist import Collection
from shortlist.collection import Snapshot, Store
from shortlist.protocols import ScoresDocuments
from shortlist.search import BM25, TFIDF, Dense, MaxSim, PreparedQuery
from shortlist.search.pipeline import Leaf
from shortlist.search.scorers import BM25Scorer, DenseScorer, make_scorer
from tests.search.corpus import QUERIES

RETRIEVERS: list[Leaf] = [BM25(), BM25(k1=0.5, b=0.3), BM25(k1=0), TFIDF(), Dense(), MaxSim()]

every_retriever = pytest.mark.parametrize("retriever", RETRIEVERS, ids=str)
every_collection = pytest.mark.parametrize("where", ["fresh", "grown"])

Bind = Callable[..., ScoresDocuments]
"""``bind(where, retriever, query, allowed)``: the retriever's scorer for one query, with what a filter lets through."""


@pytest.fixture(scope="module")
def snapshots(collections: dict[str, Collection]) -> Iterator[dict[str, Snapshot]]:
    stores = {where: Store(Path(made.info().path)) for where, made in collections.items()}
    found = {where: store.snapshot() for where, store in stores.items()}
    yield found
    for snapshot in found.values():
        snapshot.close()


@pytest.fixture(scope="module")
def bind(collections: dict[str, Collection], snapshots: dict[str, Snapshot]) -> Bind:
    def make(
        where: str, retriever: Leaf, query: str, allowed: NDArray[np.bool_] | None = None
    ) -> ScoresDocuments:
        collection, snapshot = collections[where], snapshots[where]
        about = collection.encoder.settings
        prepared = PreparedQuery(query, collection.analyzer, lambda: collection.encoder)
        scales = about.dense_scale, about.token_scale
        allowed = snapshot.allowed(None) if allowed is None else allowed
        return make_scorer(retriever, snapshot, prepared, allowed, scales)

    return make


def everything(scorer: ScoresDocuments, snapshot: Snapshot) -> dict[int, float]:
    """The score of every live position."""
    live = np.flatnonzero(snapshot.live)
    return dict(zip(live.tolist(), scorer.score(live).tolist(), strict=True))


def in_bytes(found: tuple[Any, Any]) -> tuple[bytes, bytes]:
    return found[0].tobytes(), found[1].tobytes()


@every_collection
@every_retriever
@settings(max_examples=30)
@given(query=st.sampled_from(QUERIES), data=st.data())
def test_some_documents_get_the_scores_that_all_give_them(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str, data: st.DataObject
) -> None:
    live = np.flatnonzero(snapshots[where].live).tolist()
    positions = np.array(data.draw(st.lists(st.sampled_from(live), max_size=8)), np.int64)
    whole = everything(bind(where, retriever, query), snapshots[where])
    some = bind(where, retriever, query).score(positions)
    assert some.dtype == np.float64
    assert some.tolist() == [whole[position] for position in positions.tolist()]


@every_collection
@every_retriever
@settings(max_examples=30)
@given(query=st.sampled_from(QUERIES), first=st.integers(1, 90), then=st.integers(1, 90))
def test_the_best_are_those_that_score_highest_and_all_that_tie_with_the_last(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str, first: int, then: int
) -> None:
    whole = everything(bind(where, retriever, query), snapshots[where])
    scorer = bind(where, retriever, query)
    for k in (first, then):
        candidates = {p: s for p, s in whole.items() if scorer.absent is None or s > scorer.absent}
        bound = sorted(candidates.values(), reverse=True)[min(k, len(candidates)) - 1] if candidates else 0
        positions, scores = scorer.best(k)
        assert dict(zip(positions.tolist(), scores.tolist(), strict=True)) == {
            p: s for p, s in candidates.items() if s >= bound
        }
        assert positions.tolist() == sorted(positions.tolist())


@every_collection
@every_retriever
@settings(max_examples=20)
@given(
    query=st.sampled_from(QUERIES), seed=st.integers(0, 99), counts=st.lists(st.integers(1, 60), max_size=4)
)
def test_a_filter_narrows_what_is_found_and_not_what_is_told_of_the_whole(
    bind: Bind,
    snapshots: dict[str, Snapshot],
    where: str,
    retriever: Leaf,
    query: str,
    seed: int,
    counts: list[int],
) -> None:
    snapshot = snapshots[where]
    allowed = snapshot.live & (np.random.default_rng(seed).random(snapshot.size) < 0.4)
    whole = everything(bind(where, retriever, query), snapshot)
    scorer = bind(where, retriever, query, allowed)
    for k in counts:  # in turn, as a fusion asks
        found = dict(zip(*(part.tolist() for part in scorer.best(k)), strict=True))
        candidates = {
            p: s for p, s in whole.items() if allowed[p] and (scorer.absent is None or s > scorer.absent)
        }
        bound = sorted(candidates.values(), reverse=True)[min(k, len(candidates)) - 1] if candidates else 0
        assert found == {p: s for p, s in candidates.items() if s >= bound}
        if isinstance(scorer, BM25Scorer | DenseScorer):
            assert scorer.top(k).tolist() == sorted(whole.values(), reverse=True)[:k]
    assert scorer.scale() == bind(where, retriever, query).scale()


@every_retriever
def test_documents_may_be_asked_for_in_any_order_and_twice(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf
) -> None:
    count = snapshots["fresh"].size
    whole = everything(bind("fresh", retriever, "moon"), snapshots["fresh"])
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
            assert found.tolist() == [whole[position] for position in asked], asked


@every_collection
@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_no_score_is_nan_and_no_live_document_scores_minus_infinity(
    bind: Bind, snapshots: dict[str, Snapshot], where: str, retriever: Leaf, query: str
) -> None:
    scores = everything(bind(where, retriever, query), snapshots[where])
    assert np.isfinite(list(scores.values())).all()


@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_the_same_question_again_gets_the_same_bytes(bind: Bind, retriever: Leaf, query: str) -> None:
    scorer = bind("grown", retriever, query)
    first = in_bytes(scorer.best(7))
    positions = np.array([3, 1, 2])
    before = scorer.score(positions).tobytes()
    assert in_bytes(scorer.best(7)) == first
    assert scorer.score(positions).tobytes() == before
    assert in_bytes(bind("grown", retriever, query).best(7)) == first


@every_retriever
def test_scoring_some_first_changes_nothing(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf
) -> None:
    scorer = bind("grown", retriever, "moon")
    live = np.flatnonzero(snapshots["grown"].live)
    scorer.score(live[::3])
    scorer.score(live[::2])
    assert in_bytes(scorer.best(9)) == in_bytes(bind("grown", retriever, "moon").best(9))


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
def test_the_scale_is_a_number_that_can_be_divided_by(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf, query: str
) -> None:
    scorer = bind("fresh", retriever, query)
    assert scorer.scale() > 0
    if scorer.scale() != 1:
        assert scorer.scale() == max(everything(scorer, snapshots["fresh"]).values())


@every_retriever
@pytest.mark.parametrize("query", QUERIES)
def test_a_score_is_never_below_that_of_a_document_that_is_no_candidate(
    bind: Bind, snapshots: dict[str, Snapshot], retriever: Leaf, query: str
) -> None:
    scorer = bind("fresh", retriever, query)
    if scorer.absent is not None:
        assert min(everything(scorer, snapshots["fresh"]).values()) >= scorer.absent
