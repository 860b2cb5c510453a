from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from scipy import stats

from shortlist.errors import DataError
from shortlist.measures import (
    Interval,
    bootstrap,
    bootstrap_mean,
    holm,
    paired_randomisation,
    pearson,
    spearman,
)
from shortlist.measures.statistics import Indices

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


@pytest.mark.parametrize(
    ("words", "said"), [({"resamples": 0}, "draw 0 samples"), ({"level": 1.0}, "level of 1")]
)
def test_intervals_of_no_samples_or_no_level_are_refused(words: dict[str, Any], said: str) -> None:
    with pytest.raises(DataError, match=said):
        bootstrap_mean(VALUES, **words)
    with pytest.raises(DataError, match=said):
        bootstrap(lambda chosen: float(len(chosen)), 3, **words)


def test_an_interval_prints_as_people_write_it() -> None:
    assert str(Interval(0.9, 0.88, 0.92)) == "0.9000 (0.8800 to 0.9200)"


class TestBootstrapOfAnyMeasure:
    SCORES = np.random.default_rng(1).normal(size=60)
    GRADES = SCORES + np.random.default_rng(2).normal(size=60)

    def correlation(self, chosen: Indices) -> float:
        return pearson(self.SCORES[chosen], self.GRADES[chosen])

    def test_the_interval_is_near_that_of_scipy(self) -> None:
        found = bootstrap(self.correlation, 60, resamples=4000)
        expected = stats.bootstrap(
            (self.SCORES, self.GRADES), lambda x, y: stats.pearsonr(x, y)[0], paired=True,
            vectorized=False, method="percentile", n_resamples=4000, rng=np.random.default_rng(3),
        ).confidence_interval  # fmt: skip
        assert (found.low, found.high) == pytest.approx((expected.low, expected.high), abs=0.02)
        assert found.low < found.mean == pearson(self.SCORES, self.GRADES) < found.high

    def test_that_of_a_mean_is_the_one_that_is_drawn_many_at_a_time(self) -> None:
        found = bootstrap(lambda chosen: float(VALUES[chosen].mean()), len(VALUES))
        many = bootstrap_mean(VALUES)
        assert (found.mean, found.low, found.high) == pytest.approx(
            (many.mean, many.low, many.high), abs=0.002
        )

    def test_that_of_a_share_is_near_the_binomial_interval(self) -> None:
        right = np.arange(1000) < 900
        found = bootstrap(lambda chosen: float(right[chosen].mean()), 1000, resamples=2000, seed=1)
        assert found.mean == 0.9
        assert (found.low, found.high) == pytest.approx(
            (0.9 - 1.96 * 0.00949, 0.9 + 1.96 * 0.00949), abs=0.003
        )

    def test_a_seed_gives_the_same_interval_again_and_another_seed_another(self) -> None:
        found = [bootstrap(self.correlation, 60, resamples=50, seed=seed) for seed in (5, 5, 6)]
        assert found[0] == found[1] != found[2]

    def test_a_higher_level_is_wider(self) -> None:
        wide, narrow = (bootstrap(self.correlation, 60, resamples=500, level=level) for level in (0.99, 0.5))
        assert wide.low < narrow.low < narrow.high < wide.high
        assert (wide.level, narrow.level) == (0.99, 0.5)

    def test_a_handful_of_things_has_no_interval(self) -> None:
        scores, grades = np.array([0.1, 0.2, 0.3]), np.array([1, 3, 2])
        with pytest.raises(DataError, match=r"no interval: undefined for \d+ of 1,000 resamples"):
            bootstrap(lambda chosen: spearman(scores[chosen], grades[chosen]), 3, resamples=1000)

    def test_what_has_no_value_has_no_interval_either(self) -> None:
        scores = np.array([0.1, 0.2, 0.3])
        with pytest.raises(DataError, match="all 3 grades"):
            bootstrap(lambda chosen: spearman(scores[chosen], np.ones(3)), 3)
        with pytest.raises(DataError, match="nothing to draw samples from"):
            bootstrap(lambda _: 1.0, 0)


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
