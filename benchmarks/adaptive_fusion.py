"""Does fusion that weighs BM25 and dense by itself ever lose to the better of them, on any set?

    python benchmarks/adaptive_fusion.py --data FOLDER [--fit] [--keep FOLDER]

``--fit`` finds the five numbers of scoring/adaptive.py on development splits of open sets: the largest mean nDCG@10,
every set counting the same. Then, with the numbers that are in the code, test splits and sets that were never fitted
on: the difference to the better of BM25 and dense and to fixed weights (1, 4), each with its interval and p-value. Left
out: the same with numbers fitted without any split of the set, which says how far they carry to other text.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import astuple, dataclass
from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results
from scipy.optimize import minimize

from shortlist import Collection
from shortlist.evaluation.judged import Judged, find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.statistics import bootstrap_mean, paired_randomisation
from shortlist.scoring import bm25_idf
from shortlist.scoring.adaptive import COEFFICIENTS, HIGHEST, LOWEST, signs

FITTED = (
    "tldr/dev",
    "squad_dev/train",
    "medquad/dev",
    "fairytaleqa/dev",
    "disflqa_retrieval/dev",
    "clinc150/dev",
    "support/test",
)
TESTED = (
    "tldr/test", "squad_dev/heldout", "medquad/test", "fairytaleqa/test", "disflqa_retrieval/test", "clinc150/test",
    "nfcorpus/test", "cranfield/test", "cisi/test", "med/test",
)  # fmt: skip
EXAMPLES = Path(__file__).parent.parent / "examples"
QUERIES = 1000  # of the splits that are fitted on; all of those that are tested on
FIXED = 4.0
EXPONENTS = np.linspace(LOWEST, HIGHEST, 15)
READ_ALL = "rerank(fuse(bm25, dense, weights=[1, 4]), fuse(bm25, dense), depth=400)"


@dataclass(frozen=True)
class Split:
    """Hold a split's queries: signs after a 1, ``[Q, 5]``, and nDCG@10: at every exponent, of BM25, dense, fixed."""

    signs: np.ndarray
    by_exponent: np.ndarray
    bm25: np.ndarray
    dense: np.ndarray
    fixed: np.ndarray
    exactly: Callable[[np.ndarray], np.ndarray]

    def interpolated(self, exponents: np.ndarray) -> np.ndarray:
        """Give nDCG@10 ``[Q]`` between the exponents that were tried, smooth enough to fit on."""
        place = (np.clip(exponents, LOWEST, HIGHEST) - LOWEST) / (EXPONENTS[1] - EXPONENTS[0])
        left = np.minimum(place.astype(int), len(EXPONENTS) - 2)
        rows, share = np.arange(len(left)), place - left
        return self.by_exponent[rows, left] * (1 - share) + self.by_exponent[rows, left + 1] * share

    def better(self) -> np.ndarray:
        """Give the values of the retriever that is better on the mean."""
        return self.bm25 if self.bm25.mean() > self.dense.mean() else self.dense


def ndcg(scores: np.ndarray, grades: np.ndarray, ideal: float) -> float:
    order = np.argsort(-scores, kind="stable")[:10]
    return _dcg(grades[order].tolist()) / ideal if ideal else 0.0


