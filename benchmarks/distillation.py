"""Does late interaction gain by what a judge says? The same head trained with a judge's scores and without.

    python benchmarks/distillation.py --data FOLDER --work FOLDER [--keep FOLDER] [--sets ...]

WORK is the folder of recipes/build.sh, with judged examples and the encoder's output. Both heads learn from the
same examples for as many steps; one of them also to be as the judge is. nDCG@10 of hybrid's first documents in the
order of late interaction alone, all test queries, with a 95 % bootstrap interval and a paired randomisation test.
"""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean, paired_randomisation
from shortlist.models.own_folder import DEFAULT
from shortlist.search import parse
from shortlist.train.base import base_folder
from shortlist.train.heads import train_head
from shortlist.train.recipe import LateRecipe, read_recipe

SETS = ("tldr", "medquad")
PIPELINE = "rerank(hybrid, maxsim)"
WEIGHTS = {"with the judge's scores": None, "without": 0.0}
"""How much the judge's scores count; ``None`` is what the recipe says."""


def head(work: Path, weight: float | None) -> Path:
    """Train a head, or find the one that was trained before."""
    folder = work / ("late" if weight is None else "late-without")
    if not folder.exists():
        recipe = read_recipe(work / "late.toml", LateRecipe)
        if weight is not None:
            recipe = replace(recipe, model=replace(recipe.model, distillation=weight))
        base = base_folder(recipe.base, work)
        train_head(recipe, base, folder, examples_in=work, cache=work / "encoded", beside=DEFAULT)
    return folder


def values_of(folder: Path, model: Path, keep: Path | None) -> np.ndarray:
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "test"))
    with opened(folder, model=model, keep=keep) as (collection, _):
        checked = check_judgements(all_documents(collection), judged)
        (found,) = judged_runs(collection, checked, [parse(PIPELINE)], [nDCG @ 10])
    return np.array(list(by_query(nDCG @ 10, found[nDCG @ 10], checked.judged.qrels).values()))


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder of recipes/build.sh")
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    heads = {name: head(given.work, weight) for name, weight in WEIGHTS.items()}
    results: dict[str, object] = {}
    for name in given.sets:
        values = {
            kind: values_of(
                data / "retrieval" / name, model, given.keep / f"{name}-{model.name}" if given.keep else None
            )
            for kind, model in heads.items()
        }
        taught, plain = values.values()
        interval = bootstrap_mean(taught - plain)
        results[name] = {
            "queries": len(taught),
            "nDCG@10": {kind: round(float(each.mean()), 4) for kind, each in values.items()},
            "difference": round(interval.mean, 4),
            "interval": [round(interval.low, 4), round(interval.high, 4)],
            "p": paired_randomisation(taught, plain),
        }
        print(name, results[name], flush=True)
    write_results("distillation", results, ["torch"])


if __name__ == "__main__":
    main()
