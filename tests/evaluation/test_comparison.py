from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import pytrec_eval

from shortlist import Collection, CollectionError, MeasureError, PipelineError
from shortlist.evaluation import comparison as module
from shortlist.evaluation.comparison import all_documents, baseline_of, compare, differences
from shortlist.evaluation.costs import time_searches
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.report import from_json, to_json
from shortlist.evaluation.results import Comparison, Finding
from shortlist.measures.ranking import AP, RR, R, by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean, holm, paired_randomisation
from shortlist.protocols import Progress
from shortlist.search import NAMES, parse
from tests.evaluation.questions import judge, judged
from tests.search.corpus import TOPICS, documents

PIPELINES = [parse(text) for text in ("bm25", "dense", "hybrid", "rerank(bm25, maxsim, depth=5)")]
TREC = {"nDCG@10": "ndcg_cut_10", "MRR@10": "recip_rank", "Recall@100": "recall_100"}
SKY = TOPICS["sky"][1][1]  # document sky-1, word for word


@pytest.fixture(scope="session")
def compared(collection: Collection) -> Comparison:
    return compare(collection, judged(), PIPELINES, timed_queries=2)


@pytest.fixture
def changing(tmp_path: Path) -> Iterator[Collection]:
    with Collection.create(tmp_path / "changing", token_vectors=False) as made:
        made.add(documents()[:20])
        yield made


def timeless(comparison: Comparison) -> dict[str, Any]:
    record = dataclasses.asdict(comparison)
    del record["seconds"]
    for system in record["systems"]:
        del system["latency"], system["costs"]["encode_ms"]
    return record


def test_values_are_those_of_each_pipeline_alone_by_trec_eval(
    collection: Collection, compared: Comparison, judged: Judged
) -> None:
    asked = {"ndcg_cut.10", "recip_rank", "recall.100"}
    relevance = {query_id: dict(grades) for query_id, grades in judged.qrels.relevance.items()}
    assert list(compared.measures) == list(TREC)
    assert list(compared.query_ids) == list(relevance)
    for system, pipeline in zip(compared.systems, PIPELINES, strict=True):
        rankings = collection.run(judged.queries, 100, pipeline=pipeline).rankings
        for measure, name in TREC.items():
            k = 10 if measure == "MRR@10" else 100
            scores = {q: {hit.doc_id: hit.score for hit in r.hits[:k]} for q, r in rankings.items()}
            theirs = pytrec_eval.RelevanceEvaluator(relevance, asked).evaluate(scores)
            expected = [theirs[query_id][name] for query_id in relevance]
            assert list(system.values[measure]) == pytest.approx(expected, abs=1e-9)
            assert system.intervals[measure].mean == pytest.approx(np.mean(expected))
            assert system.intervals[measure] == bootstrap_mean(system.values[measure])


def test_differences_are_those_of_the_statistics_corrected_for_all_systems(compared: Comparison) -> None:
    assert compared.baseline == "bm25"
    base = compared.system("bm25")
    assert base.differences == {}
    for measure in compared.measures:
        others = [system for system in compared.systems if system.name != "bm25"]
        p_values = [paired_randomisation(system.values[measure], base.values[measure]) for system in others]
        for system, p, corrected in zip(others, p_values, holm(p_values), strict=True):
            found = system.differences[measure]
            gaps = np.subtract(system.values[measure], base.values[measure])
            assert (found.p, found.p_holm) == (p, corrected)
            assert found.p_holm >= found.p
            assert found.difference == bootstrap_mean(gaps)
            assert (found.wins, found.ties, found.losses) == (
                (gaps > 0).sum(), (gaps == 0).sum(), (gaps < 0).sum(),
            )  # fmt: skip
            assert found.wins + found.ties + found.losses == len(compared.query_ids)


