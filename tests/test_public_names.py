import doctest
import importlib
import importlib.util
import pkgutil
import re
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import shortlist
from shortlist import errors

NAMES = [
    "BM25",
    "Collection",
    "CollectionBusyError",
    "CollectionDamagedError",
    "CollectionError",
    "CollectionExistsError",
    "CollectionFormatError",
    "CollectionNotFoundError",
    "CollectionStorageError",
    "Cross",
    "DataError",
    "Dense",
    "Document",
    "Duplicates",
    "Encoder",
    "FilterError",
    "Fuse",
    "Hit",
    "Info",
    "MaxSim",
    "MeasureError",
    "MissingExtraError",
    "ModelError",
    "ModelMismatchError",
    "Pair",
    "PairScores",
    "Passage",
    "PipelineError",
    "Poly",
    "Qrels",
    "Query",
    "Ranking",
    "Repair",
    "Report",
    "Rerank",
    "Result",
    "Run",
    "ShortlistError",
    "TFIDF",
    "parse",
    "read_pairs",
    "score_pairs",
]


def test_the_public_names_are_exactly_these() -> None:
    assert sorted(shortlist.__all__) == NAMES


@pytest.mark.parametrize("name", NAMES)
def test_every_public_name_resolves_to_a_thing_of_that_name(name: str) -> None:
    assert getattr(shortlist, name).__name__ == name


def test_a_name_that_does_not_exist_is_an_attribute_error() -> None:
    with pytest.raises(AttributeError, match="'shortlist' has no attribute 'Colection'"):
        _ = shortlist.Colection


def test_importing_shortlist_loads_no_heavy_library() -> None:
    script = (
        "import sys, shortlist; print({'numpy', 'onnxruntime', 'tokenizers', 'sqlite3'} & set(sys.modules))"
    )
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"


def drawn_tree() -> dict[str, tuple[str | None, str | None]]:
    """Read the tree in the docstring of errors.py: each error's parent, and the builtin it also is."""
    assert errors.__doc__
    tree: dict[str, tuple[str | None, str | None]] = {}
    path: list[str] = []
    for line in errors.__doc__.splitlines():
        found = re.match(r"    ([│├└─ ]*)(\w+Error)\b(?: +\((\w+)\))?", line)
        if found:
            path = [*path[: len(found[1]) // 4], found[2]]
            tree[found[2]] = (path[-2] if len(path) > 1 else None, found[3])
    return tree


def test_the_errors_are_exactly_those_in_the_tree_that_is_drawn() -> None:
    assert set(drawn_tree()) == set(errors.__all__)
    assert {name for name in NAMES if name.endswith("Error")} == set(errors.__all__)


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_stands_where_it_is_drawn_and_is_the_builtin_beside_it(name: str) -> None:
    parent, builtin = drawn_tree()[name]
    bases = getattr(errors, name).__bases__
    expected = [getattr(errors, parent)] if parent else [Exception]
    if builtin:
        expected.append(getattr(importlib.import_module("builtins"), builtin))
    assert list(bases) == expected


@pytest.mark.parametrize("name", errors.__all__)
def test_every_error_prints_its_message_and_keeps_its_hint(name: str) -> None:
    error = getattr(errors, name)("a.jsonl:1: no `text`", hint="add one")
    assert str(error) == error.message == "a.jsonl:1: no `text`"
    assert error.hint == "add one"


def modules_with_examples() -> list[str]:
    folder = Path(shortlist.__file__).parent
    names = ["shortlist", *(module.name for module in pkgutil.walk_packages([str(folder)], "shortlist."))]
    specs = {name: importlib.util.find_spec(name) for name in names}
    return [
        name
        for name, spec in specs.items()
        if spec
        and spec.origin
        and spec.origin.endswith(".py")
        and ">>> " in Path(spec.origin).read_text(encoding="utf-8")
    ]


@pytest.mark.parametrize("name", modules_with_examples())
def test_the_examples_in_docstrings_run(name: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    result = doctest.testmod(importlib.import_module(name), report=False)
    assert result.attempted > 0
    assert result.failed == 0


def test_the_names_of_evaluation_are_those_of_its_list() -> None:
    evaluation = importlib.import_module("shortlist.evaluation")
    assert sorted(evaluation.__all__) == list(evaluation.__all__)
    assert {"advise", "compare", "judged_files", "opened", "tune"} <= set(evaluation.__all__)
    assert all(hasattr(evaluation, name) for name in evaluation.__all__)
