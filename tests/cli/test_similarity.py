import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest

from shortlist.api import Collection
from shortlist.models import Encoder
from shortlist.similarity import read_pairs, score_pairs

from .running import Shortlist, write_lines

GRADED: list[dict[str, Any]] = [
    {"sentence1": "A plane is taking off.", "sentence2": "An air plane is taking off.", "score": 5.0, "split": "dev"},
    {"sentence1": "A man plays a flute.", "sentence2": "A man plays a guitar.", "score": 2, "split": "dev"},
    {"sentence1": "A cat sleeps.", "sentence2": "Order a new card.", "score": 0.2, "split": "train"},
    {"sentence1": "A cat sleeps.", "sentence2": "The cat is asleep.", "score": 4.4, "split": "dev"},
    {"sentence1": "A bird sings.", "sentence2": "We are open from nine.", "score": 0.0, "split": "dev"},
]  # fmt: skip
LABELLED = [{**pair, "score": None, "label": int(pair["score"] > 3)} for pair in GRADED]
DUPLICATES = [
    {"id": "a", "title": "Cards", "text": "A new card takes five working days to arrive."},
    {"id": "b", "title": "Cards", "text": "A new card takes five working days to arrive."},
    {"id": "c", "text": "We are open from nine to five.", "lang": "en"},
    {"id": "d", "title": "Cards", "text": "New cards take five working days to arrive."},
]


@pytest.fixture
def graded(tmp_path: Path) -> Path:
    return write_lines(tmp_path / "graded.jsonl", GRADED)


@pytest.fixture
def twice(shortlist: Shortlist, tmp_path: Path) -> Path:
    source = tmp_path / "twice.csv"
    source.write_text("\n".join(["id,title,text,lang", *(
        f'{n},{r.get("title", "")},{r["text"]},{r.get("lang", "")}' for n, r in zip("abcd", DUPLICATES, strict=True)
    )]))  # fmt: skip
    assert shortlist("index", tmp_path / "twice", source).code == 0
    return tmp_path / "twice"


