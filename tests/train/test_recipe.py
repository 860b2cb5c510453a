from __future__ import annotations

import re
import shlex
from pathlib import Path
from typing import Any

import pytest

from shortlist import DataError, parse
from shortlist.cli.main import build_parser
from shortlist.search import name_of, to_text
from shortlist.train.loop import Schedule
from shortlist.train.recipe import (
    BiEncoderRecipe,
    CrossEncoderRecipe,
    Examples,
    JudgeSettings,
    LateRecipe,
    PolyRecipe,
    read_recipe,
)

WHOLE = """
name = "judge"
base = "somewhere"
license = "Apache-2.0"

[examples]
files = ["a.jsonl", "b.jsonl"]
negatives = 3
leave_out = ["medquad"]

[model]
head = "cls"
layers = 2
first_stage = "fit"

[schedule]
steps = 100
learning_rate = 1e-4
weight_decay = 0
bf16 = false
"""
LEAST = 'name = "x"\n[examples]\nfiles = ["a.jsonl"]\n[schedule]\nsteps = 1\n'


def read(tmp_path: Path, text: str) -> CrossEncoderRecipe:
    path = tmp_path / "recipe.toml"
    path.write_text(text, encoding="utf-8")
    return read_recipe(path, CrossEncoderRecipe)


def test_a_recipe_is_what_it_says(tmp_path: Path) -> None:
    assert read(tmp_path, WHOLE) == CrossEncoderRecipe(
        name="judge",
        base="somewhere",
        license="Apache-2.0",
        examples=Examples(("a.jsonl", "b.jsonl"), 3, ("medquad",)),
        model=JudgeSettings(head="cls", layers=2, first_stage="fit"),
        schedule=Schedule(steps=100, learning_rate=1e-4, weight_decay=0.0, bf16=False),
    )


def test_the_least_recipe_has_name_examples_and_steps(tmp_path: Path) -> None:
    assert read(tmp_path, LEAST).model == JudgeSettings()
    for line in ('name = "x"', 'files = ["a.jsonl"]', "steps = 1"):
        key = line.split()[0]
        with pytest.raises(DataError, match=rf"recipe\.toml: \S*{key} is missing"):
            read(tmp_path, LEAST.replace(line, ""))


@pytest.mark.parametrize(
    ("before", "after", "message"),
    [
        ("steps = 100", "stesp = 100", "schedule.stesp is not known"),
        ("steps = 100", 'steps = "many"', "schedule.steps is 'many', expected int"),
        ("steps = 100", "steps = true", "schedule.steps is True, expected int"),
        ("bf16 = false", "bf16 = 1", "schedule.bf16 is 1, expected bool"),
        ("layers = 2", "layers = 2.5", "model.layers is 2.5, expected int"),
        (
            'first_stage = "fit"',
            'loss = "mae"',
            "model.loss must be one of softmax, kl, margin-mse, binary, graded, labels, not 'mae'",
        ),
        ('head = "cls"', 'loss = "kl"', "model.loss 'kl' learns the scores that model.first_stage would add"),
        ('head = "cls"', 'head = "none"', "model.head must be 'cls' or 'maxsim', not 'none'"),
        (
            'first_stage = "fit"',
            'first_stage = "fat"',
            "model.first_stage must be a number or 'fit', not 'fat'",
        ),
        ("layers = 2", "max_tokens = 20", "max_query_tokens is 128, of max_tokens 20 that leaves no room"),
        (
            "layers = 2",
            "training_tokens = 40",
            "max_query_tokens is 128, of training_tokens 40 that leaves no room",
        ),
        ('first_stage = "fit"', "first_stage = -3", "model.first_stage must be a number from 0, not -3"),
        ("steps = 100", "steps = 0", "schedule.steps must be at least 1, not 0"),
        ("steps = 100", "steps = 100\nbatch_size = 0", "schedule.batch_size must be at least 1"),
        ("steps = 100", "steps = 100\nseed = -1", "schedule.seed must be a number from 0, not -1"),
        (
            "learning_rate = 1e-4",
            "learning_rate = nan",
            "schedule.learning_rate must be a number from 0, not nan",
        ),
        ("steps = 100", "steps = 100\nwarm_up = 2", "schedule.warm_up must be a share"),
        (
            'files = ["a.jsonl", "b.jsonl"]',
            'files = "a.jsonl"',
            "examples.files is 'a.jsonl', expected a list of str",
        ),
        ('files = ["a.jsonl", "b.jsonl"]', "files = []", "examples.files names no file"),
        ("negatives = 3", "negatives = 0", "examples.negatives must be at least 1"),
        ("[model]", "[modle]", "modle is not known"),
        ("[model]", "model", "no TOML"),
    ],
)
def test_a_setting_that_makes_no_sense_is_named(
    tmp_path: Path, before: str, after: str, message: str
) -> None:
    assert before in WHOLE
    with pytest.raises(DataError) as caught:
        read(tmp_path, WHOLE.replace(before, after))
    assert message in str(caught.value)
    assert "recipe.toml" in str(caught.value)


KINDS: dict[str, type[Any]] = {
    "cross-encoder": CrossEncoderRecipe,
    "pairs": CrossEncoderRecipe,
    "late-interaction": LateRecipe,
    "poly-encoder": PolyRecipe,
    "bi-encoder": BiEncoderRecipe,
}


def test_the_recipes_and_the_commands_of_the_page_on_training_are_right(tmp_path: Path) -> None:
    page = (Path(__file__).parents[2] / "docs" / "training.md").read_text(encoding="utf-8")
    shown = re.findall(r"```toml\n# (.*?)\.toml\n(.*?)```", page, re.DOTALL)
    assert {name for name, _ in shown} == set(KINDS)
    for name, text in shown:
        (tmp_path / "recipe.toml").write_text(text, encoding="utf-8")
        recipe = read_recipe(tmp_path / "recipe.toml", KINDS[name])
        assert recipe.schedule.steps >= 500
    commands = re.findall(r"^\$ shortlist (.*)$", page, re.MULTILINE)
    assert len(commands) == 11
    for command in commands:
        found = build_parser().parse_args(shlex.split(command))
        for pipeline in (getattr(found, "pipeline", None), *(getattr(found, "pipelines", None) or ())):
            if pipeline is not None:
                assert name_of(parse(pipeline)) in (pipeline, to_text(parse(pipeline)))


def test_a_recipe_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"none\.toml: can't be read"):
        read_recipe(tmp_path / "none.toml", CrossEncoderRecipe)
