"""How good are the pipelines? nDCG@10 on judged sets; pytrec_eval must give the same to 1e-9.

python benchmarks/quality.py --data FOLDER [--mode exact] [--sets cranfield nfcorpus ...] [--keep FOLDER]
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import pytrec_eval
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, mean, nDCG, trec_order
from shortlist.search import NAMES
from shortlist.types import Qrels, Run

SETS = {"squad_dev": "heldout", "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test"}


def by_trec_eval(run: Run, qrels: Qrels) -> dict[str, float]:
    """Give nDCG@10 of every judged query from pytrec_eval, which sorts by score itself."""
    scores = {query: {hit.doc_id: hit.score for hit in ranking} for query, ranking in run.rankings.items()}
    evaluator = pytrec_eval.RelevanceEvaluator(
        {q: dict(r) for q, r in qrels.relevance.items()}, {"ndcg_cut.10"}
    )
    found = evaluator.evaluate(scores)
    return {query: found.get(query, {}).get("ndcg_cut_10", 0.0) for query in qrels.relevance}


def measure(folder: Path, split: str, mode: str, keep: Path | None) -> Mapping[str, float]:
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    kept = keep / f"{folder.name}-{mode}" if keep else None
    with opened(folder, keep=kept, mode=mode) as (collection, _):  # type: ignore[arg-type]
        info = collection.info()
        checked = check_judgements(all_documents(collection), judged)
        found = judged_runs(collection, checked, list(NAMES.values()), [nDCG @ 10])
    runs = [by_measure[nDCG @ 10] for by_measure in found]
    qrels = checked.judged.qrels
    results: dict[str, float] = {
        "queries": len(qrels.relevance), "documents": info.documents, "passages": info.passages,
    }  # fmt: skip
    for name, run in zip(NAMES, runs, strict=True):
        ours, theirs = by_query(nDCG @ 10, trec_order(run), qrels), by_trec_eval(run, qrels)
        worst = max(abs(ours[query] - theirs[query]) for query in ours)
        if worst > 1e-9:
            raise SystemExit(f"{folder.name} {name}: nDCG@10 differs from pytrec_eval by {worst}")
        results[name] = round(mean(by_query(nDCG @ 10, run, qrels)), 4)
        print(f"{folder.name:12} {name:22} nDCG@10 {results[name]:.4f}", flush=True)
    return results


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("fast", "exact"), default="fast")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results = {
        name: measure(data / "retrieval" / name, SETS.get(name, "test"), given.mode, given.keep)
        for name in given.sets
    }
    write_results(f"quality-{given.mode}", results, ["pytrec_eval-terrier"])


if __name__ == "__main__":
    main()
