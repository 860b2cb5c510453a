from __future__ import annotations

import math
import tempfile
from collections.abc import Sequence
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist import Collection, DataError, PipelineError
from shortlist.evaluation import advice as module
from shortlist.evaluation.advice import (
    CANDIDATES,
    CLOSE,
    NEAR,
    RULE_OF_THUMB,
    Advice,
    Candidate,
    Limits,
    advise,
    choose,
    switches,
)
from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import compare
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.results import Costs, Latency
from shortlist.measures.ranking import nDCG
from shortlist.measures.statistics import Interval
from shortlist.search import NAMES, Pipeline, name_of, parse
from shortlist.types import Query
from tests.evaluation.questions import document, judge
from tests.search.corpus import documents

NO_LIMITS = Limits()


def candidate(
    pipeline: str,
    quality: float | None = None,
    p50: float = 1.0,
    p95: float | None = None,
    size: float = 100.0,
) -> Candidate:
    latency = Latency(p50, 2 * p50 if p95 is None else p95, {}, 10)
    interval = None if quality is None else Interval(quality, quality, quality)
    return Candidate(parse(pipeline), interval, latency, latency, Costs({"texts": size}, 0, 0))


class TestChoose:
    FAST = candidate("bm25", 0.50, p50=1, size=100)
    GOOD = candidate("dense", 0.60, p50=5, size=500)
    BEST = candidate("late", 0.70, p50=50, size=9000)
    ALL = (FAST, GOOD, BEST)

    @pytest.mark.parametrize(
        ("limits", "chosen"),
        [
            (NO_LIMITS, BEST),
            (Limits(latency_ms=100), BEST),  # of p95
            (Limits(latency_ms=100 / NEAR), BEST),  # as near as timing can tell
            (Limits(latency_ms=100 / NEAR - 0.1), GOOD),
            (Limits(latency_ms=9), FAST),
            (Limits(bytes_per_document=8999), GOOD),
            (Limits(bytes_per_document=9000), BEST),
            (Limits(latency_ms=1000, bytes_per_document=499), FAST),
            (Limits(latency_ms=1.8), None),
            (Limits(latency_ms=1000, bytes_per_document=99), None),
        ],
    )
    def test_gives_the_best_within_all_limits(self, limits: Limits, chosen: Candidate | None) -> None:
        assert choose(self.ALL, limits) == chosen
        assert choose(self.ALL[::-1], limits) == chosen

    def test_is_near_a_limit_only_where_it_is_over_it_by_little(self) -> None:
        near = [limit for limit in (90, 91, 95, 99.9, 100, 200) if Limits(limit).is_near(self.BEST)]
        assert near == [91, 95, 99.9]
        assert not Limits(latency_ms=95, bytes_per_document=10).is_near(self.BEST)
        assert not NO_LIMITS.is_near(self.BEST)

    def test_gives_the_fastest_of_those_that_are_as_good_as_equal(self) -> None:
        near = candidate("hybrid", 0.70 - 0.9 * CLOSE, p50=10)
        far = candidate("tfidf", 0.70 - 1.1 * CLOSE, p50=1)
        assert choose([self.BEST, near, far], NO_LIMITS) == near
        assert choose([self.BEST, far], NO_LIMITS) == self.BEST

    def test_compares_with_the_best_that_is_allowed_not_with_the_best_of_all(self) -> None:
        near = candidate("hybrid", 0.60 - 0.5 * CLOSE, p50=2)
        assert choose([*self.ALL, near], Limits(latency_ms=50)) == near

    def test_goes_by_the_rule_of_thumb_where_nobody_has_judged(self) -> None:
        found = [candidate(name, p50=place) for place, name in enumerate(RULE_OF_THUMB, start=1)]
        for place, name in enumerate(RULE_OF_THUMB):
            chosen = choose(found[place:][::-1], NO_LIMITS)
            assert chosen is not None
            assert chosen.name == name
        assert choose([candidate("bm25(k1=2)"), candidate("tfidf", p50=9)], NO_LIMITS) == candidate(
            "tfidf", p50=9
        )

    def test_of_no_candidate_gives_none(self) -> None:
        assert choose([], NO_LIMITS) is None


