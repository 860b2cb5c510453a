"""Scores of a teacher for examples, and negatives that a judge takes for answers."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist import DataError
from shortlist.cli.main import main
from shortlist.models.cross_encoder import CrossEncoder, Judged
from shortlist.search import parse
from shortlist.train.distill import distill
from shortlist.train.examples import Example, read_examples, write_examples
from shortlist.train.negatives import Mining, mine
from tests.train.test_cross_encoder import exported, made

EXAMPLES = [
    Example(f"query {n}", f"answer {n}", (f"wrong {n}", "nothing"), (3.0, 2.0, 1.0), "here")
    for n in range(70)
]


@dataclass
class ByLength:
    """Score a pair by the text's length, and remember how many pairs came at a time."""

    labels: int = 1
    highest = 100.0

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, threads: int | None = None) -> Judged:
        del threads
        lengths: NDArray[np.float64] = np.array([float(len(text)) for _, text in pairs])
        scores = lengths if self.labels == 1 else np.stack([lengths] * self.labels, axis=1)
        return Judged(scores, (0,) * len(pairs))


def test_the_teacher_s_scores_take_the_place_of_the_examples_own() -> None:
    done: list[int] = []
    found = list(distill(EXAMPLES, ByLength(), progress=done.append))
    assert sum(done) == len(found) == 70
    assert found[5] == Example("query 5", "answer 5", ("wrong 5", "nothing"), (8.0, 7.0, 7.0), "here")
    assert found[69].scores == (9.0, 8.0, 7.0)


def test_beside_adds_what_the_teacher_learned_beside() -> None:
    (found,) = distill(EXAMPLES[:1], ByLength(), beside=10)
    assert found.scores == (38.0, 27.0, 17.0)
    with pytest.raises(DataError, match="query 'q' has no scores"):
        list(distill([Example("q", "a", ("b",))], ByLength(), beside=1))
    with pytest.raises(DataError, match="the teacher gives 3 labels"):
        list(distill(EXAMPLES, ByLength(labels=3)))


def test_some_of_the_negatives_are_drawn() -> None:
    many = [Example(f"q {n}", "answer", tuple("abcdef"[: 1 + n % 6]), source="here") for n in range(60)]
    found = list(distill(many, ByLength(), count=2))
    assert [len(one.negatives) for one in found] == [min(2, len(one.negatives)) for one in many]
    assert all(set(one.negatives) <= set(before.negatives) for one, before in zip(found, many, strict=True))
    assert len({one.negatives for one in found[5::6]}) > 2  # of six, drawn
    assert all(one.scores == (6.0,) + (1.0,) * len(one.negatives) for one in found)
    scored = [replace(one, scores=(9.0, *(float(ord(text)) for text in one.negatives))) for one in many]
    for one in distill(scored, ByLength(), beside=1, count=2):
        assert one.scores == (15.0, *(1.0 + ord(text) for text in one.negatives))
    with pytest.raises(DataError, match="count must be at least 1"):
        list(distill(many, ByLength(), count=0))
    assert found == list(distill(many, ByLength(), count=2))
    assert found != list(distill(many, ByLength(), count=2, seed=1))


def test_a_judge_leaves_out_what_it_takes_for_an_answer() -> None:
    words = ["moon", "bread", "card", "garden", "shell", "train", "river", "piano"]
    examples = [Example(f"about the {word}", f"all of the {word}") for word in words]
    settings = Mining((parse("dense"),), last=8, count=2, depth=20)
    plain = mine(examples, settings)
    assert len(plain.examples) == 8
    judged = mine(examples, settings, judge=ByLength())
    for example in judged.examples:
        assert all(len(text) < len(example.passage) for text in example.negatives)
        assert len(example.negatives) == 2
        assert len(example.scores) == 3
    assert judged.without_negatives == 8 - len(judged.examples) > 0
    strict = mine(
        examples, Mining((parse("dense"),), last=8, count=2, depth=20, judge_margin=50), judge=ByLength()
    )
    assert strict.without_negatives == 8
    with pytest.raises(DataError, match="the judge gives 2 labels"):
        mine(examples, settings, judge=ByLength(labels=2))


def test_a_command_scores_examples_and_goes_on_from_its_cache(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    folder = exported(made(), tmp_path / "teacher")
    source, cache = tmp_path / "pairs.jsonl", tmp_path / "scores.sqlite"
    write_examples(source, EXAMPLES[:9])
    command = ["train", "distill", str(source), "--teacher", str(folder), "--cache", str(cache)]
    assert main([*command, "-o", str(tmp_path / "one.jsonl")]) == 0
    assert "9 examples scored by tiny" in capsys.readouterr().err
    found = list(read_examples(tmp_path / "one.jsonl"))
    expected = CrossEncoder.load(folder).score("query 3", found[3].passages)
    assert found[3].scores == pytest.approx(expected.tolist(), abs=1e-6)
    monkeypatch.setattr(CrossEncoder, "_run", lambda _, rows, __: np.empty((len(rows), 1)))
    assert main([*command, "-o", str(tmp_path / "two.jsonl"), "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["examples"] == 9
    assert (tmp_path / "one.jsonl").read_bytes() == (tmp_path / "two.jsonl").read_bytes()
    assert main([*command, "-o", str(tmp_path / "two.jsonl")]) == 1
    assert "there is something at this path already" in capsys.readouterr().err
