"""Try weights of the stages on development queries: what is added to hybrid, how much of it, for how many documents?

    python recipes/choose.py --data FOLDER --keep FOLDER [--sets ...]

Lets all stages score the first 50 documents of hybrid+late, keeps each one's scores, and prints nDCG@10 for a grid of
weights of each stage beside the ones before it; then, with the best weights, for how many documents the two judges of a
cascade read. Development queries of tldr, medquad, fairytaleqa and disflqa, those of SQuAD's training articles that
were held out of training (prepare.py), and those of clinc150, whose utterances are unlike all that was trained on. No
test query, and no internal set, is looked at.
"""

from __future__ import annotations

import argparse
import itertools
import json
import math
import random
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from prepare import is_held_out

from shortlist.evaluation.comparison import all_documents
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.models.catalogue import bundled
from shortlist.models.folders import fingerprint
from shortlist.search import parse
from shortlist.search.execution import leaf_name
from shortlist.types import Query

SETS = {
    "squad_dev": "train", "medquad": "dev", "tldr": "dev", "fairytaleqa": "dev", "disflqa_retrieval": "dev",
    "clinc150": "dev",
}  # fmt: skip
QUERIES, DEPTH = 150, 50
STAGES = {"late": "maxsim", "poly": "poly", "small": "cross(model='judge-small')", "judge": "cross"}
GRID = {
    "late": (0, 0.5, 1, 1.5, 2, 3, 4),
    "poly": (0, 0.5, 1, 2, 3, 4),
    "small": (0, 0.02, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2),
    "judge": (0, 0.03, 0.05, 0.08, 0.1, 0.15, 0.2, 0.3),
}
BESIDE = (("late",), ("poly",), ("late", "small"), ("late", "judge"))
"""What is weighed together, beside hybrid."""

READ = tuple(itertools.product((10, 15, 20, 30, 40), (4, 6, 8, 12, 20)))
"""How many documents the small judge and the judge of a cascade read."""

Columns = dict[str, "np.ndarray"]


@dataclass(frozen=True)
class Candidates:
    """Hold a query's candidates with each stage's score, and how relevant they are."""

    ids: list[str]
    columns: Columns
    relevance: dict[str, int]

    def added(self, weights: Mapping[str, float]) -> np.ndarray:
        """Give hybrid's scores plus those of stages times their weights."""
        total = self.columns["hybrid"]
        for stage, weight in weights.items():
            total = total + weight * self.columns[stage]
        return total

    def ndcg(self, order: np.ndarray) -> float:
        """Give nDCG@10 of the candidates in an order."""
        return ndcg([self.ids[row] for row in order], self.relevance)

    def cascaded(self, steps: Sequence[tuple[Mapping[str, float], int]]) -> float:
        """Give nDCG@10 where each step puts so many of the first documents in a new order."""
        order = np.arange(len(self.ids))
        for weights, count in steps:
            first = order[:count]
            order = np.concatenate(
                [first[np.argsort(-self.added(weights)[first], kind="stable")], order[count:]]
            )
        return self.ndcg(order)


def ndcg(order: list[str], relevance: dict[str, int], k: int = 10) -> float:
    def gain(values: list[int]) -> float:
        return sum(value / math.log2(place + 2) for place, value in enumerate(values[:k]))

    ideal = gain(sorted((value for value in relevance.values() if value > 0), reverse=True))
    return gain([max(0, relevance.get(doc_id, 0)) for doc_id in order]) / ideal if ideal else 0.0


def scored(folder: Path, split: str, keep: Path, stages: list[str]) -> list[Candidates]:
    """Give the candidates of every query with each stage's score, from a file of before if there is one."""
    file = keep / f"{folder.name}-{'-'.join(stages)}.json"
    models = {name: fingerprint(path) for name, path in bundled().items()}
    if not file.exists() or json.loads(file.read_text())["models"] != models:
        file.write_text(json.dumps({"models": models, "queries": score(folder, split, keep, stages)}))
    return [
        Candidates(
            one["ids"],
            {name: np.array(column) for name, column in one["columns"].items()},
            one["relevance"],
        )
        for one in json.loads(file.read_text())["queries"]
    ]


