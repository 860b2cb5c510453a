"""From pairs to a judge that searches: mine negatives, train by a recipe, rerank with the folder."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from safetensors.torch import load_file, save_file

from shortlist import Collection, DataError, ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.train.base import base_folder
from shortlist.train.examples import Example, write_examples
from shortlist.train.judge import build, train_cross_encoder
from shortlist.train.loading import fit_first_stage, load_examples
from shortlist.train.loop import Schedule, Step
from shortlist.train.recipe import CrossEncoderRecipe, Examples, JudgeSettings
from tests.train.conftest import TOKENIZER, tiny_bert

TOPICS = ("moon", "bread", "card", "garden", "shell", "train", "river", "piano")
EXAMPLES = [
    Example(
        f"what about the {topic}",
        f"this is all of the {topic}",
        tuple(f"this is all of the {other}" for other in TOPICS if other != topic),
        (0.2, *(number / 10 for number in range(7))),
        source="odd" if topic == "moon" else "even",
    )
    for topic in TOPICS
]
SETTINGS = JudgeSettings(head="cls", max_tokens=48, max_query_tokens=16, training_tokens=32)
FROM = Examples(("pairs.jsonl",), negatives=7)
RECIPE = CrossEncoderRecipe(
    name="tiny judge",
    license="MIT",
    origin="a test",
    examples=FROM,
    model=SETTINGS,
    schedule=Schedule(steps=120, batch_size=8, part_size=4, learning_rate=3e-3, bf16=False, checkpoint_s=0.0),
)


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    tiny_bert().save_pretrained(folder)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    write_examples(tmp_path / "pairs.jsonl", EXAMPLES)
    return folder


def test_a_recipe_makes_a_judge_that_knows_the_answers(
    tmp_path: Path, base: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    folder = tmp_path / "judge"
    found = train_cross_encoder(RECIPE, base, folder, examples_in=tmp_path)
    assert capfd.readouterr() == ("", "")
    assert len({path.stat().st_mode for path in folder.iterdir()}) == 1
    assert (found.examples, found.left_out, found.first_stage) == (8, 0, 0)
    judge = CrossEncoder.load(folder)
    for example in EXAMPLES:
        scores = judge.score(example.query, example.passages)
        assert scores.argmax() == 0
    values = json.loads((folder / "model.json").read_text())
    assert (values["name"], values["license"], values["origin"]) == ("tiny judge", "MIT", "a test")
    assert "first_stage" not in values
    assert not folder.with_name("judge.training").exists()
    with Collection.create(tmp_path / "c") as collection:
        collection.add([{"id": topic, "text": f"this is all of the {topic}"} for topic in TOPICS])
        result = collection.search(
            "what about the river", 3, pipeline=f"rerank(bm25, cross(model={str(folder)!r}))"
        )
        assert result.ranking[0].doc_id == "river"


def test_an_interrupted_training_is_gone_on_with(tmp_path: Path, base: Path) -> None:
    class KilledError(Exception):
        pass

    def kill(step: Step) -> None:
        if step.number == 30:
            raise KilledError

    with pytest.raises(KilledError):
        train_cross_encoder(RECIPE, base, tmp_path / "judge", examples_in=tmp_path, progress=kill)
    assert not (tmp_path / "judge").exists()
    numbers: list[int] = []
    train_cross_encoder(
        RECIPE,
        base,
        tmp_path / "judge",
        examples_in=tmp_path,
        progress=lambda step: numbers.append(step.number),
    )
    train_cross_encoder(RECIPE, base, tmp_path / "whole", examples_in=tmp_path)
    assert numbers[0] == 30
    weights = [(tmp_path / name / "weights.safetensors").read_bytes() for name in ("judge", "whole")]
    assert weights[0] == weights[1]


def test_other_examples_or_settings_are_another_training(tmp_path: Path, base: Path) -> None:
    def stop(_: Step) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cross_encoder(
            RECIPE,
            base,
            tmp_path / "judge",
            examples_in=tmp_path,
            progress=lambda s: stop(s) if s.number == 2 else 0,
        )
    for other in (
        replace(RECIPE, model=replace(RECIPE.model, training_tokens=31)),
        replace(RECIPE, examples=replace(FROM, negatives=3)),
    ):
        with pytest.raises(DataError, match="a checkpoint of another training"):
            train_cross_encoder(other, base, tmp_path / "judge", examples_in=tmp_path)


def test_beside_a_first_stage_it_learns_what_that_lacks(tmp_path: Path, base: Path) -> None:
    """What the first stage tells already is not learned again: the judge's own scores tell it less."""
    told = [replace(example, scores=(5.0, *(0.0 for _ in example.negatives))) for example in EXAMPLES]
    write_examples(tmp_path / "pairs.jsonl", told)
    leads = []
    for weight in (0.0, 10.0):
        recipe = replace(RECIPE, model=replace(RECIPE.model, first_stage=weight))
        folder = tmp_path / f"judge{weight}"
        train_cross_encoder(recipe, base, folder, examples_in=tmp_path)
        assert json.loads((folder / "model.json").read_text()).get("first_stage", 0.0) == weight
        judge = CrossEncoder.load(folder)
        scores = np.array([judge.score(example.query, example.passages) for example in EXAMPLES])
        leads.append(float((scores[:, 0] - scores[:, 1:].max(axis=1)).mean()))
    assert leads[0] > 1 > leads[1]


