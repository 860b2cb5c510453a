"""Heads on a frozen encoder, from examples to a model folder that a collection searches with."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file

from shortlist import Collection, DataError, Document, Encoder, ModelError
from shortlist.models.heads import Heads
from shortlist.models.own_folder import DEFAULT
from shortlist.search import parse
from shortlist.train.examples import Example, write_examples
from shortlist.train.export import _without_shared
from shortlist.train.heads import train_head
from shortlist.train.late_interaction import LateHead
from shortlist.train.loop import Schedule, Step
from shortlist.train.poly_encoder import PolyHead
from shortlist.train.recipe import Examples, LateRecipe, LateSettings, PolyRecipe, PolySettings
from tests.search.oracle import Oracle
from tests.train.conftest import TOKENIZER, tiny_bert

TOPICS = ("moon", "bread", "card", "garden", "shell", "train", "river", "piano")
ANSWERS = ("crater", "oven", "bank", "rose", "script", "rail", "water", "music")
EXAMPLES = [
    Example(
        f"what about the {topic}",
        f"this is all of the {answer}",
        tuple(f"this is all of the {other}" for other in ANSWERS if other != answer),
        (4.0, *(number / 10 for number in range(7))),
    )
    for topic, answer in zip(TOPICS, ANSWERS, strict=True)
]
SCHEDULE = Schedule(steps=200, batch_size=8, learning_rate=2e-2, bf16=False, checkpoint_s=0.0)
LATE = LateRecipe(
    name="tiny late",
    license="MIT",
    examples=Examples(files=("pairs.jsonl",), negatives=3),
    schedule=SCHEDULE,
    model=LateSettings(dimensions=32, temperature=0.02, max_tokens=64, max_query_tokens=32),
)
POLY = PolyRecipe(
    name="tiny poly",
    examples=LATE.examples,
    schedule=SCHEDULE,
    model=PolySettings(codes=5, temperature=0.1, max_tokens=64, max_query_tokens=32),
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    tiny_bert().save_pretrained(folder)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    write_examples(tmp_path / "pairs.jsonl", EXAMPLES)
    return folder


def find(folder: Path, where: Path, pipeline: str) -> list[str]:
    """Give, for every topic, the answer that a collection with this model finds."""
    with Collection.create(where, model=folder, mode="exact") as collection:
        collection.add([{"id": one, "text": f"this is all of the {one}"} for one in ANSWERS])
        return [
            collection.search(f"what about the {topic}", 1, pipeline=pipeline).ranking[0].doc_id
            for topic in TOPICS
        ]


def test_late_interaction_learns_which_words_belong_together(tmp_path: Path, base: Path) -> None:
    folder = tmp_path / "late"
    found = train_head(LATE, base, folder, examples_in=tmp_path)
    assert (found.examples, found.left_out) == (8, 0)
    assert find(folder, tmp_path / "c", "late") == list(ANSWERS)
    values = json.loads((folder / "model.json").read_text())
    assert (values["name"], values["license"], values["token_dimensions"]) == ("tiny late", "MIT", 32)
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    assert sorted(path.name for path in tmp_path.iterdir()) == ["base", "c", "late", "pairs.jsonl"]
    with pytest.raises(DataError, match="there is something at this path already"):
        train_head(LATE, base, folder, examples_in=tmp_path)


def test_queries_may_be_filled_up_with_mask_tokens_which_nothing_else_sees(
    tmp_path: Path, base: Path
) -> None:
    filled = replace(LATE, model=replace(LATE.model, expansion_length=12))
    train_head(POLY, base, tmp_path / "poly", examples_in=tmp_path)
    train_head(filled, base, tmp_path / "filled", examples_in=tmp_path, beside=tmp_path / "poly")
    assert find(tmp_path / "filled", tmp_path / "c", "late") == list(ANSWERS)
    text = "what about the moon"
    (plain,), (found,) = (
        Encoder.load(tmp_path / name, mode="exact").queries([text]) for name in ("poly", "filled")
    )
    (fast,) = Encoder.load(tmp_path / "filled", mode="fast").queries([text])
    assert len(found.tokens) == len(fast.tokens) == 12
    lengths = np.linalg.norm(found.tokens, axis=1) * np.linalg.norm(fast.tokens, axis=1)
    assert ((found.tokens * fast.tokens).sum(axis=1) / lengths).min() > 0.9
    np.testing.assert_allclose(found.dense, plain.dense, atol=1e-6)
    assert found.codes is not None
    assert plain.codes is not None
    np.testing.assert_allclose(found.codes, plain.codes, atol=1e-5)
    with pytest.raises(DataError, match="expansion_length must be from 0"):
        replace(LATE.model, expansion_length=33)


@pytest.mark.parametrize("variant", ["learned", "first"])
def test_a_poly_encoder_learns_which_texts_belong_together(
    tmp_path: Path, base: Path, variant: Literal["learned", "first"]
) -> None:
    recipe = replace(POLY, model=replace(POLY.model, variant=variant))
    found = train_head(recipe, base, tmp_path / "poly", examples_in=tmp_path)
    assert found.loss < 1.9  # that of a guess is 2.1
    assert find(tmp_path / "poly", tmp_path / "c", "poly") == list(ANSWERS)


def test_distillation_brings_a_head_to_its_teachers_order(tmp_path: Path, base: Path) -> None:
    taught = [replace(one, scores=(0.0, *(float(n) for n in range(7)))) for one in EXAMPLES]
    write_examples(tmp_path / "pairs.jsonl", taught)
    settings = replace(LATE.model, contrastive=0.0, distillation=1.0, teacher_weight=2.0)
    recipe = replace(LATE, examples=replace(LATE.examples, negatives=7), model=settings)
    train_head(recipe, base, tmp_path / "late", examples_in=tmp_path)
    last = [example.negatives[-1].split()[-1] for example in taught]
    assert find(tmp_path / "late", tmp_path / "c", "late") == last
    write_examples(tmp_path / "pairs.jsonl", [replace(one, scores=()) for one in EXAMPLES])
    with pytest.raises(DataError, match=r"examples have no scores, which model\.distillation needs"):
        train_head(recipe, base, tmp_path / "other", examples_in=tmp_path)


def test_numpy_makes_of_a_query_what_was_trained(tmp_path: Path, base: Path) -> None:
    train_head(LATE, base, tmp_path / "late", examples_in=tmp_path)
    for variant in ("learned", "first"):
        recipe = replace(POLY, model=replace(POLY.model, variant=variant))
        folder = tmp_path / variant
        train_head(recipe, base, folder, examples_in=tmp_path, beside=tmp_path / "late")
        tensors = load_file(folder / "heads.safetensors")
        heads = Heads.of(tensors, 64, folder)
        draw = np.random.default_rng(1)
        hidden = draw.standard_normal((4, 64), np.float32)
        batch, known = torch.from_numpy(hidden)[None], torch.ones(1, 4, dtype=torch.bool)
        late = LateHead(64, 32, torch.from_numpy(tensors["late.weight"]))
        late.weight.weight.data[0] = torch.from_numpy(tensors["late.query.weight"])
        late.weight.bias.data[:] = torch.from_numpy(tensors["late.query.bias"])
        assert heads.token_weights is not None
        lengths = late.queries(batch, known)[0].norm(dim=1)
        assert heads.token_weights(hidden) == pytest.approx(lengths.detach().numpy(), rel=1e-5)
        poly = PolyHead(64, 5, recipe.model.variant)
        poly.transform.data = torch.from_numpy(tensors["poly.transform"])
        if variant == "learned":
            poly.codes.data = torch.from_numpy(tensors["poly.codes"])
        assert heads.poly is not None
        expected = poly.queries(batch, known)[0][0].detach().numpy()
        assert heads.poly(hidden) == pytest.approx(expected, abs=1e-5)


def test_poly_equals_equation_5_over_the_int8_vectors(tmp_path: Path, base: Path) -> None:
    train_head(POLY, base, tmp_path / "poly", examples_in=tmp_path)
    with Collection.create(tmp_path / "c", model=tmp_path / "poly", mode="exact") as collection:
        documents = [Document(str(n), one.passage * (n + 1)) for n, one in enumerate(EXAMPLES)]
        collection.add([{"id": one.doc_id, "text": one.text} for one in documents])
        oracle = Oracle(documents, collection.encoder)
        for query in ("what about the moon", "bread", "the river and the piano " * 3):
            found = collection.search(query, 20, pipeline="poly").ranking
            assert {hit.doc_id: hit.score for hit in found} == pytest.approx(oracle.poly(query), rel=1e-9)
            reranked = collection.search(query, 20, pipeline=parse("rerank(dense, poly, depth=3)")).ranking
            assert [hit.score for hit in reranked][:3] == pytest.approx(
                sorted((oracle.poly(query)[hit.doc_id] for hit in reranked.hits[:3]), reverse=True), rel=1e-9
            )


def test_heads_are_trained_one_beside_the_other(tmp_path: Path, base: Path) -> None:
    train_head(LATE, base, tmp_path / "late", examples_in=tmp_path)
    both = tmp_path / "both"
    train_head(POLY, base, both, examples_in=tmp_path, beside=tmp_path / "late")
    late, joined = (load_file(folder / "heads.safetensors") for folder in (tmp_path / "late", both))
    assert all(np.array_equal(value, joined[name]) for name, value in late.items())
    one, other = (Encoder.load(folder, mode="exact") for folder in (tmp_path / "late", both))
    assert one.views(["the moon"]).tokens.data.tobytes() == other.views(["the moon"]).tokens.data.tobytes()
    assert one.settings.token_scale == other.settings.token_scale
    again = tmp_path / "again"
    recipe = replace(LATE, model=replace(LATE.model, dimensions=8, query_weights=False))
    train_head(recipe, base, again, examples_in=tmp_path, beside=both)
    tensors = load_file(again / "heads.safetensors")
    assert {name.split(".")[0] for name in tensors} == {"late", "poly"}
    assert "late.query.weight" not in tensors
    assert Encoder.load(again, mode="exact").settings.token_dimensions == 8

    elsewhere = tmp_path / "elsewhere"
    tiny_bert(7).save_pretrained(elsewhere)
    shutil.copyfile(TOKENIZER, elsewhere / "tokenizer.json")
    with pytest.raises(ModelError, match="its transformer is another than that of"):
        train_head(POLY, elsewhere, tmp_path / "no", examples_in=tmp_path, beside=both)


def test_an_interrupted_training_is_gone_on_with_and_what_was_encoded_is_kept(
    tmp_path: Path, base: Path
) -> None:
    class KilledError(Exception):
        pass

    def kill(step: Step) -> None:
        if step.number == 30:
            raise KilledError

    whole, cut = tmp_path / "whole", tmp_path / "cut"
    cache = tmp_path / "cache"
    train_head(LATE, base, whole, examples_in=tmp_path, cache=cache)
    before = (cache / "passages" / "tokens.npy").stat().st_mtime_ns
    with pytest.raises(KilledError):
        train_head(LATE, base, cut, examples_in=tmp_path, cache=cache, progress=kill)
    numbers: list[int] = []
    train_head(
        LATE,
        base,
        cut,
        examples_in=tmp_path,
        cache=cache,
        progress=lambda step: numbers.append(step.number),
    )
    assert numbers[0] == 30  # that step's checkpoint was not written yet
    for name in ("heads.safetensors", "model.json"):
        assert (whole / name).read_bytes() == (cut / name).read_bytes()
    assert (cache / "passages" / "tokens.npy").stat().st_mtime_ns == before


def test_a_folder_with_the_default_transformer_names_it() -> None:
    tensors = load_file(DEFAULT / "weights.safetensors")
    own, sha256 = _without_shared(tensors)
    assert (own, len(sha256)) == ({}, 64)
    tensors["layer0.output.bias"] = tensors["layer0.output.bias"] + 1
    tensors["layer1.output.weight.scale"] = tensors["layer1.output.weight.scale"] * 2
    own, _ = _without_shared(tensors)
    assert set(own) == {"layer0.output.bias", "layer1.output.weight.i8", "layer1.output.weight.scale"}
    own, sha256 = _without_shared({"other": tensors["layer0.output.bias"]})
    assert (set(own), sha256) == ({"other"}, "")