class TestSimilarity:
    def test_graded_pairs_give_both_correlations_with_intervals(
        self, shortlist: Shortlist, graded: Path, encoder: Encoder
    ) -> None:
        outcome = shortlist("similarity", graded, "--threads", 1)
        expected = score_pairs(read_pairs(graded), encoder).measures()  # type: ignore[arg-type]
        lines = outcome.out.splitlines()
        assert [line.split()[0] for line in lines] == ["spearman", "pearson"]
        for line, measure in zip(lines, expected, strict=True):
            assert measure.interval is not None
            low, high = measure.interval.low, measure.interval.high
            assert f"{measure.value:.4f}  [{low:.4f}, {high:.4f}]" in line
            assert line.endswith("5 pairs")
        assert outcome.err == "5 pairs of 9 texts compared by cosine\n"

    def test_labelled_pairs_give_average_precision_accuracy_and_f1_with_thresholds(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        outcome = shortlist("similarity", write_lines(tmp_path / "l.jsonl", LABELLED))
        assert [line[:18].strip() for line in outcome.out.splitlines()] == [
            "average precision",
            "accuracy",
            "f1",
        ]
        assert all(" at 0." in line for line in outcome.out.splitlines()[1:])

    def test_json_has_everything(self, shortlist: Shortlist, graded: Path, encoder: Encoder) -> None:
        found = shortlist("similarity", graded, "--json", "--by", "late").json
        scored = score_pairs(read_pairs(graded), encoder, by="late")  # type: ignore[arg-type]
        assert found["scores"] == scored.scores.tolist()
        assert (found["pairs"], found["texts"], found["skipped"], found["by"]) == (5, 9, 0, "maxsim")
        assert [measure["name"] for measure in found["measures"]] == ["spearman", "pearson"]
        (first, _) = scored.measures()
        assert first.interval is not None
        assert found["measures"][0] == {
            "name": "spearman", "value": first.value, "pairs": 5, "interval": asdict(first.interval),
            "threshold": None, "reason": None,
        }  # fmt: skip

    def test_a_split_alone_is_scored(self, shortlist: Shortlist, graded: Path) -> None:
        assert shortlist("similarity", graded, "--split", "dev", "--json").json["pairs"] == 4
        shortlist("similarity", graded, "--split", "test").failed_with(
            "no pair of split 'test'", hint="dev, train"
        )

    def test_the_scores_are_written_beside_what_people_said(
        self, shortlist: Shortlist, graded: Path, tmp_path: Path
    ) -> None:
        output = tmp_path / "scores.jsonl"
        assert "scores" not in shortlist("similarity", graded, "-o", output, "--json").json
        records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [{k: v for k, v in r.items() if k != "similarity"} for r in records] == GRADED
        assert records[0]["similarity"] > 0.8 > records[4]["similarity"]
        outcome = shortlist("similarity", graded, "-o", "-")
        assert [json.loads(line) for line in outcome.out.splitlines()] == records
        assert "spearman" in outcome.err

    def test_texts_on_the_command_line_are_scored(self, shortlist: Shortlist) -> None:
        outcome = shortlist("similarity", "--pair", "A cat.", "A cat.", "--pair", "A cat.", "A\n\x1b[2Jcard.")
        first, second = outcome.out.splitlines()
        assert first == "1.0000\tA cat.\tA cat."
        assert second.endswith("\tA cat.\tA [2Jcard.")

    def test_modes_differ_and_a_model_can_be_named(self, shortlist: Shortlist, tmp_path: Path) -> None:
        words = ("similarity", "--pair", "A cat sleeps.", "The cat is asleep.", "--json")
        fast, exact = (shortlist(*words, "--mode", mode).json["scores"][0] for mode in ("fast", "exact"))
        assert fast != exact
        assert fast == pytest.approx(exact, abs=0.02)
        shortlist(*words, "--model", tmp_path / "none").failed_with(str(tmp_path / "none"), hint=None)

    def test_bad_records_are_counted_and_shown_and_strict_fails(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        path = write_lines(tmp_path / "p.jsonl", [*GRADED, {"sentence1": "a"}, b"{"])
        outcome = shortlist("similarity", path)
        assert outcome.code == 0
        assert "2 records skipped:" in outcome.err
        assert f"  {path}:6: no sentence2" in outcome.err
        found = shortlist("similarity", path, "--json").json
        assert (found["pairs"], found["skipped"], len(found["problems"])) == (5, 2, 2)
        shortlist("similarity", path, "--strict").failed_with("2 bad of 7 records", hint="leave --strict out")
        bad = write_lines(tmp_path / "bad.jsonl", [{"sentence1": "a"}])
        shortlist("similarity", bad).failed_with(f"no pairs; the first of 1 bad record: {bad}:1", hint=None)

    def test_cut_texts_are_counted(self, shortlist: Shortlist, encoder: Encoder) -> None:
        outcome = shortlist("similarity", "--pair", "cat " * 300, "cat")
        cut = 302 - encoder.settings.max_tokens
        assert f"1 text longer than {encoder.settings.max_tokens} tokens: {cut} tokens cut" in outcome.err

    def test_what_can_not_be_measured_is_scored_and_said_to_be_undefined(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        path = write_lines(tmp_path / "p.jsonl", GRADED[:1])
        undefined = [
            f"{name:<18} undefined: one pair has no correlation: it takes two at least"
            for name in ("spearman", "pearson")
        ]
        outcome = shortlist("similarity", path)
        assert outcome.code == 0
        assert outcome.out.endswith("\tA plane is taking off.\tAn air plane is taking off.\n")
        assert outcome.err.splitlines()[:2] == undefined
        outcome = shortlist("similarity", path, "-o", tmp_path / "o.jsonl")
        assert (outcome.code, outcome.out.splitlines()) == (0, undefined)
        assert (tmp_path / "o.jsonl").read_text().count("\n") == 1

    def test_json_has_null_and_the_reason_for_what_can_not_be_measured(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        pairs = [*GRADED[:2], {**LABELLED[0], "label": 1}]
        found = shortlist("similarity", write_lines(tmp_path / "p.jsonl", pairs), "--json")
        assert found.code == 0
        measures = {measure["name"]: measure for measure in found.json["measures"]}
        precision = measures["average precision"]
        assert (precision["value"], precision["interval"]) == (None, None)
        assert precision["reason"] == "all 1 labels are 1: there is nothing to tell apart"
        assert measures["spearman"]["value"] == pytest.approx(1)
        assert "resamples" in measures["spearman"]["reason"]
        assert len(found.json["scores"]) == 3

    def test_a_measure_that_is_undefined_stands_beside_those_that_are_not(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        outcome = shortlist(
            "similarity", write_lines(tmp_path / "p.jsonl", [*GRADED, {**LABELLED[0], "label": 1}])
        )
        lines = outcome.out.splitlines()
        assert [line[:18].strip() for line in lines] == [
            "spearman", "pearson", "average precision", "accuracy", "f1",
        ]  # fmt: skip
        assert ["undefined" in line for line in lines] == [False, False, True, True, True]

    @pytest.mark.parametrize("words", [(), ("{}", "--pair", "a", "b")])
    def test_a_file_or_pairs_are_needed_and_not_both(
        self, shortlist: Shortlist, graded: Path, words: tuple[str, ...]
    ) -> None:
        outcome = shortlist("similarity", *(word.format(graded) for word in words))
        outcome.failed_with("name a file of pairs, or texts", hint="similarity FILE | --pair", code=2)

    @pytest.mark.parametrize("words", [("--split", "dev"), ("--strict",)])
    def test_options_of_files_are_refused_without_one(
        self, shortlist: Shortlist, words: tuple[str, ...]
    ) -> None:
        shortlist("similarity", "--pair", "a", "b", *words).failed_with(f"{words[0]} is about a file", code=2)


class TestDuplicates:
    def test_pairs_are_shown_with_score_ids_and_texts(self, shortlist: Shortlist, twice: Path) -> None:
        outcome = shortlist("duplicates", twice)
        assert outcome.out.splitlines()[:3] == [
            "1.0000  a  ~  b",
            "        Cards: A new card takes five working days to arrive.",
            "        Cards: A new card takes five working days to arrive.",
        ]
        assert "3 pairs with a cosine of at least 0.9; 4 documents (4 passages) compared" in outcome.err

    def test_clusters_are_shown_with_their_center_first(self, shortlist: Shortlist, twice: Path) -> None:
        outcome = shortlist("duplicates", twice, "--clusters")
        lines = outcome.out.splitlines()
        assert lines[:2] == ["3 documents", "1.0000  a"]
        assert "1 cluster with a cosine" in outcome.err
        found = shortlist("duplicates", twice, "--clusters", "--json").json
        assert found["clusters"][0]["center"] == "a"
        assert [member["doc_id"] for member in found["clusters"][0]["members"]] == ["a", "b", "d"]

    def test_json_and_files_have_what_the_library_gives(
        self, shortlist: Shortlist, twice: Path, tmp_path: Path
    ) -> None:
        with Collection.open(twice) as collection:
            expected = collection.duplicates()
        found = shortlist("duplicates", twice, "--json").json
        assert [(p["first"], p["second"], p["score"]) for p in found["pairs"]] == [
            (p.first, p.second, p.score) for p in expected.pairs
        ]
        assert (found["pair_count"], found["documents"], found["generation"]) == (3, 4, expected.generation)
        output = tmp_path / "d.jsonl"
        outcome = shortlist("duplicates", twice, "-o", output)
        assert outcome.out == ""
        assert [json.loads(line) for line in output.read_text().splitlines()] == found["pairs"]
        assert "pairs" not in shortlist("duplicates", twice, "-o", output, "--json").json
        assert shortlist("duplicates", twice, "-o", "-").out == output.read_text()

    def test_limit_threshold_nearest_and_filter_are_heeded(self, shortlist: Shortlist, twice: Path) -> None:
        outcome = shortlist("duplicates", twice, "--limit", 1)
        assert outcome.out.count("\n") == 3
        assert "3 pairs" in outcome.err
        assert "the first 1 of them given (--limit)" in outcome.err
        assert shortlist("duplicates", twice, "--threshold", 1, "--json").json["pair_count"] == 1
        nearest = shortlist("duplicates", twice, "--threshold", -1, "--top-k", 1, "--json").json
        assert nearest["pair_count"] == 3
        english = shortlist("duplicates", twice, "--filter", 'lang = "en"', "--json").json
        assert (english["documents"], english["pairs"]) == (1, [])
        shortlist("duplicates", twice, "--filter", "lang ==").failed_with("filter", hint=None, code=2)

    def test_a_missing_collection_is_named(self, shortlist: Shortlist, tmp_path: Path) -> None:
        shortlist("duplicates", tmp_path / "none").failed_with("does not exist", hint="shortlist index")

    def test_ids_that_would_steer_the_terminal_do_not(self, shortlist: Shortlist, tmp_path: Path) -> None:
        records = [{"id": n, "title": "\u202eevil\x1b[2J", "text": "The same text."} for n in "ab"]
        shortlist("index", tmp_path / "c", write_lines(tmp_path / "s.jsonl", records))
        outcome = shortlist("duplicates", tmp_path / "c")
        assert "evil" in outcome.out
        assert "\x1b" not in outcome.out
        assert "\u202e" not in outcome.out
