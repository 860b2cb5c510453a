"""Several pipelines at once give what each gives alone, and share their work."""

from __future__ import annotations

from collections import Counter
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import Collection, PipelineError, Query
from shortlist.search import NAMES, Pipeline, searcher
from shortlist.search.execution import Execution, Ranked
from shortlist.search.pipeline import Leaf
from shortlist.types import Run
from tests.search.corpus import QUERIES
from tests.search.strategies import PIPELINES

ASKED = [Query(f"q{number}", text) for number, text in enumerate(QUERIES)]
OWN = [
    "bm25(depth=3)",
    "dense(depth=3)",
    "fuse(bm25(depth=3), dense(depth=3))",
    "fuse(bm25, dense, method='rrf')",
    "fuse(bm25, dense(depth=3), method='rrf')",
    "rerank(bm25, dense, depth=4)",
    "rerank(hybrid, maxsim, depth=5, weight=0.5)",
    "rerank(hybrid, maxsim, depth=6, weight=0.5)",
]


def pairs(run: Run) -> dict[str, list[tuple[int, str, float]]]:
    return {
        query_id: [(hit.rank, hit.doc_id, hit.score) for hit in ranking]
        for query_id, ranking in run.rankings.items()
    }


@pytest.mark.parametrize("where", ["collection", "grown"])
@pytest.mark.parametrize("k", [1, 4, 300])
@pytest.mark.parametrize("condition", [None, {"topic": "sky"}, {"topic": "none such"}])
def test_the_rankings_are_those_of_each_pipeline_alone(
    request: pytest.FixtureRequest,
    monkeypatch: pytest.MonkeyPatch,
    where: str,
    k: int,
    condition: dict[str, str] | None,
) -> None:
    collection: Collection = request.getfixturevalue(where)
    monkeypatch.setattr(searcher, "QUERIES_AT_ONCE", 4)  # the last part has fewer
    asked = ASKED[:6] if k == 4 else ASKED[6:]
    pipelines = [*NAMES, *OWN]
    together = collection.run_all(asked, pipelines, k, condition=condition)
    for pipeline, run in zip(pipelines, together, strict=True):
        alone = collection.run(asked, k, pipeline=pipeline, condition=condition)
        assert run.name == alone.name
        assert pairs(run) == pairs(alone)


@settings(max_examples=25)
@given(st.lists(PIPELINES, min_size=2, max_size=4), st.sampled_from([1, 3, 250]))
def test_any_pipelines_together_rank_as_each_alone(
    grown: Collection, pipelines: list[Pipeline], k: int
) -> None:
    together = grown.run_all(ASKED[:1], pipelines, k)
    assert [pairs(run) for run in together] == [
        pairs(grown.run(ASKED[:1], k, pipeline=pipeline)) for pipeline in pipelines
    ]


def test_the_order_of_the_pipelines_changes_nothing(collection: Collection) -> None:
    pipelines = [*NAMES, *OWN]
    forward = collection.run_all(ASKED[:3], pipelines, 10)
    backward = collection.run_all(ASKED[:3], pipelines[::-1], 10)
    assert [pairs(run) for run in forward] == [pairs(run) for run in backward[::-1]]


def test_what_pipelines_share_is_retrieved_once_a_query(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    retrieved: Counter[str] = Counter()
    retrieve_leaf = Execution._retrieve_leaf

    def counting(execution: Execution, leaf: Leaf) -> Ranked:
        retrieved[str(leaf)] += 1
        return retrieve_leaf(execution, leaf)

    monkeypatch.setattr(Execution, "_retrieve_leaf", counting)
    collection.run_all(ASKED[:4], ["bm25", "dense", "hybrid", "hybrid+late", "rerank(hybrid, maxsim)"], 10)
    assert retrieved == {"bm25": 4, "dense": 4}


def test_queries_are_encoded_once_and_only_if_a_pipeline_compares_vectors(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    encoded: list[int] = []
    original = type(collection.encoder).queries

    def counting(encoder: Any, texts: list[str], **options: Any) -> Any:
        encoded.append(len(texts))
        return original(encoder, texts, **options)

    monkeypatch.setattr(type(collection.encoder), "queries", counting)
    collection.run_all(ASKED, ["bm25", "tfidf"])
    assert encoded == []
    collection.run_all(ASKED, list(NAMES))
    assert encoded == [len(ASKED)]


def test_progress_is_a_query_at_a_time(collection: Collection) -> None:
    done: list[int] = []
    collection.run_all(ASKED, ["bm25", "tfidf"], progress=done.append)
    assert done == [1] * len(ASKED)


def test_no_pipeline_gives_no_run_and_no_query_gives_empty_runs(collection: Collection) -> None:
    assert collection.run_all(ASKED, []) == []
    assert [dict(run.rankings) for run in collection.run_all([], ["bm25", "dense"])] == [{}, {}]


def test_a_pipeline_that_makes_no_sense_is_refused(collection: Collection) -> None:
    with pytest.raises(PipelineError, match="there is no stage 'nothing'"):
        collection.run_all(ASKED, ["bm25", "nothing"])
    with pytest.raises(PipelineError, match="k must be"):
        collection.run_all(ASKED, ["bm25"], 0)
