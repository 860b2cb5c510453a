import math
from itertools import pairwise

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.scoring import late
from shortlist.scoring.late import maxsim

Int8 = NDArray[np.int8]
Offsets = NDArray[np.int64]

LENGTHS = st.lists(st.integers(0, 6), max_size=8)
SEEDS = st.integers(0, 2**32 - 1)


def make(seed: int, query: int, lengths: list[int], dimensions: int) -> tuple[Int8, Int8, Offsets]:
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    tokens = random.integers(-127, 128, (int(offsets[-1]), dimensions), dtype=np.int8)
    return random.integers(-127, 128, (query, dimensions), dtype=np.int8), tokens, offsets


def brute_force(query: Int8, tokens: Int8, offsets: Offsets) -> list[float]:
    scores = []
    for passage in range(len(offsets) - 1):
        best = []
        for asked in query.tolist():
            found = -math.inf
            for token in tokens[offsets[passage] : offsets[passage + 1]].tolist():
                found = max(found, sum(a * b for a, b in zip(asked, token, strict=True)))
            best.append(found)
        scores.append(sum(best) / len(best) if best else -math.inf)
    return scores


@given(SEEDS, st.integers(0, 4), LENGTHS, st.integers(1, 20))
def test_maxsim_equals_three_loops(seed: int, query: int, lengths: list[int], dimensions: int) -> None:
    data = make(seed, query, lengths, dimensions)
    found = maxsim(*data)
    assert found.dtype == np.float64
    assert found.tolist() == brute_force(*data)


@given(SEEDS, st.integers(1, 4), LENGTHS, st.integers(1, 20))
def test_a_block_of_any_size_changes_no_bit(seed: int, query: int, lengths: list[int], block: int) -> None:
    data = make(seed, query, lengths, 16)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(late, "BLOCK_TOKENS", block)
        found = maxsim(*data)
    assert found.tobytes() == maxsim(*data).tobytes()


@given(SEEDS, st.integers(1, 4), LENGTHS)
def test_the_order_of_tokens_in_passages_and_query_does_not_matter(
    seed: int, query: int, lengths: list[int]
) -> None:
    asked, tokens, offsets = make(seed, query, lengths, 16)
    expected = maxsim(asked, tokens, offsets)
    random = np.random.default_rng(seed)
    for start, end in pairwise(offsets):
        random.shuffle(tokens[start:end])
    random.shuffle(asked)
    assert maxsim(asked, tokens, offsets).tobytes() == expected.tobytes()


@given(SEEDS, LENGTHS)
def test_a_passage_scores_alike_alone_and_among_others(seed: int, lengths: list[int]) -> None:
    asked, tokens, offsets = make(seed, 3, lengths, 16)
    together = maxsim(asked, tokens, offsets)
    for passage, length in enumerate(lengths):
        own = tokens[offsets[passage] : offsets[passage + 1]]
        assert maxsim(asked, own, np.array([0, length])).tolist() == [together[passage]]


@given(SEEDS, st.integers(1, 5))
def test_a_passage_with_one_more_token_never_scores_lower(seed: int, length: int) -> None:
    asked, tokens, _ = make(seed, 3, [length, 1], 16)
    shorter = maxsim(asked, tokens[:length], np.array([0, length]))
    assert maxsim(asked, tokens, np.array([0, length + 1]))[0] >= shorter[0]


def test_a_passage_without_tokens_scores_minus_infinity() -> None:
    asked, tokens, offsets = make(1, 2, [0, 3, 0, 0, 2, 0], 8)
    assert np.isneginf(maxsim(asked, tokens, offsets)).tolist() == [True, False, True, True, False, True]


def test_a_query_without_tokens_finds_nothing() -> None:
    assert maxsim(*make(1, 0, [2, 3], 8)).tolist() == [-math.inf, -math.inf]


def test_no_passages_have_no_scores() -> None:
    assert maxsim(*make(1, 2, [], 8)).tolist() == []


def test_a_passage_of_more_tokens_than_one_block_is_read_whole() -> None:
    asked, tokens, offsets = make(1, 2, [late.BLOCK_TOKENS + 10, 3], 8)
    tokens[-4] = np.sign(asked[0]) * 127  # the last token of the first passage beats all others
    products = tokens.astype(np.int64) @ asked.astype(np.int64).T
    expected = [products[start:end].max(axis=0).mean() for start, end in pairwise(offsets)]
    assert maxsim(asked, tokens, offsets).tolist() == expected


@given(SEEDS, st.integers(1, 4), LENGTHS, st.integers(1, 20))
def test_weights_say_how_much_each_token_of_the_query_counts(
    seed: int, query: int, lengths: list[int], dimensions: int
) -> None:
    asked, tokens, offsets = make(seed, query, lengths, dimensions)
    weights = np.random.default_rng(seed).uniform(0, 2, query).astype(np.float32)
    found = maxsim(asked, tokens, offsets, weights)
    for passage, length in enumerate(lengths):
        if not length:
            assert found[passage] == -math.inf
            continue
        best = (tokens[offsets[passage] : offsets[passage + 1]].astype(int) @ asked.T.astype(int)).max(axis=0)
        expected = math.fsum((best * weights.astype(np.float64)).tolist()) / query
        assert found[passage] == pytest.approx(expected, rel=1e-12, abs=1e-9)
    assert (
        maxsim(asked, tokens, offsets, np.ones(query)).tobytes() == maxsim(asked, tokens, offsets).tobytes()
    )
