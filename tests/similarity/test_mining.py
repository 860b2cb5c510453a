"""Near-duplicates of vectors against all pairs in Python integers, and the laws of mining."""

import math
from collections.abc import Iterator
from contextlib import contextmanager
from itertools import combinations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.similarity import mining
from shortlist.similarity.components import Components
from shortlist.similarity.mining import Near, Passages, best_first, mine, nearness

Found = dict[tuple[int, int], float]


@st.composite
def documents(draw: st.DrawFn) -> list[list[list[int]]]:
    """Draw some documents of one passage or several; few different vectors, so that many tie."""
    vector = st.lists(st.sampled_from([-127, -1, 0, 1, 2, 127]), min_size=2, max_size=2)
    most = draw(st.sampled_from([1, 3]))
    return draw(st.lists(st.lists(vector, min_size=1, max_size=most), min_size=1, max_size=12))


def passages(made: list[list[list[int]]]) -> Passages:
    vectors = np.array([vector for document in made for vector in document], np.int8).reshape(-1, 2)
    return Passages(vectors, np.cumsum([0, *map(len, made)]))


def cosine(left: list[int], right: list[int]) -> float:
    square = sum(a * a for a in left) * sum(b * b for b in right)
    return sum(a * b for a, b in zip(left, right, strict=True)) / math.sqrt(square) if square else 0.0


def similarity(left: list[list[int]], right: list[list[int]]) -> float:
    return max(cosine(one, other) for one in left for other in right)


def expected(made: list[list[list[int]]], threshold: float, top_k: int | None) -> Found:
    pairs = {
        (i, j): similarity(made[i], made[j])
        for i, j in combinations(range(len(made)), 2)
        if similarity(made[i], made[j]) >= threshold
    }
    if top_k is None:
        return pairs
    kept = set()
    for document in range(len(made)):
        mine_ = [(-score, sum(pair) - document, pair) for pair, score in pairs.items() if document in pair]
        kept |= {pair for _, _, pair in sorted(mine_)[:top_k]}
    return {pair: score for pair, score in pairs.items() if pair in kept}


def found(made: list[list[list[int]]], threshold: float, top_k: int | None) -> Near:
    return Near.joined(list(mine(passages(made), threshold=threshold, top_k=top_k)))


def as_dict(near: Near) -> Found:
    pairs = list(zip(near.first.tolist(), near.second.tolist(), strict=True))
    assert len(set(pairs)) == len(pairs), "a pair came twice"
    return dict(zip(pairs, near.scores.tolist(), strict=True))


@contextmanager
def blocks_of(size: int) -> Iterator[None]:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(mining, "BLOCK", size)
        yield


THRESHOLDS = st.sampled_from([-1.0, 0.0, 0.5, 0.9, 1.0])
TOP_K = st.sampled_from([None, 1, 2, 5])


@given(made=documents(), threshold=THRESHOLDS, top_k=TOP_K, block=st.integers(1, 30))
def test_all_pairs_above_the_threshold_are_found_whatever_the_blocks(
    made: list[list[list[int]]], threshold: float, top_k: int | None, block: int
) -> None:
    with blocks_of(block):
        near = found(made, threshold, top_k)
    assert as_dict(near) == expected(made, threshold, top_k)
    assert all(near.first < near.second)
    flat = [vector for document in made for vector in document]
    for score, left, right in zip(near.scores, near.first_passages, near.second_passages, strict=True):
        assert cosine(flat[left], flat[right]) == score
    owners = np.repeat(np.arange(len(made)), [len(document) for document in made])
    np.testing.assert_array_equal(owners[near.first_passages], near.first)
    np.testing.assert_array_equal(owners[near.second_passages], near.second)
    whole = found(made, threshold, top_k)
    for name in ("scores", "first", "second", "first_passages", "second_passages"):
        ours, theirs = (getattr(one[best_first(one)], name) for one in (near, whole))
        np.testing.assert_array_equal(ours, theirs)


