"""The commands evaluate, compare, tune and advise, on a part of examples/support."""

from __future__ import annotations

import csv
import json
import os
import re
import shlex
import shutil
from html import escape
from pathlib import Path

import pytest

from shortlist.api import Collection
from shortlist.cli import evaluation
from shortlist.collection import Store, StoreSettings
from shortlist.evaluation import costs
from shortlist.evaluation.report import from_json
from shortlist.evaluation.results import Difference
from shortlist.evaluation.tuning import Fold, Tuning
from shortlist.formats import read_qrels, read_queries, read_run, write_run
from shortlist.measures.ranking import by_query, mean, parse_measure, trec_order
from shortlist.measures.statistics import Interval
from shortlist.models import Encoder
from shortlist.search import parse
from shortlist.types import Query

from .running import Shortlist, spawn, write_lines

SUPPORT = Path(__file__).parent.parent.parent / "examples" / "support"
COUNT = 12
"""How many of its queries are asked."""


@pytest.fixture(autouse=True)
def few_encoded(monkeypatch: pytest.MonkeyPatch) -> None:
    """Time the encoder on four documents; how long it takes is nothing that is asked here."""
    monkeypatch.setattr(costs, "ENCODED", 4)


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A small BEIR folder: some queries, what is relevant for them, and some more; not to be changed."""
    path = tmp_path_factory.mktemp("support") / "help"
    (path / "qrels").mkdir(parents=True)
    queries = (SUPPORT / "queries.jsonl").read_text(encoding="utf-8").splitlines()[:COUNT]
    ids = {json.loads(line)["_id"] for line in queries}
    header, *rows = (SUPPORT / "qrels" / "test.tsv").read_text(encoding="utf-8").splitlines()
    kept = [row for row in rows if row.split("\t")[0] in ids]
    relevant = {row.split("\t")[1] for row in kept}
    corpus = (SUPPORT / "corpus.jsonl").read_text(encoding="utf-8").splitlines()
    chosen = [line for place, line in enumerate(corpus) if json.loads(line)["_id"] in relevant or place < 15]
    for name, lines in {
        "queries.jsonl": queries,
        "corpus.jsonl": chosen,
        "qrels/test.tsv": [header, *kept],
    }.items():
        (path / name).write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def help_collection(folder: Path, encoder: Encoder, store_settings: StoreSettings) -> Path:
    """The folder's documents in a collection; not to be changed."""
    path = folder.parent / "help.shortlist"
    with Collection(Store.create(path, store_settings), encoder, None) as collection:
        collection.add(folder)
    return path


@pytest.fixture
def judged(folder: Path) -> tuple[str, ...]:
    """The options that name its queries and judgements."""
    return ("--queries", str(folder / "queries.jsonl"), "--qrels", str(folder / "qrels" / "test.tsv"))


@pytest.fixture(scope="session")
def runs(folder: Path, help_collection: Path) -> dict[str, Path]:
    """Runs of two pipelines."""
    queries = [query for query in read_queries(folder / "queries.jsonl") if isinstance(query, Query)]
    found = {}
    with Collection.open(help_collection) as collection:
        for name in ("bm25", "dense"):
            found[name] = folder.parent / f"{name}.trec"
            write_run(collection.run(queries, 20, pipeline=name), found[name])
    return found


def read_csv(path: Path) -> list[dict[str, str]]:
    with path.open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file))


