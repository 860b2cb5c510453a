import numpy as np
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.models.pooling import POOLINGS, normalize

Float = NDArray[np.float32]


def hidden(seed: int, *shape: int) -> Float:
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


SHAPES = st.tuples(st.integers(0, 2**32 - 1), st.integers(1, 5), st.integers(1, 40), st.integers(1, 70))


@given(SHAPES)
def test_each_pooling_is_what_its_name_says(shape: tuple[int, int, int, int]) -> None:
    values = hidden(*shape)
    exact = values.astype(np.float64)
    assert np.array_equal(POOLINGS["cls"](values), values[:, 0, :])
    np.testing.assert_allclose(POOLINGS["mean"](values), exact.mean(axis=1), atol=1e-5)
    assert np.array_equal(POOLINGS["max"](values), exact.max(axis=1))


@given(SHAPES)
def test_a_text_is_pooled_to_the_same_bytes_alone_and_in_a_batch(shape: tuple[int, int, int, int]) -> None:
    values = hidden(*shape)
    for pool in POOLINGS.values():
        together = normalize(pool(values))
        for index in range(len(values)):
            assert normalize(pool(values[index : index + 1]))[0].tobytes() == together[index].tobytes()


@given(SHAPES)
def test_the_order_of_tokens_does_not_matter_to_max(shape: tuple[int, int, int, int]) -> None:
    values = hidden(*shape)
    assert np.array_equal(POOLINGS["max"](values[:, ::-1]), POOLINGS["max"](values))


@given(SHAPES)
def test_a_normalised_vector_has_length_1_and_its_old_direction(shape: tuple[int, int, int, int]) -> None:
    values = hidden(*shape)
    found = normalize(values)
    assert found.dtype == np.float32
    length = np.linalg.norm(values.astype(np.float64), axis=-1, keepdims=True)
    np.testing.assert_allclose(found * length, values, atol=1e-5)


def test_a_zero_vector_stays_zero() -> None:
    assert normalize(np.zeros((2, 3), np.float32)).tolist() == [[0, 0, 0]] * 2
