from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from tokenizers import Tokenizer

from shortlist import DataError
from shortlist.train.cached import Expansion, TokenCache
from tests.train.conftest import TOKENIZER, tiny_bert

TEXTS = ["the moon", "", "bread " * 40, "a card that is lost", "the moon"]


def cached(folder: Path, texts: list[str] = TEXTS) -> TokenCache:
    return TokenCache.of(texts, tiny_bert(), Tokenizer.from_file(str(TOKENIZER)), folder, max_tokens=24)


def test_a_text_has_the_vectors_that_the_encoder_gives_it(tmp_path: Path) -> None:
    cache = cached(tmp_path / "cache")
    tokenizer, backbone = Tokenizer.from_file(str(TOKENIZER)), tiny_bert()
    tokenizer.no_padding()
    tokenizer.enable_truncation(24)
    assert len(cache) == len(TEXTS)
    data, known = cache.padded([3, 2, 1])
    assert data.shape == (3, 24, 64)
    assert known.sum(dim=1).tolist() == [len(tokenizer.encode(TEXTS[index])) for index in (3, 2, 1)]
    for row, index in enumerate((3, 2, 1)):
        ids = torch.tensor([tokenizer.encode(TEXTS[index]).ids])
        expected = backbone(input_ids=ids).last_hidden_state[0]
        found = data[row, : ids.shape[1]]
        cosines = torch.nn.functional.cosine_similarity(found, expected)
        assert cosines.min() > 0.995  # products in bfloat16
        assert not data[row, ids.shape[1] :].any()


def test_what_fills_a_text_up_has_vectors_and_changes_no_others(tmp_path: Path) -> None:
    plain, tokenizer = cached(tmp_path / "plain"), Tokenizer.from_file(str(TOKENIZER))
    filled = TokenCache.of(
        TEXTS, tiny_bert(), tokenizer, tmp_path / "filled", max_tokens=24, expansion=Expansion(4, 16)
    )
    for index in range(len(TEXTS)):
        (without, _), (data, known) = plain.padded([index]), filled.padded([index])
        length = without.shape[1]
        assert known.all()
        assert data.shape[1] == max(16, length)
        np.testing.assert_allclose(data[0, :length], without[0], atol=0.06)  # products in bfloat16
        assert bool((data[0, length:].norm(dim=1) > 1).all())
    with pytest.raises(DataError, match="filled up otherwise"):
        cached(tmp_path / "filled")


def test_it_is_made_once(tmp_path: Path) -> None:
    done: list[int] = []
    first = TokenCache.of(
        TEXTS, tiny_bert(), Tokenizer.from_file(str(TOKENIZER)), tmp_path, max_tokens=24, progress=done.append
    )
    assert sum(done) == len(TEXTS)
    again = TokenCache.of(
        TEXTS,
        tiny_bert(),
        Tokenizer.from_file(str(TOKENIZER)),
        tmp_path,
        max_tokens=24,
        progress=done.append,
    )
    assert sum(done) == len(TEXTS)
    assert np.array_equal(first.data, again.data)


def test_vectors_of_other_texts_or_another_encoder_are_refused(tmp_path: Path) -> None:
    cached(tmp_path)
    with pytest.raises(DataError, match="of another encoder"):
        TokenCache.of(TEXTS, tiny_bert(1), Tokenizer.from_file(str(TOKENIZER)), tmp_path, max_tokens=24)
    with pytest.raises(DataError, match="filled up otherwise"):
        cached(tmp_path, TEXTS[1:])
