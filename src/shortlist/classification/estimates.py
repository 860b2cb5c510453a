"""Do two classifiers differ by more than chance on the same texts? McNemar's exact test, and intervals."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError
from shortlist.measures import Interval, bootstrap_mean

__all__ = ["ClassifierComparison", "compare_classifiers", "mcnemar"]


@dataclass(frozen=True, slots=True)
class ClassifierComparison:
    """Say how two classifiers differ on the same texts.

    ``first`` and ``second`` are their accuracies, ``difference`` is the first minus the second. ``only_first``
    texts were right by the first alone, ``only_second`` by the second alone; ``p_value`` is two-sided.
    """

    first: Interval
    second: Interval
    difference: Interval
    only_first: int
    only_second: int
    p_value: float


def compare_classifiers(
    first: NDArray[np.bool_], second: NDArray[np.bool_], *, seed: int
) -> ClassifierComparison:
    """Compare which of the same texts two classifiers got right, ``[N]`` each.

    Raises:
        DataError: there are no texts, or not the same number.
    """
    if first.shape != second.shape:
        raise DataError(f"{len(first)} answers of one classifier and {len(second)} of the other")
    if not len(first):
        raise DataError("there are no texts to compare two classifiers on")
    gains = first.astype(np.int64) - second.astype(np.int64)
    only_first, only_second = int((gains > 0).sum()), int((gains < 0).sum())
    return ClassifierComparison(
        bootstrap_mean(first, seed=seed),
        bootstrap_mean(second, seed=seed),
        bootstrap_mean(gains, seed=seed),
        only_first,
        only_second,
        mcnemar(only_first, only_second),
    )


def mcnemar(only_first: int, only_second: int) -> float:
    """Give the exact two-sided p-value of ``only_first`` against ``only_second`` discordant answers.

    If both classifiers were equally good, each discordant text would be a fair coin. This is also what a
    paired randomisation test of the accuracies converges to, so that none has to be drawn.

    >>> mcnemar(5, 5), mcnemar(0, 6)
    (1.0, 0.03125)

    Source: McNemar (1947), with the binomial distribution in place of its approximation.
    """
    trials = only_first + only_second
    term, total = 1, 0  # whole numbers: exact however small the probability
    for successes in range(min(only_first, only_second) + 1):
        total += term
        term = term * (trials - successes) // (successes + 1)
    return min(1.0, 2 * total / (1 << trials))
