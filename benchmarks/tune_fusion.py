"""Which weights for hybrid and hybrid+late? A grid on open development sets, none of which is a test set here.

    python benchmarks/tune_fusion.py --data FOLDER

Candidates are BM25's and dense's first 200; every document gets all three exact scores, and the weights are
applied to those. Prints the mean over the sets for each combination, best first.
"""

from __future__ import annotations

import itertools
import math
import tempfile
from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist import Collection
from shortlist.formats import Rejected, read_qrels, read_queries

SETS = {"tldr": "dev", "fairytaleqa": "dev", "squad_dev": "train", "disflqa_retrieval": "dev"}
QUERIES = 400
READ_ALL = "rerank(fuse(bm25, dense, weights=[1, 4]), fuse(bm25, maxsim, dense), depth=400)"


def judged_scores(folder: Path, split: str) -> list[tuple[np.ndarray, np.ndarray, float]]:
    """Give, a query, the scores [candidates, 3], the grades of the candidates and the ideal DCG."""
    relevance = read_qrels(folder / "qrels" / f"{split}.tsv").relevance
    read = (query for query in read_queries(folder / "queries.jsonl") if not isinstance(query, Rejected))
    queries = [query for query in read if query.query_id in relevance]
    queries = queries[:: max(1, len(queries) // QUERIES)][:QUERIES]
    found = []
    with (
        tempfile.TemporaryDirectory() as temporary,
        Collection.create(Path(temporary) / "c.shortlist") as collection,
    ):
        collection.add(folder)
        for query in queries:
            hits = collection.search(query.text, 400, pipeline=READ_ALL).ranking
            scores = np.array([[hit.stages[name] for name in ("bm25", "late", "dense")] for hit in hits])
            scores[:, 0] /= scores[:, 0].max() or 1.0
            grades = relevance[query.query_id]
            ideal = sorted((grade for grade in grades.values() if grade > 0), reverse=True)[:10]
            found.append((scores, np.array([max(0, grades.get(hit.doc_id, 0)) for hit in hits]), _dcg(ideal)))
    print(folder.name, len(found), flush=True)
    return found


def _dcg(gains: list[int]) -> float:
    return sum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


def ndcg(found: list[tuple[np.ndarray, np.ndarray, float]], weights: tuple[float, float, float]) -> float:
    values = []
    for scores, grades, ideal in found:
        order = np.argsort(-(scores @ weights), kind="stable")[:10]
        values.append(_dcg(grades[order].tolist()) / ideal)
    return float(np.mean(values))


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    data = data_folder(parser.parse_args().data, parser)
    by_set = {name: judged_scores(data / "retrieval" / name, split) for name, split in SETS.items()}
    grid = {"hybrid": [(1, 0, w) for w in (1, 2, 3, 4, 5, 6, 8, 12)],
            "hybrid+late": list(itertools.product((1,), (1, 2, 3, 4, 6, 8, 12), (0, 1, 2, 3, 4, 6)))}  # fmt: skip
    results = {}
    for name, combinations in grid.items():
        rows = []
        for weights in combinations:
            each = {key: round(ndcg(found, weights), 4) for key, found in by_set.items()}
            rows.append(
                {
                    "bm25, late, dense": list(weights),
                    "mean": round(float(np.mean(list(each.values()))), 4),
                    **each,
                }
            )
        rows.sort(key=lambda row: -float(row["mean"]))  # type: ignore[arg-type]
        results[name] = rows
        for row in rows[:12]:
            print(name, row)
    write_results("tune-fusion", results)


if __name__ == "__main__":
    main()
