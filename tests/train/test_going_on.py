"""Train on from a model folder of ours: what starts there is what the folder is."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file, save_file
from tokenizers import Tokenizer

from shortlist import DataError, Encoder, ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.own_folder import DEFAULT
from shortlist.train.base import base_folder, load_bert, prepare_base
from shortlist.train.cross_encoder import CrossEncoderModel, PairTokenizer, pair_scores
from shortlist.train.examples import write_examples
from shortlist.train.existing import Existing, thaw
from shortlist.train.heads import train_head
from shortlist.train.judge import build, train_cross_encoder
from shortlist.train.loop import Step
from tests.train.conftest import tiny_bert
from tests.train.test_cross_encoder import PAIRS, exported, made
from tests.train.test_heads_training import EXAMPLES as HEAD_EXAMPLES
from tests.train.test_heads_training import LATE
from tests.train.test_judge import EXAMPLES, RECIPE


@pytest.mark.parametrize(("head", "labels"), [("cls", 1), ("maxsim", 1), ("cls", 3)])
def test_what_starts_from_a_judge_scores_as_it(tmp_path: Path, head: str, labels: int) -> None:
    names = ("relevance",) if labels == 1 else ("same", "related", "other")
    folder = exported(made(head, labels), tmp_path / "model", names)
    base = prepare_base(folder, tmp_path / "work")
    settings = replace(RECIPE.model, head=head, max_tokens=48, training_tokens=48, max_query_tokens=16)
    model = build(base, settings, names)
    with torch.inference_mode():
        found = pair_scores(model, PairTokenizer(base / "tokenizer.json", 48, 16), PAIRS).numpy()
    expected = CrossEncoder.load(folder, mode="exact").score_pairs(PAIRS).scores
    assert found == pytest.approx(expected, abs=1e-4)


def head_of(model: CrossEncoderModel) -> list[list[float]]:
    return [parameter.detach().ravel().tolist() for parameter in model.head_parameters()]


def test_a_head_of_another_kind_or_for_other_labels_is_new(tmp_path: Path) -> None:
    plain = tmp_path / "plain"
    tiny_bert().save_pretrained(plain)
    maxsim = prepare_base(exported(made("maxsim"), tmp_path / "maxsim"), tmp_path / "work-1")
    three = prepare_base(exported(made("cls", 3), tmp_path / "three", ("a", "b", "c")), tmp_path / "work-2")
    settings = replace(RECIPE.model, max_tokens=48)

    def heads(base: Path, head: str, labels: tuple[str, ...]) -> list[list[float]]:
        torch.manual_seed(5)
        return head_of(build(base, replace(settings, head=head), labels))

    assert heads(maxsim, "cls", ("relevance",)) == heads(plain, "cls", ("relevance",))
    assert heads(three, "cls", ("a", "b", "other")) == heads(plain, "cls", ("a", "b", "other"))
    assert heads(maxsim, "maxsim", ("same",)) == head_of(made("maxsim")) != heads(plain, "maxsim", ("same",))
    weight, bias = heads(three, "cls", ("b", "c", "a"))
    before, before_bias = head_of(made("cls", 3))
    assert weight == [*before[64:], *before[:64]]
    assert bias == [*before_bias[1:], *before_bias[:1]]


def test_the_pooler_of_a_converted_judge_is_no_part_of_a_new_head(tmp_path: Path) -> None:
    folder = exported(made("cls"), tmp_path / "model")
    base = prepare_base(folder, tmp_path / "work")
    tensors = load_file(base / "head.safetensors")
    save_file(
        tensors, base / "head.safetensors", metadata={"kind": '{"head": "pooler", "labels": ["relevance"]}'}
    )
    torch.manual_seed(5)
    found = build(base, replace(RECIPE.model, head="cls", max_tokens=48))
    assert head_of(found)[0] != tensors["head.weight"].ravel().tolist()


def test_a_small_judge_that_shares_the_default_model_s_words_has_no_layers_of_it(tmp_path: Path) -> None:
    bert = tiny_bert(hidden=384)
    stored = load_file(DEFAULT / "weights.safetensors")
    steps, scale = (stored[f"embeddings.word.weight.{kind}"] for kind in ("i8", "scale"))
    words = steps.reshape(len(steps), -1, 64) * scale.astype(np.float32)[..., None]
    bert.embeddings.word_embeddings.weight.data = torch.tensor(words.reshape(len(words), -1))
    folder = exported(CrossEncoderModel(bert, "maxsim"), tmp_path / "model")
    assert "embeddings.word.weight.i8" not in load_file(folder / "weights.safetensors")
    base = prepare_base(folder, tmp_path / "work")
    model = build(base, replace(RECIPE.model, head="maxsim", max_tokens=48, max_query_tokens=16))
    assert len(model.backbone.encoder.layer) == 2
    with torch.inference_mode():
        found = pair_scores(model, PairTokenizer(base / "tokenizer.json", 48, 16), PAIRS).numpy()
    expected = CrossEncoder.load(folder, mode="exact").score_pairs(PAIRS).scores
    assert found == pytest.approx(expected, abs=1e-4)


def test_a_judge_is_trained_on(tmp_path: Path) -> None:
    write_examples(tmp_path / "pairs.jsonl", EXAMPLES)
    first = exported(made("cls"), tmp_path / "first")
    before = {path.name: path.read_bytes() for path in first.iterdir()}
    recipe = replace(RECIPE, model=replace(RECIPE.model, frozen_layers=1))

    def stop(step: Step) -> None:
        if step.number == 60:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cross_encoder(recipe, first, tmp_path / "judge", examples_in=tmp_path, progress=stop)
    numbers: list[int] = []
    train_cross_encoder(
        recipe, first, tmp_path / "judge", examples_in=tmp_path, progress=lambda s: numbers.append(s.number)
    )
    assert numbers[0] == 60  # the step that was cut short
    assert {path.name: path.read_bytes() for path in first.iterdir()} == before
    judge = CrossEncoder.load(tmp_path / "judge")
    for example in EXAMPLES:
        assert judge.score(example.query, example.passages).argmax() == 0
    values = json.loads((tmp_path / "judge" / "model.json").read_text())
    assert (values["training"]["base"], values["training"]["head"]) == ("first", "base")
    assert not (tmp_path / "judge.training").exists()
    # What was frozen is the same bytes: rounding what was rounded changes nothing.
    old, new = (load_file(folder / "weights.safetensors") for folder in (first, tmp_path / "judge"))
    frozen = [name for name in old if name.startswith(("layer0.", "embeddings."))]
    assert len(frozen) > 15
    assert all(np.array_equal(old[name], new[name]) for name in frozen)
    assert not np.array_equal(old["layer1.output.weight.i8"], new["layer1.output.weight.i8"])


def test_heads_go_on_an_encoder_of_ours(tmp_path: Path) -> None:
    write_examples(tmp_path / "pairs.jsonl", HEAD_EXAMPLES)
    tiny = tmp_path / "base"
    tiny_bert().save_pretrained(tiny)
    (tiny / "tokenizer.json").write_bytes((DEFAULT / "tokenizer.json").read_bytes())
    train_head(LATE, tiny, tmp_path / "late", examples_in=tmp_path)
    short = replace(LATE, schedule=replace(LATE.schedule, steps=2))
    train_head(short, tmp_path / "late", tmp_path / "again", examples_in=tmp_path, beside=tmp_path / "late")
    texts = ["what about the moon", "this is all of the bread"]
    vectors = [Encoder.load(tmp_path / name, mode="exact").encode(texts) for name in ("late", "again")]
    assert np.array_equal(vectors[0], vectors[1])


def test_the_model_that_comes_along_is_a_base(tmp_path: Path) -> None:
    assert base_folder("default", tmp_path) == DEFAULT
    base = thaw(DEFAULT, tmp_path / "base")
    backbone = load_bert(base, positions=256)
    config = backbone.config
    assert (config.num_hidden_layers, config.hidden_size, config.num_attention_heads) == (6, 384, 12)
    assert config.layer_norm_eps == pytest.approx(1e-12)
    tokenizer = Tokenizer.from_file(str(base / "tokenizer.json"))
    tokenizer.no_padding()
    ids = tokenizer.encode("my card isn't working abroad").ids
    with torch.inference_mode():
        hidden = backbone(input_ids=torch.tensor([ids])).last_hidden_state.mean(dim=1)[0].numpy()
    expected = Encoder.load(DEFAULT, mode="exact").encode(["my card isn't working abroad"])[0]
    assert hidden / np.linalg.norm(hidden) == pytest.approx(expected, abs=1e-5)


@pytest.mark.parametrize("name", ["model.json", "graph.exact.onnx", "weights.safetensors", "tokenizer.json"])
@pytest.mark.parametrize("damage", [b"short", b"[]", b""])
def test_a_damaged_folder_is_no_base(tmp_path: Path, name: str, damage: bytes) -> None:
    folder = exported(made(), tmp_path / "model")
    (folder / name).write_bytes(damage)
    with pytest.raises(ModelError, match=r"model.*(checksum|JSON|expected|can't be read)"):
        prepare_base(folder, tmp_path / "work")
    assert not (tmp_path / "work").exists()


def test_what_is_no_folder_of_ours_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no model\.json"):
        Existing.read(tmp_path / "nothing")
    folder = exported(made(), tmp_path / "model")
    with pytest.raises(ModelError, match="is a cross-encoder, expected an encoder"):
        Existing.read(folder, "bert")
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**values, "query_encoder": "query"}))
    with pytest.raises(ModelError, match="has two encoders"):
        prepare_base(folder, tmp_path / "work")


def test_examples_that_are_missing_leave_nothing_behind(tmp_path: Path) -> None:
    folder = exported(made("cls"), tmp_path / "first")
    with pytest.raises(DataError):
        train_cross_encoder(RECIPE, folder, tmp_path / "judge", examples_in=tmp_path)
    assert [path.name for path in tmp_path.iterdir()] == ["first"]
