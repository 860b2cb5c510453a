"""Token vectors in few bits: which levels are chosen, where they lie, and what is read back."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.scoring import CODE_BITS, TokenCodes, decode_tokens, encode_tokens
from shortlist.scoring.codes import LEVELS, UNIT, levels_of
from shortlist.scoring.late import maxsim

LENGTH = 302.9
DIMENSIONS = st.integers(1, 200) | st.sampled_from([64, 128])
BITS = st.sampled_from(CODE_BITS)


def vectors(seed: int, count: int, dimensions: int) -> np.ndarray:
    noise = np.random.default_rng(seed).standard_normal((count, dimensions))
    noise *= LENGTH / np.linalg.norm(noise, axis=1, keepdims=True)
    return np.clip(np.rint(noise), -127, 127).astype(np.int8)


@given(st.integers(0, 99), st.integers(0, 40), DIMENSIONS, BITS)
def test_each_component_has_the_nearest_level(seed: int, count: int, dimensions: int, bits: int) -> None:
    codes = TokenCodes(dimensions, bits, LENGTH)
    tokens = vectors(seed, count, dimensions)
    rows = encode_tokens(tokens, codes)
    assert rows.shape == (count, codes.width) == (count, -(-dimensions * bits // 8))
    levels, factors = levels_of(rows, codes)
    in_units = tokens * (UNIT[bits] / np.sqrt((tokens.astype(float) ** 2).mean(axis=1, keepdims=True)))
    chosen = np.abs(levels - in_units)
    best = np.abs(LEVELS[bits].astype(float) - in_units[..., None]).min(axis=-1)
    assert chosen == pytest.approx(best, abs=1e-9)
    lengths = np.linalg.norm(levels * factors[:, None].astype(float), axis=1)
    assert lengths == pytest.approx(np.full(count, LENGTH), rel=1e-6)


def test_where_a_component_lies() -> None:
    """Component d in byte d % width, at the bit bits * (d // width): the layout of files."""
    four = encode_tokens(np.array([[-100, 100, 1]], np.int8), TokenCodes(3, 4, LENGTH))
    assert four.tolist() == [[3 | 8 << 4, 12]]  # 1.22, 1.22 and .01 on average squared: -58, 58 and 6 of 46
    two = encode_tokens(np.array([[-100, 100, 1, 2, -1]], np.int8), TokenCodes(5, 2, LENGTH))
    assert two.tolist() == [[0 | 2 << 2 | 1 << 4, 3 | 2 << 2]]


@pytest.mark.parametrize(("bits", "least"), [(4, 0.995), (2, 0.93)])
def test_directions_are_kept(bits: int, least: float) -> None:
    codes = TokenCodes(128, bits, LENGTH)
    tokens = vectors(1, 20_000, 128)  # more than are worked on at a time
    again = decode_tokens(encode_tokens(tokens, codes), codes).astype(float)
    cosines = (
        (again * tokens).sum(axis=1)
        / np.linalg.norm(again, axis=1)
        / np.linalg.norm(tokens.astype(float), axis=1)
    )
    assert cosines.mean() > least
    assert np.linalg.norm(again, axis=1) == pytest.approx(np.full(len(tokens), LENGTH), rel=0.02)


def test_one_large_component_is_not_wrapped_around() -> None:
    codes = TokenCodes(128, 4, LENGTH)
    token = np.zeros((2, 128), np.int8)
    token[:, 5] = 127, -127
    assert decode_tokens(encode_tokens(token, codes), codes)[:, 5].tolist() == [127, -127]


@given(st.integers(0, 99), BITS)
def test_maxsim_of_codes_is_that_of_what_they_stand_for(seed: int, bits: int) -> None:
    codes = TokenCodes(24, bits, LENGTH)
    rows = encode_tokens(vectors(seed, 30, 24), codes)
    query = np.random.default_rng(seed).integers(-127, 128, (5, 24)).astype(np.int8)
    offsets = np.array([0, 7, 7, 30])
    found = maxsim(query, rows, offsets, codes=codes)
    levels, factors = levels_of(rows, codes)
    products = (levels * factors[:, None].astype(float)) @ query.T.astype(float)
    assert found[[0, 2]] == pytest.approx([products[:7].max(axis=0).mean(), products[7:].max(axis=0).mean()])
    assert found[1] == -np.inf


def test_other_sizes_are_refused() -> None:
    codes = TokenCodes(128, 4, LENGTH)
    with pytest.raises(ValueError, match="vectors of 64 dimensions, codes of 128"):
        encode_tokens(np.zeros((1, 64), np.int8), codes)
    with pytest.raises(ValueError, match="rows of 32 bytes, codes of 64"):
        decode_tokens(np.zeros((1, 32), np.uint8), codes)
