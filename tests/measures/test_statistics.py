from __future__ import annotations

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from shortlist.errors import DataError
from shortlist.measures.statistics import bootstrap_mean, holm, paired_randomisation

VALUES = np.random.default_rng(7).random(200)


def test_the_interval_holds_the_mean_and_is_that_of_scipy() -> None:
    found = bootstrap_mean(VALUES)
    theirs = stats.bootstrap((VALUES,), np.mean, method="percentile", n_resamples=10_000, rng=1)
    assert found.mean == pytest.approx(VALUES.mean())
    assert found.low == pytest.approx(theirs.confidence_interval.low, abs=0.002)
    assert found.high == pytest.approx(theirs.confidence_interval.high, abs=0.002)


def test_an_interval_covers_the_true_mean_about_as_often_as_it_says() -> None:
    random = np.random.default_rng(3)
    found = [bootstrap_mean(random.random(60), resamples=500, seed=n) for n in range(300)]
    covered = np.mean([interval.low <= 0.5 <= interval.high for interval in found])
    assert 0.90 <= covered <= 0.98


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    assert bootstrap_mean(VALUES, seed=1) == bootstrap_mean(VALUES, seed=1)
    assert bootstrap_mean(VALUES, seed=1) != bootstrap_mean(VALUES, seed=2)


def test_one_value_is_its_own_interval() -> None:
    assert bootstrap_mean([0.5]).low == bootstrap_mean([0.5]).high == 0.5


@pytest.mark.parametrize("values", [[], [[1.0]], [float("nan")], [float("inf")]])
def test_statistics_of_nothing_or_of_what_is_no_number_are_refused(values: list[float]) -> None:
    with pytest.raises(DataError):
        bootstrap_mean(values)


def test_few_queries_are_tested_exactly_as_scipy_does() -> None:
    random = np.random.default_rng(5)
    one, two = random.random(10), random.random(10)
    theirs = stats.permutation_test(
        (one, two), lambda a, b, axis: np.mean(a - b, axis=axis), permutation_type="samples",
        vectorized=True, n_resamples=np.inf,
    )  # fmt: skip
    assert paired_randomisation(one, two) == pytest.approx(theirs.pvalue)


@pytest.mark.parametrize("shift", [0.0, 0.02, 0.05])
def test_many_queries_are_tested_as_the_paired_t_test_roughly_does(shift: float) -> None:
    random = np.random.default_rng(6)
    one = random.random(400)
    two = one + shift + random.normal(0, 0.2, 400)
    assert paired_randomisation(one, two) == pytest.approx(stats.ttest_rel(one, two).pvalue, abs=0.02)


def test_equal_systems_have_p_one_and_p_is_never_zero() -> None:
    assert paired_randomisation(VALUES, VALUES) == 1
    assert 0 < paired_randomisation(VALUES, VALUES + 1) <= 1 / 20_001


@given(st.lists(st.tuples(st.integers(0, 3), st.integers(0, 3)), min_size=1, max_size=40))
def test_the_test_has_no_favourite(pairs: list[tuple[int, int]]) -> None:
    one, two = np.array(pairs, float).T
    assert paired_randomisation(one, two, permutations=500) == pytest.approx(
        paired_randomisation(two, one, permutations=500), abs=0.15
    )


@given(st.lists(st.tuples(st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=20))
@example([(0, 1), (0, 2), (3, 0)])
def test_values_in_tenths_are_tested_as_the_same_integers(pairs: list[tuple[int, int]]) -> None:
    one, two = np.array(pairs, float).T
    found = paired_randomisation(one / 10, two / 10, permutations=500)
    assert found == paired_randomisation(one, two, permutations=500)


def test_a_paired_test_needs_the_same_queries() -> None:
    with pytest.raises(DataError, match="same queries"):
        paired_randomisation([1.0], [1.0, 2.0])


def test_shuffled_labels_are_found_different_as_often_as_the_level_says() -> None:
    random = np.random.default_rng(11)
    one = (random.random(120) < 0.5).astype(float)
    two = np.clip(one + random.normal(0, 0.4, 120), 0, 1)
    found = 0
    for _ in range(400):
        swapped = random.random(120) < 0.5
        first, second = np.where(swapped, two, one), np.where(swapped, one, two)
        found += paired_randomisation(first, second, permutations=500) < 0.05
    assert 0.02 <= found / 400 <= 0.085


def test_holm_is_that_of_its_paper() -> None:
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([]) == []
    assert holm([0.7]) == [0.7]


@given(st.lists(st.floats(0, 1), max_size=8))
def test_holm_never_lowers_a_p_value_nor_changes_their_order(p_values: list[float]) -> None:
    found = holm(p_values)
    assert all(after >= before for before, after in zip(p_values, found, strict=True))
    assert all(0 <= p <= 1 for p in found)
    order = sorted(range(len(p_values)), key=p_values.__getitem__)
    assert [found[i] for i in order] == sorted(found)
