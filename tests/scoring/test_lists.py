import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.scoring.lists import best_listed, nearest


@given(
    seed=st.integers(0, 999),
    sizes=st.lists(st.integers(0, 8), min_size=1, max_size=8),
    queries=st.integers(0, 4),
    probed=st.integers(0, 4),
    k=st.integers(1, 12),
)
def test_a_passage_gains_by_the_first_list_of_each_token_that_has_it(
    seed: int, sizes: list[int], queries: int, probed: int, k: int
) -> None:
    random = np.random.default_rng(seed)
    count = 10
    lists = [random.integers(0, count, size, dtype=np.int32) for size in sizes]
    probes = random.integers(0, len(sizes), (queries, probed), dtype=np.int32)
    gains = random.integers(0, 4, (queries, probed)).astype(np.float32)
    expected = {}
    for passage in range(count):
        total = 0.0
        for token in range(queries):
            having = [place for place in range(probed) if passage in lists[probes[token, place]]]
            total += float(gains[token, having[0]]) if having else 0.0
        if total:
            expected[passage] = total
    bound = sorted(expected.values(), reverse=True)[min(k, len(expected)) - 1] if expected else 0.0
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    found, scores = best_listed(np.concatenate(lists), offsets, probes, gains, count, k)
    assert dict(zip(found.tolist(), scores.tolist(), strict=True)) == {
        passage: total for passage, total in expected.items() if total >= bound
    }
    assert found.tolist() == sorted(found.tolist())


def test_the_nearest_centroid_is_the_first_of_equals() -> None:
    centroids = np.array([[1, 0], [0, 1], [1, 0]], np.int8)
    assert nearest(np.array([[5, 1], [1, 5], [2, 2]], np.int8), centroids).tolist() == [0, 1, 0]


def test_without_a_centroid_nothing_is_nearest() -> None:
    with pytest.raises(ValueError, match="centroid"):
        nearest(np.ones((2, 3), np.int8), np.ones((0, 3), np.int8))
