"""Is a difference more than chance? Intervals by bootstrap, a paired randomisation test, Holm's correction.

All that draw take a seed, and give the same numbers for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shortlist.errors import DataError

__all__ = ["LEVEL", "Indices", "Interval", "bootstrap", "bootstrap_mean", "holm", "paired_randomisation"]

LEVEL = 0.95
RESAMPLES = 10_000
PERMUTATIONS = 20_000
MAX_UNDEFINED = 0.05
_AT_ONCE = 4_000_000  # random numbers held at a time: 32 MB

Indices = NDArray[np.int64]


@dataclass(frozen=True)
class Interval:
    """Hold an estimate and the range that holds the true value with probability ``level``.

    ``mean`` is the estimate, which is a mean in most cases; the range is of what the sample leaves open, nothing else.
    """

    mean: float
    low: float
    high: float
    level: float = LEVEL

    def __str__(self) -> str:
        return f"{self.mean:.4f} ({self.low:.4f} to {self.high:.4f})"


def bootstrap(
    measure: Callable[[Indices], float],
    size: int,
    *,
    level: float = LEVEL,
    resamples: int = RESAMPLES,
    seed: int = 0,
) -> Interval:
    """Give ``measure`` of ``size`` things and its interval: percentiles of what it is of resampled ones.

    ``measure`` gets the numbers of things, ``[size]``, in resamples some of them repeatedly. Things are drawn as if
    they were independent. Resamples for which the measure raises ``DataError``, being undefined, are left out, if
    they are one in twenty at most: an interval of fewer would be of chosen samples. What a measure chooses, such as
    a threshold, it chooses anew in each resample, so that the interval lies a little high.

    >>> values = np.array([1.0, 2.0, 6.0])
    >>> bootstrap(lambda chosen: float(np.median(values[chosen])), 3, resamples=200)
    Interval(mean=2.0, low=1.0, high=6.0, level=0.95)

    Raises:
        DataError: there is nothing to measure, the measure is undefined for the whole or for more than one resample
            in twenty, or a number is out of its range.

    Source: Efron and Tibshirani 1993, section 13.3, the percentile interval.
    """
    _check_sampling(size, level, resamples)
    estimate = float(measure(np.arange(size)))
    random = np.random.default_rng(seed)
    found = []
    for _ in range(resamples):
        try:
            found.append(measure(random.integers(0, size, size)))
        except DataError:  # all things drawn are the same, say
            continue
    if len(found) < (1 - MAX_UNDEFINED) * resamples:
        raise DataError(
            f"no interval: undefined for {resamples - len(found):,} of {resamples:,} resamples",
            hint="measure more",
        )
    return Interval(estimate, *_bounds(found, level), level)


def bootstrap_mean(
    values: ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Give the mean of values ``[Q]`` and its interval: percentiles of the means of resampled queries.

    :func:`bootstrap` of the mean, many resamples at a time. With one value the interval is that value: nothing is
    known of how far others would lie.

    Raises:
        DataError: there is no value, one isn't finite, or a number is out of its range.

    Source: Efron 1979; for retrieval Sakai 2006.
    """
    found = _values(values)
    _check_sampling(len(found), level, resamples)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // len(found))
    for start in range(0, resamples, step):
        chosen = random.integers(0, len(found), (min(step, resamples - start), len(found)), np.int32)
        means[start : start + step] = found[chosen].mean(axis=1)
    return Interval(math.fsum(found) / len(found), *_bounds(means, level), level)


def paired_randomisation(
    first: ArrayLike, second: ArrayLike, *, permutations: int = PERMUTATIONS, seed: int = 0
) -> float:
    """Give the two-sided p-value of the mean difference of values ``[Q]`` of the same queries.

    If the two systems were one, the sign of every query's difference would be a coin's. The p-value is the
    share of random sign patterns whose mean lies as far from 0 as the one seen; the seen pattern is counted among
    them, so p is never below ``1 / (permutations + 1)``. Where the queries have fewer patterns than that, all are
    tried and p is exact.

    Raises:
        DataError: the two have different lengths, are empty, or a value isn't finite.

    Source: Fisher 1935; for retrieval Smucker, Allan and Carterette 2007.
    """
    one, two = _values(first), _values(second)
    if len(one) != len(two):
        raise DataError(f"{len(one):,} values against {len(two):,}: a paired test needs the same queries")
    differences = one - two
    differences = differences[differences != 0]  # a sign changes nothing of 0
    if not len(differences):
        return 1.0
    # Sums of other orders differ in their last digits, which are those of the summands, however small the sum.
    seen = abs(math.fsum(differences)) - 1e-12 * math.fsum(abs(differences))
    if 2 ** len(differences) <= permutations:
        patterns = np.arange(2 ** len(differences))[:, None] >> np.arange(len(differences)) & 1
        sums = (2 * patterns - 1) @ differences
        return float((np.abs(sums) >= seen).mean())
    random = np.random.default_rng(seed)
    width = -(-len(differences) // 8)
    step = max(1, _AT_ONCE // len(differences))
    farther = 0
    for start in range(0, permutations, step):
        count = min(step, permutations - start)
        bits = np.frombuffer(random.bytes(count * width), np.uint8).reshape(count, width)
        signs = np.unpackbits(bits, axis=1, count=len(differences))
        sums = 2 * (signs @ differences) - differences.sum()
        farther += int((np.abs(sums) >= seen).sum())
    return (farther + 1) / (permutations + 1)


def holm(p_values: Sequence[float]) -> list[float]:
    """Correct the p-values of several tests so that one false finding among them stays as rare as in one test.

    The smallest is multiplied by the number of tests, the next by one less, and so on; none becomes smaller than
    one before it. Source: Holm 1979.
    """
    corrected = [0.0] * len(p_values)
    highest = 0.0
    for place, index in enumerate(sorted(range(len(p_values)), key=p_values.__getitem__)):
        highest = max(highest, min(1.0, p_values[index] * (len(p_values) - place)))
        corrected[index] = highest
    return corrected


def _check_sampling(size: int, level: float, resamples: int) -> None:
    if size < 1:
        raise DataError("there is nothing to draw samples from")
    if resamples < 1 or not 0 < level < 1:
        raise DataError(f"can't draw {resamples} samples for a level of {level}")


def _bounds(found: Sequence[float] | NDArray[np.float64], level: float) -> tuple[float, float]:
    low, high = np.quantile(found, [(1 - level) / 2, (1 + level) / 2])
    return float(low), float(high)


def _values(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise DataError(
            f"statistics need one value for each query or text, not an array of shape {found.shape}"
        )
    if not np.isfinite(found).all():
        raise DataError("a value is not finite")
    return found
