"""The examples show what they say they show."""

from __future__ import annotations

import ast
import gzip
import importlib
import importlib.util
import json
import re
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from shortlist import Collection
from shortlist.classification import LabelledText, read_labelled
from shortlist.formats import read_qrels, read_queries
from shortlist.types import Query

EXAMPLES = Path(__file__).parent.parent / "examples"
QUESTION = "my card isn't working abroad"
ANSWER = "international-transaction-declined"


SCRIPTS = [
    path
    for folder in ("benchmarks", "examples", "recipes", "tools")
    for path in sorted((EXAMPLES.parent / folder).glob("*.py"))
]


@pytest.mark.parametrize("script", SCRIPTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_a_script_imports_what_there_is(script: Path) -> None:
    for node in ast.walk(ast.parse(script.read_text(encoding="utf-8"))):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith("shortlist"):
            module = importlib.import_module(node.module or "")
            missing = [name.name for name in node.names if not hasattr(module, name.name)]
            assert not missing, f"{script.name}:{node.lineno}: {node.module} has no {missing}"


def test_the_demo_indexes_pages_and_asks_every_pipeline(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    spec = importlib.util.spec_from_file_location("demo", EXAMPLES / "demo.py")
    assert spec is not None
    assert spec.loader is not None
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    (tmp_path / "tldr").mkdir()
    with gzip.open(next((EXAMPLES / "tldr").glob("corpus*")), "rt", encoding="utf-8") as pages:
        some = [line for _, line in zip(range(30), pages, strict=False)]
    (tmp_path / "tldr" / "corpus.jsonl").write_text("".join(some), encoding="utf-8")
    monkeypatch.setattr(demo, "HERE", tmp_path)
    monkeypatch.setattr(demo, "PAGES", len(some))
    monkeypatch.setattr("sys.argv", ["demo.py", str(tmp_path / "demo.shortlist")])
    demo.main()
    first = capsys.readouterr().out
    assert f"{len(some)} pages in " in first
    demo.main()
    second = capsys.readouterr().out
    assert " pages in " not in second
    for out in (first, second):
        for question in demo.QUESTIONS:
            assert question in out
        for name in demo.PIPELINES:
            assert len(re.findall(rf"^   {re.escape(name)} +[\d.]+ ms", out, re.MULTILINE)) == len(
                demo.QUESTIONS
            )
        assert "search " in out.splitlines()[-1]


@pytest.fixture(scope="module")
def support(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection.create(tmp_path_factory.mktemp("support") / "c.shortlist") as collection:
        report = collection.add(EXAMPLES / "support", strict=True)
        assert report.added >= 200
        yield collection


@pytest.mark.parametrize(
    "pipeline",
    ["dense", "poly", "late", "hybrid", "hybrid+poly", "hybrid+late", "hybrid+cross", "cascade"],
)
def test_meaning_finds_the_article_that_shares_hardly_a_word(support: Collection, pipeline: str) -> None:
    assert support.search(QUESTION, pipeline=pipeline).ranking[0].doc_id == ANSWER


def test_words_alone_do_not_put_it_first(support: Collection) -> None:
    assert support.search(QUESTION, pipeline="bm25").ranking[0].doc_id != ANSWER


def test_every_question_of_the_help_centre_is_judged_and_every_judged_article_exists(
    support: Collection,
) -> None:
    queries = {
        q.query_id for q in read_queries(EXAMPLES / "support" / "queries.jsonl") if isinstance(q, Query)
    }
    relevance = read_qrels(EXAMPLES / "support" / "qrels" / "test.tsv").relevance
    assert set(relevance) == queries
    assert len(queries) == 30
    corpus = (EXAMPLES / "support" / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    ids = {json.loads(line)["_id"] for line in corpus}
    assert {doc_id for judged in relevance.values() for doc_id in judged} <= ids
    assert support.count() == len(ids)


def test_the_command_pages_are_all_there_and_named_with_their_licence() -> None:
    with gzip.open(EXAMPLES / "tldr" / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        assert len({json.loads(line)["_id"] for line in file}) == 6825
    assert "CC BY 4.0" in (EXAMPLES / "tldr" / "README.md").read_text(encoding="utf-8")


def test_the_intents_are_all_there_and_named_with_their_licence() -> None:
    texts = [
        one for one in read_labelled(EXAMPLES / "intents" / "intents.jsonl") if isinstance(one, LabelledText)
    ]
    assert Counter((one.label, one.split) for one in texts) == {
        (label, split): count
        for label in {one.label for one in texts}
        for split, count in (("train", 20), ("test", 10))
    }
    assert len(texts) == 300
    split = {name: {one.text for one in texts if one.split == name} for name in ("train", "test")}
    assert not split["train"] & split["test"]
    assert "CC BY 3.0" in (EXAMPLES / "intents" / "README.md").read_text(encoding="utf-8")
