import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.scoring import dense
from shortlist.scoring.dense import dot_products

Int8 = NDArray[np.int8]


def random_int8(seed: int, *shape: int) -> Int8:
    return np.random.default_rng(seed).integers(-127, 128, shape, dtype=np.int8)


def exact(vectors: Int8, queries: Int8) -> NDArray[np.int64]:
    return queries.astype(np.int64) @ vectors.astype(np.int64).T


@given(
    st.integers(0, 40), st.integers(0, 5), st.integers(0, 400), st.integers(1, 50), st.integers(0, 2**32 - 1)
)
def test_products_are_the_integers_whatever_the_shape_and_the_block(
    count: int, queries: int, dimensions: int, block: int, seed: int
) -> None:
    vectors, asked = random_int8(seed, count, dimensions), random_int8(seed + 1, queries, dimensions)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(dense, "BLOCK", block)
        found = dot_products(vectors, asked)
    assert found.dtype == np.float32
    assert found.shape == (queries, count)
    assert np.array_equal(found, exact(vectors, asked))


@given(st.integers(1, 40), st.integers(2, 5), st.integers(1, 400), st.integers(0, 2**32 - 1))
def test_queries_together_get_the_bytes_that_each_gets_alone(
    count: int, queries: int, dimensions: int, seed: int
) -> None:
    vectors, asked = random_int8(seed, count, dimensions), random_int8(seed + 1, queries, dimensions)
    together = dot_products(vectors, asked)
    alone = [dot_products(vectors, asked[number : number + 1]).tobytes() for number in range(queries)]
    assert [row.tobytes() for row in together] == alone


def test_more_vectors_than_one_block_are_compared_exactly() -> None:
    vectors, asked = random_int8(1, 2 * dense.BLOCK + 1, 48), random_int8(2, 3, 48)
    assert np.array_equal(dot_products(vectors, asked), exact(vectors, asked))
    assert np.array_equal(dot_products(vectors, asked[:1]), exact(vectors, asked[:1]))


@pytest.mark.parametrize("sign", [-1, 1])
def test_the_largest_sums_that_can_occur_are_exact(sign: int) -> None:
    vectors = np.full((3, 1040), 127, np.int8)
    vectors[1, 0] = 126  # an odd sum of 24 bits
    asked = np.full((2, 1040), sign * 127, np.int8)
    assert np.array_equal(dot_products(vectors, asked), exact(vectors, asked))


def test_more_dimensions_than_add_up_exactly_are_refused() -> None:
    with pytest.raises(ValueError, match="1041"):
        dot_products(np.zeros((1, 1041), np.int8), np.zeros((1, 1041), np.int8))


def test_vectors_of_different_dimensions_are_refused() -> None:
    with pytest.raises(ValueError, match="can't compare 3 with 4 dimensions"):
        dot_products(np.zeros((1, 3), np.int8), np.zeros((1, 4), np.int8))


def test_the_vectors_are_not_changed_and_may_be_read_only() -> None:
    vectors, asked = random_int8(1, 5, 8), random_int8(2, 1, 8)
    before = vectors.copy()
    vectors.flags.writeable = asked.flags.writeable = False
    dot_products(vectors, asked)
    assert np.array_equal(vectors, before)
