"""Heads of queries, markers and expansion: what a folder may say of them, and what they do."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shortlist import Encoder, ModelError
from shortlist.models.heads import Heads, PolyCodes, TokenWeights
from shortlist.models.own_folder import DEFAULT
from shortlist.models.settings import LateTokens, late_tokens
from shortlist.models.tokenizer import Tokenizer

WHERE = Path("heads.safetensors")
TENSORS = {
    "late.weight": np.ones((8, 4), np.float32),
    "late.query.weight": np.ones(8, np.float32),
    "late.query.bias": np.zeros(1, np.float32),
    "poly.codes": np.ones((3, 8), np.float32),
    "poly.transform": np.eye(8, dtype=np.float32),
    "poly.sharpness": np.ones(1, np.float32),
}


def test_heads_are_made_of_their_tensors() -> None:
    heads = Heads.of(TENSORS, 8, WHERE)
    assert heads.token_weights is not None
    assert heads.poly is not None
    assert heads.poly.codes is not None
    none = Heads.of({}, 8, WHERE)
    assert (none.token_weights, none.poly) == (None, None)
    first = {name: value for name, value in TENSORS.items() if name != "poly.codes"}
    made = Heads.of(first | {"poly.first": np.array([5], np.float32)}, 8, WHERE).poly
    assert made is not None
    assert (made.count, made.codes) == (5, None)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"late.query.bias": None}, "no tensor 'late.query.bias'"),
        ({"poly.codes": None}, "no tensor 'poly.codes'"),
        ({"poly.transform": None}, "belongs to no head"),
        ({"other": np.ones(1, np.float32)}, "tensor 'other' belongs to no head"),
        ({"late.query.weight": np.ones(7, np.float32)}, r"is float32 \[7\], expected float32 \[8\]"),
        ({"late.query.weight": np.ones(8, np.int8)}, r"is int8 \[8\], expected float32 \[8\]"),
        ({"poly.codes": np.ones((0, 8), np.float32)}, r"expected float32 \[any, 8\]"),
        (
            {"poly.codes": None, "poly.first": np.zeros(1, np.float32)},
            "poly.first is 0, expected a number from 1",
        ),
    ],
)
def test_tensors_that_are_no_head_are_refused(changes: dict[str, Any], message: str) -> None:
    tensors = {name: value for name, value in (TENSORS | changes).items() if value is not None}
    with pytest.raises(ModelError, match=message):
        Heads.of(tensors, 8, WHERE)


def test_weights_have_a_mean_of_one_and_codes_are_unit_vectors() -> None:
    hidden = np.random.default_rng(0).standard_normal((5, 8)).astype(np.float32)
    weights = TokenWeights(np.arange(8, dtype=np.float32), 0.3)(hidden)
    assert weights.mean() == pytest.approx(1)
    assert weights.min() >= 0
    codes = PolyCodes(np.eye(8, dtype=np.float32), 2.0, hidden[:3])
    assert np.linalg.norm(codes(hidden), axis=1) == pytest.approx(np.ones(3), abs=1e-6)
    first = PolyCodes(np.eye(8, dtype=np.float32), 2.0, count=9)
    assert first(hidden).shape == (5, 8)


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DEFAULT, tmp_path / "model")
    return tmp_path / "model"


def say(folder: Path, late: Any) -> Path:
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps(values | {"late": late}))
    return folder


def test_markers_stand_behind_the_first_token_and_some_tokens_have_no_vector(folder: Path) -> None:
    plain = Encoder.load(folder)
    period = plain.tokenizer(["."])[0].ids[1]
    late = {"query_marker": "[unused0]", "document_marker": "[unused1]", "query_tokens": 12, "skip": [period]}
    encoder = Encoder.load(say(folder, late))
    assert encoder.tokenizer(["a cat"])[0].ids == [101, 2, *plain.tokenizer(["a cat"])[0].ids[1:]]
    assert encoder.tokenizer.overhead == 3
    (query,) = encoder.queries(["what is a cat " * 9])
    assert len(query.tokens) == 12
    assert query.truncated_tokens == 36 + 3 - 12
    some, more = encoder.views(["a cat", "a cat. . ."]).tokens
    assert len(some) == len(more) == 2 + 3
    long = encoder.tokenizer(["word " * 400])[0]
    assert (len(long.ids), long.truncated_tokens) == (256, 400 + 3 - 256)


@pytest.mark.parametrize("marker", ["$A", "$x", "a:1", "query:"])
def test_a_marker_is_a_token_and_no_template(marker: str) -> None:
    tokenizer = Tokenizer(DEFAULT / "tokenizer.json", 32, trusted=True)
    with pytest.raises(ModelError, match="has no token"):
        tokenizer.marked(marker, 32)
    marked = tokenizer.marked("card", 32)
    assert marked(["moon"])[0].ids[1] == tokenizer(["card"])[0].ids[1]
    with pytest.raises(ModelError, match="adds 3 tokens to a text, the model takes 3"):
        tokenizer.marked("card", 3)


def test_an_expansion_that_its_graph_can_t_mask_is_refused(folder: Path) -> None:
    expansion = {"token": 103, "length": 16, "attend": False}
    encoder = Encoder.load(say(folder, {"expansion": expansion}))
    with pytest.raises(ModelError, match="its graph has no attention_mask"):
        encoder.queries(["a cat"])
    encoder = Encoder.load(say(folder, {"expansion": expansion | {"attend": True}}))
    alone = [encoder.queries([text])[0] for text in ("a cat", "dog", "a much longer question about cats")]
    together = encoder.queries(["a cat", "dog", "a much longer question about cats"])
    for one, other in zip(alone, together, strict=True):
        assert len(one.tokens) == 16
        assert one.tokens.tobytes() == other.tokens.tobytes()
        assert one.dense.tobytes() == other.dense.tobytes()


@pytest.mark.parametrize(
    ("late", "message"),
    [
        ([], "late is"),
        ({"unknown": 1}, "late is"),
        ({"expansion": {"token": 1}}, "expected token, length and attend"),
        ({"expansion": {"token": 1, "length": 9, "attend": 1}}, "expected true or false"),
        ({"expansion": {"token": -1, "length": 9, "attend": True}}, "token is -1"),
        ({"expansion": {"token": 1, "length": 999, "attend": True}}, "length is 999"),
        ({"query_tokens": 2}, "late.query_tokens is 2"),
        ({"query_marker": 7}, "late.query_marker is 7"),
        ({"skip": ["."]}, "expected a list of token ids"),
    ],
)
def test_what_makes_no_sense_is_refused(late: Any, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        late_tokens(late, WHERE, 256)


def test_nothing_said_is_nothing_special() -> None:
    assert late_tokens(None, WHERE, 256) is None
    assert late_tokens({}, WHERE, 256) == LateTokens(query_tokens=256)
