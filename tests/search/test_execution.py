"""What goes from stage to stage: positions in the order of a ranking, ids where they are needed."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist import Collection, DataError
from shortlist.models.heads import PolyCodes
from shortlist.search.execution import Execution
from shortlist.search.pipeline import BM25, Dense, Fuse, Leaf, Pipeline, Rerank
from shortlist.search.scorers.passages import merged
from shortlist.types import Passage, Ranking

SCORES = st.lists(st.sampled_from([-np.inf, -1.0, -0.0, 0.0, 1.0, 2.5, np.inf]), max_size=30)


class Snapshot:
    """Name documents so that their ids are in another order than their positions, and say which were asked for."""

    def __init__(self) -> None:
        self.asked: list[int] = []

    def doc_ids(self, positions: Sequence[int]) -> list[str]:
        self.asked += positions
        return [f"{position * 7 % 31:02} of {position}" for position in positions]


class Scorer:
    """Give documents 0, 1, ... the scores that are given."""

    absent = None
    closeness = 0

    def __init__(self, scores: Sequence[float] | np.ndarray) -> None:
        self.scores = np.array(scores, np.float64)

    def best(self, k: int) -> tuple[np.ndarray, np.ndarray]:
        least = np.sort(self.scores)[::-1][k - 1 : k]
        best = np.flatnonzero(self.scores >= least) if len(least) else np.arange(len(self.scores))
        return best, self.scores[best]

    def score(self, positions: np.ndarray) -> np.ndarray:
        found: np.ndarray = self.scores[positions]
        return found

    def scale(self) -> float:
        return 1.0


def execution(snapshot: Snapshot, scorers: dict[type[Leaf], Scorer]) -> Execution:
    return Execution(snapshot, lambda leaf: scorers[type(leaf)], {})  # type: ignore[arg-type,return-value]


def ranked(scores: dict[int, float], k: int | None = None) -> list[tuple[str, float]]:
    ids = dict(zip(scores, Snapshot().doc_ids(list(scores)), strict=True))
    return [(hit.doc_id, hit.score) for hit in Ranking.of([(ids[p], s) for p, s in scores.items()], k=k)]


@given(SCORES, st.integers(1, 35), st.integers(1, 35))
def test_documents_are_in_the_order_of_a_ranking_whatever_ties(
    scores: list[float], depth: int, k: int
) -> None:
    found = execution(Snapshot(), {BM25: Scorer(scores)}).rank_alone(BM25(depth=depth), k)
    expected = ranked(dict(enumerate(scores)), min(depth, k))
    assert [(hit.doc_id, hit.score) for hit in found] == expected


@given(st.lists(st.integers(-2, 2), min_size=1, max_size=20), st.integers(1, 25))
def test_what_a_judge_did_not_read_follows_in_its_order(scores: list[int], depth: int) -> None:
    """Each is one step below the one before, the first of them below the last that was read."""
    judged = [float(-score) for score in scores]
    scorers = {BM25: Scorer(scores), Dense: Scorer(judged)}
    found = execution(Snapshot(), scorers).rank_alone(Rerank(BM25(depth=100), Dense(), depth=depth), 100)
    first = [doc_id for doc_id, _ in ranked(dict(enumerate(map(float, scores))))]
    read = {int(doc_id.split()[-1]): judged[int(doc_id.split()[-1])] for doc_id in first[:depth]}
    rest = [(doc_id, min(read.values()) - 1 - index) for index, doc_id in enumerate(first[depth:])]
    assert [(hit.doc_id, hit.score) for hit in found] == ranked(read) + rest


def test_a_judge_is_blended_with_the_scores_of_what_it_read() -> None:
    scorers = {BM25: Scorer([4.0, 3.0, 0.0, -9.0]), Dense: Scorer([0.0, 2.0, 1.0, 8.0])}
    found = execution(Snapshot(), scorers).rank_alone(Rerank(BM25(), Dense(), depth=3, weight=0.5), 4)
    of = {int(hit.doc_id.split()[-1]): hit.score for hit in found}
    assert of == pytest.approx({1: 0.5 + 0.5 * 0.75, 0: 0.5, 2: 0.25, 3: 0.25 - 1})


@pytest.mark.parametrize(
    "pipeline",
    [BM25(), Fuse((BM25(), Dense())), Rerank(Fuse((BM25(), Dense())), Dense(), depth=50)],
)
def test_only_the_ids_of_what_is_given_back_are_read_unless_some_tie(pipeline: Pipeline) -> None:
    snapshot = Snapshot()
    scores = np.random.default_rng(0).permutation(100).astype(float)
    scorers = {BM25: Scorer(scores), Dense: Scorer(scores[::-1] / 1000)}
    found = execution(snapshot, scorers).rank_alone(pipeline, 10)
    assert len(found) == len(snapshot.asked) == 10
    scores[:3] = 1000
    snapshot.asked.clear()
    assert len(execution(snapshot, {BM25: Scorer(scores)}).rank_alone(BM25(), 1)) == 1
    assert sorted(snapshot.asked) == [0, 1, 2]


@pytest.mark.parametrize(("depth", "k"), [(7, 7), (200, 10), (300, 300)])
def test_what_a_leaf_retrieved_is_not_scored_again(
    depth: int, k: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(Scorer, "score", None)  # it can't be asked
    monkeypatch.setattr(Execution, "_best_passages", lambda *_: [Passage(0, 1)] * k)
    scores = np.random.default_rng(0).permutation(400).astype(float)
    found = execution(Snapshot(), {BM25: Scorer(scores)}).rank(BM25(depth=depth), k)
    assert [hit.score for hit in found] == list(range(399, 399 - k, -1))
    assert all(hit.stages == {"bm25": hit.score} for hit in found)


@given(st.lists(st.integers(-3, 3), min_size=1, max_size=9), st.integers(1, 12))
def test_one_list_of_the_best_is_joined_as_several_are(scores: list[int], k: int) -> None:
    found = np.arange(len(scores)), np.array(scores, np.float64)
    nothing = np.empty(0, np.int64), np.empty(0)
    for one, several in zip(merged([found], k), merged([found, nothing], k), strict=True):
        assert one.tolist() == several.tolist()


def test_a_score_that_is_no_number_is_refused_by_the_documents_name() -> None:
    scores = [1.0, float("nan"), 2.0]
    scorers = {BM25: Scorer([3.0, 2.0, 1.0]), Dense: Scorer(scores)}
    with pytest.raises(DataError, match="the score of document '07 of 1' is NaN"):
        execution(Snapshot(), scorers).rank_alone(Rerank(BM25(), Dense()), 3)


def test_codes_are_made_for_pipelines_that_compare_them(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    made: list[int] = []
    original = PolyCodes.__call__

    def counting(codes: PolyCodes, hidden: Any) -> Any:
        made.append(len(hidden))
        return original(codes, hidden)

    monkeypatch.setattr(PolyCodes, "__call__", counting)
    for pipeline in ("dense", "hybrid+late"):
        collection.search("moon", pipeline=pipeline)
    assert not made
    collection.search("moon", pipeline="poly")
    assert len(made) == 1
    monkeypatch.setattr(PolyCodes, "__call__", lambda codes, hidden: hidden * np.float32(np.nan))  # noqa: ARG005
    with pytest.raises(DataError, match="the codes of model all-minilm-l6-v2 gave NaN or infinity"):
        collection.search("moon", pipeline="poly")
