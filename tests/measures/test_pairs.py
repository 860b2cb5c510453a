"""Measures of pairs against scipy, scikit-learn, sentence-transformers' rule by brute force, and their laws."""

import math
import warnings
from collections.abc import Callable

import numpy as np
import pytest
import scipy.stats
from hypothesis import assume, given
from hypothesis import strategies as st
from sklearn.metrics import average_precision_score

from shortlist.errors import DataError
from shortlist.measures import (
    AtThreshold,
    average_precision,
    best_accuracy,
    best_f1,
    pearson,
    spearman,
)

FEW_VALUES = st.integers(0, 4).map(lambda value: value / 4)  # so that many tie
ANY = st.floats(-1e6, 1e6).map(lambda value: round(value, 3))
CORRELATIONS = [pearson, spearman]
DECISIONS = [average_precision, best_accuracy, best_f1]


@st.composite
def graded(draw: st.DrawFn) -> tuple[list[float], list[float]]:
    size = draw(st.integers(2, 30))
    values = draw(st.sampled_from([FEW_VALUES, ANY]))
    scores = draw(st.lists(values, min_size=size, max_size=size))
    grades = draw(st.lists(values, min_size=size, max_size=size))
    assume(len(set(scores)) > 1 and len(set(grades)) > 1)
    return scores, grades


@st.composite
def labelled(draw: st.DrawFn) -> tuple[list[float], list[int]]:
    size = draw(st.integers(2, 30))
    scores = draw(st.lists(draw(st.sampled_from([FEW_VALUES, ANY])), min_size=size, max_size=size))
    labels = draw(st.lists(st.integers(0, 1), min_size=size, max_size=size))
    assume(len(set(labels)) == 2)
    return scores, labels


def accuracy(scores: list[float], labels: list[int], threshold: float) -> float:
    return sum((s >= threshold) == label for s, label in zip(scores, labels, strict=True)) / len(scores)


def f1(scores: list[float], labels: list[int], threshold: float) -> float:
    chosen = [label for s, label in zip(scores, labels, strict=True) if s >= threshold]
    return 2 * sum(chosen) / (len(chosen) + sum(labels))


def shuffled(scores: list[float], truth: list[float] | list[int]) -> tuple[list[float], list[float]]:
    order = np.random.default_rng(len(scores)).permutation(len(scores))
    return [scores[i] for i in order], [truth[i] for i in order]


@given(graded())
def test_correlations_are_those_of_scipy(given_: tuple[list[float], list[float]]) -> None:
    scores, grades = given_
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # of values that are nearly constant
        assert pearson(scores, grades) == pytest.approx(scipy.stats.pearsonr(scores, grades)[0], abs=1e-9)
        assert spearman(scores, grades) == pytest.approx(scipy.stats.spearmanr(scores, grades)[0], abs=1e-12)


@given(graded())
def test_a_strictly_increasing_change_leaves_spearman_as_it_is(
    given_: tuple[list[float], list[float]],
) -> None:
    scores, grades = given_
    changed = [math.copysign(abs(score) ** (1 / 3), score) * 7 - 2 for score in scores]
    assume(len(set(changed)) == len(set(scores)))
    assert spearman(changed, grades) == spearman(scores, grades)
    assert spearman([-score for score in scores], grades) == pytest.approx(-spearman(scores, grades))


@pytest.mark.parametrize("measure", CORRELATIONS)
@given(given_=graded())
def test_correlations_are_symmetric_and_between_minus_one_and_one(
    measure: Callable[..., float], given_: tuple[list[float], list[float]]
) -> None:
    scores, grades = given_
    assert measure(scores, grades) == measure(grades, scores)
    assert -1 <= measure(scores, grades) <= 1
    assert measure(scores, scores) == pytest.approx(1)


