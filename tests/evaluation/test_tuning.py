from __future__ import annotations

import zlib
from collections.abc import Callable, Sequence
from dataclasses import fields
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from numpy.typing import NDArray

from shortlist import Collection, DataError, PipelineError
from shortlist.evaluation import tuning
from shortlist.evaluation.comparison import compare
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.tuning import FOLDS, WEIGHTS, check_tunable, neighbours, tune
from shortlist.measures.ranking import RR, nDCG
from shortlist.search import NAMES, Fuse, Pipeline, Rerank, parse
from tests.evaluation.questions import judge
from tests.evaluation.questions import judged as judged_questions
from tests.search.strategies import PIPELINES

COUNT = 23
MANY = judge({f"q{n}": f"x {n}" for n in range(COUNT)}, {f"q{n}": {"d": 1} for n in range(COUNT)})
Values = Callable[[Pipeline], NDArray[np.float64]]


def settings_of(pipeline: Pipeline) -> list[object]:
    """Every setting of a pipeline and of its stages, fusion weights relative to the first."""
    match pipeline:
        case Fuse(stages=stages):
            weights = pipeline.weights or (1,) * len(stages)
            relative: list[object] = [weight / (weights[0] or 1) for weight in weights]
            adaptive = pipeline.method == "adaptive"
            return [
                *([1, "found for every query"] if adaptive else relative),
                "scores" if adaptive else pipeline.method,
                pipeline.rrf_k,
                *(s for one in stages for s in settings_of(one)),
            ]
        case Rerank():
            return [
                pipeline.depth,
                pipeline.weight,
                *settings_of(pipeline.first),
                *settings_of(pipeline.judge),
            ]
        case _:
            return [getattr(pipeline, field.name) for field in fields(pipeline)]


@settings(max_examples=60)
@given(PIPELINES)
def test_neighbours_differ_from_the_pipeline_and_each_other_in_one_setting(pipeline: Pipeline) -> None:
    around = list(neighbours(pipeline))
    assert pipeline not in around
    assert len(set(around)) == len(around)
    for other in around:
        changed = [a != b for a, b in zip(settings_of(pipeline), settings_of(other), strict=True)]
        assert sum(changed) == 1
        assert parse(str(other)) == other


FIXED = parse("fuse(bm25, dense, weights=[1, 4])")


def test_neighbours_of_a_leaf_are_none() -> None:
    assert [list(neighbours(NAMES[name])) for name in ("bm25", "tfidf", "dense", "late")] == [[]] * 4


def test_neighbours_of_a_fusion_are_the_other_weights() -> None:
    around = {str(one) for one in neighbours(FIXED)}
    assert around == {f"fuse(bm25, dense, weights=[1, {w}])" for w in WEIGHTS if w != 4}


def test_neighbours_of_an_adaptive_fusion_have_fixed_weights() -> None:
    around = {str(one).replace(", weights=[1, 1]", "") for one in neighbours(NAMES["hybrid"])}
    assert around == {
        "fuse(bm25, dense)" if w == 1 else f"fuse(bm25, dense, weights=[1, {w}])" for w in WEIGHTS if w > 0
    }


def test_weights_are_relative_to_the_first() -> None:
    around = {str(one) for one in neighbours(parse("fuse(bm25, dense, weights=[2, 8])"))}
    assert around == {str(one) for one in neighbours(FIXED)}
    assert "fuse(bm25, dense, weights=[1, 1])" not in map(str, neighbours(parse("fuse(bm25, dense)")))


@pytest.mark.parametrize("weights", ["[1e-9, 1000]", "[5e-324, 1]", "[0, 1]"])
def test_weights_that_no_pipeline_could_have_relative_to_the_first_are_left_alone(weights: str) -> None:
    assert list(neighbours(parse(f"fuse(bm25, dense, weights={weights})"))) == []


