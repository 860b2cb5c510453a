"""Is the advised pipeline the best one on queries that the advice did not see, and is its latency as foretold?

    python benchmarks/advice.py --data FOLDER [--keep FOLDER]

On three open sets the judged queries are halved. `advise` sees one half and a third of the documents; all candidates
are then measured on the whole collection with the other half, timed three times, of which the middle p95 counts.
Reported for each pair of limits: what was advised, what would have been best of those whose p95 is within the limits by
that measurement, the difference in nDCG@10 between them, and how far the extrapolated p50 of every candidate lies from
the one measured.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.advice import CANDIDATES, TIMED, Candidate, Limits, advise, choose
from shortlist.evaluation.costs import bytes_by_part, costs, time_searches
from shortlist.evaluation.judged import Judged, find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.formats import Rejected, open_source
from shortlist.measures.ranking import by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean
from shortlist.search import parse

SETS = {"tldr": "test", "squad_dev": "heldout", "fairytaleqa": "test"}
LIMITS = (Limits(5), Limits(15), Limits(500), Limits(50, 3000), Limits(None, 1500))
SHARE = 3  # of the documents, one in so many is in the sample
SEEN, UNSEEN = 400, 600  # queries


def halves(judged: Judged) -> tuple[Judged, Judged]:
    order = np.random.default_rng(1).permutation(len(judged.queries)).tolist()
    seen = tuple(judged.queries[index] for index in sorted(order[:SEEN]))
    unseen = tuple(judged.queries[index] for index in sorted(order[SEEN : SEEN + UNSEEN]))
    return judged.only(seen), judged.only(unseen)


def measure(folder: Path, split: str, keep: Path | None) -> dict[str, object]:
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    seen, unseen = halves(judged)
    documents = [record for record in open_source(folder) if not isinstance(record, Rejected)]
    tried = [parse(text) for text in CANDIDATES]
    advice = advise(documents, seen, Limits(), sample=len(documents) // SHARE, name=folder.name)
    candidates = [c for c in (advice.advised, *(c for c, _ in advice.runners_up)) if c is not None]
    with opened(folder, keep=keep / folder.name if keep else None) as (collection, _):
        runs = collection.run_all(unseen.queries, tried, 100)
        pairs = [(collection, pipeline) for pipeline in tried]
        times = [time_searches(pairs, unseen.queries, seed=seed, most=TIMED) for seed in (5, 6, 7)]
        by_part = bytes_by_part(collection)
    latencies = [sorted(found, key=lambda latency: latency.p95_ms)[1] for found in zip(*times, strict=True)]
    truth = [
        Candidate(
            pipeline,
            bootstrap_mean(values),
            latency,
            latency,
            costs(pipeline, by_part, 0.0, 0),
            tuple(values),
        )
        for pipeline, latency, values in (
            (pipeline, latency, list(by_query(nDCG @ 10, run, unseen.qrels).values()))
            for pipeline, latency, run in zip(tried, latencies, runs, strict=True)
        )
    ]
    of_name = {candidate.name: candidate for candidate in truth}
    rows = []
    for limits in LIMITS:
        advised = choose(candidates, limits)
        within = [c for c in truth if limits.allow(c) and not limits.is_near(c)]
        best = max(
            within, key=lambda candidate: candidate.quality.mean if candidate.quality else 0, default=None
        )
        record: dict[str, object] = {
            "latency_ms": limits.latency_ms,
            "bytes_per_document": limits.bytes_per_document,
            "advised": advised.name if advised else None,
            "best": best.name if best else None,
        }
        if advised and best and best.quality:
            got = of_name[advised.name]
            record["nDCG@10 lost on unseen queries"] = round(best.quality.mean - got.quality.mean, 4)  # type: ignore[union-attr]
            record["advised keeps the limits"] = limits.allow(got)
            if limits.latency_ms:
                record["p95 of the advised"] = round(got.latency.p95_ms, 2)
        rows.append(record)
        print(folder.name, record, flush=True)
    far = {
        candidate.name: {
            "foretold p50_ms": round(candidate.latency.p50_ms, 2),
            "measured p50_ms": round(of_name[candidate.name].latency.p50_ms, 2),
            "ratio": round(candidate.latency.p50_ms / of_name[candidate.name].latency.p50_ms, 3),
        }
        for candidate in candidates
    }
    for name, found in far.items():
        print(folder.name, name, found, flush=True)
    return {"documents": len(documents), "sample": len(documents) // SHARE, "limits": rows, "latency": far}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results = {name: measure(data / "retrieval" / name, split, given.keep) for name, split in SETS.items()}
    write_results("advice", results)


if __name__ == "__main__":
    main()
