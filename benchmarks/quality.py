"""How good are the pipelines? nDCG@10 on judged sets, with pytrec_eval as the judge of the judge.

python benchmarks/quality.py --data FOLDER [--mode exact] [--sets cranfield nfcorpus ...]
"""

from __future__ import annotations

import math
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytrec_eval
from measuring import arguments, data_folder, write_results

from shortlist import Collection
from shortlist.formats import Rejected, read_qrels, read_queries
from shortlist.types import Qrels, Run

SETS = {"squad_dev": "heldout", "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test"}
PIPELINES = ("bm25", "tfidf", "dense", "late", "hybrid", "hybrid+late")


def ndcg_at_10(run: Run, qrels: Qrels) -> dict[str, float]:
    """Give nDCG@10 of every judged query, from the order of the ranking; without results it is 0."""
    values = {}
    for query_id, relevance in qrels.relevance.items():
        ideal = sorted((grade for grade in relevance.values() if grade > 0), reverse=True)
        found = run.rankings[query_id].hits[:10] if query_id in run.rankings else ()
        gains = [max(0, relevance.get(hit.doc_id, 0)) for hit in found]
        values[query_id] = _dcg(gains) / _dcg(ideal[:10]) if ideal else 0.0
    return values


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def by_trec_eval(run: Run, qrels: Qrels) -> dict[str, float]:
    """Give the same from pytrec_eval, which sorts by score itself."""
    scores = {query: {hit.doc_id: hit.score for hit in ranking} for query, ranking in run.rankings.items()}
    evaluator = pytrec_eval.RelevanceEvaluator(
        {q: dict(r) for q, r in qrels.relevance.items()}, {"ndcg_cut.10"}
    )
    found = evaluator.evaluate(scores)
    return {query: found.get(query, {}).get("ndcg_cut_10", 0.0) for query in qrels.relevance}


def measure(folder: Path, split: str, mode: str) -> Mapping[str, float]:
    qrels = read_qrels(folder / "qrels" / f"{split}.tsv")
    queries = [
        query
        for query in read_queries(folder / "queries.jsonl")
        if not isinstance(query, Rejected) and query.query_id in qrels.relevance
    ]
    results: dict[str, float] = {"queries": len(queries)}
    with (
        tempfile.TemporaryDirectory() as temporary,
        Collection.create(Path(temporary) / "c.shortlist", mode=mode) as collection,  # type: ignore[arg-type]
    ):
        report = collection.add(folder)
        results["documents"], results["passages"] = report.added, report.passages
        for name in PIPELINES:
            run = collection.run(queries, 100, pipeline=name)
            ours, theirs = ndcg_at_10(run, qrels), by_trec_eval(run, qrels)
            worst = max(abs(ours[query] - theirs[query]) for query in ours)
            if worst > 1e-6:
                raise SystemExit(f"{folder.name} {name}: nDCG@10 differs from pytrec_eval by {worst}")
            results[name] = round(math.fsum(ours.values()) / len(ours), 4)
            print(f"{folder.name:12} {name:22} nDCG@10 {results[name]:.4f}", flush=True)
    return results


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("fast", "exact"), default="exact")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results = {
        name: measure(data / "retrieval" / name, SETS.get(name, "test"), given.mode) for name in given.sets
    }
    write_results(f"quality-{given.mode}", results, ["pytrec_eval-terrier"])


if __name__ == "__main__":
    main()
