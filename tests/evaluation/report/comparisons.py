"""Comparisons to show: a realistic one, and those that break layouts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

import numpy as np

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
from shortlist.measures.statistics import Interval, bootstrap_mean, holm, paired_randomisation

MEASURES = ("nDCG@10", "MRR@10", "Recall@100", "P(rel=2)@5")

# name, pipeline, quality, stages with their p50, bytes by part
PIPELINES: Sequence[tuple[str, str, float, Mapping[str, float], Mapping[str, float]]] = (
    ("bm25", "bm25", 0.46, {"bm25": 2.9}, {"texts": 231, "postings": 190}),
    ("tfidf", "tfidf", 0.41, {"tfidf": 3.4}, {"texts": 231, "postings": 190}),
    ("dense", "dense", 0.52, {"encode": 2.2, "dense": 1.9}, {"texts": 231, "dense": 260}),
    (
        "hybrid",
        "fuse(bm25, dense, weights=[1, 4])",
        0.585,
        {"encode": 2.2, "bm25": 2.9, "dense": 1.9, "fuse": 0.3},
        {"texts": 231, "postings": 190, "dense": 260},
    ),
    ("late", "maxsim", 0.60, {"encode": 2.3, "late": 68}, {"texts": 231, "tokens": 6210}),
    (
        "hybrid+late",
        "rerank(fuse(bm25, dense, weights=[1, 4]), maxsim, depth=100)",
        0.635,
        {"encode": 2.3, "bm25": 2.9, "dense": 1.9, "fuse": 0.3, "late": 2.1},
        {"texts": 231, "postings": 190, "dense": 260, "tokens": 6210},
    ),
)

TOPICS = (
    "which process is listening on a port",
    "undo the last commit but keep the changes",
    "show disk usage of folders, largest first",
    "rename many files by a pattern",
    "find lines that two files share",
)


def realistic(queries: int = 40) -> Comparison:
    """Six systems and four measures, made with a seed; intervals and tests are really computed."""
    random = np.random.default_rng(7)
    ease = random.normal(0, 0.22, queries)
    values = {}
    for name, _, mean, _, _ in PIPELINES:
        own = np.clip(mean + ease + random.normal(0, 0.13, queries), 0, 1)
        values[name] = {
            "nDCG@10": tuple(float(value) for value in own),
            "MRR@10": tuple(float(1 / max(1, round(1 / max(value, 0.12)))) for value in own),
            "Recall@100": tuple(float(min(1, value + 0.25)) for value in own),
            "P(rel=2)@5": tuple(float(np.floor(value * 5) / 5) for value in own),
        }
    systems = [
        System(
            name=name,
            pipeline=pipeline,
            values=values[name],
            intervals={measure: bootstrap_mean(values[name][measure], resamples=500) for measure in MEASURES},
            differences={},
            latency=Latency(
                p50_ms=sum(stages.values()) * 1.06,
                p95_ms=sum(stages.values()) * 1.9,
                stages={stage: (p50, p50 * 1.7) for stage, p50 in stages.items()},
                queries=queries,
            ),
            costs=Costs(
                bytes_per_document=parts,
                encode_ms=0.0 if parts.keys() <= {"texts", "postings"} else 7.8,
                model_bytes=0 if parts.keys() <= {"texts", "postings"} else 34_200_000,
            ),
            judged=0.71 + place * 0.02,
        )
        for place, (name, pipeline, _, stages, parts) in enumerate(PIPELINES)
    ]
    return Comparison(
        source="examples/tldr",
        documents=6825,
        passages=7201,
        model="shortlist-mini",
        mode="int8",
        query_ids=tuple(f"q{place:03}" for place in range(1, queries + 1)),
        measures=MEASURES,
        baseline="bm25",
        systems=tuple(against(systems, "bm25")),
        findings=(
            Finding(
                "self-hits",
                3,
                "queries that are the text of a document, which was taken out of their rankings",
                ("q004", "q017", "q031"),
            ),
            Finding(
                "unjudged",
                212,
                "29% of the first ten documents have no judgement; they count as not relevant, so differences "
                "between pipelines may be larger or smaller than shown",
            ),
        ),
        disagreements=tuple(
            Disagreement(
                query_id=f"q{place * 7 + 1:03}",
                text=topic,
                values={name: values[name]["nDCG@10"][place * 7] for name in values},
                hits={
                    name: tuple(
                        Shown(
                            f"common/{word}",
                            f"{word}: what it does",
                            (None, 0, 1, 2)[(place + hit + len(name)) % 4],
                        )
                        for hit, word in enumerate(("lsof", "netstat", "ss"))
                    )
                    for name in values
                },
            )
            for place, topic in enumerate(TOPICS)
        ),
        machine="Linux x86_64, 8 cores, 32 GB, Python 3.12.4, numpy 2.2.1",
        version="0.1.0",
        seed=0,
        seconds={
            "indexing": 61.2,
            "encoding queries": 0.41,
            "ranking": 3.9,
            "timing": 12.2,
            "statistics": 1.1,
        },
    )


def against(systems: Sequence[System], baseline: str) -> list[System]:
    """Test every system against the baseline, as a comparison does."""
    base = next(system for system in systems if system.name == baseline)
    others = [system for system in systems if system is not base]
    found: dict[str, dict[str, Difference]] = {system.name: {} for system in others}
    for measure in base.values:
        tested = [
            paired_randomisation(system.values[measure], base.values[measure], permutations=2000)
            for system in others
        ]
        for system, p, corrected in zip(others, tested, holm(tested), strict=True):
            gaps = np.asarray(system.values[measure]) - np.asarray(base.values[measure])
            found[system.name][measure] = Difference(
                difference=bootstrap_mean(gaps, resamples=500),
                p=p,
                p_holm=corrected,
                wins=int((gaps > 0).sum()),
                ties=int((gaps == 0).sum()),
                losses=int((gaps < 0).sum()),
            )
    return [replace(system, differences=found.get(system.name, {})) for system in systems]


def single() -> Comparison:
    """One system, one query, nothing found out about them."""
    comparison = realistic()
    system = comparison.systems[0]
    values = {measure: found[:1] for measure, found in system.values.items()}
    intervals = {measure: Interval(found[0], found[0], found[0]) for measure, found in values.items()}
    return replace(
        comparison,
        query_ids=comparison.query_ids[:1],
        systems=(replace(system, values=values, intervals=intervals),),
        findings=(),
        disagreements=(),
        seconds={},
    )


def many(count: int = 12, name: str = "pipeline {}") -> Comparison:
    """Many systems whose costs and quality lie close together."""
    comparison = realistic()
    names = [name.replace("{}", str(place)) for place in range(1, count + 1)]
    systems = []
    for place, each in enumerate(names):
        system = comparison.systems[place % 6]
        shift = 0.004 * (place // 6)
        intervals = {
            measure: Interval(found.mean + shift, found.low + shift, found.high + shift)
            for measure, found in system.intervals.items()
        }
        differences = {} if place == 0 else (system.differences or comparison.systems[1].differences)
        systems.append(replace(system, name=each, intervals=intervals, differences=differences))
    renamed = [
        replace(
            found,
            values=dict.fromkeys(names, 0.5),
            hits=dict.fromkeys(names, next(iter(found.hits.values()))),
        )
        for found in comparison.disagreements
    ]
    return replace(comparison, baseline=names[0], systems=tuple(systems), disagreements=tuple(renamed))


def equal(value: float = 0.5) -> Comparison:
    """All systems have the same value on every query, and cost the same."""
    comparison = realistic()
    interval, nothing = Interval(value, value, value), Interval(0.0, 0.0, 0.0)
    systems = [
        replace(
            system,
            values=dict.fromkeys(MEASURES, (value,) * 40),
            intervals=dict.fromkeys(MEASURES, interval),
            differences={measure: Difference(nothing, 1.0, 1.0, 0, 40, 0) for measure in system.differences},
            latency=comparison.systems[0].latency,
            costs=comparison.systems[0].costs,
        )
        for system in comparison.systems
    ]
    return replace(comparison, systems=tuple(systems))


def costing(*costs: float) -> Comparison:
    """Systems whose latency and bytes are these numbers; quality goes from 0 to 1."""
    comparison = realistic()
    systems = []
    for place, cost in enumerate(costs):
        system = comparison.systems[place]
        mean = place / max(1, len(costs) - 1)
        interval = Interval(mean, max(0.0, mean - 0.1), min(1.0, mean + 0.1))
        systems.append(
            replace(
                system,
                intervals=dict.fromkeys(MEASURES, interval),
                latency=Latency(cost, cost * 2, {"encode": (cost, cost)}, 40),
                costs=Costs({"texts": cost}, cost, int(cost)),
            )
        )
    return replace(comparison, systems=tuple(systems))


HOSTILE = (
    "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> \u202egnp.exe\x1b[31m\x00\ud800\uffff"
    " & {\\input{x}} $_^~#% ]]> --> =1+1,\r\n;\u2028end"
)


def hostile() -> Comparison:
    """Every text of a comparison is one that would like to be something else."""
    comparison = many(6, name=HOSTILE + " {}")
    return replace(
        comparison,
        source=HOSTILE,
        model=HOSTILE,
        mode=HOSTILE,
        machine=HOSTILE,
        version=HOSTILE,
        query_ids=tuple(f"{HOSTILE} {query_id}" for query_id in comparison.query_ids),
        systems=tuple(
            replace(
                system,
                pipeline=HOSTILE,
                latency=replace(system.latency, stages={HOSTILE: (1.0, 2.0), f"{HOSTILE}2": (1.0, 2.0)}),
            )
            for system in comparison.systems
        ),
        findings=tuple(
            replace(each, rule=HOSTILE, message=HOSTILE, examples=(HOSTILE,)) for each in comparison.findings
        ),
        disagreements=tuple(
            replace(
                each,
                query_id=f"{HOSTILE} q001",
                text=HOSTILE,
                hits={name: (Shown(HOSTILE, HOSTILE * 20, None),) for name in each.hits},
            )
            for each in comparison.disagreements
        ),
        seconds={HOSTILE: 1.0},
    )


ALL = {
    "realistic": realistic(),
    "single": single(),
    "twelve": many(),
    "twenty": many(20),
    "equal": equal(),
    "all zero": equal(0.0),
    "all one": equal(1.0),
    "long names": many(8, name="rerank(fuse(bm25(k1=0.9), dense, weights=[1, 4]), maxsim, depth={}00) " * 3),
    "wide letters": many(6, name="検索パイプライン{}"),
    "hostile": hostile(),
    "cheap to dear": costing(0.01, 1.0, 10_000.0),
    "equal costs": costing(5.0, 5.0, 5.0, 5.0),
    "one cost is 0": costing(0.0, 3.0),
    "large": costing(412_000.0, 999_999.0, 3.2e12),
    "tiny and huge": costing(1e-300, 1e-12, 1e300),
}
