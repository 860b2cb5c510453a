import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.collection.sign_bits import NEIGHBOURS, RANKS, build_sign_bits
from shortlist.scoring import sign_bits
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


def test_pairs_near_and_far_say_how_many_signs_differ_at_a_product() -> None:
    dense = vectors(3000)
    found = build_sign_bits(dense)
    assert len(found.products) == len(found.distances) > 64 * NEIGHBOURS
    assert (np.diff(found.products) >= 0).all()
    pairs = set(zip(found.products.tolist(), found.distances.tolist(), strict=True))
    for sample in (0, 2999):  # the first and the last are always drawn
        length = np.linalg.norm(dense[sample].astype(np.float32))
        products = (dense @ dense[sample].astype(np.int32)).astype(np.float32) / length
        differing = np.bitwise_count(found.bits ^ found.bits[sample]).sum(axis=1)
        nearest = np.argsort(-products, kind="stable")[1:NEIGHBOURS]
        assert (
            set(zip(np.rint(products[nearest]).tolist(), differing[nearest].tolist(), strict=True)) <= pairs
        )
    assert found.products[0] < 0.1 * found.products[-1]


@pytest.mark.parametrize("recall", [0.5, 0.9, 0.98])
@pytest.mark.parametrize("kind", ["of them", "between them", "elsewhere"])
def test_that_share_of_what_is_as_near_to_any_query_lies_within_reach(kind: str, recall: float) -> None:
    """Queries need not lie where the vectors do."""
    dense = vectors(6000)
    found, random = build_sign_bits(dense), np.random.default_rng(3)
    within, shares = [], []
    for _ in range(40):
        one, other = dense[random.integers(0, 6000, 2)].astype(float)
        query = {"of them": one, "between them": one + other, "elsewhere": random.normal(size=96)}[kind]
        query /= np.linalg.norm(query)
        products = dense @ query
        differing = np.bitwise_count(found.bits ^ sign_bits(quantize(query[None], 1 / 254))).sum(axis=1)
        nearest = np.argsort(-products)[:300]
        reach = found.reach(products[nearest], recall)
        within.append((differing[nearest] <= reach).mean())
        shares.append((differing <= reach).mean())
    assert np.mean(within) > recall - 0.03
    if kind == "elsewhere":  # all are about as far
        assert np.mean(shares) < 0.75
    else:  # a twentieth of all are sought
        assert np.mean(shares) < {0.5: 0.1, 0.9: 0.25, 0.98: 0.4}[recall]


@given(product=st.floats(-1e9, 1e9), more=st.floats(0, 1e9), recall=st.floats(0.5, 0.9))
def test_one_looks_further_for_what_is_farther_and_for_a_higher_recall(
    product: float, more: float, recall: float
) -> None:
    its, nearer = (np.array([one, -10.0, 40.0], np.float32) for one in (product, product + more))
    reach = BITS.reach(its, recall)
    assert 0 <= reach <= 128
    assert BITS.reach(its, recall + 0.09) >= reach
    assert BITS.reach(nearer, recall) <= reach + 6  # what was measured is no smooth line


BITS = build_sign_bits(vectors(2000))


@pytest.mark.parametrize("count", [0, 1, 2, 5])
def test_few_vectors_have_few_pairs(count: int) -> None:
    found = build_sign_bits(vectors(count))
    assert len(found.bits) == count
    assert (len(found.products) > 0) == (count > 1)
    assert 0 <= found.reach(np.zeros(3, np.float32), 0.98) <= 128


def test_however_many_are_equal_as_many_pairs_are_measured() -> None:
    dense = np.repeat(vectors(3), [3000, 10, 1], axis=0)
    found = build_sign_bits(dense)
    assert len(found.products) <= 64 * (NEIGHBOURS + RANKS)
    assert found.reach(found.products[-1:].astype(float), 0.98) == 0


def test_without_pairs_all_are_looked_at() -> None:
    assert build_sign_bits(vectors(1)).reach(np.ones(3, np.float32), 0.5) == 128


def test_doubles_do_not_bring_nearer_what_is_to_be_looked_at() -> None:
    """What is measured is what signs tell of products, not how many vectors are near."""
    alone = vectors(1000)
    many = np.concatenate([alone] * 10)
    once, tenfold = build_sign_bits(alone), build_sign_bits(many)
    for product in np.linspace(once.products[500], once.products[-500], 7):
        its = np.array([product], np.float32)
        assert tenfold.reach(its, 0.95) == pytest.approx(once.reach(its, 0.95), abs=6)
