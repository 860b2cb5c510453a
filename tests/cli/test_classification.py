import json
import shutil
import sys
from pathlib import Path

import pytest

from shortlist.classification import Classifier

from .running import Shortlist, spawn, write_lines

pytest.importorskip("sklearn")

INTENTS = Path(__file__).parent.parent.parent / "examples" / "intents" / "intents.jsonl"
LABELS = [
    "alarm", "balance", "book_flight", "card_declined", "flight_status", "international_fees", "lost_luggage",
    "report_lost_card", "translate", "weather",
]  # fmt: skip


@pytest.fixture(scope="session")
def trained(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A head of ten intents; not to be changed."""
    path = tmp_path_factory.mktemp("trained") / "intents.head"
    outcome = spawn("classify", "train", INTENTS, "--split", "train", "-o", path, "--json")
    assert outcome.code == 0, outcome.err
    assert outcome.json["texts"] == dict.fromkeys(LABELS, 20)
    assert outcome.json["accuracy"]["mean"] > 0.9
    assert outcome.json["left_out"] == 100
    return path


class TestTrain:
    def test_a_head_is_written_and_its_accuracy_is_said(self, shortlist: Shortlist, tmp_path: Path) -> None:
        outcome = shortlist(
            "classify", "train", INTENTS, "--split", "train", "-o", tmp_path / "h", "--threads", "1"
        )
        assert (outcome.code, outcome.out) == (0, "")
        assert "200 texts with 10 labels in " in outcome.err
        assert "100 texts of other splits left out" in outcome.err
        assert "on held-out thirds; calibration error 0.0" in outcome.err
        assert outcome.err.endswith(f"wrote {tmp_path / 'h'}\n")
        assert {path.name for path in (tmp_path / "h").iterdir()} == {"head.json", "head.safetensors"}

    def test_bad_records_are_counted_and_strict_fails_with_nothing_written(
        self, shortlist: Shortlist, tmp_path: Path
    ) -> None:
        good = [{"text": text, "mood": text} for text in ("good", "bad")]
        path = write_lines(tmp_path / "t.jsonl", [*good, b"{", {"text": "no mood"}])
        words = ("classify", "train", path, "-o", tmp_path / "h", "--label", "mood")
        outcome = shortlist(*words, "--strict")
        outcome.failed_with("2 bad of 4 records", hint="leave --strict out")
        assert not (tmp_path / "h").exists()
        outcome = shortlist(*words)
        assert outcome.code == 0
        assert f"2 records skipped:\n  {path}:3: malformed JSON" in outcome.err
        assert "every label has a single text" in outcome.err

    def test_what_cannot_be_trained_on_is_refused(self, shortlist: Shortlist, tmp_path: Path) -> None:
        shortlist("classify", "train", INTENTS, "-o", tmp_path / "h").failed_with(
            "has several splits ('train' 200, 'test' 100)", hint="--split train"
        )
        one = write_lines(tmp_path / "t.jsonl", [{"text": "a", "label": "x"}] * 3)
        shortlist("classify", "train", one, "-o", tmp_path / "h").failed_with("1 labels, at least two")
        empty = write_lines(tmp_path / "e.jsonl", [])
        shortlist("classify", "train", empty, "-o", tmp_path / "h").failed_with("no labelled text in it")
        assert not (tmp_path / "h").exists()

    def test_nothing_is_overwritten(self, shortlist: Shortlist, trained: Path) -> None:
        shortlist("classify", "train", INTENTS, "--split", "train", "-o", trained).failed_with(
            "there is something at this path already", hint="remove it"
        )

    def test_without_scikit_learn_the_hint_installs_it(
        self, shortlist: Shortlist, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for name in [name for name in sys.modules if name.startswith("sklearn.")]:
            monkeypatch.delitem(sys.modules, name)
        monkeypatch.setitem(sys.modules, "sklearn", None)
        shortlist("classify", "train", INTENTS, "--split", "train", "-o", tmp_path / "h").failed_with(
            "training a classifier needs scikit-learn", hint="pip install 'shortlist[classify]'"
        )


class TestPredict:
    def test_texts_get_their_labels(self, shortlist: Shortlist, trained: Path) -> None:
        outcome = shortlist(
            "classify", "predict", trained, "my visa was refused", "rain tomorrow?", "-k", "2"
        )
        lines = outcome.out.splitlines()
        assert (outcome.code, outcome.err) == (0, "")
        assert [lines[0], lines[3]] == ["my visa was refused", "rain tomorrow?"]
        assert [lines[1].split()[1], lines[4].split()[1]] == ["card_declined", "weather"]
        assert len(lines) == 6

    @pytest.mark.parametrize("words", [("classify", "--json", "predict"), ("classify", "predict", "--json")])
    def test_json_may_stand_before_the_part_or_behind_it(
        self, shortlist: Shortlist, trained: Path, words: tuple[str, ...]
    ) -> None:
        found = shortlist(*words, trained, "rain tomorrow?").json
        (prediction,) = found["predictions"]
        assert (prediction["text"], prediction["label"]) == ("rain tomorrow?", "weather")
        assert prediction["candidates"][0]["probability"] > 0.5
        assert (found["texts"], found["answered"], found["skipped"]) == (1, 1, [])

    def test_below_the_threshold_it_is_none_of_them(self, shortlist: Shortlist, trained: Path) -> None:
        words = ("classify", "predict", trained, "zebras have stripes", "--threshold", "0.95")
        assert "(none of them); the nearest:" in shortlist(*words).out
        assert shortlist(*words, "--json").json["predictions"][0]["label"] is None

    def test_a_file_gives_a_file(self, shortlist: Shortlist, trained: Path, tmp_path: Path) -> None:
        (tmp_path / "t.txt").write_bytes(b"rain tomorrow?\n\xff\nwake me at six\n")
        output = tmp_path / "out.jsonl"
        outcome = shortlist("classify", "predict", trained, "--file", tmp_path / "t.txt", "-o", output)
        assert (outcome.code, outcome.out) == (0, "")
        assert f"1 record skipped:\n  {tmp_path / 't.txt'}:2: invalid UTF-8" in outcome.err
        assert f"2 texts, 2 with a label; wrote {output}" in outcome.err
        records = [json.loads(line) for line in output.read_text(encoding="utf-8").splitlines()]
        assert [record["label"] for record in records] == ["weather", "alarm"]
        assert [record["place"][-2:] for record in records] == [":1", ":3"]
        strict = shortlist("classify", "predict", trained, "--file", tmp_path / "t.txt", "--strict")
        strict.failed_with("1 bad of 3 records")

    @pytest.mark.parametrize("words", [(), ("text", "--file", "f.txt")])
    def test_texts_or_a_file_are_needed(
        self, shortlist: Shortlist, trained: Path, words: tuple[str, ...]
    ) -> None:
        shortlist("classify", "predict", trained, *words).failed_with(
            "name texts, or a --file of them", code=2
        )

    def test_no_text_at_all_is_no_error(self, shortlist: Shortlist, trained: Path, tmp_path: Path) -> None:
        (tmp_path / "t.txt").touch()
        found = shortlist("classify", "predict", trained, "--file", tmp_path / "t.txt", "--json").json
        assert (found["predictions"], found["texts"]) == ([], 0)

    def test_a_head_that_is_damaged_or_of_another_model_is_named(
        self, shortlist: Shortlist, trained: Path, tmp_path: Path
    ) -> None:
        shortlist("classify", "predict", tmp_path / "h", "x").failed_with("no such folder", hint="train")
        shutil.copytree(trained, tmp_path / "h")
        path = tmp_path / "h" / "head.json"
        values = json.loads(path.read_text(encoding="utf-8"))
        values["encoded_by"]["fingerprint"] = "f" * 16
        path.write_text(json.dumps(values), encoding="utf-8")
        shortlist("classify", "predict", tmp_path / "h", "x").failed_with(
            "(ffffffffffffffff), not of default", hint="--model FOLDER"
        )
        (tmp_path / "h" / "head.safetensors").write_bytes(b"\x00" * 100)
        shortlist("classify", "predict", tmp_path / "h", "x").failed_with("head.safetensors")


class TestEvaluate:
    def test_figures_labels_and_confusions_are_shown(self, shortlist: Shortlist, trained: Path) -> None:
        outcome = shortlist("classify", "evaluate", trained, INTENTS, "--split", "test")
        assert (outcome.code, outcome.err) == (0, "")
        assert outcome.out.startswith("texts              100\naccuracy           0.9")
        assert "lowest F1" in outcome.out
        assert "TF-IDF" not in outcome.out

    def test_json_has_everything_and_the_comparison_with_words_alone(
        self, shortlist: Shortlist, trained: Path
    ) -> None:
        words = ("classify", "evaluate", trained, INTENTS, "--split", "test")
        baseline = ("--baseline", INTENTS, "--baseline-split", "train")
        found = shortlist(*words, *baseline, "--json").json
        assert [scores["label"] for scores in found["labels"]] == LABELS
        assert found["accuracy"]["low"] <= found["accuracy"]["mean"] == found["comparison"]["first"]["mean"]
        assert found["comparison"]["second"]["mean"] > 0.8
        assert 0 <= found["comparison"]["p_value"] <= 1
        assert "beside logistic regression on TF-IDF" in shortlist(*words, *baseline).out

    def test_unknown_labels_are_right_as_none_of_them(
        self, shortlist: Shortlist, trained: Path, tmp_path: Path
    ) -> None:
        path = write_lines(
            tmp_path / "t.jsonl",
            [
                {"text": "rain tomorrow?", "label": "weather"},
                {"text": "zebras have stripes", "label": "other"},
            ],
        )
        plain = shortlist("classify", "evaluate", trained, path, "--json").json
        assert (plain["outside"], plain["accuracy"]["mean"]) == (1, 0.5)
        strict = shortlist("classify", "evaluate", trained, path, "--threshold", "0.8").out
        assert "1 have labels that the head doesn't know" in strict
        assert "accuracy           1.0000" in strict
        assert "got a label        50.0%, of these right: 1.0000" in strict

    def test_a_baseline_split_without_a_baseline_is_refused(
        self, shortlist: Shortlist, trained: Path
    ) -> None:
        outcome = shortlist("classify", "evaluate", trained, INTENTS, "--baseline-split", "train")
        outcome.failed_with("--baseline-split is of --baseline FILE", code=2)


def test_a_head_can_be_used_from_python_as_from_the_command_line(trained: Path) -> None:
    assert Classifier.load(trained).predict(["wake me at six"])[0].label == "alarm"