class TestEvaluate:
    def test_prints_every_measure_with_its_interval(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path]
    ) -> None:
        qrels = folder / "qrels" / "test.tsv"
        outcome = shortlist("evaluate", runs["bm25"], qrels)
        head, *rows = outcome.out.splitlines()
        assert head.split() == ["measure", "mean", "95", "%", "interval"]
        assert [row.split()[0] for row in rows] == ["nDCG@10", "MRR@10", "Recall@100", "AP"]
        run = trec_order(read_run(runs["bm25"]))
        for row in rows:
            name, value, low, _, high = row.split()
            expected = mean(by_query(parse_measure(name), run, read_qrels(qrels)))
            assert value == f"{expected:.4f}"
            assert float(low) <= float(value) <= float(high)
        assert outcome.err == f"over {COUNT} judged queries\n"

    def test_measures_may_be_named(self, shortlist: Shortlist, folder: Path, runs: dict[str, Path]) -> None:
        words = (
            "evaluate",
            runs["bm25"],
            folder / "qrels" / "test.tsv",
            "--measures",
            "p@5",
            "P(rel=2)@5",
            "P@5",
        )
        outcome = shortlist(*words)
        assert [row.split()[0] for row in outcome.out.splitlines()[1:]] == ["P@5", "P(rel=2)@5"]

    def test_json_has_every_number(self, shortlist: Shortlist, folder: Path, runs: dict[str, Path]) -> None:
        qrels = folder / "qrels" / "test.tsv"
        words = ("evaluate", runs["dense"], qrels, "--against", runs["bm25"], "--measures", "AP", "--json")
        outcome = shortlist(*words)
        found = outcome.json
        assert outcome.err == ""
        assert found["queries"] == COUNT
        none = {str(runs["dense"]): 0, str(runs["bm25"]): 0}
        assert (found["without_results"], found["not_judged"]) == (none, none)
        values = {
            name: by_query(parse_measure("AP"), trec_order(read_run(runs[name])), read_qrels(qrels))
            for name in runs
        }
        assert found["measures"]["AP"]["mean"] == pytest.approx(mean(values["dense"]))
        against = found["against"]["AP"][str(runs["bm25"])]
        assert against["difference"]["mean"] == pytest.approx(mean(values["dense"]) - mean(values["bm25"]))
        wins = sum(values["dense"][query] > values["bm25"][query] for query in values["dense"])
        assert against["wins"] == wins
        assert against["wins"] + against["ties"] + against["losses"] == COUNT

    def test_several_runs_to_test_against_are_corrected_for_their_number(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        empty = tmp_path / "other.trec"
        shutil.copy(runs["bm25"], empty)
        words = ("evaluate", runs["dense"], folder / "qrels" / "test.tsv", "--measures", "AP", "--json")
        one = shortlist(*words, "--against", empty).json["against"]["AP"][str(empty)]
        both = shortlist(*words, "--against", empty, "--against", runs["bm25"]).json["against"]["AP"]
        assert one["p"] == one["p_holm"] == both[str(empty)]["p"]
        assert both[str(empty)]["p_holm"] == both[str(runs["bm25"])]["p_holm"] == min(1, 2 * one["p"])

    def test_the_text_says_against_what(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path]
    ) -> None:
        words = ("evaluate", runs["dense"], folder / "qrels" / "test.tsv", "--against", runs["bm25"])
        rows = shortlist(*words).out.splitlines()
        assert len(rows) == 9
        assert re.search(
            r"^ +[+-]0\.\d{4}   .* p .*better on \d+, worse on \d+, equal on \d+, against", rows[2]
        )
        assert rows[2].endswith(f"against {runs['bm25']}")

    def test_queries_without_results_count_0_and_unjudged_ones_are_left_out(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        (tmp_path / "run").write_text("q1 Q0 d1 1 1.0 x\nq9 Q0 d1 1 1.0 x\n", encoding="utf-8")
        (tmp_path / "qrels").write_text("q1 0 d1 1\nq2 0 d1 1\n", encoding="utf-8")
        outcome = shortlist("evaluate", tmp_path / "run", tmp_path / "qrels", "--measures", "AP")
        assert outcome.out.splitlines()[1].split()[:2] == ["AP", "0.5000"]
        assert outcome.err.splitlines() == [
            "over 2 judged queries",
            "without results, counted as 0 as trec_eval -c does: 1",
            "queries of the run that are not judged, left out: 1",
        ]

    def test_what_each_run_lacks_is_counted_by_itself(self, shortlist: Shortlist, tmp_path: Path) -> None:
        one, other, qrels = tmp_path / "one", tmp_path / "other", tmp_path / "qrels"
        one.write_text("q1 Q0 d1 1 1.0 x\nq2 Q0 d1 1 1.0 x\n", encoding="utf-8")
        other.write_text("q2 Q0 d1 1 1.0 x\nq9 Q0 d1 1 1.0 x\n", encoding="utf-8")
        qrels.write_text("q1 0 d1 1\nq2 0 d1 1\nq3 0 d1 1\n", encoding="utf-8")
        words = ("evaluate", one, qrels, "--against", other, "--measures", "AP")
        assert shortlist(*words).err.splitlines() == [
            "over 3 judged queries",
            f"{one}: without results, counted as 0 as trec_eval -c does: 1",
            f"{other}: without results, counted as 0 as trec_eval -c does: 2",
            f"{other}: queries of the run that are not judged, left out: 1",
        ]
        found = shortlist(*words, "--json").json
        assert found["without_results"] == {str(one): 1, str(other): 2}
        assert found["not_judged"] == {str(one): 0, str(other): 1}

    @pytest.mark.parametrize("place", ["run", "against"])
    def test_a_run_of_other_queries_is_refused(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path], tmp_path: Path, place: str
    ) -> None:
        other, qrels = tmp_path / "other", folder / "qrels" / "test.tsv"
        other.write_text("elsewhere Q0 d1 1 1.0 x\n", encoding="utf-8")
        words = (other, qrels) if place == "run" else (runs["bm25"], qrels, "--against", other)
        shortlist("evaluate", *words).failed_with(
            f"{other}: has results for none of the {COUNT} judged queries", hint="first is 'elsewhere'"
        )

    def test_a_run_that_stands_twice_is_refused(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        (tmp_path / "link").symlink_to(runs["dense"])
        words = ("evaluate", runs["bm25"], folder / "qrels" / "test.tsv", "--against", runs["dense"])
        for again in (runs["dense"], runs["bm25"], tmp_path / "link"):
            shortlist(*words, "--against", again).failed_with(f"the run {again} stands twice", code=2)

    def test_no_input_is_overwritten(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        inputs = [tmp_path / name for name in ("run", "against", "qrels")]
        for source, path in zip(
            (runs["bm25"], runs["dense"], folder / "qrels" / "test.tsv"), inputs, strict=True
        ):
            shutil.copy(source, path)
        before = [path.read_bytes() for path in inputs]
        run, against, qrels = inputs
        for path in inputs:
            words = ("evaluate", run, qrels, "--against", against, "--per-query", path)
            shortlist(*words).failed_with(f"{path}: can't be written, it is read from", code=2)
        assert [path.read_bytes() for path in inputs] == before

    def test_the_values_of_every_query_read_back(
        self, shortlist: Shortlist, folder: Path, runs: dict[str, Path], tmp_path: Path
    ) -> None:
        qrels, target = folder / "qrels" / "test.tsv", tmp_path / "values.csv"
        words = ("evaluate", runs["bm25"], qrels, "--measures", "AP", "P@5", "--per-query", target)
        assert shortlist(*words).code == 0
        rows = read_csv(target)
        expected = by_query(parse_measure("AP"), trec_order(read_run(runs["bm25"])), read_qrels(qrels))
        assert {row["query_id"]: float(row["AP"]) for row in rows} == expected
        assert b"\r" not in target.read_bytes()
        assert shortlist(*words, "--against", runs["dense"]).code == 0
        head = target.read_text(encoding="utf-8").splitlines()[0].split(",")
        assert head == [
            "query_id",
            *(f"{m} {runs[name]}" for m in ("AP", "P@5") for name in ("bm25", "dense")),
        ]

    @pytest.mark.parametrize(
        ("words", "problem", "code"),
        [
            (("{run}", "{qrels}", "--measures", "nGCD@10"), "there is no measure 'nGCD'", 2),
            (("{run}", "{qrels}", "--measures", "P"), "P needs a rank to stop at", 2),
            (("{run}", "nowhere.tsv"), "nowhere.tsv: path doesn't exist", 1),
            (("nowhere.trec", "{qrels}"), "nowhere.trec: path doesn't exist", 1),
            (("{qrels}", "{qrels}"), "test.tsv:", 1),
            (("{run}", "{run}"), "bm25.trec:1", 1),
            (("{run}", "{qrels}", "--against", "nowhere"), "nowhere: path doesn't exist", 1),
            (("{run}", "{qrels}", "--per-query", "nowhere/x.csv"), "nowhere is no folder", 2),
        ],
    )
    def test_what_is_wrong_is_named(
        self,
        shortlist: Shortlist,
        folder: Path,
        runs: dict[str, Path],
        words: tuple[str, ...],
        problem: str,
        code: int,
    ) -> None:
        given = [word.format(run=runs["bm25"], qrels=folder / "qrels" / "test.tsv") for word in words]
        shortlist("evaluate", *given).failed_with(problem, code=code)


class TestCompare:
    def test_writes_what_every_ending_says(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...], tmp_path: Path
    ) -> None:
        names = [f"report.{ending}" for ending in ("html", "json", "csv", "tex")]
        outputs = [word for name in names for word in ("-o", tmp_path / name)]
        values = tmp_path / "values.csv"
        outcome = shortlist(
            "compare", help_collection, *judged, *outputs, "--per-query", values, "--timed-queries", 2
        )
        assert outcome.code == 0
        assert outcome.err == f"wrote {', '.join(str(tmp_path / name) for name in [*names, 'values.csv'])}\n"
        found = from_json((tmp_path / "report.json").read_text(encoding="utf-8"))
        assert [system.name for system in found.systems] == [
            "bm25", "tfidf", "dense", "poly", "late", "hybrid", "hybrid+poly", "hybrid+late", "hybrid+cross", "cascade",
        ]  # fmt: skip
        assert found.source == "help.shortlist (test)"
        assert found.baseline == "bm25"
        assert all(
            re.search(rf"^{re.escape(system.name)} ", outcome.out, re.MULTILINE) for system in found.systems
        )
        assert outcome.out.endswith("\n")
        assert not outcome.out.endswith("\n\n")
        assert (tmp_path / "report.html").read_text(encoding="utf-8").startswith("<!doctype html>")
        assert "tabular" in (tmp_path / "report.tex").read_text(encoding="utf-8")
        rows = read_csv(tmp_path / "report.csv")
        assert len(rows) == 10 * 3
        by_query_ = read_csv(values)
        assert [row["query_id"] for row in by_query_] == list(found.query_ids)
        for system in found.systems:
            column = [float(row[f"nDCG@10 {system.name}"]) for row in by_query_]
            assert column == list(system.values["nDCG@10"])

    def test_json_goes_to_stdout_alone(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = ("compare", help_collection, *judged, "--limit", 4, "--timed-queries", 1, "--json")
        outcome = shortlist(
            *words, "--pipelines", "bm25", "rerank(bm25, dense, depth=5)", "--measures", "AP", "P@5"
        )
        assert outcome.err == ""
        assert [system["name"] for system in outcome.json["systems"]] == [
            "bm25",
            "rerank(bm25, dense, depth=5)",
        ]
        assert outcome.json["measures"] == ["AP", "P@5"]
        assert len(outcome.json["query_ids"]) == 4
        other = shortlist(*words, "--pipelines", "bm25", "--seed", 1)
        assert other.json["query_ids"] != outcome.json["query_ids"]

    def test_a_folder_is_indexed_and_kept_if_asked(
        self, shortlist: Shortlist, folder: Path, tmp_path: Path
    ) -> None:
        kept = tmp_path / "kept.shortlist"
        words = (
            "compare",
            folder,
            "--keep",
            kept,
            "--pipelines",
            "tfidf",
            "bm25",
            "--timed-queries",
            1,
            "--json",
        )
        first = shortlist(*words).json
        assert (first["source"], first["baseline"]) == ("help (test)", "bm25")
        again = shortlist(*words).json
        assert again["systems"][0]["values"] == first["systems"][0]["values"]
        assert shortlist("info", kept, "--json").json["generation"] == 2
        shortlist(*words, "--mode", "exact").failed_with(
            "was indexed in mode fast, not exact", hint="--mode fast"
        )

    def test_another_collection_at_the_place_to_keep_is_left_alone(
        self, shortlist: Shortlist, folder: Path, collection: Path
    ) -> None:
        words = ("compare", folder, "--keep", collection, "--pipelines", "bm25")
        shortlist(*words).failed_with("holds documents that", hint="elsewhere")
        assert shortlist("info", collection, "--json").json["documents"] == 3

    def test_a_collection_without_token_vectors_is_compared_without_late_interaction(
        self, shortlist: Shortlist, folder: Path, judged: tuple[str, ...], tmp_path: Path
    ) -> None:
        assert shortlist("index", tmp_path / "c", folder, "--no-tokens").code == 0
        found = shortlist("compare", tmp_path / "c", *judged, "--timed-queries", 1, "--json").json
        assert [system["name"] for system in found["systems"]] == [
            "bm25", "tfidf", "dense", "poly", "hybrid", "hybrid+poly",
        ]  # fmt: skip
        words = ("compare", tmp_path / "c", *judged, "--pipelines", "late", "--timed-queries", 1)
        shortlist(*words).failed_with("has no token vectors", code=2)

    def test_findings_are_shown_with_their_count(
        self, shortlist: Shortlist, help_collection: Path, tmp_path: Path
    ) -> None:
        queries = write_lines(tmp_path / "q.jsonl", [{"_id": "q", "text": "card"}, {"_id": "r"}])
        (tmp_path / "mine.tsv").write_text("q\tgone\t1\n", encoding="utf-8")
        words = (
            "--queries",
            queries,
            "--qrels",
            tmp_path / "mine.tsv",
            "--pipelines",
            "bm25",
            "--timed-queries",
            1,
        )
        outcome = shortlist("compare", help_collection, *words)
        said = " ".join(outcome.out.split())
        assert "bad-queries (1): lines that" in said
        assert "absent-documents (1): documents judged relevant that are not in the corpus" in said
        assert "unjudged (1): pipelines of whose first ten hits less than 5% is judged" in said
        assert "(bm25 0%)" in said

    @pytest.mark.parametrize(
        ("words", "name"),
        [
            (("-o", "{tmp}/x.csv", "--per-query", "{tmp}/x.csv"), "x.csv: can't be written twice"),
            (("-o", "{tmp}/x.csv", "-o", "{tmp}/help/../x.csv"), "x.csv: can't be written twice"),
            (("--per-query", "{tmp}/help/corpus.jsonl"), "corpus.jsonl: can't be written, it is read"),
            (("--per-query", "{tmp}/help/qrels/test.tsv"), "test.tsv: can't be written, it is read"),
            (("--per-query", "{tmp}/link.csv"), "link.csv: can't be written, it is read"),
            (("--queries", "{tmp}/q.json", "-o", "{tmp}/q.json"), "q.json: can't be written, it is read"),
            (("--qrels", "{tmp}/q.json", "-o", "{tmp}/q.json"), "q.json: can't be written, it is read"),
            (("--model", "{tmp}/model", "-o", "{tmp}/model/config.json"), "config.json: can't be written"),
        ],
    )
    def test_no_input_is_overwritten_and_no_output_stands_twice(
        self, shortlist: Shortlist, folder: Path, tmp_path: Path, words: tuple[str, ...], name: str
    ) -> None:
        shutil.copytree(folder, tmp_path / "help")
        (tmp_path / "model").mkdir()
        (tmp_path / "link.csv").symlink_to(tmp_path / "help" / "queries.jsonl")
        before = {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()}
        outcome = shortlist("compare", tmp_path / "help", *(word.format(tmp=tmp_path) for word in words))
        outcome.failed_with(name, code=2)
        assert {path: path.read_bytes() for path in tmp_path.rglob("*") if path.is_file()} == before

    def test_a_collection_is_no_place_for_reports_but_a_folder_of_documents_is(
        self, shortlist: Shortlist, folder: Path, collection: Path, judged: tuple[str, ...], tmp_path: Path
    ) -> None:
        words = ("--pipelines", "bm25", "--timed-queries", 1, "-o")
        outcome = shortlist("compare", collection, *judged, *words, collection / "report.html")
        outcome.failed_with("can't be written, it is read from", code=2)
        shutil.copytree(folder, tmp_path / "help")
        for _ in range(2):
            assert shortlist("compare", tmp_path / "help", *words, tmp_path / "help" / "r.html").code == 0

    def test_the_page_shows_the_command_as_it_was_typed(
        self,
        shortlist: Shortlist,
        help_collection: Path,
        judged: tuple[str, ...],
        tmp_path: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.chdir(tmp_path)
        words = ("compare", os.path.relpath(help_collection), *judged, "--timed-queries", "1")
        words = (*words, "--pipelines", "bm25", "fuse(bm25, dense)", "-o", "report.html")
        assert shortlist(*words).code == 0
        page = (tmp_path / "report.html").read_text(encoding="utf-8")
        assert f"<dt>Command</dt><dd><code>{escape(shlex.join(['shortlist', *words]))}</code></dd>" in page
        assert "&#x27;fuse(bm25, dense)&#x27; -o report.html" in page

    @pytest.mark.parametrize(
        ("words", "problem", "hint", "code"),
        [
            (("-o", "report.pdf"), "report.pdf: the ending must be one of .html, .json, .csv, .tex", None, 2),
            (("-o", "nowhere/report.html"), "nowhere/report.html: can't be written", None, 2),
            (("--per-query", "{folder}"), "it is a folder", None, 2),
            (("--measures", "nDGC@10"), "there is no measure 'nDGC'", "did you mean nDCG?", 2),
            (("--measures", "Success"), "Success needs a rank", None, 2),
            (("--pipelines", "hybird"), "there is no stage 'hybird'", "did you mean 'hybrid'?", 2),
            (("--pipelines", "late", "maxsim"), "the pipeline late stands twice", None, 2),
            (("--pipelines", "tfidf", "--baseline", "bm25"), "the baseline bm25 is not among", None, 2),
            (("--baseline", "bm52"), "there is no stage 'bm52'", None, 2),
            (("--split", "dev"), "no judgements for 'dev'", "there are: test", 1),
            (("--split", "test", "--qrels", "x.tsv"), "judgements are named twice", "--qrels or --split", 1),
            (("--qrels", "nowhere.tsv"), "nowhere.tsv: path doesn't exist", None, 1),
            (("--queries", "nowhere.jsonl"), "nowhere.jsonl: path doesn't exist", None, 1),
        ],
    )
    def test_what_is_wrong_is_named_before_anything_is_indexed(
        self,
        shortlist: Shortlist,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...],
        problem: str,
        hint: str | None,
        code: int,
    ) -> None:
        monkeypatch.setattr(Collection, "build", None)
        outcome = shortlist("compare", folder, *(word.format(folder=folder) for word in words))
        outcome.failed_with(problem, hint=hint, code=code)


@pytest.mark.parametrize("command", ["compare", "tune"])
class TestSources:
    def test_a_collection_without_judged_queries_says_how_to_name_them(
        self, shortlist: Shortlist, help_collection: Path, folder: Path, command: str
    ) -> None:
        shortlist(command, help_collection).failed_with(
            "no judged queries in it", hint="--queries FILE --qrels FILE"
        )
        words = (command, help_collection, "--queries", folder / "queries.jsonl")
        shortlist(*words).failed_with("no judgements in it", hint="--qrels FILE")
        words = (command, help_collection, "--qrels", folder / "qrels" / "test.tsv")
        shortlist(*words).failed_with("no queries in it", hint="--queries FILE")

    def test_a_source_that_is_not_there_is_named(
        self, shortlist: Shortlist, tmp_path: Path, command: str
    ) -> None:
        shortlist(command, tmp_path / "nowhere").failed_with("nowhere: path doesn't exist", hint="spelling")

    def test_a_collection_is_not_indexed_again(
        self,
        shortlist: Shortlist,
        help_collection: Path,
        judged: tuple[str, ...],
        tmp_path: Path,
        command: str,
    ) -> None:
        words = (command, help_collection, *judged)
        shortlist(*words, "--keep", tmp_path / "k").failed_with(
            "is a collection already", hint="leave out --keep"
        )
        shortlist(*words, "--mode", "fast").failed_with(
            "mode can't be changed", hint="leave out --mode", code=2
        )

    def test_a_corpus_without_queries_is_refused(
        self, shortlist: Shortlist, folder: Path, command: str
    ) -> None:
        outcome = shortlist(command, folder / "corpus.jsonl")
        outcome.failed_with("no judged queries in it", hint="--queries FILE --qrels FILE")


class TestTune:
    def test_prints_the_pipeline_and_says_what_it_gains(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        outcome = shortlist("tune", help_collection, *judged, "--pipeline", "fuse(bm25, dense)")
        assert outcome.code == 0
        assert str(parse(outcome.out.strip())) == outcome.out.strip()
        lines = outcome.err.splitlines()
        assert re.fullmatch(r"\d+ variants of fuse\(bm25, dense\) tried, by nDCG@10", lines[0])
        assert re.match(r"gain on queries that did not choose: [+-]\d\.\d{4} \(", lines[1])
        assert re.fullmatch(r"gain on those that did: [+-]\d\.\d{4}, which promises nothing", lines[2])
        assert re.fullmatch(r"the 5 folds chose (the same pipeline|[2-5] different pipelines)", lines[3])

    @pytest.mark.parametrize("is_worth_it", [True, False])
    def test_the_tuned_pipeline_is_recommended_only_if_it_is_worth_it(
        self,
        shortlist: Shortlist,
        help_collection: Path,
        judged: tuple[str, ...],
        monkeypatch: pytest.MonkeyPatch,
        is_worth_it: bool,
    ) -> None:
        original, tuned = parse("fuse(bm25, dense)"), parse("fuse(bm25, dense, weights=[1, 4])")
        p = 0.001 if is_worth_it else 0.3
        gain = Difference(Interval(0.02, 0.01, 0.03), p, p, wins=6, ties=4, losses=2)
        found = Tuning(original, tuned, "nDCG@10", gain, 0.03, (Fold(tuned, COUNT),), 20)
        monkeypatch.setattr(evaluation, "tune", lambda *_, **__: found)
        words = ("tune", help_collection, *judged, "--pipeline", "fuse(bm25, dense)")
        outcome = shortlist(*words)
        expected = str(tuned if is_worth_it else original)
        assert outcome.out == f"{expected}\n"
        assert f"tuned: {tuned}" in outcome.err.splitlines()
        assert ("that may be chance" in outcome.err) != is_worth_it
        record = shortlist(*words, "--json").json
        assert (record["recommended"], record["tuned"]) == (expected, str(tuned))

    def test_json_has_folds_and_gains(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = (
            "tune",
            help_collection,
            *judged,
            "--pipeline",
            "fuse(bm25, dense)",
            "--measure",
            "mrr@10",
            "--json",
        )
        outcome = shortlist(*words)
        found = outcome.json
        assert outcome.err == ""
        assert (found["original"], found["measure"]) == ("fuse(bm25, dense)", "MRR@10")
        assert len(found["folds"]) == 5
        assert sum(fold["queries"] for fold in found["folds"]) == COUNT
        assert shortlist(*words).json == found

    @pytest.mark.parametrize(
        ("words", "problem", "hint", "code"),
        [
            (("--pipeline", "bm25"), "bm25 has neither weights nor a depth to tune", "name a fusion", 2),
            (("--limit", "9"), "9 different judged queries are too few to tune on", "at least 10", 1),
            (("--pipeline", "hybird"), "there is no stage 'hybird'", None, 2),
            (("--measure", "nDGC"), "there is no measure 'nDGC'", "did you mean", 2),
        ],
    )
    def test_what_is_wrong_is_named_before_anything_is_indexed(
        self,
        shortlist: Shortlist,
        folder: Path,
        monkeypatch: pytest.MonkeyPatch,
        words: tuple[str, ...],
        problem: str,
        hint: str | None,
        code: int,
    ) -> None:
        monkeypatch.setattr(Collection, "build", None)
        shortlist("tune", folder, *words).failed_with(problem, hint=hint, code=code)


class TestAdvise:
    WORDS = ("--pipelines", "bm25", "dense", "hybrid")

    def test_prints_the_pipeline_first_and_then_the_evidence(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        outcome = shortlist("advise", help_collection, *judged, *self.WORDS)
        advised, blank, *lines = outcome.out.splitlines()
        assert advised in self.WORDS
        assert blank == ""
        assert lines[0] == f"basis       measured: nDCG@10 on {COUNT} judged queries"
        assert re.fullmatch(r"documents   \d+, all of them measured", lines[1])
        table = [line for line in lines if re.match(r" +0\.\d{4} ", line)]
        assert table[0].split()[-1] == advised
        assert len(table) == 3
        latency, size = lines[lines.index("what would change it") + 1 :]
        assert re.match(r"latency     from [\d.]+ ms on \w+", latency)
        assert re.match(r"size        from [\d,]+ bytes a document on \w+", size)

    def test_limits_are_kept(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = ("advise", help_collection, *judged, *self.WORDS, "--json")
        free = shortlist(*words).json
        sizes = {
            one["pipeline"]: sum(one["costs"]["bytes_per_document"].values())
            for one in (free["advised"], *free["runners_up"])
        }
        limit = sizes["hybrid"] - 1
        small = shortlist(*words, "--bytes-per-document", limit).json
        assert small["advised"]["pipeline"] in {"bm25", "dense"}
        (excluded,) = small["excluded"]
        assert excluded["pipeline"] == "hybrid"
        assert excluded["why"].endswith(f"bytes a document (limit {limit:,.0f})")
        nothing = shortlist(*words[:-1], "--latency-ms", 1e-9)
        assert nothing.code == 0
        assert nothing.out.startswith("no pipeline keeps these limits\n")
        none = shortlist(*words[:-1], "--bytes-per-document", 1)
        assert "\nlatency     nothing, as long as the other limit stands\n" in none.out

    def test_a_folder_is_measured_and_what_can_not_be_read_is_counted(
        self, shortlist: Shortlist, folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(folder, tmp_path / "help")
        with (tmp_path / "help" / "corpus.jsonl").open("a", encoding="utf-8") as file:
            file.write("no json\n")
        outcome = shortlist("advise", tmp_path / "help", "--pipelines", "bm25", "tfidf", "--documents", 5000)
        assert outcome.code == 0
        assert "measured on a sample of" in outcome.out
        assert re.search(
            r"latency extrapolated to \d+ times as many; that far it is a guess; .* is higher than it will be",
            outcome.out,
        )
        assert "bad-documents (1): records that can't be read as documents: left out" in outcome.err

    def test_a_collection_larger_than_the_sample_is_timed_as_it_is(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = ("advise", help_collection, *judged, "--pipelines", "bm25", "tfidf", "--sample", 30)
        outcome = shortlist(*words)
        assert re.search(r"quality measured on a sample of 30, latency on all; with fewer", outcome.out)
        found = shortlist(*words, "--json").json
        assert (found["sampled"], found["latency_is_a_guess"]) == (30, False)
        assert found["timed"] == found["total"] == found["documents"] > 30

    def test_a_rule_of_thumb_is_called_that(
        self, shortlist: Shortlist, help_collection: Path, folder: Path
    ) -> None:
        words = ("advise", help_collection, *self.WORDS)
        outcome = shortlist(*words)
        assert outcome.out.splitlines()[0] == "hybrid"
        assert "basis       a rule of thumb: nobody has judged queries here" in outcome.out
        assert "nDCG" not in outcome.out
        timed = shortlist(*words, "--queries", folder / "queries.jsonl", "--json").json
        assert (timed["basis"], timed["queries"]) == ("rule of thumb", COUNT)

    def test_queries_of_a_folder_without_judgements_are_timed(
        self, shortlist: Shortlist, folder: Path, tmp_path: Path
    ) -> None:
        shutil.copytree(folder, tmp_path / "help")
        shutil.rmtree(tmp_path / "help" / "qrels")
        words = ("advise", tmp_path / "help", "--pipelines", "bm25", "tfidf")
        found = shortlist(*words, "--json").json
        assert (found["basis"], found["queries"]) == ("rule of thumb", COUNT)
        (tmp_path / "help" / "qrels").mkdir()
        assert shortlist(*words, "--json").json["basis"] == "rule of thumb"
        (tmp_path / "help" / "queries.jsonl").write_text("", encoding="utf-8")
        shortlist(*words).failed_with("queries.jsonl: no query in it")

    def test_a_printed_limit_holds_when_it_is_asked_for(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = ("advise", help_collection, *judged, *self.WORDS)
        printed = re.findall(r"from ([\d.,]+) bytes a document on (\S+?);?\s", shortlist(*words).out)
        assert printed
        for value, name in printed:
            limited = shortlist(*words, "--bytes-per-document", value.replace(",", ""), "--json").json
            within = [limited["advised"], *limited["runners_up"]]
            assert name in {candidate["pipeline"] for candidate in within}

    def test_that_the_queries_chose_the_pipeline_is_said(
        self, shortlist: Shortlist, help_collection: Path, judged: tuple[str, ...]
    ) -> None:
        words = ("advise", help_collection, *judged, "--pipelines", "bm25")
        assert "chosen on the same queries" not in shortlist(*words).out
        said = " ".join(shortlist(*words, "tfidf").out.split())
        assert "chosen on the same queries: the best of several looks a little better than it is" in said
        assert "p-values against it are for orientation" in said

    def test_other_queries_of_a_folder_go_with_its_judgements(
        self, shortlist: Shortlist, folder: Path, tmp_path: Path
    ) -> None:
        queries = tmp_path / "other.jsonl"
        shutil.copy(folder / "queries.jsonl", queries)
        found = shortlist("advise", folder, "--queries", queries, "--pipelines", "bm25", "--json").json
        assert (found["basis"], found["queries"]) == ("measured", COUNT)

    @pytest.mark.parametrize(
        ("words", "problem", "code"),
        [
            (("--pipelines", "hybird"), "there is no stage 'hybird'", 2),
            (("--measure", "nDGC"), "there is no measure 'nDGC'", 2),
            (("--split", "test"), "no queries in it", 1),
            (("--qrels", "x.tsv"), "no queries in it", 1),
            (("--queries", "{empty}"), "empty.jsonl: no query in it", 1),
            (("--mode", "exact"), "mode can't be changed", 2),
        ],
    )
    def test_what_is_wrong_is_named(
        self,
        shortlist: Shortlist,
        help_collection: Path,
        tmp_path: Path,
        words: tuple[str, ...],
        problem: str,
        code: int,
    ) -> None:
        empty = write_lines(tmp_path / "empty.jsonl", [])
        given = [word.format(empty=empty) for word in words]
        shortlist("advise", help_collection, *given).failed_with(problem, code=code)

    def test_a_source_that_is_not_there_is_named(self, shortlist: Shortlist, tmp_path: Path) -> None:
        shortlist("advise", tmp_path / "nowhere").failed_with("nowhere: path doesn't exist")
        (tmp_path / "empty.jsonl").touch()
        shortlist("advise", tmp_path / "empty.jsonl").failed_with("there is no document")


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        (("compare", "x", "--limit", "0"), "argument --limit: must be at least 1, not 0"),
        (("compare", "x", "--timed-queries", "0"), "argument --timed-queries: must be at least 1"),
        (("compare", "x", "--seed", "-1"), "argument --seed: must be a whole number"),
        (("evaluate", "x"), "the following arguments are required: QRELS"),
        (("advise", "x", "--latency-ms", "0"), "argument --latency-ms: must be above 0, not 0"),
        (("advise", "x", "--latency-ms", "nan"), "argument --latency-ms: must be above 0, not nan"),
        (("advise", "x", "--bytes-per-document", "few"), "must be a number, not 'few'"),
        (("advise", "x", "--documents", "0"), "argument --documents: must be at least 1"),
        (("tune", "x", "--mode", "slow"), "argument --mode: invalid choice: 'slow'"),
    ],
)
def test_options_that_make_no_sense_are_wrong_usage(
    shortlist: Shortlist, words: tuple[str, ...], problem: str
) -> None:
    outcome = shortlist(*words)
    assert (outcome.code, outcome.out) == (2, "")
    assert problem in outcome.err


def test_a_real_process_compares_the_example(tmp_path: Path) -> None:
    report = tmp_path / "report.html"
    words = (
        "compare",
        SUPPORT,
        "--pipelines",
        "bm25",
        "tfidf",
        "--limit",
        5,
        "--timed-queries",
        2,
        "-o",
        report,
    )
    outcome = spawn(*words, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.err == f"wrote {report}\n"
    found = from_json(outcome.out)
    assert (found.source, found.documents, len(found.query_ids)) == ("support (test)", 246, 5)
    assert "<svg" in report.read_text(encoding="utf-8")