@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_limit_that_makes_no_sense_is_refused(value: float) -> None:
    with pytest.raises(DataError, match="the limit of latency must be above 0"):
        Limits(latency_ms=value)
    with pytest.raises(DataError, match="the limit of bytes per document"):
        Limits(bytes_per_document=value)


MADE_UP = st.lists(
    st.tuples(st.floats(0, 1), st.floats(0.1, 1000), st.floats(1, 3), st.integers(1, 10_000)), max_size=7
).map(
    lambda found: [
        candidate(f"bm25(depth={depth})", quality, p50, p50 * spread, size)
        for depth, (quality, p50, spread, size) in enumerate(found, start=1)
    ]
)
LIMITS = st.builds(Limits, st.none() | st.floats(0.1, 2000), st.none() | st.floats(1, 10_000))


@given(MADE_UP, LIMITS)
def test_switches_say_what_is_chosen_from_each_value_on(candidates: list[Candidate], limits: Limits) -> None:
    found = switches(candidates, limits)
    by_name = {one.name: one for one in candidates}
    for limit in ("latency_ms", "bytes_per_document"):
        steps = [step for step in found if step.limit == limit]
        values = [step.value for step in steps]
        assert values == sorted(set(values))
        assert all(one.advised != after.advised for one, after in pairwise(steps))
        best = -math.inf
        for step in steps:
            other = limits.bytes_per_document if limit == "latency_ms" else limits.latency_ms
            there = Limits(step.value, other) if limit == "latency_ms" else Limits(other, step.value)
            chosen = choose(candidates, there)
            assert chosen is not None
            assert chosen.name == step.advised
            quality = by_name[step.advised].quality
            assert quality is not None
            # More room never gives worse, but for what counts as equal.
            assert quality.mean >= best - CLOSE
            best = max(best, quality.mean)
        if steps:
            below = steps[0].value * (1 - 1e-9)
            other = limits.bytes_per_document if limit == "latency_ms" else limits.latency_ms
            assert (
                choose(candidates, Limits(below, other) if limit == "latency_ms" else Limits(other, below))
                is None
            )


# -- measured on documents ---------------------------------------------------------------------------------


def made_up_times(monkeypatch: pytest.MonkeyPatch, p50: Any) -> list[int]:
    """Let searches take ``p50(documents)`` ms, twice that at p95; gives the sizes that were timed."""
    sizes: list[int] = []

    def time_searches(
        searched: Sequence[tuple[Collection, Pipeline]], queries: Sequence[Query], **_: object
    ) -> list[Latency]:
        found = []
        for collection, pipeline in searched:
            count = collection.info().documents
            if count not in sizes[-1:]:
                sizes.append(count)
            value = p50(count)
            stages = {name_of(pipeline): (value / 2, value), "fetch": (0.5, 0.6), "rare": (0.0, 1.0)}
            found.append(Latency(value, 2 * value, stages, len(queries)))
        return found

    monkeypatch.setattr(module, "time_searches", time_searches)
    return sizes


