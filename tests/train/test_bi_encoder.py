"""A bi-encoder, from examples to a model folder that a collection searches with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch

from shortlist import Collection, DataError, Encoder, ModelError
from shortlist.train.base import base_folder, load_bert
from shortlist.train.bi_encoder import BiEncoderModel, train_bi_encoder
from shortlist.train.examples import Example, write_examples
from shortlist.train.loop import Schedule
from shortlist.train.recipe import BiEncoderRecipe, BiEncoderSettings, Examples
from tests.train.conftest import TOKENIZER, tiny_bert
from tests.train.test_heads_training import ANSWERS, EXAMPLES, TOPICS, find

SCHEDULE = Schedule(steps=40, batch_size=8, learning_rate=3e-3, bf16=False, checkpoint_s=0.0)
RECIPE = BiEncoderRecipe(
    name="tiny",
    license="MIT",
    examples=Examples(files=("pairs.jsonl",), negatives=1),
    schedule=SCHEDULE,
    model=BiEncoderSettings(max_tokens=32, max_query_tokens=16, temperature=0.1),
)


def recipe(**changes: Any) -> BiEncoderRecipe:
    return replace(RECIPE, model=replace(RECIPE.model, **changes))


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    made = tiny_bert()
    made.save_pretrained(folder)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    write_examples(tmp_path / "pairs.jsonl", EXAMPLES)
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_it_learns_which_texts_belong_together(
    tmp_path: Path, base: Path, pooling: str, similarity: str
) -> None:
    made = recipe(pooling=pooling, similarity=similarity, temperature=0.1 if similarity == "cosine" else 5.0)
    found = train_bi_encoder(made, base, tmp_path / "bi", examples_in=tmp_path)
    assert (found.examples, found.left_out) == (8, 0)
    assert find(tmp_path / "bi", tmp_path / "c", "dense") == list(ANSWERS)
    settings = Encoder.load(tmp_path / "bi").settings
    assert (settings.pooling, settings.similarity, settings.token_dimensions) == (pooling, similarity, 0)
    with Collection.open(tmp_path / "c") as collection:
        assert collection.info().default_pipeline == "hybrid"


def test_the_pooler_is_trained_and_drawn(tmp_path: Path, base: Path) -> None:
    from transformers import BertModel

    torch.manual_seed(1)
    config = tiny_bert().config
    BertModel(config).save_pretrained(base)
    train_bi_encoder(recipe(pooling="pooler"), base, tmp_path / "bi", examples_in=tmp_path)
    assert find(tmp_path / "bi", tmp_path / "c", "dense") == list(ANSWERS)


def test_the_folder_encodes_as_the_model_that_was_trained(tmp_path: Path, base: Path) -> None:
    made = recipe(float_copy=True, document_prompt="passage: ", frozen_layers=1)
    train_bi_encoder(made, base, tmp_path / "bi", examples_in=tmp_path)
    encoder = Encoder.load(tmp_path / "bi", mode="exact")
    assert encoder.settings.prompts["document"] == "passage: "
    kept = base_folder(str(tmp_path / "bi" / "float"), Path())
    backbone = load_bert(kept, positions=32)
    model = BiEncoderModel(backbone, backbone, made.model)
    texts = ["this is all of the bank", "rose", "the river " * 30]
    rows = [list(one.ids) for one in encoder.tokenizer([f"passage: {text}" for text in texts])]
    with torch.inference_mode():
        expected = model.encode(rows, queries=False).numpy()
    # int8 weights are all that differs; their rounding moves random weights more than trained ones.
    assert (encoder.encode(texts) * expected).sum(axis=1).min() > 0.98
    untrained = tiny_bert().state_dict()
    for name, value in backbone.state_dict().items():
        frozen = name.startswith(("embeddings", "encoder.layer.0."))
        assert torch.equal(value, untrained[name]) == frozen, name


def test_queries_can_have_an_encoder_of_their_own(tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "bi"
    train_bi_encoder(recipe(separate=True), base, folder, examples_in=tmp_path)
    assert find(folder, tmp_path / "c", "dense") == list(ANSWERS)
    encoder = Encoder.load(folder)
    queries = Encoder.load(folder / "query")
    text = "what about the moon"
    as_query, as_document = encoder.encode([text], prompt="query"), encoder.encode([text])
    assert as_query.tobytes() == queries.encode([text], prompt="query").tobytes()
    assert as_query.tobytes() == encoder.queries([text])[0].dense[None].tobytes()
    assert not np.allclose(as_query, as_document)
    inner = folder / "query" / "model.json"
    before = inner.read_text()
    inner.write_text(before.replace("tiny", "tony"))
    with pytest.raises(ModelError, match="damaged: its checksum is not the one in"):
        Encoder.load(folder)
    inner.unlink()
    with pytest.raises(ModelError, match=r"no model\.json"):
        Encoder.load(folder)
    values = json.loads((folder / "model.json").read_text())
    for name in ("../base", "/etc", "a/b"):
        (folder / "model.json").write_text(json.dumps({**values, "query_encoder": name}))
        with pytest.raises(ModelError, match="is no folder beside it"):
            Encoder.load(folder)


@pytest.mark.parametrize("loss", ["kl", "margin_mse"])
def test_it_learns_its_teacher_s_order(tmp_path: Path, base: Path, loss: str) -> None:
    taught = [replace(one, scores=(0.0, *(float(n) / 7 for n in range(7)))) for one in EXAMPLES]
    write_examples(tmp_path / "pairs.jsonl", taught)
    weight = {"teacher_weight": 20.0} if loss == "kl" else {}
    made = recipe(contrastive=0.0, **weight, **{loss: 1.0})
    made = replace(made, examples=replace(made.examples, negatives=7), schedule=replace(SCHEDULE, steps=80))
    train_bi_encoder(made, base, tmp_path / "bi", examples_in=tmp_path)
    last = [example.negatives[-1].split()[-1] for example in taught]
    assert find(tmp_path / "bi", tmp_path / "c", "dense") == last
    write_examples(tmp_path / "pairs.jsonl", [replace(one, scores=()) for one in EXAMPLES])
    with pytest.raises(DataError, match="examples have no scores"):
        train_bi_encoder(made, base, tmp_path / "other", examples_in=tmp_path)


@pytest.mark.parametrize("pooling", ["mean", "pooler"])
def test_frozen_layers_can_run_once_for_each_text(tmp_path: Path, base: Path, pooling: str) -> None:
    from transformers import BertModel

    torch.manual_seed(1)
    BertModel(tiny_bert().config).save_pretrained(base)
    made = recipe(frozen_layers=1, document_prompt="text: ", pooling=pooling)
    plain = train_bi_encoder(made, base, tmp_path / "plain", examples_in=tmp_path)
    cached = replace(made, model=replace(made.model, cached=True))
    found = train_bi_encoder(cached, base, tmp_path / "bi", examples_in=tmp_path)
    assert found.loss == pytest.approx(plain.loss, abs=0.02)  # what is kept is rounded to float16
    texts = ["this is all of the bank", "what about the moon"]
    vectors = [Encoder.load(tmp_path / name, mode="exact").encode(texts) for name in ("plain", "bi")]
    assert (vectors[0] * vectors[1]).sum(axis=1).min() > 0.97
    assert not (tmp_path / "bi.training").exists()
    with pytest.raises(DataError, match="cached keeps what frozen layers give"):
        recipe(cached=True)


def test_the_same_text_twice_in_a_batch_is_no_negative(tmp_path: Path, base: Path) -> None:
    pairs = [Example(f"what about the {topic}", "the same answer", ("rail",)) for topic in TOPICS]
    write_examples(tmp_path / "pairs.jsonl", pairs)
    found = train_bi_encoder(
        replace(RECIPE, schedule=replace(SCHEDULE, steps=60)), base, tmp_path / "bi", examples_in=tmp_path
    )
    assert found.loss < 0.3  # against seven equal texts it could not fall below log 8


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pooling": "sum"}, "pooling must be mean, cls, max or pooler"),
        ({"similarity": "l2"}, "similarity must be cosine or dot"),
        ({"contrastive": 0.0}, "nothing to learn"),
        ({"kl": -1.0}, "kl must be a number from 0"),
        ({"temperature": 0.0}, "temperature must be"),
        ({"margin_mse": 1.0, "teacher_weight": 2.0}, "teacher_weight is of model.kl, which is 0"),
        ({"max_tokens": 3}, "max_tokens must be at least 8"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        recipe(**changes)


def test_more_frozen_layers_than_there_are_is_refused(tmp_path: Path, base: Path) -> None:
    with pytest.raises(DataError, match=r"frozen_layers is 3, there are 2"):
        train_bi_encoder(recipe(frozen_layers=3), base, tmp_path / "bi", examples_in=tmp_path)
