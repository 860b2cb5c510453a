import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.collection.sign_bits import MARGIN, NEIGHBOURS, build_sign_bits
from shortlist.scoring import dot_products
from shortlist.vectors import quantize


def vectors(count: int, dimensions: int = 96, seed: int = 0) -> NDArray[np.int8]:
    random = np.random.default_rng(seed)
    found = random.normal(size=(count, 8)) @ random.normal(size=(8, dimensions))
    return quantize(found / np.linalg.norm(found, axis=1, keepdims=True), 1 / 254)


def test_signs_are_the_bits_of_the_vectors() -> None:
    dense = vectors(50, 70)
    found = build_sign_bits(dense)
    assert found.bits.shape == (50, 2)
    for row, bits in zip(dense, found.bits, strict=True):
        ours = [int(bits[at // 64]) >> (at % 64) & 1 for at in range(128)]
        assert ours == [*(row >= 0).astype(int).tolist(), *[0] * 58]


def test_ranks_say_how_far_by_their_signs_the_true_neighbours_are() -> None:
    dense = vectors(3000)
    found = build_sign_bits(dense)
    assert found.ranks.shape == (64, NEIGHBOURS)
    sample = 2999  # the last one is always drawn
    products = dot_products(dense, dense[[sample]])[0]
    differing = np.array(
        [sum(int(word).bit_count() for word in row) for row in found.bits ^ found.bits[sample]]
    )
    others = np.delete(np.arange(3000), sample)
    nearest = others[np.argsort(-products[others], kind="stable")[:NEIGHBOURS]]
    expected = [int((differing[others] <= differing[one]).sum()) for one in nearest]
    assert found.ranks[-1].tolist() == expected


@settings(max_examples=40)
@given(k=st.integers(1, 500), more=st.integers(0, 100), recall=st.floats(0, 0.9))
def test_more_is_looked_at_for_more_documents_and_for_a_higher_recall(
    k: int, more: int, recall: float
) -> None:
    depth = BITS.depth(k, recall)
    assert depth >= k
    assert BITS.depth(k + more, recall) >= depth
    assert BITS.depth(k, recall + 0.09) >= depth


@pytest.mark.parametrize("k", [1, 3, 10, 30, NEIGHBOURS])
@pytest.mark.parametrize("recall", [0.5, 0.9, 0.99])
def test_so_many_hold_the_share_of_the_samples_neighbours(k: int, recall: float) -> None:
    reach = BITS.depth(k, recall) / MARGIN
    assert (BITS.ranks[:, :k] <= reach + 1).mean() >= recall
    assert BITS.depth(2 * NEIGHBOURS, recall) >= 2 * BITS.depth(NEIGHBOURS, recall) - MARGIN


BITS = build_sign_bits(vectors(2000))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_vectors_have_few_neighbours(count: int) -> None:
    found = build_sign_bits(vectors(count))
    assert len(found.bits) == count
    assert found.depth(10, 0.98) >= 10
