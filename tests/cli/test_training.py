from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest

from shortlist.cli.main import main
from shortlist.train.examples import read_examples
from tests.train.conftest import TOKENIZER, tiny_bert

TOPICS = ("moon", "bread", "card", "garden", "shell", "train", "river", "piano")
RECIPE = """
name = "tiny"
[examples]
files = ["mined.jsonl"]
negatives = 2
[model]
head = "cls"
max_tokens = 48
max_query_tokens = 16
training_tokens = 32
first_stage = 2
[schedule]
steps = 3
batch_size = 4
bf16 = false
"""


@pytest.fixture
def pairs(tmp_path: Path) -> Path:
    path = tmp_path / "pairs.jsonl"
    lines = [{"query": f"what about the {one}", "passage": f"this is all of the {one}"} for one in TOPICS]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


def test_negatives_then_a_judge_by_a_recipe(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    mined, recipe, base = tmp_path / "mined.jsonl", tmp_path / "recipe.toml", tmp_path / "base"
    assert (
        main(["train", "negatives", str(pairs), "-o", str(mined), "--pipelines", "dense", "--count", "3"])
        == 0
    )
    captured = capsys.readouterr()
    assert "8 examples with 3 negatives each" in captured.err
    assert all(len(example.negatives) == 3 for example in read_examples(mined))
    tiny_bert().save_pretrained(base)
    shutil.copyfile(TOKENIZER, base / "tokenizer.json")
    recipe.write_text(RECIPE, encoding="utf-8")
    command = ["train", "cross-encoder", str(recipe), "-o", str(tmp_path / "judge"), "--base", str(base)]
    assert main([*command, "--memory", "20MB"]) == 1
    refused = capsys.readouterr().err
    assert "a step with 1 of the examples at once needs about" in refused
    assert "the limit is 20.0 MB" in refused
    assert main([*command, "--memory", "64GB"]) == 0
    captured = capsys.readouterr()
    assert "8 examples, 3 steps" in captured.err
    assert "add 0.5 of it to that stage's score" in captured.err
    assert (tmp_path / "judge" / "model.json").exists()
    assert main(command) == 1
    assert "there is something at this path already" in capsys.readouterr().err


def test_json_says_what_was_left_out(tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]) -> None:
    command = ["train", "negatives", str(pairs), "-o", str(tmp_path / "m.jsonl"), "--count", "3", "--json"]
    assert main([*command, "--pipelines", "dense", "--depth", "4", "--ranks", "1:4"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["examples"] + found["without_answer"] + found["without_negatives"] == 8


def test_nothing_is_written_over_or_for_nothing(
    tmp_path: Path, pairs: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    before = pairs.read_bytes()
    assert main(["train", "negatives", str(pairs), "-o", str(pairs)]) == 1
    assert "there is something at this path already" in capsys.readouterr().err
    assert pairs.read_bytes() == before
    command = ["train", "negatives", str(pairs), "-o", str(tmp_path / "m.jsonl"), "--pipelines", "dense"]
    assert main([*command, "--count", "30"]) == 1
    assert "none of 8 queries has its answer and 30 negatives" in capsys.readouterr().err
    assert main([*command, "--memory", "10MB"]) == 1
    assert "of memory, the limit is 10.0 MB" in capsys.readouterr().err
    assert not (tmp_path / "m.jsonl").exists()


@pytest.mark.parametrize(
    ("arguments", "message", "code"),
    [
        (["--ranks", "5"], "must be two ranks such as 1:30", 2),
        (["--ranks", "9:3"], "ranks 9 to 3", 1),
        (["--depth", "10"], "ranks 1 to 30 of 10", 1),
        (["--count", "0"], "must be at least 1", 2),
        (["--pipelines", "nothing"], "there is no stage 'nothing'", 2),
    ],
)
def test_wrong_words_are_named(
    tmp_path: Path,
    pairs: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    message: str,
    code: int,
) -> None:
    command = ["train", "negatives", str(pairs), "-o", str(tmp_path / "m.jsonl"), *arguments]
    try:
        ended = main(command)
    except SystemExit as exit_:
        ended = int(exit_.code or 0)
    assert ended == code
    assert message in capsys.readouterr().err


def test_a_recipe_that_is_wrong_is_named(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    recipe = tmp_path / "recipe.toml"
    recipe.write_text(RECIPE.replace("steps = 3", "stepps = 3"), encoding="utf-8")
    assert main(["train", "cross-encoder", str(recipe), "-o", str(tmp_path / "judge")]) == 1
    captured = capsys.readouterr().err
    assert "recipe.toml: schedule.stepps is not known" in captured
    assert "hint: known: steps, " in captured
