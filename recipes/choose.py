"""Try weights of the stages on development queries: what is added to hybrid, and how much of it?

    python recipes/choose.py --data FOLDER --keep FOLDER [--sets ...]

Reranks the first 50 documents of hybrid by all stages, keeps each one's scores, and prints nDCG@10 for a grid of
weights. Development queries of tldr, medquad and fairytaleqa, and those of SQuAD's training articles whose paragraph
was held out of training (prepare.py). No test query, and no internal set, is looked at.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from pathlib import Path

import numpy as np
from prepare import is_held_out

from shortlist.evaluation.comparison import all_documents
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.types import Query

SETS = {"squad_dev": "train", "medquad": "dev", "tldr": "dev", "fairytaleqa": "dev"}
QUERIES, DEPTH = 300, 50
STAGES = {"late": "maxsim", "poly": "poly", "small": "cross(model='judge-small')", "judge": "cross"}
GRID = {
    "late": (0, 1, 1.5, 2, 3, 4),
    "poly": (0, 1, 2),
    "small": (0, 0.02, 0.05, 0.1),
    "judge": (0, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3),
}


def ndcg(order: list[str], relevance: dict[str, int], k: int = 10) -> float:
    def gain(values: list[int]) -> float:
        return sum(value / math.log2(place + 2) for place, value in enumerate(values[:k]))

    ideal = gain(sorted((value for value in relevance.values() if value > 0), reverse=True))
    return gain([max(0, relevance.get(doc_id, 0)) for doc_id in order]) / ideal if ideal else 0.0


def measured(folder: Path, split: str, keep: Path, stages: list[str]) -> list[dict[str, object]]:
    """Give the candidates of every query with each stage's score, from a file of before if there is one."""
    file = keep / f"{folder.name}-{'-'.join(stages)}.json"
    if file.exists():
        found: list[dict[str, object]] = json.loads(file.read_text())
        return found
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    with opened(folder, keep=keep / folder.name) as (collection, _):
        qrels = judged.qrels.relevance
        held = {one.doc_id for one in all_documents(collection) if is_held_out(one.text)}
        queries: list[Query] = [
            query
            for query in judged.queries
            if split != "train" or {d for d, value in qrels[query.query_id].items() if value > 0} <= held
        ]
        random.Random(1).shuffle(queries)
        parts = ["hybrid", *(STAGES[stage] for stage in stages)]
        pipeline = f"rerank(hybrid, fuse({', '.join(parts)}), depth={DEPTH})"
        found = []
        for query in queries[:QUERIES]:
            hits = collection.search(query.text, DEPTH, pipeline=pipeline).ranking
            names = [name for name in hits[0].stages if name not in ("bm25", "dense")]
            columns = {
                stage: [hit.stages[name] for hit in hits] for stage, name in zip(stages, names, strict=True)
            }
            rest = [sum(column[row] for column in columns.values()) for row in range(len(hits))]
            columns["hybrid"] = [hit.score - other for hit, other in zip(hits, rest, strict=True)]
            found.append({
                "ids": [hit.doc_id for hit in hits], "columns": columns,
                "relevance": qrels[query.query_id],
            })  # fmt: skip
    file.write_text(json.dumps(found))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--keep", type=Path, required=True, help="folder of collections and scores to use again"
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--stages", nargs="*", default=["late"], choices=list(STAGES))
    given = parser.parse_args()
    given.keep.mkdir(exist_ok=True)
    sets = {
        name: measured(given.data / "retrieval" / name, SETS[name], given.keep, given.stages)
        for name in given.sets
    }
    rows = []
    for weights in itertools.product(*(GRID[stage] for stage in given.stages)):
        values = []
        for queries in sets.values():
            each = []
            for query in queries:
                columns = query["columns"]
                total = np.array(columns["hybrid"])  # type: ignore[index]
                for stage, weight in zip(given.stages, weights, strict=True):
                    total = total + weight * np.array(columns[stage])  # type: ignore[index]
                order = [query["ids"][row] for row in np.argsort(-total, kind="stable")]  # type: ignore[index]
                each.append(ndcg(order, query["relevance"]))  # type: ignore[arg-type]
            values.append(float(np.mean(each)))
        rows.append((float(np.mean(values)), weights, values))
    print("mean  ", " ".join(f"{stage:>6}" for stage in given.stages), " ", *(f"{name:>11}" for name in sets))
    for average, weights, values in sorted(rows, reverse=True):
        shown = " ".join(f"{weight:6.2f}" for weight in weights)
        print(f"{average:.4f} {shown}  ", *(f"{value:11.4f}" for value in values))


if __name__ == "__main__":
    main()