def test_neighbours_of_a_cascade_change_either_stage_its_depth_or_its_weight() -> None:
    judge = parse("fuse(bm25, maxsim, dense, weights=[1, 4, 1])")
    around = {str(one) for one in neighbours(Rerank(FIXED, judge))}
    judge_ = "fuse(bm25, maxsim, dense, weights=[1, 4, 1])"
    assert f"rerank(fuse(bm25, dense, weights=[1, 2]), {judge_})" in around
    assert "rerank(fuse(bm25, dense, weights=[1, 4]), fuse(bm25, maxsim, dense, weights=[1, 4, 0]))" in around
    assert f"rerank(fuse(bm25, dense, weights=[1, 4]), {judge_}, depth=50)" in around
    assert f"rerank(fuse(bm25, dense, weights=[1, 4]), {judge_}, weight=0.75)" in around


@pytest.fixture
def made_up(monkeypatch: pytest.MonkeyPatch) -> Callable[[Values], list[Pipeline]]:
    """Let a function say what a pipeline is worth for every query; gives the list of what was asked for."""

    def use(values: Values) -> list[Pipeline]:
        asked: list[Pipeline] = []

        class Known:
            def __init__(self, *_: object) -> None:
                asked.clear()

            def __len__(self) -> int:
                return len(set(asked))

            def __call__(self, pipeline: Pipeline) -> NDArray[np.float64]:
                asked.append(pipeline)
                return values(pipeline)

            def learn(self, pipelines: Sequence[Pipeline]) -> None:
                asked.extend(pipelines)

        monkeypatch.setattr(tuning, "_Values", Known)
        monkeypatch.setattr(tuning, "all_documents", lambda _: iter(()))
        return asked

    return use


NOWHERE: Any = None
"""The collection of made-up cases."""


def even(value: float) -> NDArray[np.float64]:
    return np.full(COUNT, value)


def dense_weight(pipeline: Pipeline) -> float:
    assert isinstance(pipeline, Fuse)
    weights = pipeline.weights or (1, 1)
    return weights[1] / weights[0]


def test_a_known_optimum_is_found(made_up: Callable[[Values], list[Pipeline]]) -> None:
    asked = made_up(lambda pipeline: even(1 - abs(dense_weight(pipeline) - 3) / 20))
    found = tune(NOWHERE, MANY, parse("fuse(bm25, dense, weights=[1, 12])"))
    assert str(found.tuned) == "fuse(bm25, dense, weights=[1, 3])"
    assert {fold.pipeline for fold in found.folds} == {found.tuned}
    assert found.gain.difference.mean == pytest.approx(9 / 20)
    assert found.gain_inside == pytest.approx(9 / 20)
    assert found.is_worth_it
    assert found.tried == len(set(asked)) == len(WEIGHTS)


def test_an_optimum_in_two_settings_is_found_one_at_a_time(
    made_up: Callable[[Values], list[Pipeline]],
) -> None:
    def values(pipeline: Pipeline) -> NDArray[np.float64]:
        assert isinstance(pipeline, Rerank)
        weight = dense_weight(pipeline.first)
        return even(1 - abs(weight - 2) / 20 - (pipeline.depth != 50) / 5 - abs(pipeline.weight - 0.9) / 10)

    made_up(values)
    found = tune(NOWHERE, MANY, parse("rerank(hybrid, maxsim)"))
    assert str(found.tuned) == "rerank(fuse(bm25, dense, weights=[1, 2]), maxsim, depth=50, weight=0.9)"


def test_where_nothing_is_better_the_pipeline_stays(made_up: Callable[[Values], list[Pipeline]]) -> None:
    made_up(lambda pipeline: even(0.5 + (pipeline != NAMES["hybrid"]) * 0.0004))  # less than a hair
    found = tune(NOWHERE, MANY, NAMES["hybrid"])
    assert found.tuned == found.original == NAMES["hybrid"]
    assert (found.gain.difference.mean, found.gain.p, found.gain_inside) == (0, 1, 0)
    assert not found.is_worth_it


