"""What does a faster model gain by a judge's scores? Late interaction and a bi-encoder, trained with and without them.

    python benchmarks/distillation.py --data FOLDER --work FOLDER [--into late bi-encoder] [--keep FOLDER] [--sets ...]

WORK is the folder of ``recipes/build.sh``, with the recipes and what they learn from. Both models of a pair learn from
the same examples for as many steps; one of them also to be as the judge is. The bi-encoder is also compared with the
one that it starts from, the default model's. nDCG@10, all test queries, with a 95 % bootstrap interval and a paired
randomisation test.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

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
from shortlist.train.bi_encoder import train_bi_encoder
from shortlist.train.heads import train_head
from shortlist.train.recipe import BiEncoderRecipe, LateRecipe, read_recipe

SETS = ("tldr", "medquad")
TAUGHT, PLAIN, START = "with the judge's scores", "without", "before"


class Student(NamedTuple):
    """Say how a model is judged, and how it is trained, with the judge's scores or without."""

    pipeline: str
    train: Callable[[Path, bool], Path]
    starts_as_default: bool


def late(work: Path, taught: bool) -> Path:
    """Train a head, or find the one that was trained before."""
    folder = work / ("late" if taught else "late-without")
    if not folder.exists():
        recipe = read_recipe(work / "late.toml", LateRecipe)
        if not taught:
            recipe = replace(recipe, model=replace(recipe.model, distillation=0.0))
        base = base_folder(recipe.base, work)
        train_head(recipe, base, folder, examples_in=work, cache=work / "encoded", beside=DEFAULT)
    return folder


def bi_encoder(work: Path, taught: bool) -> Path:
    """Train a bi-encoder, or find the one that was trained before."""
    folder = work / ("bi-encoder" if taught else "bi-encoder-without")
    if not folder.exists():
        recipe = read_recipe(work / "bi-encoder.toml", BiEncoderRecipe)
        if not taught:
            recipe = replace(recipe, model=replace(recipe.model, kl=0.0))
        base = base_folder(recipe.base, work)
        train_bi_encoder(recipe, base, folder, examples_in=work, cache=work / "encoded-two")
    return folder


STUDENTS = {
    "late": Student("rerank(hybrid, maxsim)", late, starts_as_default=False),
    "bi-encoder": Student("dense", bi_encoder, starts_as_default=True),
}


def values_of(folder: Path, pipeline: str, model: Path, keep: Path | None) -> np.ndarray:
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "test"))
    tokens = pipeline != "dense"
    with opened(folder, model=model, keep=keep, token_vectors=tokens) as (collection, _):
        checked = check_judgements(all_documents(collection), judged)
        (found,) = judged_runs(collection, checked, [parse(pipeline)], [nDCG @ 10])
    return np.array(list(by_query(nDCG @ 10, found[nDCG @ 10], checked.judged.qrels).values()))


def compared(taught: np.ndarray, other: np.ndarray) -> dict[str, object]:
    interval = bootstrap_mean(taught - other)
    return {
        "difference": round(interval.mean, 4),
        "interval": [round(interval.low, 4), round(interval.high, 4)],
        "p": paired_randomisation(taught, other),
    }


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True, help="the folder of the recipe")
    parser.add_argument(
        "--into", nargs="*", choices=list(STUDENTS), default=list(STUDENTS), help="what is taught"
    )
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    for kind in given.into:
        student = STUDENTS[kind]
        models = {TAUGHT: student.train(given.work, True), PLAIN: student.train(given.work, False)}
        if student.starts_as_default:
            models[START] = DEFAULT
        results: dict[str, object] = {}
        for name in given.sets:
            values = {
                which: values_of(
                    data / "retrieval" / name,
                    student.pipeline,
                    model,
                    given.keep / f"{name}-{model.name}-{kind}" if given.keep else None,
                )
                for which, model in models.items()
            }
            results[name] = {
                "queries": len(values[TAUGHT]),
                "nDCG@10": {which: round(float(each.mean()), 4) for which, each in values.items()},
                **{
                    which: compared(values[TAUGHT], each) for which, each in values.items() if which != TAUGHT
                },
            }
            print(kind, name, results[name], flush=True)
        write_results(f"distillation-{kind}", results, ["torch"])


if __name__ == "__main__":
    main()