def test_a_difference_is_significant_by_its_corrected_p_value() -> None:
    values = {"base": [0.0] * 8, "better": [1.0] * 8, **{f"same{n}": [0.0] * 7 + [0.1] for n in range(9)}}
    found = differences(values, "base")
    assert found["better"].p == 2 / 2**8
    assert found["better"].p_holm == pytest.approx(10 * 2 / 2**8)
    assert not found["better"].is_significant
    assert differences({name: values[name] for name in ("base", "better")}, "base")["better"].is_significant


def test_the_rest_says_what_was_compared(collection: Collection, compared: Comparison) -> None:
    info = collection.info()
    assert (compared.documents, compared.passages) == (info.documents, info.passages)
    assert [system.name for system in compared.systems] == [
        "bm25", "dense", "hybrid", "rerank(bm25, maxsim, depth=5)",
    ]  # fmt: skip
    assert compared.system("hybrid").pipeline == "fuse(bm25, dense, method='adaptive')"
    assert compared.source == "made up"
    assert set(compared.seconds) == {"checking", "ranking", "timing", "statistics"}
    assert all(system.latency.queries == 2 for system in compared.systems)
    assert all(0 < system.judged < 0.5 for system in compared.systems)
    assert from_json(to_json(compared)).system("dense") == from_json(to_json(compared)).systems[1]


def test_disagreements_are_the_largest_spreads_largest_first(
    collection: Collection, compared: Comparison
) -> None:
    matrix = np.array([system.values["nDCG@10"] for system in compared.systems])
    spreads = dict(zip(compared.query_ids, np.ptp(matrix, axis=0).tolist(), strict=True))
    shown = [spreads[found.query_id] for found in compared.disagreements]
    expected = sorted((spread for spread in spreads.values() if spread > 0), reverse=True)
    assert shown == expected[:10]
    first = compared.disagreements[0]
    for system in compared.systems:
        assert (
            first.values[system.name]
            == system.values["nDCG@10"][list(compared.query_ids).index(first.query_id)]
        )
        hits = collection.search(first.text, 3, pipeline=system.pipeline)
        assert [shown.doc_id for shown in first.hits[system.name]] == [hit.doc_id for hit in hits.ranking]
        for shown_hit in first.hits[system.name]:
            document = hits.documents[shown_hit.doc_id]
            assert shown_hit.title == (document.title or document.text[:80])
            grades = judged().qrels.relevance[first.query_id]
            assert shown_hit.grade == grades.get(shown_hit.doc_id)


def test_equal_pipelines_of_other_words_do_not_disagree(collection: Collection, judged: Judged) -> None:
    twins = [parse("fuse(bm25, dense, weights=[1, 4])"), parse("fuse(bm25, dense, weights=[2, 8])")]
    found = compare(collection, judged, twins, timed_queries=1)
    assert found.disagreements == []
    difference = found.systems[1].differences["nDCG@10"]
    assert (difference.p, difference.ties) == (1.0, len(judged.queries))


class TestBaseline:
    def test_is_bm25_if_it_is_among_them_otherwise_the_first(self) -> None:
        names = [NAMES[name] for name in ("dense", "bm25", "late")]
        assert baseline_of(names) == "bm25"
        assert baseline_of(names[::2]) == "dense"
        assert baseline_of([parse("bm25(k1=0.9)"), parse("dense")]) == "bm25(k1=0.9)"

    def test_is_the_one_that_is_named(self, collection: Collection, judged: Judged) -> None:
        assert baseline_of([NAMES["bm25"], NAMES["late"]], parse("maxsim")) == "late"
        found = compare(
            collection, judged, PIPELINES[:2], baseline=NAMES["dense"], measures=[nDCG @ 10], timed_queries=1
        )
        assert found.baseline == "dense"
        assert found.system("dense").differences == {}
        assert set(found.system("bm25").differences) == {"nDCG@10"}

    def test_that_is_not_compared_is_refused(self, collection: Collection, judged: Judged) -> None:
        with pytest.raises(PipelineError, match="the baseline late is not among the pipelines: bm25, dense"):
            compare(collection, judged, PIPELINES[:2], baseline=NAMES["late"])

    @pytest.mark.parametrize("second", ["late", "maxsim", "maxsim(depth=200)"])
    def test_of_a_pipeline_that_stands_twice_is_refused(
        self, collection: Collection, judged: Judged, second: str
    ) -> None:
        with pytest.raises(PipelineError, match="the pipeline late stands twice"):
            compare(collection, judged, [NAMES["late"], parse(second)])

    def test_of_no_pipeline_is_refused(self, collection: Collection, judged: Judged) -> None:
        with pytest.raises(PipelineError, match="no pipeline"):
            compare(collection, judged, [])