@given(made=documents(), block=st.integers(1, 30))
def test_nearness_is_the_cosine_of_the_nearest_passages(made: list[list[list[int]]], block: int) -> None:
    others = np.arange(len(made))[::-1]
    with blocks_of(block):
        scores = nearness(passages(made), 0, others)
    assert scores.tolist() == [similarity(made[0], made[other]) for other in others]


def test_equal_vectors_have_exactly_one_and_a_vector_of_zeros_is_like_nothing() -> None:
    random = np.random.default_rng(0).integers(-127, 128, (20, 384)).astype(np.int8)
    vectors = np.concatenate([random, random, np.zeros((2, 384), np.int8)])
    near = Near.joined(list(mine(Passages(vectors, np.arange(43)), threshold=1)))
    assert near.scores.tolist() == [1.0] * 20
    assert (near.second - near.first == 20).all()


def test_what_rounding_would_hide_is_decided_exactly() -> None:
    vectors = np.array([[127, 126], [126, 127], [126, 126]], np.int8)
    score = cosine([127, 126], [126, 127])
    for threshold, count in ((score, 1), (math.nextafter(score, 1), 0)):
        near = Near.joined(list(mine(Passages(vectors[:2], np.arange(3)), threshold=threshold)))
        assert len(near) == count


@given(made=documents(), threshold=THRESHOLDS, more=st.sampled_from([0, 1, 2000, 10**12]))
def test_as_many_nearest_as_there_are_others_are_all_of_them(
    made: list[list[list[int]]], threshold: float, more: int
) -> None:
    everything, nearest = found(made, threshold, None), found(made, threshold, max(1, len(made) - 1 + more))
    for name in ("scores", "first", "second", "first_passages", "second_passages"):
        np.testing.assert_array_equal(getattr(everything, name), getattr(nearest, name))


def test_more_nearest_than_memory_is_for_are_refused() -> None:
    many = Passages(np.ones((1003, 1), np.int8), np.arange(1004))
    with pytest.raises(DataError, match="top_k is 1,001, expected 1,000 at most for 1,003 documents"):
        next(mine(many, threshold=0.9, top_k=1001))
    assert len(next(mine(many, threshold=0.9, top_k=1000))) > 0


def test_progress_counts_every_document_once() -> None:
    vectors = np.random.default_rng(0).integers(-127, 128, (50, 4)).astype(np.int8)
    for top_k in (None, 3):
        done: list[int] = []
        with blocks_of(7):
            list(mine(Passages(vectors, np.arange(51)), threshold=0.9, top_k=top_k, progress=done.append))
        assert sum(done) == 50
        assert len(done) > 5


EDGES = st.lists(st.tuples(st.integers(0, 11), st.integers(0, 11)).filter(lambda e: e[0] < e[1]), unique=True)


@given(edges=EDGES, cut=st.integers(0, 10))
def test_components_are_what_hangs_together_however_the_pairs_come(
    edges: list[tuple[int, int]], cut: int
) -> None:
    def near(some: list[tuple[int, int]]) -> Near:
        first, second = (np.array([edge[side] for edge in some], np.int64) for side in (0, 1))
        return Near(1 / (1 + first + second), first, second, first, second)

    components = Components(12)
    components.join(near(edges[cut:]))
    components.join(near(edges[:cut]))
    whole = Components(12)
    whole.join(near(edges[::-1]))
    groups = [group.tolist() for group in components.groups()]
    assert groups == [group.tolist() for group in whole.groups()]

    around = {node: {node} for node in range(12)}
    for _ in range(12):
        for left, right in edges:
            around[left] |= around[right]
            around[right] |= around[left]
    assert sorted(sorted(group) for group in groups) == sorted(
        {tuple(sorted(found)): sorted(found) for found in around.values() if len(found) > 1}.values()
    )
    assert [len(group) for group in groups] == sorted((len(group) for group in groups), reverse=True)
    degrees = [sum(node in edge for edge in edges) for node in range(12)]
    for group in groups:
        assert degrees[group[0]] == max(degrees[node] for node in group)
        assert group[1:] == sorted(group[1:])
