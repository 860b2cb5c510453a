"""Compare pipelines on the same judged queries: quality, significance, latency, storage, disagreements.

What pipelines share is computed once a query: six of them cost little more than the slowest.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import numpy as np

from shortlist.api import Collection
from shortlist.collection import Snapshot
from shortlist.doctor.machine import examine_machine
from shortlist.errors import CollectionError, MeasureError, PipelineError
from shortlist.evaluation.checks import Checked, check_judgements, unjudged
from shortlist.evaluation.costs import bytes_by_part, costs, encode_ms, model_bytes, time_searches
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.results import (
    Comparison,
    Costs,
    Difference,
    Disagreement,
    Finding,
    Latency,
    Shown,
    System,
)
from shortlist.measures.ranking import RR, Measure, R, by_query, mean, nDCG
from shortlist.measures.ranking import Judged as JudgedShare
from shortlist.measures.statistics import bootstrap_mean, holm, paired_randomisation
from shortlist.protocols import Steps
from shortlist.search import Pipeline, deepen, leaves, name_of
from shortlist.types import Document, Run
from shortlist.version import VERSION

__all__ = ["BASELINE", "MEASURES", "all_documents", "baseline_of", "compare", "differences", "judged_runs"]

MEASURES: tuple[Measure, ...] = (nDCG @ 10, RR @ 10, R @ 100)
"""What is measured unless something else is asked for; the first is what plots and advice go by."""

BASELINE = "bm25"
JUDGED = JudgedShare @ 10
ALL = 1000  # hits that a measure without a k looks at
DISAGREEMENTS = 10
HITS_SHOWN = 3
TITLE = 80  # characters of a text that stand for a title that it hasn't
NOT_TIMED = Latency(0.0, 0.0, {}, 0)
NO_COSTS = Costs({}, 0.0, 0)
_BLOCK = 1000


def compare(
    collection: Collection,
    judged: Judged,
    pipelines: Sequence[Pipeline],
    *,
    measures: Sequence[Measure] = MEASURES,
    baseline: Pipeline | None = None,
    timed_queries: int = 100,
    seed: int = 0,
    threads: int | None = None,
    findings: Sequence[Finding] = (),
    steps: Steps | None = None,
) -> Comparison:
    """Run ``pipelines`` on the judged queries of a collection and say how they differ and what they cost.

    ``baseline`` is what the others are tested against: BM25 if it is among them, otherwise the first.
    ``threads`` is for encoding the queries; latency is always that of one search at a time on one thread.
    ``findings`` are what was found before, as when the documents were read.

    Raises:
        PipelineError: there is no pipeline, one stands twice, the baseline is not among them, or one needs a view
            that the collection lacks.
        MeasureError: there is no measure, or one stands twice.
        CollectionError: another process changed the collection meanwhile.
    """
    against = baseline_of(pipelines, baseline)
    if not measures or len(set(measures)) < len(measures):
        raise MeasureError("a comparison needs different measures, each named once")
    seconds: dict[str, float] = {}
    info = collection.info()
    with _timed(seconds, "checking"):
        checked = check_judgements(all_documents(collection), judged)
    queries = checked.judged.queries
    with _timed(seconds, "ranking"):
        looked_at = [*measures, *({JUDGED} - set(measures))]
        runs = judged_runs(collection, checked, pipelines, looked_at, threads=threads, steps=steps)
    with _timed(seconds, "timing"):
        progress = steps("timing", min(timed_queries, len(queries))) if steps else None
        latencies = time_searches(
            [(collection, pipeline) for pipeline in pipelines],
            queries,
            seed=seed,
            most=timed_queries,
            progress=progress,
        )
        needs_vectors = any(leaf.needs_vectors for pipeline in pipelines for leaf in leaves(pipeline))
        encoding = encode_ms(collection, seed=seed) if needs_vectors else 0.0
    with _timed(seconds, "statistics"):
        by_part, size = bytes_by_part(collection), model_bytes(collection)
        systems = _systems(checked, pipelines, runs, measures, against, seed)
        systems = [
            replace(system, latency=latency, costs=costs(pipeline, by_part, encoding, size))
            for system, latency, pipeline in zip(systems, latencies, pipelines, strict=True)
        ]
        with collection.store.snapshot() as snapshot:
            if snapshot.generation.number != info.generation:
                raise CollectionError(
                    f"{info.path} was changed while it was compared",
                    hint="compare again when nobody writes to it",
                )
            first = [found[measures[0]] for found in runs]
            disagreements = _disagreements(snapshot, checked.judged, systems, first)
    found = unjudged({system.name: system.judged for system in systems}, checked.judged.qrels)
    machine = examine_machine()
    return Comparison(
        source=judged.name,
        documents=info.documents,
        passages=info.passages,
        model=f"{info.model} ({info.fingerprint})",
        mode=info.mode,
        query_ids=[query.query_id for query in queries],
        measures=[str(measure) for measure in measures],
        baseline=against,
        systems=systems,
        findings=(*findings, *checked.judged.findings, *([found] if found else [])),
        disagreements=disagreements,
        machine=f"{machine.processor}, {machine.cores_usable} cores",
        version=VERSION,
        seed=seed,
        seconds=seconds,
    )


def baseline_of(pipelines: Sequence[Pipeline], baseline: Pipeline | None = None) -> str:
    """Give the name of what the others are tested against: of BM25 if it is among them, otherwise of the first.

    Raises:
        PipelineError: there is no pipeline, one stands twice, or the baseline is not among them.
    """
    names = [name_of(pipeline) for pipeline in pipelines]
    twice = next((name for name in names if names.count(name) > 1), None)
    if not names or twice is not None:
        raise PipelineError(
            "no pipeline to compare" if twice is None else f"the pipeline {twice} stands twice"
        )
    against = name_of(baseline) if baseline else BASELINE if BASELINE in names else names[0]
    if against not in names:
        raise PipelineError(f"the baseline {against} is not among the pipelines: {', '.join(names)}")
    return against


def all_documents(collection: Collection) -> Iterator[Document]:
    """Read every live document of the newest generation, in blocks."""
    with collection.store.snapshot() as snapshot:
        live = np.flatnonzero(snapshot.live)
        for start in range(0, len(live), _BLOCK):
            yield from snapshot.documents(live[start : start + _BLOCK])


def judged_runs(
    collection: Collection,
    checked: Checked,
    pipelines: Sequence[Pipeline],
    measures: Sequence[Measure],
    *,
    threads: int | None = None,
    steps: Steps | None = None,
) -> list[Mapping[Measure, Run]]:
    """Rank for all judged queries, without self hits: for each pipeline and measure the run that it measures.

    A measure looks at what a search for its ``k`` hits finds (1,000 for a measure of all): where a pipeline passes on
    less than that, a search for more goes deeper and may find others, so one run can't stand for both.
    """
    queries = checked.judged.queries
    asked = dict.fromkeys(
        (pipeline, deepen(pipeline, depth_of(measure) + checked.most_self_hits))
        for pipeline in pipelines
        for measure in measures
    )
    most = {
        (pipeline, deep): max(
            depth_of(measure)
            for measure in measures
            if deepen(pipeline, depth_of(measure) + checked.most_self_hits) == deep
        )
        for pipeline, deep in asked
    }
    found = collection.run_all(
        queries,
        [pipeline for pipeline, _ in most],
        [depth + checked.most_self_hits for depth in most.values()],
        threads=threads,
        progress=steps("ranking", len(queries)) if steps else None,
    )
    runs = {
        key: checked.without_self_hits(run, depth)
        for (key, depth), run in zip(most.items(), found, strict=True)
    }
    return [
        {
            measure: runs[pipeline, deepen(pipeline, depth_of(measure) + checked.most_self_hits)]
            for measure in measures
        }
        for pipeline in pipelines
    ]


def depth_of(measure: Measure) -> int:
    """Give how many hits a measure looks at."""
    return measure.k or ALL


def differences(
    values: Mapping[str, Sequence[float]], baseline: str, *, seed: int = 0
) -> dict[str, Difference]:
    """Test every system's values ``[Q]`` against the baseline's, corrected for their number."""
    others = [name for name in values if name != baseline]
    base = np.asarray(values[baseline])
    p_values = [paired_randomisation(values[name], base, seed=seed) for name in others]
    found = {}
    for name, p, corrected in zip(others, p_values, holm(p_values), strict=True):
        difference = np.asarray(values[name]) - base
        found[name] = Difference(
            bootstrap_mean(difference, seed=seed),
            p,
            corrected,
            wins=int((difference > 0).sum()),
            ties=int((difference == 0).sum()),
            losses=int((difference < 0).sum()),
        )
    return found


def _systems(
    checked: Checked,
    pipelines: Sequence[Pipeline],
    runs: Sequence[Mapping[Measure, Run]],
    measures: Sequence[Measure],
    baseline: str,
    seed: int,
) -> list[System]:
    """Say all of the systems that follows from their runs; what they cost comes from elsewhere."""
    qrels = checked.judged.qrels
    names = [name_of(pipeline) for pipeline in pipelines]
    values = {
        str(measure): {
            name: tuple(by_query(measure, found[measure], qrels).values())
            for name, found in zip(names, runs, strict=True)
        }
        for measure in measures
    }
    tested = {measure: differences(found, baseline, seed=seed) for measure, found in values.items()}
    return [
        System(
            name=name,
            pipeline=str(pipeline),
            values={measure: found[name] for measure, found in values.items()},
            intervals={measure: bootstrap_mean(found[name], seed=seed) for measure, found in values.items()},
            differences={measure: found[name] for measure, found in tested.items() if name in found},
            latency=NOT_TIMED,
            costs=NO_COSTS,
            judged=mean(by_query(JUDGED, by_measure[JUDGED], qrels)),
        )
        for name, pipeline, by_measure in zip(names, pipelines, runs, strict=True)
    ]


def _disagreements(
    snapshot: Snapshot, judged: Judged, systems: Sequence[System], runs: Sequence[Run]
) -> list[Disagreement]:
    """Give the queries with the largest spread of the first measure, the first of equals first."""
    first = next(iter(systems[0].values))
    spread = np.ptp([system.values[first] for system in systems], axis=0)
    chosen = [
        index for index in np.argsort(-spread, kind="stable")[:DISAGREEMENTS].tolist() if spread[index] > 0
    ]
    return [
        Disagreement(
            query_id=judged.queries[index].query_id,
            text=judged.queries[index].text,
            values={system.name: system.values[first][index] for system in systems},
            hits={
                system.name: _shown(snapshot, judged, judged.queries[index].query_id, run)
                for system, run in zip(systems, runs, strict=True)
            },
        )
        for index in chosen
    ]


def _shown(snapshot: Snapshot, judged: Judged, query_id: str, run: Run) -> list[Shown]:
    hits = run.rankings[query_id].hits[:HITS_SHOWN]
    positions = snapshot.find(hit.doc_id for hit in hits)
    documents = snapshot.documents([positions[hit.doc_id] for hit in hits])
    grades = judged.qrels.relevance[query_id]
    return [
        Shown(document.doc_id, document.title or document.text[:TITLE], grades.get(document.doc_id))
        for document in documents
    ]


@contextmanager
def _timed(seconds: dict[str, float], name: str) -> Iterator[None]:
    begin = time.perf_counter()
    yield
    seconds[name] = time.perf_counter() - begin
