"""Pipelines with a judge that reads query and passage together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, ModelError, PipelineError, Query, parse
from shortlist.models.cross_encoder import CrossEncoder, Judged
from shortlist.search import Cross, Dense, Rerank, to_text
from shortlist.types import passage_text
from tests.search.corpus import QUERIES, documents


@pytest.fixture(scope="session")
def judge(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A cross-encoder with random weights, as a model folder."""
    from shortlist.train.cross_encoder import CrossEncoderModel
    from shortlist.train.export import export_cross_encoder
    from tests.train.conftest import TOKENIZER, tiny_bert

    folder = tmp_path_factory.mktemp("judge") / "model"
    model = CrossEncoderModel(tiny_bert(), "maxsim")
    export_cross_encoder(model, TOKENIZER, folder, name="tiny", max_tokens=64, max_query_tokens=16)
    return folder


@pytest.fixture(scope="session")
def long_texts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Collection]:
    """Three documents of several passages each."""
    texts = {doc.doc_id: f"{doc.title} {doc.text}" for doc in documents()}
    by_topic: dict[str, list[str]] = {}
    for doc_id, text in texts.items():
        by_topic.setdefault(doc_id.split("-")[0], []).append(text)
    path = tmp_path_factory.mktemp("cross") / "long"
    with Collection.create(path) as collection:
        collection.add([{"id": topic, "text": " ".join(parts * 4)} for topic, parts in by_topic.items()])
        assert collection.info().passages > 2 * collection.info().documents
        yield collection


def test_a_judge_gives_each_document_the_score_of_the_pair(collection: Collection, judge: Path) -> None:
    result = collection.search(
        "card refused abroad", 5, pipeline=f"rerank(hybrid, cross(model={str(judge)!r}), depth=10)"
    )
    scorer = CrossEncoder.load(judge)
    assert [hit.score for hit in result.ranking] == sorted(
        (hit.score for hit in result.ranking), reverse=True
    )
    for hit, document in result:
        assert hit.span is not None
        (expected,) = scorer.score("card refused abroad", [passage_text(document, hit.span)])
        assert hit.score == expected


def test_a_judge_reads_the_nearest_passages_and_the_best_speaks(long_texts: Collection, judge: Path) -> None:
    scorer = CrossEncoder.load(judge)
    query = "which telescope orbits the Earth"
    some = long_texts.search(query, 30, pipeline=Rerank(Dense(), Cross(model=str(judge), passages=3)))
    one = long_texts.search(query, 30, pipeline=Rerank(Dense(), Cross(model=str(judge))))
    nearest = {hit.doc_id: hit.span for hit in long_texts.search(query, 30, pipeline="dense").ranking}
    scores = {hit.doc_id: hit.score for hit in one.ranking}
    for hit, document in some:
        assert hit.span is not None
        assert hit.score == scorer.score(query, [passage_text(document, hit.span)])[0]
        assert hit.score >= scores[hit.doc_id]
    for hit in one.ranking:
        assert hit.span == nearest[hit.doc_id]
    assert any(hit.span != nearest[hit.doc_id] for hit in some.ranking)


def test_every_document_may_be_read_within_the_budget(collection: Collection, judge: Path) -> None:
    count = collection.info().documents
    whole = Cross(model=str(judge))
    found = collection.search("moon", count, pipeline=whole)
    assert len(found.ranking) == count
    small = Cross(model=str(judge), budget=count - 1)
    with pytest.raises(PipelineError, match=f"{count} documents are more than cross") as caught:
        collection.search("moon", pipeline=small)
    assert "rerank(hybrid, cross)" in caught.value.hint
    reranked = collection.search("moon", 5, pipeline=Rerank(Dense(), small, depth=5))
    assert len(reranked.ranking) == 5


def test_run_and_search_agree(collection: Collection, judge: Path) -> None:
    pipeline = parse(f"rerank(bm25, fuse(dense, cross(model={str(judge)!r}), weights=[4, 1]), depth=20)")
    queries = [Query(str(number), text) for number, text in enumerate(QUERIES)]
    run = collection.run(queries, 10, pipeline=pipeline, threads=2)
    (other,) = collection.run_all(queries, [pipeline], 10)
    for query in queries:
        single = collection.search(query.text, pipeline=pipeline).ranking
        for ranking in (run.rankings[query.query_id], other.rankings[query.query_id]):
            assert [(hit.doc_id, hit.score) for hit in ranking] == [(hit.doc_id, hit.score) for hit in single]


