from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.collection import token_lists
from shortlist.collection.token_lists import BuiltLists, build_lists
from shortlist.scoring import dot_products

Tokens = NDArray[np.int8]


def reader(tokens: Tokens) -> Callable[[int, int], Tokens]:
    return lambda first, last: tokens[first:last]


def around(centers: int, counts: list[int], seed: int = 0) -> tuple[Tokens, NDArray[np.int64]]:
    """Give passages of tokens, each near to one of some random centers."""
    random = np.random.default_rng(seed)
    center = random.normal(size=(centers, 32))
    near = center[random.integers(0, centers, sum(counts))] + random.normal(size=(sum(counts), 32)) * 0.1
    tokens = np.rint(near / np.linalg.norm(near, axis=1, keepdims=True) * 127).astype(np.int8)
    return tokens, np.cumsum([0, *counts], dtype=np.int64)


def as_bytes(lists: BuiltLists) -> list[bytes]:
    return [array.tobytes() for array in lists]


@settings(max_examples=30, deadline=None)
@given(
    counts=st.lists(st.integers(0, 30), min_size=1, max_size=200),
    centers=st.integers(1, 50),
    seed=st.integers(0, 99),
)
def test_every_token_has_its_passage_in_one_list(counts: list[int], centers: int, seed: int) -> None:
    tokens, offsets = around(centers, counts, seed)
    found = build_lists(reader(tokens), offsets)
    assert (found.offsets[0], found.offsets[-1]) == (0, len(found.passages))
    assert len(found.offsets) == len(found.centroids) + 1
    lists = np.split(found.passages, found.offsets[1:-1])
    for one in lists:
        assert (np.diff(one) > 0).all()
    assert set(found.passages.tolist()) == {number for number, count in enumerate(counts) if count}
    assert len(found.passages) <= len(tokens)
    assert found.centroids.dtype == np.int8
    assert found.passages.dtype == np.int32


def test_a_token_is_in_the_list_of_a_centroid_that_is_like_it() -> None:
    tokens, offsets = around(40, [20] * 500)
    found = build_lists(reader(tokens), offsets)
    products = dot_products(found.centroids, tokens)  # [T, K]
    best = products.argmax(axis=1)
    inside = [
        passage in found.passages[found.offsets[c] : found.offsets[c + 1]]
        for passage, c in zip(np.repeat(np.arange(500), 20), best.tolist(), strict=True)
    ]
    assert np.mean(inside) > 0.9  # not all: there are two levels
    assert (products.max(axis=1) > 0.85 * 127 * 127).mean() > 0.95
    assert np.diff(found.offsets).max() < 20 * np.diff(found.offsets).mean()


def test_neither_blocks_nor_threads_change_anything(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, offsets = around(30, [*range(40), *[5] * 300])
    whole = as_bytes(build_lists(reader(tokens), offsets))
    assert as_bytes(build_lists(reader(tokens), offsets, threads=3)) == whole
    monkeypatch.setattr(token_lists, "_TOKENS_AT_ONCE", 100)
    assert as_bytes(build_lists(reader(tokens), offsets)) == whole


def test_of_many_tokens_some_passages_are_learned_from(monkeypatch: pytest.MonkeyPatch) -> None:
    tokens, offsets = around(30, [10] * 1000)
    monkeypatch.setattr(token_lists, "SAMPLED", 2)
    read: list[int] = []

    def counted(first: int, last: int) -> Tokens:
        read.append(last - first)
        return tokens[first:last]

    found = build_lists(counted, offsets)
    assert sum(read[:-1]) == pytest.approx(2 * 512, rel=0.05)
    assert read[-1] == 10_000
    assert set(found.passages.tolist()) == set(range(1000))


def test_passages_without_tokens_are_in_no_list() -> None:
    found = build_lists(reader(np.empty((0, 32), np.int8)), np.zeros(5, np.int64))
    assert (len(found.centroids), found.offsets.tolist(), len(found.passages)) == (0, [0], 0)


def test_equal_tokens_share_a_list() -> None:
    tokens = np.tile(np.array([[127, 0], [0, 127]], np.int8), (300, 1))
    found = build_lists(reader(tokens), np.arange(0, 601, 2))
    assert len(found.centroids) >= 2
    assert sorted(found.passages.tolist()) == sorted([*range(300), *range(300)])
