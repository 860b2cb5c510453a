"""Cross-encoders that classify and grade pairs."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shortlist import DataError
from shortlist.cli.main import main
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.train.judge import train_cross_encoder
from shortlist.train.labelled import LabelledPair, LabelledPairs, read_labelled
from shortlist.train.loop import Schedule
from shortlist.train.recipe import CrossEncoderRecipe, Examples, JudgeSettings, read_recipe
from tests.train.conftest import TOKENIZER, tiny_bert

WORDS = ("moon", "bread", "card", "garden", "shell", "train")
# Whether the second text is the first one's, is another's, or is none: by a word that says so.
PAIRS: list[dict[str, Any]] = [
    {"sentence1": f"the {one}", "sentence2": text, "label": label, "score": score}
    for one in WORDS
    for text, label, score in (
        (f"surely the {one}", "same", 5),
        (f"perhaps the {one}", "near", 2.5),
        (f"never the {one}", "other", 0),
    )
]
FROM = LabelledPairs(("pairs.jsonl",))
RECIPE = CrossEncoderRecipe(
    name="tiny",
    pairs=FROM,
    model=JudgeSettings(head="cls", loss="labels", max_tokens=48, max_query_tokens=16, training_tokens=32),
    schedule=Schedule(steps=60, batch_size=9, learning_rate=3e-3, bf16=False, checkpoint_s=0.0),
)


def write(folder: Path, records: list[dict[str, Any]]) -> None:
    lines = "".join(json.dumps(record) + "\n" for record in records)
    (folder / "pairs.jsonl").write_text(lines, encoding="utf-8")


@pytest.fixture
def base(tmp_path: Path) -> Path:
    folder = tmp_path / "base"
    tiny_bert().save_pretrained(folder)
    shutil.copyfile(TOKENIZER, folder / "tokenizer.json")
    write(tmp_path, PAIRS)
    return folder


def scores_of(folder: Path) -> np.ndarray:
    return CrossEncoder.load(folder).score_pairs([(p["sentence1"], p["sentence2"]) for p in PAIRS]).scores


def test_several_labels_are_told_apart(tmp_path: Path, base: Path) -> None:
    found = train_cross_encoder(RECIPE, base, tmp_path / "made", examples_in=tmp_path)
    assert (found.examples, found.left_out) == (18, 0)
    judge = CrossEncoder.load(tmp_path / "made")
    assert judge.settings.labels == ("near", "same", "other")
    chosen = [judge.settings.labels[number] for number in scores_of(tmp_path / "made").argmax(axis=1)]
    assert chosen == [pair["label"] for pair in PAIRS]


def test_pairs_are_classified_on_the_command_line(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    train_cross_encoder(RECIPE, base, tmp_path / "made", examples_in=tmp_path)
    some = [{name: pair[name] for name in ("sentence1", "sentence2", "label")} for pair in PAIRS]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in some))
    command = ["similarity", str(tmp_path / "some.jsonl"), "--by", "cross", "--model", str(tmp_path / "made")]
    assert main(command) == 0
    assert capsys.readouterr().out.startswith("accuracy            1.0000")
    for pair in some:
        del pair["label"]
    (tmp_path / "some.jsonl").write_text("".join(json.dumps(pair) + "\n" for pair in some))
    assert main(command) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split("\t")[0] for line in lines] == [pair["label"] for pair in PAIRS]
    assert all(1 / 3 < float(line.split("\t")[1]) <= 1 for line in lines)
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert (found["by"], found["predicted"][0], found["measures"]) == ("cross", "same", [])
    assert main([*command, "-o", str(tmp_path / "out.jsonl")]) == 0
    records = [json.loads(line) for line in (tmp_path / "out.jsonl").read_text().splitlines()]
    assert [record["predicted"] for record in records] == [pair["label"] for pair in PAIRS]


def test_graded_pairs_are_held_to_what_people_said(
    tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    pairs = replace(FROM, target="score", high=5.0)
    recipe = replace(RECIPE, pairs=pairs, model=replace(RECIPE.model, loss="graded"))
    train_cross_encoder(recipe, base, tmp_path / "made", examples_in=tmp_path)
    graded = [{name: pair[name] for name in ("sentence1", "sentence2", "score")} for pair in PAIRS]
    write(tmp_path, graded)
    command = [
        "similarity",
        str(tmp_path / "pairs.jsonl"),
        "--by",
        "cross",
        "--model",
        str(tmp_path / "made"),
    ]
    assert main([*command, "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    measures = {measure["name"]: measure["value"] for measure in found["measures"]}
    assert measures["spearman"] > 0.9
    assert "predicted" not in found


def test_two_labels_are_one_logit(tmp_path: Path, base: Path, capsys: pytest.CaptureFixture[str]) -> None:
    named = [pair | {"label": "same" if pair["label"] == "same" else "not"} for pair in PAIRS]
    recipe = replace(RECIPE, model=replace(RECIPE.model, loss="binary", head="maxsim"))
    write(tmp_path, named)
    with pytest.raises(DataError, match="which of the labels not and same is the one to be told"):
        train_cross_encoder(recipe, base, tmp_path / "made", examples_in=tmp_path)
    which = replace(recipe, pairs=replace(FROM, labels=("not", "same")))
    train_cross_encoder(which, base, tmp_path / "named", examples_in=tmp_path)
    assert CrossEncoder.load(tmp_path / "named").settings.labels == ("same",)
    write(tmp_path, [pair | {"label": int(pair["label"] == "same")} for pair in PAIRS])
    train_cross_encoder(recipe, base, tmp_path / "made", examples_in=tmp_path)
    expected = [pair["label"] == "same" for pair in PAIRS]
    assert (scores_of(tmp_path / "made") > 0).tolist() == expected
    write(tmp_path, named)
    command = [
        "similarity",
        str(tmp_path / "pairs.jsonl"),
        "--by",
        "cross",
        "--model",
        str(tmp_path / "named"),
    ]
    assert main([*command, "--json"]) == 0
    measures = {one["name"]: one["value"] for one in json.loads(capsys.readouterr().out)["measures"]}
    assert measures["average precision"] == 1.0


def test_grades_are_learned(tmp_path: Path, base: Path) -> None:
    pairs = replace(FROM, target="score", high=5.0)
    recipe = replace(RECIPE, pairs=pairs, model=replace(RECIPE.model, loss="graded"))
    train_cross_encoder(recipe, base, tmp_path / "made", examples_in=tmp_path)
    grades = 5 / (1 + np.exp(-scores_of(tmp_path / "made")))
    assert np.abs(grades - [pair["score"] for pair in PAIRS]).max() < 1.5


def test_pairs_are_read_as_they_are_announced(tmp_path: Path) -> None:
    write(
        tmp_path,
        [
            {"sentence1": "a", "sentence2": "b", "label": 1, "score": 4, "split": "train"},
            {"sentence1": "c", "sentence2": "d", "label": 0, "score": 1, "split": "dev"},
            {"sentence1": "e", "sentence2": "f", "label": 10, "score": 3, "split": "train"},
        ],
    )
    with pytest.raises(DataError, match="has the splits dev, train"):
        read_labelled(FROM, tmp_path)
    pairs, labels = read_labelled(replace(FROM, split="train"), tmp_path)
    assert labels == ("1", "10")
    assert [pair.target for pair in pairs] == [0.0, 1.0]
    pairs, labels = read_labelled(replace(FROM, split="train", both_ways=True, labels=("10", "1")), tmp_path)
    assert pairs == [
        LabelledPair("a", "b", 1.0),
        LabelledPair("b", "a", 1.0),
        LabelledPair("e", "f", 0.0),
        LabelledPair("f", "e", 0.0),
    ]
    pairs, labels = read_labelled(replace(FROM, split="train", target="score", low=1, high=5), tmp_path)
    assert ([pair.target for pair in pairs], labels) == ([0.75, 0.5], ())


@pytest.mark.parametrize(
    ("record", "changes", "message"),
    [
        ({"sentence1": "a"}, {}, "sentence2 is None, expected a text"),
        ({"sentence2": 3, "sentence1": "a"}, {}, "sentence2 is 3, expected a text"),
        ({"sentence1": "a", "sentence2": "b"}, {}, "label is None, expected a name or a whole number"),
        ({"sentence1": "a", "sentence2": "b", "label": True}, {}, "label is True, expected"),
        ({"sentence1": "a", "sentence2": "b", "label": "x"}, {"labels": ("y", "z")}, "'x' is none of y, z"),
        ({"sentence1": "a", "sentence2": "b", "label": 1}, {}, "the label '1' alone"),
        ({"sentence1": "a", "sentence2": "b", "label": 1}, {"split": "dev"}, "no pair of split 'dev'"),
        ({"sentence1": "a", "sentence2": "b", "score": 7}, {"target": "score"}, "score 7 isn't from 0"),
        ({"sentence1": "a", "sentence2": "b", "score": "7"}, {"target": "score"}, "expected a number"),
    ],
)
def test_what_is_no_pair_is_named(
    tmp_path: Path, record: dict[str, Any], changes: dict[str, Any], message: str
) -> None:
    write(tmp_path, [record])
    with pytest.raises(DataError, match=message):
        read_labelled(replace(FROM, **changes), tmp_path)


def test_files_that_can_t_be_read_are_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"pairs\.jsonl: can't be read"):
        read_labelled(FROM, tmp_path)
    for content, message in (
        (b"[]", "expected an object, found list"),
        (b"{", "no JSON"),
        (b"\xff", "can't be read"),
    ):
        (tmp_path / "pairs.jsonl").write_bytes(content)
        with pytest.raises(DataError, match=message):
            read_labelled(FROM, tmp_path)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pairs": None}, r"learns from \[examples\] or from \[pairs\]"),
        ({"examples": Examples(("a",))}, r"learns from \[examples\] or from \[pairs\]"),
        ({"model": JudgeSettings(head="cls")}, "'softmax' doesn't fit these data"),
        ({"pairs": replace(FROM, target="score")}, "'labels' learns labels"),
        ({"model": JudgeSettings(head="cls", loss="graded")}, "'graded' learns grades"),
    ],
)
def test_a_recipe_has_data_for_its_loss(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(RECIPE, **changes)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"files": ()}, "names no file"),
        ({"target": "grade"}, "target must be 'label' or 'score'"),
        ({"low": 2.0}, "low must be below pairs.high"),
        ({"high": 5.0}, "are about scores, pairs.target is 'label'"),
        ({"target": "score", "labels": ("no", "yes")}, "names labels, pairs.target is 'score'"),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message):
        replace(FROM, **changes)
    with pytest.raises(DataError, match="needs the head 'cls'"):
        JudgeSettings(loss="labels")


def test_more_than_two_labels_are_not_binary(tmp_path: Path, base: Path) -> None:
    recipe = replace(RECIPE, model=replace(RECIPE.model, loss="binary"))
    with pytest.raises(DataError, match="tells two labels apart, these are near, same, other"):
        train_cross_encoder(recipe, base, tmp_path / "made", examples_in=tmp_path)


def test_a_recipe_s_pairs_are_read(tmp_path: Path) -> None:
    (tmp_path / "r.toml").write_text(
        'name = "x"\n[pairs]\nfiles = ["p.jsonl"]\ntarget = "score"\nhigh = 5\n'
        '[model]\nloss = "graded"\n[schedule]\nsteps = 3\n'
    )
    recipe = read_recipe(tmp_path / "r.toml", CrossEncoderRecipe)
    assert recipe.pairs == LabelledPairs(("p.jsonl",), target="score", high=5.0)
    assert recipe.examples is None