@pytest.mark.parametrize("loss", ["kl", "margin-mse"])
def test_a_student_learns_a_teacher_s_scores(tmp_path: Path, base: Path, loss: str) -> None:
    """The teacher prefers another passage than the answer: the student does so too."""
    taught = [replace(example, scores=(0.0, 4.0, *(0.0 for _ in range(6)))) for example in EXAMPLES]
    write_examples(tmp_path / "pairs.jsonl", taught)
    recipe = replace(RECIPE, model=replace(RECIPE.model, loss=loss))
    train_cross_encoder(recipe, base, tmp_path / "judge", examples_in=tmp_path)
    judge = CrossEncoder.load(tmp_path / "judge")
    right = [int(judge.score(example.query, example.passages).argmax()) == 1 for example in EXAMPLES]
    assert sum(right) >= 6


def test_the_weight_of_the_first_stage_is_the_likeliest() -> None:
    draw = np.random.default_rng(0)
    for truth in (1.0, 8.0):
        made = []
        for _ in range(3000):
            scores = draw.normal(size=5)
            chances = np.exp(truth * scores) / np.exp(truth * scores).sum()
            answer = int(draw.choice(5, p=chances))
            order = [answer, *(index for index in range(5) if index != answer)]
            made.append(Example("q", "p", ("n",) * 4, tuple(scores[order].tolist())))
        assert fit_first_stage(made) == pytest.approx(truth, rel=0.2)


def test_examples_of_left_out_sources_are_not_learned_from(tmp_path: Path, base: Path) -> None:
    assert base.exists()
    loaded = load_examples(replace(FROM, negatives=4, leave_out=("odd",)), tmp_path, 0)
    found, short = loaded.examples, loaded.left_out
    assert {example.source for example in found} == {"even"}
    assert (len(found), short) == (7, 0)
    assert all(len(example.negatives) == 4 for example in found)
    for example in found:
        whole = next(one for one in EXAMPLES if one.query == example.query)
        scores = dict(zip(whole.passages, whole.scores, strict=True))
        assert example.scores == tuple(scores[passage] for passage in example.passages)
    write_examples(tmp_path / "pairs.jsonl", [*EXAMPLES[:2], Example("few", "p", ("n",))])
    assert load_examples(FROM, tmp_path, 0).left_out == 1
    write_examples(tmp_path / "pairs.jsonl", [Example("few", "p", ("n",))])
    with pytest.raises(DataError, match="no example has 7 negatives"):
        load_examples(FROM, tmp_path, 0)


def test_scores_that_are_wanted_must_be_there(tmp_path: Path, base: Path) -> None:
    write_examples(tmp_path / "pairs.jsonl", [replace(example, scores=()) for example in EXAMPLES])
    recipe = replace(RECIPE, model=replace(RECIPE.model, first_stage="fit"))
    with pytest.raises(DataError, match="examples have no scores"):
        train_cross_encoder(recipe, base, tmp_path / "judge", examples_in=tmp_path)


