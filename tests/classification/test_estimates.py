import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.classification.estimates import compare_classifiers, mcnemar
from shortlist.errors import DataError

COUNTS = st.integers(0, 400)


@given(COUNTS, COUNTS)
def test_mcnemar_is_the_two_sided_binomial_test(first: int, second: int) -> None:
    stats = pytest.importorskip("scipy.stats")
    expected = stats.binomtest(first, first + second).pvalue if first + second else 1.0
    assert mcnemar(first, second) == pytest.approx(expected, rel=1e-9)
    assert mcnemar(first, second) == mcnemar(second, first)


def test_mcnemar_takes_thousands_and_the_smallest_probabilities() -> None:
    assert mcnemar(0, 5000) == 0.0  # 2**-4999 is below what a float holds
    assert 0 < mcnemar(400, 900) < 1e-40
    assert mcnemar(5000, 5001) == pytest.approx(1.0, abs=0.02)


def test_a_comparison_counts_who_was_right_alone() -> None:
    first, second = np.array([1, 1, 1, 0, 1, 0], bool), np.array([1, 0, 0, 1, 0, 0], bool)
    comparison = compare_classifiers(first, second, seed=0)
    assert (comparison.only_first, comparison.only_second) == (3, 1)
    assert comparison.p_value == 0.625
    assert comparison.difference.mean == pytest.approx(2 / 6)
    assert comparison.first.mean == pytest.approx(4 / 6)


def test_nothing_can_be_estimated_from_no_texts() -> None:
    with pytest.raises(DataError, match="no texts"):
        compare_classifiers(np.empty(0, bool), np.empty(0, bool), seed=0)
    with pytest.raises(DataError, match="1 answers of one classifier and 2 of the other"):
        compare_classifiers(np.ones(1, bool), np.ones(2, bool), seed=0)