def test_measures_are_needed_each_once(collection: Collection, judged: Judged) -> None:
    for measures in ([], [RR @ 10, RR @ 10]):
        with pytest.raises(MeasureError, match="different measures"):
            compare(collection, judged, PIPELINES, measures=measures)


def test_a_measure_that_looks_further_than_a_hundred_sees_further(collection: Collection) -> None:
    everything = judge({"q": "moon"}, {"q": {document.doc_id: 1 for document in documents()}})
    found = compare(collection, everything, [NAMES["dense"]], measures=[R @ 5, R, AP], timed_queries=1)
    assert found.systems[0].values["Recall"] == (1.0,)
    assert found.systems[0].values["AP"] == (1.0,)
    assert found.systems[0].values["Recall@5"] == (5 / collection.info().documents,)


def test_the_same_seed_gives_the_same_but_for_times(
    collection: Collection, compared: Comparison, judged: Judged
) -> None:
    again = compare(collection, judged, PIPELINES, timed_queries=2)
    assert timeless(again) == timeless(compared)
    other = compare(collection, judged, PIPELINES, timed_queries=2, seed=1)
    assert other.systems[0].values == compared.systems[0].values
    assert other.systems[0].intervals != compared.systems[0].intervals


def test_threads_change_nothing(collection: Collection, compared: Comparison, judged: Judged) -> None:
    assert timeless(compare(collection, judged, PIPELINES, timed_queries=2, threads=2)) == timeless(compared)


def test_self_hits_are_dropped_from_every_ranking(collection: Collection) -> None:
    mine = judge({"sky-1": SKY, "other": "moon"}, {"sky-1": {"sky-1": 2, "sky-4": 1}, "other": {"sky-4": 1}})
    (system,) = compare(
        collection, mine, [NAMES["dense"]], measures=[R @ 100, RR @ 10], timed_queries=1
    ).systems
    first, second = collection.search(SKY, 2, pipeline="dense").ranking
    assert first.doc_id == "sky-1"  # found, but not counted
    assert system.values["Recall@100"] == (1.0, 1.0)
    assert (system.values["MRR@10"][0] == 1.0) == (second.doc_id == "sky-4")


def test_a_value_does_not_depend_on_which_other_measures_are_asked_for(
    collection: Collection, judged: Judged
) -> None:
    shallow = parse("rerank(bm25(depth=1), dense)")
    alone, among = (
        compare(collection, judged, [shallow], measures=measures, timed_queries=1).systems[0]
        for measures in ([nDCG @ 2], [R @ 60, nDCG @ 2, AP])
    )
    run = collection.run(judged.queries, 2, pipeline=shallow)
    assert alone.values["nDCG@2"] == among.values["nDCG@2"]
    assert list(alone.values["nDCG@2"]) == list(by_query(nDCG @ 2, run, judged.qrels).values())
    deeper = by_query(nDCG @ 2, collection.run(judged.queries, 60, pipeline=shallow), judged.qrels)
    assert list(deeper.values()) != list(alone.values["nDCG@2"]), "this test is about pipelines that deepen"