def test_the_lowest_layers_can_be_taken_and_frozen(base: Path) -> None:
    model = build(base, replace(SETTINGS, head="maxsim", layers=1, frozen_layers=1))
    assert len(model.backbone.encoder.layer) == 1
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained == {"linear.weight", "linear.bias", "scale", "weight.weight", "weight.bias"}
    with pytest.raises(DataError, match=r"model\.layers is 3, .* has 2"):
        build(base, replace(SETTINGS, layers=3))
    with pytest.raises(DataError, match=r"model\.frozen_layers is 3, there are 2"):
        build(base, replace(SETTINGS, frozen_layers=3))


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"model_type": "roberta"}, "model_type is 'roberta', a model is made of 'bert' alone"),
        ({"hidden_act": "gelu_new"}, "hidden_act is 'gelu_new', a model is made of 'gelu' alone"),
        ({"type_vocab_size": 1}, "type_vocab_size is 1"),
        ({"hidden_size": 312}, "hidden_size is 312, no multiple of 64"),
        ({"max_position_embeddings": 40}, "has 40 positions, the recipe wants 48"),
    ],
)
def test_a_base_that_would_run_as_another_model_is_refused_before_training(
    tmp_path: Path, base: Path, change: dict[str, object], message: str
) -> None:
    config = base / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **change}))
    with pytest.raises(ModelError, match=message):
        train_cross_encoder(RECIPE, base, tmp_path / "judge", examples_in=tmp_path)


def test_a_base_that_lacks_weights_is_refused(tmp_path: Path, base: Path) -> None:
    tensors = load_file(base / "model.safetensors")
    gone = next(name for name in tensors if "layer.1.output.dense.weight" in name)
    save_file({name: value for name, value in tensors.items() if name != gone}, base / "model.safetensors")
    with pytest.raises(ModelError, match=r"its weights lack .*layer\.1\.output\.dense\.weight"):
        train_cross_encoder(RECIPE, base, tmp_path / "judge", examples_in=tmp_path)


def test_another_base_is_another_training(tmp_path: Path, base: Path) -> None:
    def stop(step: Step) -> None:
        if step.number == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train_cross_encoder(RECIPE, base, tmp_path / "judge", examples_in=tmp_path, progress=stop)
    tiny_bert(1).save_pretrained(base)
    with pytest.raises(DataError, match="a checkpoint of another training"):
        train_cross_encoder(RECIPE, base, tmp_path / "judge", examples_in=tmp_path)


def test_what_is_there_stays(tmp_path: Path, base: Path) -> None:
    short = replace(RECIPE, schedule=replace(RECIPE.schedule, steps=1))
    work = tmp_path / "judge.training"
    work.mkdir()
    (work / "mine.txt").write_text("mine")
    train_cross_encoder(short, base, tmp_path / "judge", examples_in=tmp_path)
    assert [path.name for path in work.iterdir()] == ["mine.txt"]
    with pytest.raises(DataError, match="there is something at this path already"):
        train_cross_encoder(short, base, tmp_path / "judge", examples_in=tmp_path)


def test_scores_that_tell_every_answer_have_no_best_weight() -> None:
    told = [Example("q", "p", ("n", "m"), (1.0, 0.5, 0.2))] * 5
    with pytest.raises(DataError, match="they tell every answer, or none"):
        fit_first_stage(told)
    with pytest.raises(DataError, match="they tell every answer, or none"):
        fit_first_stage([Example("q", "p", ("n", "m"), (1.0, 5.5, 0.2))] * 5)


def test_a_base_is_a_folder_with_weights_or_a_package(base: Path) -> None:
    assert base_folder(str(base), Path()) == base
    assert base_folder(base.name, base.parent) == base
    (base / "model.safetensors").unlink()
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        base_folder(str(base), Path())
    with pytest.raises(ModelError, match="neither a folder, an installed package nor a model"):
        base_folder("no-such-package-anywhere", Path())
    with pytest.raises(ModelError, match="no base to train from"):
        base_folder("", Path())