def test_the_gain_uses_no_query_that_chose(made_up: Callable[[Values], list[Pipeline]]) -> None:
    lure, lured = parse("fuse(bm25, dense, weights=[1, 8])"), 7

    def values(pipeline: Pipeline) -> NDArray[np.float64]:
        found = even(0.5)
        if pipeline == lure:  # one query makes it look best, all others lose by it
            found -= 0.1
            found[lured] = 100.0
        return found

    made_up(values)
    found = tune(NOWHERE, MANY, NAMES["hybrid"])
    # The fold that leaves the query out is not lured; it alone judges that query.
    assert [fold.pipeline for fold in found.folds].count(lure) == FOLDS - 1
    (blind,) = [fold for fold in found.folds if fold.pipeline != lure]
    assert blind.pipeline == NAMES["hybrid"]
    assert found.gain.difference.mean == pytest.approx(-0.1 * (COUNT - blind.queries) / COUNT)
    assert found.gain_inside > 1
    assert not found.is_worth_it
    assert found.tuned == lure


def test_noise_gains_inside_and_not_outside(made_up: Callable[[Values], list[Pipeline]]) -> None:
    start = parse("rerank(hybrid, fuse(hybrid, maxsim, weights=[1, 1.5]))")

    def values(pipeline: Pipeline) -> NDArray[np.float64]:
        if pipeline == start:
            return even(0.5)
        return np.random.default_rng(zlib.crc32(str(pipeline).encode())).random(COUNT)

    made_up(values)
    found = [tune(NOWHERE, MANY, start, seed=seed) for seed in range(8)]
    assert all(one.gain_inside > 0.05 for one in found)
    assert all(one.gain.difference.mean < one.gain_inside for one in found)
    assert abs(np.mean([one.gain.difference.mean for one in found])) < 0.05


def test_the_folds_are_of_about_one_size_and_hold_every_query_once(
    made_up: Callable[[Values], list[Pipeline]],
) -> None:
    made_up(lambda _: even(0.5))
    found = tune(NOWHERE, MANY, NAMES["hybrid"])
    assert len(found.folds) == FOLDS
    assert sorted(fold.queries for fold in found.folds) == [4, 4, 5, 5, 5]


@pytest.mark.parametrize("name", ["bm25", "dense", "late"])
def test_what_has_nothing_to_tune_is_refused(name: str) -> None:
    with pytest.raises(PipelineError, match=f"{name} has neither weights nor a depth to tune"):
        tune(NOWHERE, MANY, NAMES[name])


def test_too_few_queries_are_refused(judged: Judged) -> None:
    check_tunable(NAMES["hybrid"], judged.only(judged.queries[:10]))
    with pytest.raises(DataError, match="9 different judged queries are too few") as caught:
        tune(NOWHERE, judged.only(judged.queries[:9]), NAMES["hybrid"])
    assert "at least 10" in caught.value.hint


START = parse("fuse(bm25, dense, weights=[1, 0.25])")


@pytest.fixture(scope="module")
def found(collection: Collection) -> tuning.Tuning:
    return tune(collection, judged_questions(), START)


class TestOnRealRankings:
    def test_what_all_queries_choose_is_the_best_there_is(
        self, collection: Collection, judged: Judged, found: tuning.Tuning
    ) -> None:
        variants = [START, *neighbours(START)]
        compared = compare(collection, judged, variants, measures=[nDCG @ 10], timed_queries=1)
        means = [float(np.mean(system.values["nDCG@10"])) for system in compared.systems]
        assert means[variants.index(found.tuned)] >= max(means) - tuning.LEAST_GAIN
        assert found.tried == len(WEIGHTS)
        assert found.measure == "nDCG@10"

    def test_the_same_seed_gives_the_same(
        self, collection: Collection, judged: Judged, found: tuning.Tuning
    ) -> None:
        assert tune(collection, judged, START) == found

    def test_another_measure_may_be_named(self, collection: Collection, judged: Judged) -> None:
        assert tune(collection, judged, START, measure=RR @ 10).measure == "MRR@10"

    def test_every_variant_is_run_once(
        self, collection: Collection, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        ran: list[Pipeline] = []
        run_all = type(collection).run_all

        def counting(self: Collection, queries: Any, pipelines: Any, *rest: Any, **options: Any) -> Any:
            ran.extend(pipelines)
            return run_all(self, queries, pipelines, *rest, **options)

        monkeypatch.setattr(type(collection), "run_all", counting)
        monkeypatch.setattr(tuning, "BATCH", 3)
        found = tune(collection, judged, START)
        assert len(ran) == len(set(ran)) == found.tried