def _dcg(gains: Sequence[float]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def read_split(data: Path, name: str, keep: Path | None, most: int | None) -> Split:
    """Search with both retrievers; every candidate has both exact scores."""
    source, split = name.split("/")
    folder = EXAMPLES / source if source == "support" else data / "retrieval" / source
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    judged = judged.some(most, 0) if most else judged
    rows = []
    with opened(folder, keep=keep / folder.name if keep else None) as (collection, _):
        strange = strangeness(collection, judged)
        with collection.store.snapshot() as snapshot:
            length = snapshot.average_length
        for start in range(0, len(judged.queries), 200):
            run = collection.run(judged.queries[start : start + 200], 400, pipeline=READ_ALL)
            for query_id, hits in run.rankings.items():
                grades = judged.qrels.relevance[query_id]
                lexical = np.array([hit.stages["bm25"] for hit in hits])
                dense = np.array([hit.stages["dense"] for hit in hits])
                ideal = _dcg(sorted((g for g in grades.values() if g > 0), reverse=True)[:10])
                found = np.array([max(0, grades.get(hit.doc_id, 0)) for hit in hits])
                shown = astuple(signs(lexical, dense, length, strange[query_id]))
                rows.append((lexical, dense, found, ideal, (1.0, *shown)))

    def at(exponent: float, row: tuple) -> float:  # type: ignore[type-arg]
        lexical, dense, found, ideal, _ = row
        return ndcg(lexical / (lexical.max() or 1.0) + 2**exponent * dense, found, ideal)

    print(name, len(rows), flush=True)
    return Split(
        signs=np.array([row[4] for row in rows]),
        by_exponent=np.array([[at(exponent, row) for exponent in EXPONENTS] for row in rows]),
        bm25=np.array([ndcg(row[0], row[2], row[3]) for row in rows]),
        dense=np.array([ndcg(row[1], row[2], row[3]) for row in rows]),
        fixed=np.array([at(math.log2(FIXED), row) for row in rows]),
        exactly=lambda exponents: np.array([at(e, row) for e, row in zip(exponents, rows, strict=True)]),
    )


def strangeness(collection: Collection, judged: Judged) -> dict[str, float]:
    """Give the share of each query's idf that lies in terms which no document has."""
    found = {}
    with collection.store.snapshot() as snapshot:
        for query in judged.queries:
            terms = collection.analyzer.terms(query.text)
            frequencies = [snapshot.count_live(snapshot.segment_postings(term)) for term in terms]
            weights = [bm25_idf(frequency, snapshot.document_count) for frequency in frequencies]
            absent = sum(
                weight for weight, frequency in zip(weights, frequencies, strict=True) if not frequency
            )
            found[query.query_id] = absent / (sum(weights) or 1.0)
    return found


def fit(splits: Sequence[Split]) -> np.ndarray:
    """Find the numbers with the largest mean over the splits, from several starts; larger ones cost a little."""
    everything = np.concatenate([split.signs for split in splits])
    middle, scale = everything.mean(axis=0), everything.std(axis=0) + 1e-9
    middle[0], scale[0] = 0.0, 1.0

    def loss(numbers: np.ndarray) -> float:
        means = [split.interpolated((split.signs - middle) / scale @ numbers).mean() for split in splits]
        return float(-np.mean(means) + 1e-4 * np.sum(numbers[1:] ** 2))

    random = np.random.default_rng(0)
    starts = [np.array([1.3, *random.normal(0, 0.3, 4)]) for _ in range(5)]
    found = min((minimize(loss, start, method="Powell") for start in starts), key=lambda result: result.fun).x
    numbers = found / scale
    numbers[0] = found[0] - float((found[1:] * middle[1:] / scale[1:]).sum())
    return numbers


def row(split: Split, numbers: Sequence[float]) -> Mapping[str, object]:
    values = split.exactly(np.clip(split.signs @ np.array(numbers), LOWEST, HIGHEST))
    record: dict[str, object] = {
        "queries": len(values),
        "bm25": round(float(split.bm25.mean()), 4),
        "dense": round(float(split.dense.mean()), 4),
        "fixed": round(float(split.fixed.mean()), 4),
        "adaptive": round(float(values.mean()), 4),
        "best fixed": round(float(split.by_exponent.mean(axis=0).max()), 4),
    }
    for name, other in (("better of both", split.better()), ("fixed", split.fixed)):
        interval = bootstrap_mean(values - other)
        p = paired_randomisation(values, other)
        record[f"against {name}"] = [round(x, 4) for x in (interval.mean, interval.low, interval.high, p)]
    return record


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--fit", action="store_true", help="print the numbers that the development splits give"
    )
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    fitted = {name: read_split(data, name, given.keep, QUERIES) for name in FITTED}
    if given.fit:
        print("fitted on all:", fit(list(fitted.values())).round(3).tolist())
    results: dict[str, object] = {"numbers": list(COEFFICIENTS)}
    rows: dict[str, Mapping[str, object]] = {}
    left_out: dict[str, Mapping[str, object]] = {}
    for name in TESTED:
        split = read_split(data, name, given.keep, None)
        rows[name] = row(split, COEFFICIENTS)
        others = [found for key, found in fitted.items() if key.split("/")[0] != name.split("/")[0]]
        if len(others) < len(fitted):
            left_out[name] = row(split, fit(others).tolist())
        print(rows[name], flush=True)
    for key in ("bm25", "dense", "fixed", "adaptive"):
        results[f"mean {key}"] = round(float(np.mean([found[key] for found in rows.values()])), 4)  # type: ignore[misc]
    write_results("adaptive-fusion", {**results, "sets": rows, "fitted without the set": left_out}, ["scipy"])


if __name__ == "__main__":
    main()
