import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.scoring import poly_scores


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(0, 9), st.floats(0, 30))
def test_poly_equals_its_equation(seed: int, codes: int, passages: int, sharpness: float) -> None:
    similarities = np.random.default_rng(seed).uniform(-1, 1, (codes, passages))
    expected = []
    for column in similarities.T.tolist():
        weights = [math.exp(sharpness * value) for value in column]
        expected.append(math.fsum(w * v for w, v in zip(weights, column, strict=True)) / math.fsum(weights))
    assert poly_scores(similarities, sharpness).tolist() == pytest.approx(expected, abs=1e-12)


@given(st.integers(0, 2**32 - 1), st.integers(1, 6), st.integers(1, 9))
def test_a_passage_scores_the_same_alone(seed: int, codes: int, passages: int) -> None:
    similarities = np.random.default_rng(seed).uniform(-1, 1, (codes, passages))
    together = poly_scores(similarities, 4.0)
    alone = [poly_scores(np.ascontiguousarray(similarities[:, [n]]), 4.0)[0] for n in range(passages)]
    assert together.tolist() == alone


def test_one_code_is_a_bi_encoder_and_many_sharp_ones_the_best_of_them() -> None:
    similarities = np.array([[0.1, 0.9], [0.7, 0.2]])
    assert poly_scores(similarities[:1], 5.0).tolist() == similarities[0].tolist()
    assert poly_scores(similarities, 1e4).tolist() == pytest.approx([0.7, 0.9])
    assert poly_scores(similarities, 0.0).tolist() == pytest.approx(similarities.mean(axis=0).tolist())
