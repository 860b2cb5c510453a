"""Choose the examples of a training; find how much a first stage's scores tell of their answers."""

from __future__ import annotations

import random
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortlist.errors import DataError
from shortlist.train.examples import Example, read_examples
from shortlist.train.recipe import Examples

__all__ = ["Loaded", "fit_first_stage", "load_examples", "require_scores"]

_WEIGHTS = np.geomspace(0.25, 64, 49)


@dataclass(frozen=True)
class Loaded:
    """Hold the examples of a training, how many had too few negatives, and all passages that answer each query."""

    examples: list[Example]
    left_out: int
    answers: Mapping[str, set[str]]


def load_examples(settings: Examples, folder: Path, seed: int) -> Loaded:
    """Read examples and draw the negatives of each.

    Raises:
        DataError: a file can't be read, or nothing is left.
    """
    draw = random.Random(seed)  # noqa: S311
    found, short = [], 0
    answers: dict[str, set[str]] = {}
    for name in settings.files:
        for example in read_examples(folder / name):
            answers.setdefault(example.query, set()).add(example.passage)
            if example.source in settings.leave_out:
                continue
            if len(example.negatives) < settings.negatives:
                short += 1
                continue
            found.append(example.drawn(settings.negatives, draw))
    if not found:
        raise DataError(
            f"no example has {settings.negatives} negatives", hint="mine some: shortlist train negatives"
        )
    return Loaded(found, short, answers)


def require_scores(examples: Sequence[Example], wanted_by: str) -> None:
    """Refuse examples without scores where something learns from them.

    Raises:
        DataError: one has none.
    """
    if not all(example.scores for example in examples):
        raise DataError(f"examples have no scores, which {wanted_by} needs")


def fit_first_stage(examples: Sequence[Example]) -> float:
    """Give the weight at which the examples' scores alone make their answers likeliest, by a softmax over each.

    Raises:
        DataError: there is none: the scores tell every answer, or nothing at all.
    """
    scores = np.array([example.scores for example in examples])
    leads = scores - scores[:, :1]  # of the answer over itself, and of the others over it
    losses = [
        float(np.log(np.exp(np.minimum(weight * leads, 700)).sum(axis=1)).mean()) for weight in _WEIGHTS
    ]
    best = int(np.argmin(losses))
    if best in (0, len(_WEIGHTS) - 1):
        raise DataError(
            "no weight of the examples' scores fits best: they tell every answer, or none",
            hint="mine without a margin, or give the weight as a number (model.first_stage or model.teacher_weight)",
        )
    return float(_WEIGHTS[best])