def score(folder: Path, split: str, keep: Path, stages: list[str]) -> list[dict[str, object]]:
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    with opened(folder, keep=keep / folder.name) as (collection, _):
        qrels = judged.qrels.relevance
        held = {one.doc_id for one in all_documents(collection) if is_held_out(one.title)}
        queries: list[Query] = [
            query
            for query in judged.queries
            if split != "train" or {d for d, value in qrels[query.query_id].items() if value > 0} <= held
        ]
        random.Random(1).shuffle(queries)
        parts = ["hybrid", *(STAGES[stage] for stage in stages)]
        first = "rerank(hybrid, fuse(hybrid, maxsim, weights=[1, 1.5]))"
        pipeline = f"rerank({first}, fuse({', '.join(parts)}), depth={DEPTH})"
        found: list[dict[str, object]] = []
        for query in queries[:QUERIES]:
            hits = collection.search(query.text, DEPTH, pipeline=pipeline).ranking
            names = [leaf_name(parse(STAGES[stage])) for stage in stages]
            columns = {
                stage: [hit.stages[name] for hit in hits] for stage, name in zip(stages, names, strict=True)
            }
            rest = [sum(column[row] for column in columns.values()) for row in range(len(hits))]
            columns["hybrid"] = [hit.score - other for hit, other in zip(hits, rest, strict=True)]
            order = sorted(
                range(len(hits)), key=lambda row: -columns["hybrid"][row] - 1.5 * columns["late"][row]
            )
            found.append({
                "ids": [hits[row].doc_id for row in order],
                "columns": {name: [column[row] for row in order] for name, column in columns.items()},
                "relevance": qrels[query.query_id],
            })  # fmt: skip
    return found


def table(
    head: str, sets: Mapping[str, list[Candidates]], rows: Mapping[str, Callable[[Candidates], float]]
) -> str:
    """Print nDCG@10 of each row on each set, the best mean first; give the best row."""
    values = {
        name: [float(np.mean([value(query) for query in queries])) for queries in sets.values()]
        for name, value in rows.items()
    }
    best = sorted(values, key=lambda name: -float(np.mean(values[name])))
    print(f"\n{head:24} {'mean':>7}", *(f"{name[:11]:>11}" for name in sets))
    for name in best:
        print(f"{name:24} {np.mean(values[name]):7.4f}", *(f"{value:11.4f}" for value in values[name]))
    return best[0]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True)
    parser.add_argument(
        "--keep", type=Path, required=True, help="folder of collections and scores to use again"
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--stages", nargs="*", default=list(STAGES), choices=list(STAGES))
    given = parser.parse_args()
    if "late" not in given.stages:
        parser.error("--stages needs late, by which the candidates are ordered")
    given.keep.mkdir(exist_ok=True)
    sets = {
        name: scored(given.data / "retrieval" / name, SETS[name], given.keep, given.stages)
        for name in given.sets
    }
    chosen: dict[tuple[str, ...], Mapping[str, float]] = {}
    for stages in BESIDE:
        if not set(stages) <= set(given.stages):
            continue
        tried = [
            dict(zip(stages, weights, strict=True))
            for weights in itertools.product(*(GRID[stage] for stage in stages))
        ]
        named = {" ".join(f"{weight:8g}" for weight in weights.values()): weights for weights in tried}
        best = table(
            " ".join(f"{stage:>8}" for stage in stages),
            sets,
            {
                name: lambda query, weights=weights: query.ndcg(
                    np.argsort(-query.added(weights), kind="stable")
                )
                for name, weights in named.items()
            },
        )
        chosen[stages] = named[best]
    if set(STAGES) <= set(given.stages):
        small, judge = chosen["late", "small"], chosen["late", "judge"]
        table(
            "small judge, judge read",
            sets,
            {
                f"{first:8} {second:8}": lambda query, first=first, second=second: query.cascaded(
                    [(chosen["late",], DEPTH), (small, first), (judge, second)]
                )
                for first, second in READ
                if second <= first
            },
        )


if __name__ == "__main__":
    main()