class TestExtrapolation:
    PIPELINES = (NAMES["bm25"], NAMES["tfidf"])
    TEXTS = tuple(document(f"d{n}", f"text number {n} of the moon") for n in range(40))

    def advise(self, expected: int | None, sample: int = 5000) -> Advice:
        return advise(
            self.TEXTS, None, NO_LIMITS, pipelines=self.PIPELINES, expected_documents=expected, sample=sample
        )

    def test_is_a_straight_line_through_two_sizes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = made_up_times(monkeypatch, lambda documents: 1 + 0.05 * documents)
        found = self.advise(10_000)
        assert sizes == [20, 40]
        assert (found.documents, found.sampled) == (10_000, 40)
        assert found.advised is not None
        assert found.advised.measured.p50_ms == pytest.approx(3)
        assert found.advised.latency.p50_ms == pytest.approx(501)
        assert found.advised.latency.p95_ms == pytest.approx(1002)  # keeps its ratio
        assert found.advised.latency.stages["bm25"] == pytest.approx((250.5, 501))
        assert found.advised.latency.stages["fetch"] == pytest.approx((0.5, 0.6))
        assert found.advised.latency.stages["rare"] == (0.0, 1.0)

    def test_takes_the_encoding_of_a_query_as_it_is(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def time_searches(
            searched: Sequence[tuple[Collection, Pipeline]], *_: object, **__: object
        ) -> list[Latency]:
            found = []
            for collection, _pipeline in searched:
                documents = collection.info().documents
                encode = 20.0 if documents == 20 else 25.0  # by chance
                found.append(Latency(encode + 0.01 * documents, 50.8, {"encode": (encode, 30.0)}, 9))
            return found

        monkeypatch.setattr(module, "time_searches", time_searches)
        found = self.advise(10_000).advised
        assert found is not None
        assert found.latency.p50_ms == pytest.approx(125)
        assert found.latency.p95_ms == pytest.approx(250)
        assert found.latency.stages == {"encode": (25.0, 30.0)}

    def test_takes_a_judge_as_slow_as_it_is_where_it_only_reads_what_it_is_given(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def time_searches(
            searched: Sequence[tuple[Collection, Pipeline]], *_: object, **__: object
        ) -> list[Latency]:
            found = []
            for collection, _pipeline in searched:
                late = 0.5 * collection.info().documents
                found.append(Latency(late, 2 * late, {"late": (late, 2 * late)}, 9))
            return found

        monkeypatch.setattr(module, "time_searches", time_searches)
        for pipeline, p50 in (("rerank(bm25, maxsim)", 20), ("late", 5000), ("fuse(bm25, maxsim)", 5000)):
            found = advise(
                self.TEXTS, None, NO_LIMITS, pipelines=[parse(pipeline)], expected_documents=10_000
            ).advised
            assert found is not None
            assert found.latency.p50_ms == pytest.approx(p50)

    def test_is_of_the_sample_of_a_larger_source(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = made_up_times(monkeypatch, lambda documents: 1 + 0.05 * documents)
        found = self.advise(None, sample=20)
        assert sizes == [10, 20]
        assert (found.documents, found.sampled) == (40, 20)
        assert found.advised is not None
        assert found.advised.latency.p50_ms == pytest.approx(3)
        assert found.advised.measured.p50_ms == pytest.approx(2)

    def test_is_not_made_where_all_is_measured(self, monkeypatch: pytest.MonkeyPatch) -> None:
        sizes = made_up_times(monkeypatch, lambda documents: 1 + 0.05 * documents)
        for expected in (None, 40):
            found = self.advise(expected)
            assert (found.documents, found.sampled) == (40, 40)
            assert found.advised is not None
            assert found.advised.latency == found.advised.measured
        assert sizes == [40]

    def test_takes_searches_that_became_faster_as_equally_fast(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda documents: 5 - 0.01 * documents)
        found = self.advise(10_000).advised
        assert found is not None
        assert found.latency == found.measured

    @pytest.mark.parametrize(("expected", "p50"), [(20, 100), (4, 20), (1, 5)])
    def test_to_fewer_documents_never_goes_below_proportion(
        self, monkeypatch: pytest.MonkeyPatch, expected: int, p50: float
    ) -> None:
        made_up_times(monkeypatch, lambda documents: {20: 20, 40: 200}[documents])
        found = self.advise(expected).advised
        assert found is not None
        assert found.latency.p50_ms == pytest.approx(p50, abs=0.5)

    def test_takes_what_is_about_as_slow_as_equally_slow(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda documents: 3 + 0.01 * documents)
        found = self.advise(10_000).advised
        assert found is not None
        assert found.latency.p50_ms == pytest.approx(found.measured.p50_ms)

    def test_far_beyond_what_was_timed_is_called_a_guess(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda documents: 1 + 0.05 * documents)
        assert [self.advise(expected).is_guess for expected in (40, 800, 801)] == [False, False, True]

    def test_of_one_document_is_what_it_takes(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda _: 3)
        found = advise(self.TEXTS[:1], None, NO_LIMITS, pipelines=self.PIPELINES, expected_documents=100)
        assert found.advised is not None
        assert found.advised.latency.p50_ms == 3

    def test_decides_what_keeps_the_limits(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda documents: 1 + 0.05 * documents)
        found = advise(
            self.TEXTS, None, Limits(latency_ms=50), pipelines=self.PIPELINES, expected_documents=10_000
        )
        assert found.advised is None
        assert [why for _, why in found.excluded] == ["takes 1,000 ms (limit 50)"] * 2
        assert found.runners_up == ()
        assert [step.value for step in found.switches if step.limit == "latency_ms"] == [
            pytest.approx(1002 / NEAR)
        ]

    def test_names_what_is_below_the_limit_where_the_advised_one_is_at_it(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def time_searches(
            searched: Sequence[tuple[Collection, Pipeline]], *_: object, **__: object
        ) -> list[Latency]:
            p95 = {"bm25": 52.0, "tfidf": 20.0}
            return [Latency(10, p95[name_of(pipeline)], {}, 9) for _, pipeline in searched]

        monkeypatch.setattr(module, "time_searches", time_searches)
        for limit, advised, fallback in (
            (50, "bm25", "tfidf"),
            (52, "bm25", None),
            (47, "tfidf", None),
            (19, "tfidf", None),
        ):
            found = advise(self.TEXTS, None, Limits(latency_ms=limit), pipelines=self.PIPELINES)
            assert found.advised is not None
            assert found.advised.name == advised
            assert (found.fallback.name if found.fallback else None) == fallback

    def test_makes_token_vectors_only_for_those_who_read_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        made_up_times(monkeypatch, lambda _: 3)
        asked: list[bool] = []
        create = Collection.create

        def creating(*arguments: Any, **options: Any) -> Collection:
            asked.append(options["token_vectors"])
            return create(*arguments, **options)

        monkeypatch.setattr(Collection, "create", creating)
        self.advise(None)
        advise(self.TEXTS, None, NO_LIMITS, pipelines=[NAMES["bm25"], NAMES["late"]])
        assert asked == [False, True]


class TestMeasured:
    SOME = tuple(parse(text) for text in ("bm25", "hybrid", "dense"))

    def test_quality_is_that_of_a_comparison_and_nothing_is_indexed_for_it(
        self, collection: Collection, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(Collection, "create", None)
        found = advise(collection, judged, NO_LIMITS, pipelines=self.SOME, name="mine")
        compared = compare(collection, judged, self.SOME, measures=[nDCG @ 10], timed_queries=1)
        assert found.advised is not None
        assert (found.source, found.basis, found.measure) == ("mine", "measured", "nDCG@10")
        assert (found.documents, found.sampled, found.queries) == (65, 65, 16)
        measured = [found.advised, *(one for one, _ in found.runners_up)]
        assert {one.name for one in measured} == {"bm25", "hybrid", "dense"}
        for one in measured:
            system = compared.system(one.name)
            assert one.values == system.values["nDCG@10"]
            assert one.quality == system.intervals["nDCG@10"]
            assert one.costs.bytes_per_document == system.costs.bytes_per_document
        qualities = [one.quality.mean for one, _ in found.runners_up if one.quality]
        assert qualities == sorted(qualities, reverse=True)
        for one, difference in found.runners_up:
            assert difference is not None
            assert one.quality is not None
            assert found.advised.quality is not None
            assert difference.difference.mean == pytest.approx(one.quality.mean - found.advised.quality.mean)

    def test_limits_exclude_and_say_why(self, collection: Collection, judged: Judged) -> None:
        found = advise(
            collection, judged, Limits(latency_ms=1e-6, bytes_per_document=2), pipelines=self.SOME[:1]
        )
        assert found.advised is None
        ((one, why),) = found.excluded
        assert one.name == "bm25"
        assert "takes " in why
        assert " ms (limit 1e-06), needs " in why
        assert "bytes a document (limit 2)" in why

    def test_a_pipeline_named_twice_is_measured_once(self, collection: Collection, judged: Judged) -> None:
        found = advise(collection, judged, NO_LIMITS, pipelines=[NAMES["bm25"], NAMES["bm25"]])
        assert found.runners_up == ()

    def test_words_alone_need_no_encoding(
        self, collection: Collection, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        for way in ("views", "queries"):
            monkeypatch.setattr(type(collection.encoder), way, None)
        found = advise(collection, judged, NO_LIMITS, pipelines=[NAMES["bm25"], NAMES["tfidf"]])
        assert found.advised is not None
        assert found.advised.costs.encode_ms == 0

    def test_findings_about_the_judgements_are_there(self, collection: Collection) -> None:
        mine = judge({"q": "moon"}, {"q": {"sky-4": 1, "gone": 1}})
        found = advise(collection, mine, NO_LIMITS, pipelines=self.SOME[:1])
        assert "absent-documents" in {finding.rule for finding in found.findings}

    def test_a_sample_of_a_collection_has_its_settings_and_the_relevant_documents(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
        seen: list[str] = []
        sizes = made_up_times(monkeypatch, lambda _: 1)

        def checking(found: Any, judged: Judged) -> Any:
            kept = list(found)
            seen.extend(one.doc_id for one in kept)
            return check_judgements(kept, judged)

        monkeypatch.setattr(module, "check_judgements", checking)
        with Collection.create(tmp_path / "c", token_vectors=False, language="german") as source:
            source.add(documents()[:24])
            generation = source.info().generation
            mine = judge({"q": "card", "p": "bread"}, {"q": {"bank-1": 1}, "p": {"kitchen-1": 1}})
            found = advise(source, mine, NO_LIMITS, sample=8, pipelines=self.SOME[:1])
            assert source.info().generation == generation
        assert sizes == [24]  # it is there: nothing to extrapolate
        assert (found.documents, found.total, found.sampled, found.timed) == (24, 24, 8, 24)
        assert len(seen) == 8
        assert {"bank-1", "kitchen-1"} <= set(seen)
        assert [path.name for path in tmp_path.iterdir()] == ["c"]


class TestRuleOfThumb:
    def test_is_called_that_and_orders_by_its_list(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_up_times(monkeypatch, lambda _: 3)
        found = advise(collection, None, NO_LIMITS)
        assert found.basis == "rule of thumb"
        assert found.advised is not None
        names = [found.advised.name, *(one.name for one, _ in found.runners_up)]
        assert names == list(RULE_OF_THUMB)
        assert found.advised.quality is None
        assert all(difference is None for _, difference in found.runners_up)
        assert found.queries == found.documents  # titles or first words, a document each

    def test_times_the_queries_that_are_given(
        self, collection: Collection, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        made_up_times(monkeypatch, lambda _: 3)
        assert advise(collection, None, NO_LIMITS, queries=[Query("1", "moon")]).queries == 1

    def test_leaves_out_late_interaction_where_there_are_no_token_vectors(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, judged: Judged
    ) -> None:
        made_up_times(monkeypatch, lambda _: 3)
        with Collection.create(tmp_path / "c", token_vectors=False) as small:
            small.add(documents()[:10])
            by_rule = advise(small, None, NO_LIMITS)
            measured = advise(small, judged, NO_LIMITS)
            with pytest.raises(PipelineError, match="has no token vectors"):
                advise(small, judged, NO_LIMITS, pipelines=[NAMES["late"]])
        assert by_rule.advised is not None
        assert by_rule.advised.name == "hybrid+poly"
        assert measured.advised is not None
        names = {measured.advised.name, *(one.name for one, _ in measured.runners_up)}
        assert names == {"bm25", "tfidf", "dense", "poly", "hybrid", "hybrid+poly"}


def test_every_candidate_is_a_pipeline_and_the_rule_of_thumb_has_names() -> None:
    assert len({parse(text) for text in CANDIDATES}) == len(CANDIDATES)
    assert [name_of(parse(name)) for name in RULE_OF_THUMB] == list(RULE_OF_THUMB)


def test_a_source_without_documents_is_refused() -> None:
    with pytest.raises(DataError, match="there is no document"):
        advise([], None, NO_LIMITS)