@pytest.mark.parametrize(
    ("scores", "expected"),
    [([1.0, 1.0 + 2**-52], 1.0), ([1e-200, 2e-200], 1.0), ([-1e308, 1.5e308], 1.0), ([5e-324, 0.0], -1.0)],
    ids=["nearly the same", "tiny", "huge", "the smallest"],
)
def test_pearson_holds_at_the_ends_of_the_floats(scores: list[float], expected: float) -> None:
    assert pearson(scores, [0, 1]) == pytest.approx(expected)


@given(labelled())
def test_average_precision_is_that_of_scikit_learn(given_: tuple[list[float], list[int]]) -> None:
    scores, labels = given_
    assert average_precision(scores, labels) == pytest.approx(average_precision_score(labels, scores))


@given(labelled())
def test_the_best_threshold_is_the_best_of_all(given_: tuple[list[float], list[int]]) -> None:
    scores, labels = given_
    for found, value_at in ((best_accuracy(scores, labels), accuracy), (best_f1(scores, labels), f1)):
        best = max(value_at(scores, labels, threshold) for threshold in [math.inf, *scores])
        assert found.value == pytest.approx(best)
        assert value_at(scores, labels, found.threshold) == pytest.approx(best)


@pytest.mark.parametrize("measure", DECISIONS)
@given(given_=labelled())
def test_the_order_of_pairs_that_tie_changes_nothing(
    measure: Callable[..., object], given_: tuple[list[float], list[int]]
) -> None:
    scores, labels = given_
    assert measure(*shuffled(scores, labels)) == measure(scores, labels)


def test_scores_that_are_all_the_same_tell_nothing_apart() -> None:
    assert average_precision([0.5] * 4, [1, 0, 0, 0]) == 0.25
    assert best_f1([0.5] * 4, [1, 0, 0, 0]) == AtThreshold(0.4, 0.5)
    assert best_accuracy([0.5] * 4, [1, 1, 1, 0]) == AtThreshold(0.75, 0.5)
    none = best_accuracy([0.5] * 4, [1, 0, 0, 0])
    assert none.value == 0.75
    assert 0.5 < none.threshold < 0.5 + 1e-9, "no pair is let in"


def test_no_threshold_falls_between_neighbouring_floats() -> None:
    upper = 1.0 + 2**-52
    assert best_accuracy([upper, 1.0], [1, 0]) == AtThreshold(1.0, upper)
    assert best_accuracy([1.7e308, -1.7e308], [1, 0]) == AtThreshold(1.0, 0.0)


@pytest.mark.parametrize("measure", [*CORRELATIONS, *DECISIONS])
@pytest.mark.parametrize(
    ("scores", "truth", "problem"),
    [
        ([], [], "there are no scores"),
        ([0.1, math.nan], [0, 1], "number 1 of the scores is nan"),
        ([0.1, math.inf], [0, 1], "number 1 of the scores is inf"),
        ([0.1, 0.2], [0, math.nan], "number 1 of the (grades|labels) is nan"),
        ([0.1, 0.2], [0, 1, 1], "2 scores don't fit 3"),
        ([[0.1, 0.2]], [0, 1], "have shape"),
        (["a", "b"], [0, 1], "scores must be numbers"),
        ([0.1, 0.2], [1, 1], "all 2 (grades|labels) are 1"),
    ],
)
def test_what_can_not_be_measured_is_an_error_that_says_so(
    measure: Callable[..., object], scores: list[float], truth: list[float], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        measure(scores, truth)


@pytest.mark.parametrize("measure", CORRELATIONS)
def test_constant_scores_and_a_single_pair_have_no_correlation(measure: Callable[..., float]) -> None:
    with pytest.raises(DataError, match=r"all 2 scores are 0\.5"):
        measure([0.5, 0.5], [1, 2])
    with pytest.raises(DataError, match="one pair"):
        measure([0.5], [1])


@pytest.mark.parametrize("measure", DECISIONS)
def test_a_label_that_is_neither_0_nor_1_is_named(measure: Callable[..., object]) -> None:
    with pytest.raises(DataError, match="label 1 is 2, expected 0 or 1"):
        measure([0.1, 0.2], [1, 2])
