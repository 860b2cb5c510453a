from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shortlist.scoring import dense_weight
from shortlist.scoring.adaptive import signs

WORDS = np.linspace(10, 0, 300)
MEANING = np.linspace(0.7, 0.1, 300)


def test_the_signs_are_read_at_their_ranks_whatever_the_order() -> None:
    shuffled = np.random.default_rng(0).permutation(300)
    spread, flatness, shortness = signs(WORDS[shuffled], MEANING[shuffled], 60)
    assert spread == pytest.approx(np.log(MEANING[0] - MEANING[100]))
    assert flatness == pytest.approx(WORDS[10] / WORDS[0])
    assert shortness == 0
    assert signs(WORDS, MEANING, 3)[2] == pytest.approx(np.log(10))


def test_dense_weighs_more_where_similarities_stand_out() -> None:
    assert dense_weight(WORDS, MEANING, 60) > dense_weight(WORDS, MEANING / 3, 60)


def test_dense_weighs_more_where_many_documents_match_the_words_equally() -> None:
    flat = np.maximum(WORDS, 9.9)
    assert dense_weight(flat, MEANING, 60) > dense_weight(WORDS**3, MEANING, 60)


def test_dense_weighs_more_between_short_texts() -> None:
    assert (
        dense_weight(WORDS, MEANING, 4)
        > dense_weight(WORDS, MEANING, 30)
        == dense_weight(WORDS, MEANING, 300)
    )


@given(
    arrays(np.float64, st.integers(0, 150), elements=st.floats(0, 1e6)),
    st.integers(0, 2**32),
    st.floats(0, 1e5),
)
def test_the_weight_is_bounded_and_does_not_depend_on_the_unit_of_bm25(
    lexical: np.ndarray[tuple[int], np.dtype[np.float64]], seed: int, length: float
) -> None:
    dense = np.random.default_rng(seed).uniform(-1, 1, len(lexical))
    weight = dense_weight(lexical, dense, length)
    assert 0.25 <= weight <= 32
    assert dense_weight(lexical * 4, dense, length) == pytest.approx(weight)


def test_without_documents_both_weigh_the_same() -> None:
    assert dense_weight(np.empty(0), np.empty(0), 0) == 1