def test_rankings_are_as_long_without_self_hits_as_with_them(collection: Collection) -> None:
    third = collection.search(SKY, 3, pipeline="dense").ranking[2].doc_id
    mine = judge({"sky-1": SKY}, {"sky-1": {third: 1}})
    (system,) = compare(
        collection, mine, [parse("dense(depth=1)")], measures=[R @ 2], timed_queries=1
    ).systems
    assert system.values["Recall@2"] == (1.0,)


def test_findings_of_before_the_check_and_of_the_rankings_are_all_there(collection: Collection) -> None:
    mine = judge({"sky-1": SKY}, {"sky-1": {"gone": 1}})
    before = Finding("bad-documents", 3, "left out")
    found = compare(collection, mine, [NAMES["bm25"]], timed_queries=1, findings=[before])
    assert [finding.rule for finding in found.findings] == [
        "bad-documents", "duplicate-documents", "absent-documents", "nothing-left", "self-hits", "unjudged",
    ]  # fmt: skip
    assert found.findings[-1].examples == ("bm25 0%",)
    assert found.disagreements == []


@pytest.mark.parametrize("change", ["add", "delete"])
def test_a_collection_that_changes_meanwhile_is_said_so(
    changing: Collection, monkeypatch: pytest.MonkeyPatch, change: str
) -> None:
    mine = judge({"q": "card abroad", "p": "dough"}, {"q": {"bank-6": 1}, "p": {"bank-0": 1}})

    def meanwhile(*arguments: Any, **options: Any) -> Any:
        with Collection.open(changing.info().path) as other:
            if change == "add":
                other.add([{"id": "new", "text": "A new card abroad."}])
            else:
                other.delete([document.doc_id for document in documents()[:10]])
        return time_searches(*arguments, **options)

    monkeypatch.setattr(module, "time_searches", meanwhile)
    with pytest.raises(CollectionError, match="was changed while it was compared"):
        compare(changing, mine, PIPELINES[:2], timed_queries=1)


def test_a_pipeline_that_needs_what_the_collection_lacks_is_refused(
    changing: Collection, judged: Judged
) -> None:
    with pytest.raises(PipelineError, match="has no token vectors"):
        compare(changing, judged, [NAMES["bm25"], NAMES["late"]], timed_queries=1)


def test_words_alone_need_no_encoding(
    changing: Collection, judged: Judged, monkeypatch: pytest.MonkeyPatch
) -> None:
    for way in ("views", "queries"):
        monkeypatch.setattr(type(changing.encoder), way, None)
    found = compare(changing, judged, [NAMES["bm25"], NAMES["tfidf"]], timed_queries=2)
    assert all(system.costs.encode_ms == system.costs.model_bytes == 0 for system in found.systems)


def test_an_empty_collection_has_nothing_to_find(tmp_path: Path, judged: Judged) -> None:
    with Collection.create(tmp_path / "empty") as empty:
        found = compare(empty, judged, list(NAMES.values()), timed_queries=1)
    assert all(set(system.values["nDCG@10"]) == {0.0} for system in found.systems)
    assert "nothing-left" in {finding.rule for finding in found.findings}


def test_every_step_reports_its_progress(collection: Collection, judged: Judged) -> None:
    steps: dict[str, int] = {}
    done: dict[str, int] = {}

    def begin(step: str, total: int) -> Progress:
        steps[step] = total
        done[step] = 0

        def progress(count: int) -> None:
            done[step] += count

        return progress

    compare(collection, judged, PIPELINES[:1], timed_queries=3, steps=begin)
    assert steps == done == {"ranking": len(judged.queries), "timing": 3}


def test_all_documents_are_the_live_ones(changing: Collection, monkeypatch: pytest.MonkeyPatch) -> None:
    changing.delete(["bank-3"])
    changing.add(documents()[20:25])
    monkeypatch.setattr(module, "_BLOCK", 4)
    found = {document.doc_id: document for document in all_documents(changing)}
    assert found == {
        document.doc_id: document for document in documents()[:25] if document.doc_id != "bank-3"
    }