def test_a_grown_collection_is_judged_as_a_fresh_one(
    collection: Collection, grown: Collection, judge: Path
) -> None:
    pipeline = f"cross(model={str(judge)!r})"
    for query in QUERIES[:4]:
        fresh, old = (one.search(query, 20, pipeline=pipeline).ranking for one in (collection, grown))
        assert [(hit.doc_id, hit.score) for hit in fresh] == [(hit.doc_id, hit.score) for hit in old]


def test_a_judge_is_named_with_its_timing_and_score(collection: Collection, judge: Path) -> None:
    pipeline = parse(f"rerank(dense, fuse(dense, cross(model={str(judge)!r})), depth=5)")
    result = collection.search("moon", 3, pipeline=pipeline)
    name = f"cross(model={str(judge)!r})"
    assert set(result.ranking[0].stages) == {"dense", name}
    assert result.timings_ms[name] > 0
    hit = result.ranking[0]
    assert hit.score == pytest.approx(sum(hit.stages.values()))


def test_the_text_form_keeps_all_settings() -> None:
    for pipeline in (Cross(model="small"), Cross(depth=7, model="a/b", passages=3, budget=9)):
        assert parse(to_text(pipeline)) == pipeline
    assert to_text(Cross(model="x", passages=2)) == "cross(model='x', passages=2)"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("cross(model='')", "cross needs the folder of a cross-encoder"),
        ("cross(model=3)", "cross needs the folder of a cross-encoder, not 3"),
        ("cross(model='m', passages=0)", "passages must be a whole number from 1"),
        ("cross(model='m', budget=True)", "budget must be a whole number from 1"),
        ("cross(dense)", "cross takes no stage"),
    ],
)
def test_settings_that_make_no_sense_are_refused(text: str, message: str) -> None:
    with pytest.raises(PipelineError, match=message):
        parse(text)


def test_what_a_judge_could_not_read_is_counted(long_texts: Collection, judge: Path) -> None:
    query = "moon"
    result = long_texts.search(query, 3, pipeline=f"rerank(dense, cross(model={str(judge)!r}), depth=3)")
    pairs = [(query, document.text[hit.span.start : hit.span.end]) for hit, document in result if hit.span]
    expected = sum(CrossEncoder.load(judge).score_pairs(pairs).truncated_tokens)
    assert result.judge_truncated_tokens == expected > 0


def test_a_run_reads_on_as_many_threads_as_it_is_told(
    collection: Collection, judge: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    seen: list[int | None] = []
    score_pairs = CrossEncoder.score_pairs

    def watched(
        self: CrossEncoder, pairs: Sequence[tuple[str, str]], *, threads: int | None = None
    ) -> Judged:
        seen.append(threads)
        return score_pairs(self, pairs, threads=threads)

    monkeypatch.setattr(CrossEncoder, "score_pairs", watched)
    pipeline = f"rerank(bm25, cross(model={str(judge)!r}), depth=2)"
    collection.run([Query("1", "moon")], 2, pipeline=pipeline, threads=1)
    collection.run_all([Query("1", "moon")], [pipeline], 2, threads=2)
    collection.search("moon", 2, pipeline=pipeline)
    assert seen == [1, 2, None]


def test_a_judge_that_is_not_there_is_named(collection: Collection, tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no model folder of a cross-encoder"):
        collection.search("moon", pipeline=f"rerank(bm25, cross(model={str(tmp_path / 'none')!r}))")


def test_a_classifier_is_no_judge(collection: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    class Classifier:
        def score_pairs(self, pairs: Sequence[tuple[str, str]], *, threads: int | None = None) -> Judged:
            assert threads is None
            return Judged(np.zeros((len(pairs), 3)), (0,) * len(pairs))

    monkeypatch.setattr(Collection, "_judge", lambda *_: Classifier())
    with pytest.raises(PipelineError, match="gives 3 labels, a judge gives one score"):
        collection.search("moon", pipeline="rerank(bm25, cross(model='m'))")
