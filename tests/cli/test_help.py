import argparse
import importlib
import re
import subprocess
import sys
import time
from collections.abc import Iterator

import pytest

from shortlist import __version__
from shortlist.cli import classification, models, training
from shortlist.cli.commands import COMMANDS as OWN
from shortlist.cli.main import _MODULES, build_parser

from .running import Shortlist, command, spawn

COMMANDS = {
    **OWN,
    **{
        name: importlib.import_module(f"shortlist.cli.{module}").COMMANDS[name]
        for name, module in _MODULES.items()
    },
}


def below(parser: argparse.ArgumentParser) -> dict[str, argparse.ArgumentParser]:
    """The parsers of a parser's commands by their names."""
    found = [action.choices for action in parser._actions if isinstance(action, argparse._SubParsersAction)]
    return dict(found[0]) if found else {}


def parsers() -> dict[str, argparse.ArgumentParser]:
    """Every command's parser by its name, and those of its parts."""
    tops = below(build_parser())
    parts = {
        f"{name} {part}": inner for name, parser in tops.items() for part, inner in below(parser).items()
    }
    return tops | parts


def arguments() -> Iterator[tuple[str, argparse.Action]]:
    for name, parser in parsers().items():
        for action in parser._actions:
            yield f"{name} {'/'.join(action.option_strings) or action.metavar}", action


def test_every_command_is_there_and_only_those() -> None:
    expected = {
        "index", "add", "delete", "search", "run", "encode", "info", "check", "compact", "repair", "upgrade", "doctor",
        "similarity", "duplicates", "classify", "evaluate", "compare", "tune", "advise",
        "train", "models",
    }  # fmt: skip
    assert set(below(build_parser())) == set(COMMANDS) == expected
    parts = {"classify": classification.PARTS, "train": training.PARTS, "models": models.PARTS}
    assert {f"{name} {part}" for name, found in parts.items() for part in found} == {
        name for name in parsers() if " " in name
    }


@pytest.mark.parametrize("action", [pytest.param(action, id=name) for name, action in arguments()])
def test_every_argument_says_what_it_is_for(action: argparse.Action) -> None:
    assert action.help
    assert action.help != argparse.SUPPRESS
    assert action.help[-1] != ".", "a phrase, as the others"


@pytest.mark.parametrize("name", sorted(parsers()))
def test_every_command_offers_json_and_describes_itself(shortlist: Shortlist, name: str) -> None:
    parser = parsers()[name]
    assert "--json" in parser.format_help()
    assert "--debug" in parser.format_help()
    assert parser.description
    outcome = shortlist(*name.split(), "--help")
    assert outcome.code == 0
    assert outcome.out.startswith(f"usage: shortlist {name}")
    assert outcome.err == ""


def test_help_lists_the_commands_and_the_exit_codes(shortlist: Shortlist) -> None:
    outcome = shortlist("--help")
    assert all(re.search(rf"^    {name}\b", outcome.out, re.MULTILINE) for name in COMMANDS)
    assert (
        "exit codes: 0 done, 1 failed, 2 wrong usage, 3 something checked is damaged, 130 interrupted"
        in " ".join(outcome.out.split())
    )


def test_defaults_that_help_states_are_the_real_ones() -> None:
    for name, action in arguments():
        stated = re.search(r"\(default: (\w+)\)$", action.help or "")
        if stated:
            assert str(action.default) == stated[1], name


def test_version_is_the_packages(shortlist: Shortlist) -> None:
    assert shortlist("--version").out == f"shortlist {__version__}\n"


def test_help_answers_at_once() -> None:
    seconds = []
    for _ in range(3):  # others may keep the machine busy for a moment
        begin = time.perf_counter()
        outcome = spawn("--help")
        seconds.append(time.perf_counter() - begin)
        assert outcome.code == 0
    assert min(seconds) < 0.5, seconds


@pytest.mark.parametrize(
    "words",
    [
        ["--help"],
        ["search", "--help"],
        ["--version"],
        ["search"],
        ["similarity", "-h"],
        ["classify", "train"],
        ["train", "negatives", "--help"],
    ],
)
def test_nothing_heavy_is_imported_before_a_command_runs(words: list[str]) -> None:
    code = f"""
import sys
from shortlist.cli.main import main
try:
    main({words!r})
except SystemExit:
    pass
heavy = {{"numpy", "onnxruntime", "tokenizers", "sqlite3", "Stemmer", "tqdm", "sklearn", "torch"}} & set(sys.modules)
sys.exit(f"imported: {{heavy}}" if heavy else 0)
"""
    done = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ([], "the following arguments are required: COMMAND"),
        (["find"], "invalid choice: 'find'"),
        (["search", "c"], "the following arguments are required: QUERY"),
        (["index", "c"], "the following arguments are required: SOURCE"),
        (["run", "c", "q.jsonl"], "the following arguments are required: -o/--output"),
        (["search", "c", "q", "-k", "0"], "argument -k: must be at least 1, not 0"),
        (["search", "c", "q", "-k", "ten"], "argument -k: must be a whole number, not 'ten'"),
        (["add", "c", "s", "--threads", "-1"], "argument --threads: must be at least 1, not -1"),
        (["index", "c", "s", "--mode", "slow"], "argument --mode: invalid choice: 'slow'"),
        (
            ["duplicates", "c", "--threshold", "90"],
            "argument --threshold: must be a cosine from -1 to 1, not 90",
        ),
        (
            ["duplicates", "c", "--threshold", "nan"],
            "argument --threshold: must be a cosine from -1 to 1, not nan",
        ),
        (["duplicates", "c", "--threshold", "high"], "argument --threshold: must be a number, not 'high'"),
        (["similarity", "--pair", "one"], "argument --pair: expected 2 arguments"),
        (["classify"], "the following arguments are required: PART"),
        (["classify", "train", "f.jsonl"], "the following arguments are required: -o/--output"),
        (["classify", "train", "f", "-o", "h", "--seed", "-1"], "argument --seed: must be a whole number"),
        (["classify", "train", "f", "-o", "h", "--seed", "x"], "must be a whole number of up to 12 digits"),
        (["classify", "predict", "h", "x", "--threshold", "2"], "must be between 0 and 1, not 2"),
        (["classify", "predict", "h", "x", "--threshold", "nan"], "must be between 0 and 1, not nan"),
        (["train", "negatives", "f"], "the following arguments are required: -o/--output"),
        (["train", "cross-encoder", "-o", "f"], "the following arguments are required: RECIPE"),
        (["info", "c", "--colour"], "unrecognized arguments: --colour"),
    ],
)
def test_wrong_usage_ends_with_code_2_and_says_what_is_wrong(
    shortlist: Shortlist, words: list[str], problem: str
) -> None:
    outcome = shortlist(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err
    assert outcome.err.startswith("usage: shortlist")


def test_the_module_runs_as_the_installed_command_does() -> None:
    done = subprocess.run(command("--version"), capture_output=True, text=True, timeout=60, check=True)
    assert done.stdout == f"shortlist {__version__}\n"
