import math
from collections.abc import Callable
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist import PipelineError
from shortlist.search import BM25, NAMES, TFIDF, Dense, Fuse, MaxSim, Pipeline, Rerank, deepen, leaves
from tests.search.strategies import PIPELINES


def test_equal_pipelines_are_equal_values() -> None:
    one = Rerank(Fuse((BM25(), Dense()), weights=(1, 4)), MaxSim(), depth=100)
    other = Rerank(Fuse((BM25(), Dense()), weights=(1.0, 4.0)), MaxSim(), depth=100)
    assert one == other
    assert hash(one) == hash(other)
    assert {one: "found"}[other] == "found"
    assert one != replace(one, depth=99)


def test_different_pipelines_are_different_values() -> None:
    different: list[Pipeline] = [
        BM25(),
        TFIDF(),
        Dense(),
        MaxSim(),
        Dense(depth=1),
        BM25(k1=1),
        *NAMES.values(),
    ]
    assert len(set(different)) == len(different) - 4  # four short names stand for plain retrievers


def test_lists_of_stages_and_weights_become_tuples_so_that_the_value_can_be_hashed() -> None:
    made = Fuse([BM25(), Dense()], weights=[1, 4])  # type: ignore[arg-type]
    assert made == Fuse((BM25(), Dense()), weights=(1, 4))
    assert hash(made) == hash(Fuse((BM25(), Dense()), weights=(1, 4)))


def test_a_generator_of_stages_is_read_once_and_kept() -> None:
    made = Fuse((stage for stage in (BM25(), Dense())), weights=(w for w in (1, 2)))  # type: ignore[arg-type]
    assert made == Fuse((BM25(), Dense()), weights=(1, 2))


@pytest.mark.parametrize("value", [*NAMES.values()], ids=str)
def test_a_pipeline_can_not_be_changed(value: Pipeline) -> None:
    for name in value.__dataclass_fields__:
        with pytest.raises(FrozenInstanceError):
            setattr(value, name, None)


BAD: list[tuple[str, Callable[[], object], str]] = [
    ("depth 0", lambda: BM25(depth=0), "depth must be a whole number from 1, not 0"),
    ("negative depth", lambda: TFIDF(depth=-3), "depth must be a whole number from 1, not -3"),
    ("depth of a half", lambda: Dense(depth=1.5), "depth must be a whole number"),  # type: ignore[arg-type]
    ("true depth", lambda: MaxSim(depth=True), "depth must be a whole number"),
    ("judge's depth 0", lambda: Rerank(BM25(), Dense(), depth=0), "depth must be a whole number"),
    ("negative k1", lambda: BM25(k1=-0.1), "k1 must be a number from 0"),
    ("k1 that is no number", lambda: BM25(k1=math.nan), "k1 must be a number"),
    ("k1 as text", lambda: BM25(k1="1"), "k1 must be a number"),  # type: ignore[arg-type]
    ("infinite k1", lambda: BM25(k1=math.inf), "k1 must be a number"),
    ("b above 1", lambda: BM25(b=1.01), "b must be a number from 0 to 1"),
    ("negative b", lambda: BM25(b=-0.01), "b must be a number from 0 to 1"),
    ("one stage", lambda: Fuse((BM25(),)), "fuse needs two stages or more"),
    ("no stage", lambda: Fuse(()), "fuse needs two stages or more"),
    ("a stage as text", lambda: Fuse((BM25(), "dense")), "a stage must be a pipeline, not 'dense'"),  # type: ignore[arg-type]
    ("a judge that is a class", lambda: Rerank(BM25(), Dense), "a stage must be a pipeline"),  # type: ignore[arg-type]
    ("too few weights", lambda: Fuse((BM25(), Dense()), weights=(1,)), "fuse has 2 stages and 1 weights"),
    ("too many weights", lambda: Fuse((BM25(), Dense()), weights=(1, 2, 3)), "fuse has 2 stages and 3 weights"),
    ("a negative weight", lambda: Fuse((BM25(), Dense()), weights=(1, -1)), "a weight must be a number from 0"),
    ("a weight that is no number", lambda: Fuse((BM25(), Dense()), weights=(1, math.nan)), "a weight must be"),
    ("a true weight", lambda: Fuse((BM25(), Dense()), weights=(1, True)), "a weight must be"),
    ("no weight above 0", lambda: Fuse((BM25(), Dense()), weights=(0, 0.0)), "fuse needs a weight above 0"),
    ("adaptive, other stages", lambda: Fuse((BM25(), MaxSim()), method="adaptive"), "combines bm25 and dense"),
    ("adaptive weights that are given", lambda: Fuse((BM25(), Dense()), (1, 2), "adaptive"), "finds its own weights"),
    ("an unknown method", lambda: Fuse((BM25(), Dense()), method="max"), "'scores', 'rrf' or 'adaptive', not 'max'"),
    ("a negative constant", lambda: Fuse((BM25(), Dense()), rrf_k=-1), "rrf_k must be a number from 0"),
    ("a blend above 1", lambda: Rerank(BM25(), Dense(), weight=1.5), "weight must be a number from 0 to 1"),
    ("a negative blend", lambda: Rerank(BM25(), Dense(), weight=-0.5), "weight must be a number from 0 to 1"),
]  # fmt: skip


@pytest.mark.parametrize(("make", "message"), [case[1:] for case in BAD], ids=[case[0] for case in BAD])
def test_a_pipeline_that_makes_no_sense_is_refused(make: Callable[[], object], message: str) -> None:
    with pytest.raises(PipelineError) as caught:
        make()
    assert message in caught.value.message


def test_the_leaves_of_a_pipeline_are_its_scorers_each_once() -> None:
    first = Fuse((BM25(depth=7), Dense()))
    assert leaves(Rerank(first, Fuse((MaxSim(), Dense(depth=9))))) == (BM25(), Dense(), MaxSim())
    assert leaves(Fuse((BM25(k1=1), BM25(k1=2), BM25(k1=1, depth=3)))) == (BM25(k1=1), BM25(k1=2))


def depths(pipeline: Pipeline) -> list[int]:
    """Give the depths of every stage that passes documents on."""
    match pipeline:
        case Fuse(stages=stages):
            return [depth for stage in stages for depth in depths(stage)]
        case Rerank(first=first):
            return depths(first)
        case _:
            return [pipeline.depth]


@given(PIPELINES, st.integers(1, 10**6))
def test_a_deepened_pipeline_passes_on_at_least_that_many_documents(pipeline: Pipeline, depth: int) -> None:
    deeper = deepen(pipeline, depth)
    assert depths(deeper) == [max(depth, own) for own in depths(pipeline)]
    assert leaves(deeper) == leaves(pipeline)
    assert deepen(deeper, depth) == deeper


@given(PIPELINES)
def test_a_pipeline_that_is_deep_enough_stays_as_it_is(pipeline: Pipeline) -> None:
    assert deepen(pipeline, 1) == pipeline


@given(PIPELINES, st.integers(1, 10**6), st.integers(1, 10**6))
def test_deepening_twice_is_deepening_to_the_larger(pipeline: Pipeline, one: int, other: int) -> None:
    assert deepen(deepen(pipeline, one), other) == deepen(pipeline, max(one, other))
