import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.errors import DataError
from shortlist.vectors import DenseVectors, TokenVectors, quantize, quantize_rows

Float = NDArray[np.float32]

FINITE = st.floats(-1e6, 1e6, width=32, allow_subnormal=False)


def matrices(values: st.SearchStrategy[float] = FINITE) -> st.SearchStrategy[Float]:
    """Any [rows, columns] of float32, at least one by one."""
    return st.tuples(st.integers(1, 6), st.integers(1, 6)).flatmap(
        lambda shape: st.lists(values, min_size=shape[0] * shape[1], max_size=shape[0] * shape[1]).map(
            lambda found: np.array(found, np.float32).reshape(shape)
        )
    )


def offsets(*values: int) -> NDArray[np.int64]:
    return np.array(values, np.int64)


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3)])
def test_dense_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"dense vectors have shape \[texts, dimensions\]"):
        DenseVectors(np.zeros(shape, np.float32))


@pytest.mark.parametrize("shape", [(), (3,), (1, 2, 3)])
def test_token_vectors_of_another_shape_are_refused(shape: tuple[int, ...]) -> None:
    with pytest.raises(DataError, match=r"token vectors have shape \[tokens, dimensions\]"):
        TokenVectors(np.zeros(shape, np.float32), offsets(0, 1))


@pytest.mark.parametrize(
    "bad", [offsets(), offsets(1, 3), offsets(0, 2), offsets(0, 4), np.array([[0, 3]])], ids=str
)
def test_offsets_that_do_not_run_from_0_to_the_number_of_tokens_are_refused(bad: NDArray[np.int64]) -> None:
    with pytest.raises(DataError, match="must run from 0 to the number of tokens, 3"):
        TokenVectors(np.zeros((3, 2), np.float32), bad)


def test_offsets_that_decrease_are_refused() -> None:
    with pytest.raises(DataError, match="must not decrease"):
        TokenVectors(np.zeros((3, 2), np.float32), offsets(0, 2, 1, 3))


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_a_value_that_is_not_finite_is_refused_with_its_row(bad: float) -> None:
    data = np.zeros((3, 2), np.float32)
    data[1, 1] = bad
    with pytest.raises(DataError, match="vector 1 holds NaN or infinity"):
        DenseVectors(data)
    with pytest.raises(DataError, match="vector 1 holds NaN or infinity"):
        TokenVectors(data, offsets(0, 3))


def test_token_vectors_are_cut_into_texts_at_their_offsets() -> None:
    data = np.arange(8, dtype=np.float32).reshape(4, 2)
    vectors = TokenVectors(data, offsets(0, 1, 1, 4))
    assert len(vectors) == 3
    assert vectors.dimensions == 2
    assert [part.tolist() for part in vectors] == [data[:1].tolist(), [], data[1:].tolist()]
    assert vectors[2].tolist() == data[1:].tolist()


def test_there_may_be_no_text_at_all() -> None:
    assert (len(DenseVectors(np.empty((0, 3)))), DenseVectors(np.empty((0, 3))).dimensions) == (0, 3)
    assert list(TokenVectors(np.empty((0, 3)), offsets(0))) == []


@given(matrices(st.floats(-1, 1, width=32)))
def test_quantising_is_off_by_half_a_step_at_most(values: Float) -> None:
    scale = 1 / 127
    steps = quantize(values, scale)
    assert steps.dtype == np.int8
    np.testing.assert_allclose(steps * scale, values, atol=scale / 2 * 1.0001)


@given(matrices())
def test_quantising_clips_at_127_steps(values: Float) -> None:
    steps = quantize(values, 0.5)
    assert np.abs(steps.astype(np.int64)).max() <= 127
    assert np.all(steps[values > 64] == 127)
    assert np.all(steps[values < -64] == -127)


@given(matrices(), st.floats(1e-3, 1e3))
def test_a_vector_is_quantised_alike_alone_and_among_others(values: Float, scale: float) -> None:
    together = quantize(values, scale)
    assert all(np.array_equal(quantize(row[None], scale)[0], together[i]) for i, row in enumerate(values))


def test_quantised_vectors_remember_their_scale_and_their_offsets() -> None:
    data = np.array([[1.0, -0.5], [0.25, 0.0]], np.float32)
    dense = DenseVectors(data).quantized(0.25)
    assert (dense.data.tolist(), dense.scale) == ([[4, -2], [1, 0]], 0.25)
    tokens = TokenVectors(data, offsets(0, 1, 2)).quantized(0.25)
    assert (tokens.data.tolist(), tokens.scale) == ([[4, -2], [1, 0]], 0.25)
    assert tokens.offsets.tolist() == [0, 1, 2]


@given(matrices())
def test_a_row_quantised_by_its_own_largest_value_is_off_by_half_a_step_at_most(values: Float) -> None:
    steps, scales = quantize_rows(values)
    assert steps.dtype == np.int8
    assert scales.shape == (len(values),)
    assert np.all(np.abs(steps.astype(np.int64)).max(axis=1)[np.abs(values).max(axis=1) > 0] == 127)
    error = np.abs(steps * scales[:, None].astype(np.float64) - values)
    assert np.all(error <= scales[:, None] / 2 * 1.0001)


def test_a_row_of_zeros_stays_zeros() -> None:
    steps, scales = quantize_rows(np.zeros((1, 3), np.float32))
    assert (steps.tolist(), scales.tolist()) == ([[0, 0, 0]], [1.0])


@given(matrices())
def test_a_row_is_quantised_alike_alone_and_among_others(values: Float) -> None:
    steps, scales = quantize_rows(values)
    for row, expected, scale in zip(values, steps, scales, strict=True):
        alone, its_scale = quantize_rows(row[None])
        assert np.array_equal(alone[0], expected)
        assert its_scale[0] == scale
