import math

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shortlist.scoring import at_least_kth


def oracle(scores: list[float], k: int, above: float = -math.inf) -> list[int]:
    ordered = sorted((score for score in scores if score > above), reverse=True)
    if not ordered or k < 1:
        return []
    bound = ordered[min(k, len(ordered)) - 1]
    return [index for index, score in enumerate(scores) if score >= bound]


# Few values, so that there are ties and that -inf is everywhere.
SCORES = st.lists(st.sampled_from([-math.inf, -2.0, -1.5, 0.0, 1.0, 2.0]), max_size=300)
MANY_SCORES = st.builds(
    lambda seed, count, values: np.random.default_rng(seed).integers(0, values, count).astype(float).tolist(),
    st.integers(0, 2**32 - 1),
    st.integers(0, 2000),
    st.sampled_from([2, 5, 1000, 10**9]),
)


@given(SCORES | MANY_SCORES, st.integers(-1, 30) | st.integers(1, 2001))
@example([-math.inf] * 640, 3)
@example([-math.inf] * 639 + [1.0], 3)
@example([0.0] * 640, 3)
def test_all_that_tie_with_the_kth_are_among_the_best(scores: list[float], k: int) -> None:
    found = at_least_kth(np.array(scores), k)
    assert found.dtype == np.int64
    assert found.tolist() == oracle(scores, k)


@given(SCORES | MANY_SCORES, st.integers(1, 30), st.sampled_from([-math.inf, -1.5, 0.0, 1.0, 500.0]))
@example([0.0] * 640, 3, 0.0)
def test_a_score_that_is_not_above_the_limit_never_counts(scores: list[float], k: int, above: float) -> None:
    assert at_least_kth(np.array(scores), k, above=above).tolist() == oracle(scores, k, above)


@given(MANY_SCORES, st.integers(1, 50))
def test_the_best_k_are_among_the_best_k_plus_one(scores: list[float], k: int) -> None:
    fewer, more = (set(at_least_kth(np.array(scores), size).tolist()) for size in (k, k + 1))
    assert fewer <= more


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_both_widths_of_floats_are_accepted(dtype: type[np.float32 | np.float64]) -> None:
    assert at_least_kth(np.array([1, 3, 2], dtype), 2).tolist() == [1, 2]


def test_fewer_scores_than_asked_for_are_all_there_is() -> None:
    assert at_least_kth(np.array([1.0, -np.inf, 2.0]), 10).tolist() == [0, 2]
    assert at_least_kth(np.empty(0), 10).tolist() == []
