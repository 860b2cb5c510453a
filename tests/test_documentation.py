"""The documents tell the truth: snippets run, commands exist, tables are those of the results."""

from __future__ import annotations

import json
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from shortlist.cli.main import build_parser
from shortlist.search import NAMES
from tests.faults.__main__ import table
from tests.faults.families import FAMILIES

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text(encoding="utf-8")
SIMILARITY = (ROOT / "docs" / "similarity.md").read_text(encoding="utf-8")
EVALUATION = (ROOT / "docs" / "evaluation.md").read_text(encoding="utf-8")
CLASSIFICATION = (ROOT / "docs" / "classification.md").read_text(encoding="utf-8")


def blocks(language: str, document: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", document, re.DOTALL)


@pytest.mark.parametrize(
    ("document", "begin"),
    [
        pytest.param(README, "1 International transaction declined {", id="README"),
        pytest.param(SIMILARITY, "spearman 1.0\npearson 0.9", id="similarity"),
        pytest.param(EVALUATION, "True True", id="evaluation"),
    ],
)
def test_the_python_of_the_documents_runs(tmp_path: Path, document: str, begin: str) -> None:
    shutil.copytree(ROOT / "examples" / "support", tmp_path / "examples" / "support")
    program = "\n".join(blocks("python", document))
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", program],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith(begin), done.stdout


def test_the_python_of_the_page_on_classification_runs(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(ROOT / "examples" / "intents", tmp_path / "examples" / "intents")
    done = subprocess.run(
        [sys.executable, "-W", "error", "-c", "\n".join(blocks("python", CLASSIFICATION))],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, second, third = done.stdout.splitlines()
    assert (first.split()[0], second.split()[0], third[:3]) == ("weather", "None", "0.9"), done.stdout


def test_the_commands_of_the_page_on_classification_run(tmp_path: Path) -> None:
    pytest.importorskip("sklearn")
    shutil.copytree(ROOT / "examples" / "intents", tmp_path / "examples" / "intents")
    commands = shell_commands(CLASSIFICATION)
    assert len(commands) == 4
    for command in commands:
        words = shlex.split(command)[1:]
        done = subprocess.run(
            [sys.executable, "-m", "shortlist.cli.main", *words],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, (command, done.stderr)


def shell_commands(*documents: str) -> list[str]:
    found = [block for document in documents for block in blocks("console", document)]
    lines = [line.removeprefix("$ ") for block in found for line in block.splitlines()]
    return [line for line in lines if line.startswith("shortlist ")]


@pytest.mark.parametrize("command", shell_commands(README, SIMILARITY, EVALUATION, CLASSIFICATION))
def test_a_command_of_the_documents_parses(command: str) -> None:
    arguments = build_parser().parse_args(shlex.split(command)[1:])
    assert arguments.command in command


def test_the_readme_names_every_command_and_every_pipeline() -> None:
    (subparsers,) = (
        a for a in build_parser()._actions if hasattr(a, "choices") and isinstance(a.choices, dict)
    )
    assert subparsers.choices is not None
    missing = [
        name
        for name in (*subparsers.choices, *NAMES)
        if f"`{name}`" not in README and f"{name} " not in README
    ]
    assert missing == []


def test_the_map_names_every_folder_of_the_package() -> None:
    architecture = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
    package = ROOT / "src" / "shortlist"
    folders = [folder.name for folder in package.iterdir() if (folder / "__init__.py").exists()]
    assert [name for name in folders if f"`{name}/`" not in architecture] == []


def test_the_tables_of_the_readme_are_those_of_the_results() -> None:
    done = subprocess.run(
        [sys.executable, str(ROOT / "benchmarks" / "tables.py"), "--check"],
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout


def test_the_command_reference_is_what_the_parser_says() -> None:
    script = ROOT / "tools" / "command_reference.py"
    assert subprocess.run([sys.executable, str(script), "--check"], check=False).returncode == 0, (
        f"run {script}"
    )


def test_decisions_are_short_and_say_why() -> None:
    for note in (ROOT / "docs" / "decisions").glob("*.md"):
        lines = note.read_text(encoding="utf-8").splitlines()
        assert len(lines) <= 60, note.name
        assert any(line.startswith("**Decision") for line in lines), note.name


def test_no_link_of_the_documents_leads_nowhere() -> None:
    for document in (*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "benchmarks" / "README.md"):
        for target in re.findall(r"\]\(([^)#]+)\)", document.read_text(encoding="utf-8")):
            if "://" not in target:
                assert (document.parent / target).exists(), f"{document.name}: {target}"


def test_the_table_of_faults_is_that_of_the_last_run() -> None:
    record = json.loads((ROOT / "benchmarks" / "results" / "faults.json").read_text(encoding="utf-8"))
    assert table(record) in (ROOT / "docs" / "reliability.md").read_text(encoding="utf-8")
    assert [one["family"] for one in record["families"] if one["failed"]] == []
    assert [one["family"] for one in record["families"]] == [family.name for family in FAMILIES]
