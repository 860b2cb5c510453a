"""Reranking that stops early: the first hits are those of reading all, and a time budget ends it."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shortlist import Collection, PipelineError, Query
from shortlist.evaluation.costs import time_searches
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.search import deepen, parse, to_text
from tests.train.conftest import TOKENIZER, tiny_bert

torch = pytest.importorskip("torch")

TEXTS = [
    f"{a} {b} {c}"
    for a in ("red", "blue", "old")
    for b in ("card", "bank")
    for c in ("abroad", "today", "lost")
]
QUERIES = ("red card", "old bank abroad", "lost")


@pytest.fixture(scope="module")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    from shortlist.train.cross_encoder import CrossEncoderModel
    from shortlist.train.export import export_cross_encoder

    torch.manual_seed(3)
    model = CrossEncoderModel(tiny_bert(), "cls")
    torch.nn.init.normal_(model.linear.weight, std=0.2)
    folder = tmp_path_factory.mktemp("judge") / "judge"
    export_cross_encoder(
        model.eval(), TOKENIZER, folder, name="tiny", max_tokens=48, max_query_tokens=16,
        details={"score_range": [-0.5, 0.5]},
    )  # fmt: skip
    return folder


@pytest.fixture(scope="module")
def collection(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    with Collection.create(tmp_path_factory.mktemp("stopping") / "c") as made:
        made.add([{"id": str(number), "text": text} for number, text in enumerate(TEXTS)])
        yield made


def pairs_read(monkeypatch: pytest.MonkeyPatch, delay_s: float = 0.0) -> list[int]:
    counts: list[int] = []
    original = CrossEncoder.score_pairs

    def counting(self: CrossEncoder, pairs: Any, **options: Any) -> Any:
        counts.append(len(pairs))
        time.sleep(delay_s)
        return original(self, pairs, **options)

    monkeypatch.setattr(CrossEncoder, "score_pairs", counting)
    return counts


def staged(judge: Path, weight: float, settings: str) -> str:
    return f"rerank(hybrid, fuse(hybrid, cross(model={str(judge)!r}), weights=[1, {weight}]), {settings})"


@pytest.mark.parametrize("query", QUERIES)
@pytest.mark.parametrize("weight", [0.02, 0.2, 1, 5])
@pytest.mark.parametrize("top", [1, 3, 6])
def test_the_first_hits_are_those_of_reading_all(
    collection: Collection, judge: Path, query: str, weight: float, top: int
) -> None:
    whole = collection.search(query, top, pipeline=staged(judge, weight, "depth=18")).ranking
    some = collection.search(query, top, pipeline=staged(judge, weight, f"depth=18, top={top}")).ranking
    assert [(hit.doc_id, hit.score) for hit in some] == [(hit.doc_id, hit.score) for hit in whole]


def test_it_stops_when_nothing_can_change_any_more(
    collection: Collection, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = pairs_read(monkeypatch)
    collection.search("red card", 1, pipeline=staged(judge, 0.02, "depth=18, top=1"))
    assert sum(counts) < 18
    few = sum(counts)
    counts.clear()
    # Asking for more hits makes more of them final.
    collection.search("red card", 10, pipeline=staged(judge, 0.021, "depth=18, top=1"))
    assert sum(counts) > few


def test_without_a_range_of_scores_all_is_read(
    tmp_path: Path, collection: Collection, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    endless = tmp_path / "endless"
    endless.mkdir()
    for file in judge.iterdir():
        (endless / file.name).write_bytes(file.read_bytes())
    values = json.loads((endless / "model.json").read_text())
    del values["score_range"]
    (endless / "model.json").write_text(json.dumps(values))
    counts = pairs_read(monkeypatch)
    collection.search("red card", 1, pipeline=staged(endless, 0.02, "depth=18, top=1"))
    assert sum(counts) == 18


def test_a_time_budget_ends_the_reading(
    collection: Collection, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    counts = pairs_read(monkeypatch, delay_s=0.05)
    result = collection.search("old card today", 18, pipeline=staged(judge, 1.5, "depth=18, budget_ms=60"))
    assert 4 <= sum(counts) <= 8
    assert len(result.ranking) == 18
    read = sum(counts)
    assert sum(len(hit.stages) == 3 for hit in result.ranking) == read
    assert all(hit.span is not None for hit in result.ranking)
    first = collection.search("old card today", 18, pipeline="hybrid").ranking
    assert [hit.doc_id for hit in result.ranking][read:] == [hit.doc_id for hit in first][read:]


def test_what_is_timed_is_not_remembered(
    collection: Collection, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    rows: list[tuple[int, int | None]] = []
    original = CrossEncoder._run

    def counting(self: CrossEncoder, some: Any, threads: int | None) -> Any:
        rows.append((len(some), threads))
        return original(self, some, threads)

    monkeypatch.setattr(CrossEncoder, "_run", counting)
    collection.forget_scores()
    pipeline = parse(f"rerank(bm25, cross(model={str(judge)!r}), depth=3)")
    for _ in range(2):
        collection.search("red card", pipeline=pipeline)
    assert [count for count, _ in rows] == [3, 0]
    rows.clear()
    time_searches([(collection, pipeline)], [Query("q", "red card")])
    assert rows[-1] == (3, 1)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rerank(bm25, dense, top=0)", "top must be a whole number from 1"),
        ("rerank(bm25, dense, top=True)", "top must be a whole number from 1"),
        ("rerank(bm25, dense, budget_ms=-1)", "budget_ms must be a number from 0"),
        ("rerank(bm25, dense, weight=.5, top=3)", "can't stop early where a document's score depends"),
        ("rerank(bm25, fuse(bm25, dense, method='rrf'), top=3)", "can't stop early"),
        ("rerank(bm25, rerank(bm25, dense), budget_ms=5)", "can't stop early"),
    ],
)
def test_what_can_t_stop_early_is_refused(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse(text)


def test_settings_are_written_and_read_again() -> None:
    text = "rerank(bm25, maxsim, depth=20, top=10, budget_ms=150)"
    assert to_text(parse(text)) == text
    assert to_text(deepen(parse(text), 30)) == text.replace("top=10", "top=30")


@pytest.mark.parametrize("value", [[1], [2, 1], "wide", [0, 1e300], [0, True], {}])
def test_a_range_that_is_none_is_refused(tmp_path: Path, judge: Path, value: object) -> None:
    from shortlist import ModelError

    folder = tmp_path / "bad"
    folder.mkdir()
    for file in judge.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**values, "score_range": value}))
    with pytest.raises(ModelError, match="score_range is"):
        CrossEncoder.load(folder)
