"""Fewer token vectors a passage: which are joined, and that a collection searches with them."""

from __future__ import annotations

import math
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.cluster.hierarchy import fcluster, linkage

from shortlist import Collection, CollectionError
from shortlist.indexing.token_pooling import pool_tokens
from shortlist.models.pooling import normalize
from tests.search.corpus import documents


def unit(seed: int, count: int, dimensions: int = 8) -> np.ndarray:
    return normalize(np.random.default_rng(seed).standard_normal((count, dimensions)).astype(np.float32))


@given(st.integers(0, 40), st.integers(1, 60), st.integers(1, 4))
def test_one_in_so_many_is_left_and_all_have_length_1(seed: int, count: int, factor: int) -> None:
    tokens = unit(seed, count)
    pooled = pool_tokens(tokens, factor)
    assert len(pooled) == 1 + math.ceil((count - 1) / factor)
    assert pooled[0].tobytes() == tokens[0].tobytes()
    assert np.linalg.norm(pooled, axis=1) == pytest.approx(np.ones(len(pooled)), abs=1e-5)
    if factor == 1:
        assert pooled.tobytes() == tokens.tobytes()


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize("factor", [2, 3, 4])
def test_groups_are_those_of_ward(seed: int, factor: int) -> None:
    tokens = unit(seed, 42)
    rest = tokens[1:]
    wanted = math.ceil(len(rest) / factor)
    labels = fcluster(linkage(rest.astype(np.float64), "ward"), wanted, "maxclust")
    means = {tuple(np.round(normalize(rest[labels == one].mean(axis=0)), 4)) for one in set(labels)}
    assert {tuple(np.round(row, 4)) for row in pool_tokens(tokens, factor)[1:]} == means


def test_tokens_that_are_the_same_are_joined_first() -> None:
    tokens = unit(3, 5)
    doubled = np.concatenate([tokens[:1], np.repeat(tokens[1:], 2, axis=0)])
    assert pool_tokens(doubled, 2) == pytest.approx(tokens, abs=1e-6)


def test_a_collection_holds_fewer_vectors_and_finds_the_same(tmp_path: Path) -> None:
    counts = {}
    for factor in (1, 2, 4):
        collection, _ = Collection.build(tmp_path / str(factor), documents(), token_pooling=factor)
        with collection:
            info = collection.info()
            counts[factor] = info.token_vectors
            assert info.token_pooling == factor
            found = collection.search("how long does rice take", 1, pipeline="late")
            assert found.ranking[0].doc_id == "kitchen-6"
        with Collection.open(tmp_path / str(factor)) as again:
            assert again.info().token_pooling == factor
    passages = len(documents())
    assert counts[2] - passages <= 0.5 * (counts[1] - passages) + passages
    assert counts[4] < counts[2] < counts[1]


@pytest.mark.parametrize("factor", [0, 5, True, 1.5, "2"])
def test_a_factor_that_is_none_is_refused(tmp_path: Path, factor: object) -> None:
    with pytest.raises(CollectionError, match="token_pooling must be from 1 to 4"):
        Collection.create(tmp_path / "c", token_pooling=factor)  # type: ignore[arg-type]
    assert not (tmp_path / "c").exists()
