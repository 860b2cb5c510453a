from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shortlist.scoring.adaptive import Signs, dense_weight, signs

WORDS = np.linspace(10, 0, 300)
MEANING = np.linspace(0.7, 0.1, 300)
USUAL = signs(WORDS, MEANING, 60, 0.0)


def test_the_signs_are_read_at_their_ranks_whatever_the_order() -> None:
    shuffled = np.random.default_rng(0).permutation(300)
    found = signs(WORDS[shuffled], MEANING[shuffled], 3, 0.2)
    assert found.spread == pytest.approx(np.log(MEANING[0] - MEANING[100]))
    assert found.flatness == pytest.approx(WORDS[10] / WORDS[0])
    assert found.shortness == pytest.approx(np.log(10))
    assert found.strangeness == 0.2


@pytest.mark.parametrize("sign", ["spread", "flatness", "shortness", "strangeness"])
def test_dense_weighs_more_the_larger_a_sign_is(sign: str) -> None:
    larger = replace(USUAL, **{sign: getattr(USUAL, sign) + 0.3})
    assert dense_weight(larger) > dense_weight(USUAL)


def test_documents_longer_than_thirty_terms_are_not_short() -> None:
    assert signs(WORDS, MEANING, 30, 0.0).shortness == signs(WORDS, MEANING, 3000, 0.0).shortness == 0


@given(
    arrays(np.float64, st.integers(0, 150), elements=st.floats(0, 1e6)),
    st.integers(0, 2**32),
    st.floats(0, 1e5),
    st.floats(0, 1),
)
def test_the_weight_is_bounded_and_does_not_depend_on_the_unit_of_bm25(
    lexical: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int, length: float, strangeness: float
) -> None:
    dense = np.random.default_rng(seed).uniform(-1, 1, len(lexical))
    weight = dense_weight(signs(lexical, dense, length, strangeness))
    assert 0.25 <= weight <= 32
    assert dense_weight(signs(lexical * 4, dense, length, strangeness)) == pytest.approx(weight)


def test_an_empty_collection_has_signs() -> None:
    assert isinstance(signs(np.empty(0), np.empty(0), 0, 0), Signs)
