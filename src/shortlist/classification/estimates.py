"""How sure is a figure that was measured on a sample, and is a difference more than chance? It is resampled."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError

__all__ = ["Comparison", "Estimate", "bootstrap", "compare", "mcnemar"]

RESAMPLES = 2000

Indices = NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Estimate:
    """Hold a figure with its 95 % interval; the interval is of what the sample leaves open, nothing else."""

    value: float
    low: float
    high: float

    def __str__(self) -> str:
        return f"{self.value:.4f} ({self.low:.4f} to {self.high:.4f})"


@dataclass(frozen=True, slots=True)
class Comparison:
    """Say how two classifiers differ on the same texts.

    ``first`` and ``second`` are their accuracies, ``difference`` is the first minus the second. ``only_first``
    texts were right by the first alone, ``only_second`` by the second alone; ``p_value`` is two-sided.
    """

    first: Estimate
    second: Estimate
    difference: Estimate
    only_first: int
    only_second: int
    p_value: float


def bootstrap(measure: Callable[[Indices], float], size: int, *, seed: int) -> Estimate:
    """Estimate ``measure`` of ``size`` texts: its value on them, and the 2.5 and 97.5 percentiles of 2,000 resamples.

    ``measure`` gets indices of texts, ``[size]``, some of them repeatedly.

    Raises:
        DataError: there are no texts.

    Source: Efron and Tibshirani (1993), An introduction to the bootstrap, chapter 13 (percentile interval).
    """
    if size < 1:
        raise DataError("nothing to estimate from: no texts")
    random = np.random.default_rng(seed)
    drawn = [measure(random.integers(0, size, size)) for _ in range(RESAMPLES)]
    low, high = np.percentile(drawn, [2.5, 97.5])
    return Estimate(float(measure(np.arange(size))), float(low), float(high))


def compare(first: NDArray[np.bool_], second: NDArray[np.bool_], *, seed: int) -> Comparison:
    """Compare which of the same texts two classifiers got right, ``[N]`` each.

    Raises:
        DataError: there are no texts, or not the same number.
    """
    if first.shape != second.shape:
        raise DataError(f"{len(first)} answers of one classifier and {len(second)} of the other")
    gains = first.astype(np.int64) - second.astype(np.int64)
    only_first, only_second = int((gains > 0).sum()), int((gains < 0).sum())
    return Comparison(
        bootstrap(lambda chosen: float(first[chosen].mean()), len(first), seed=seed),
        bootstrap(lambda chosen: float(second[chosen].mean()), len(first), seed=seed),
        bootstrap(lambda chosen: float(gains[chosen].mean()), len(first), seed=seed),
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
