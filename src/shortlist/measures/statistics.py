"""Is a difference more than chance? Intervals by bootstrap, a paired randomisation test, Holm's correction.

All take one value a query and a seed, and give the same numbers for the same seed.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import ArrayLike, NDArray

from shortlist.errors import DataError

__all__ = ["LEVEL", "Interval", "bootstrap_mean", "holm", "paired_randomisation"]

LEVEL = 0.95
RESAMPLES = 10_000
PERMUTATIONS = 20_000
_AT_ONCE = 4_000_000  # random numbers held at a time: 32 MB


@dataclass(frozen=True)
class Interval:
    """Hold an estimate and the range that holds the true value with probability ``level``."""

    mean: float
    low: float
    high: float
    level: float = LEVEL


def bootstrap_mean(
    values: ArrayLike, *, level: float = LEVEL, resamples: int = RESAMPLES, seed: int = 0
) -> Interval:
    """Give the mean of values ``[Q]`` and its interval: percentiles of the means of resampled queries.

    With one value the interval is that value: nothing is known of how far others would lie.

    Raises:
        DataError: there is no value, or one isn't finite.

    Source: Efron 1979; for retrieval Sakai 2006.
    """
    found = _values(values)
    random = np.random.default_rng(seed)
    means = np.empty(resamples)
    step = max(1, _AT_ONCE // len(found))
    for start in range(0, resamples, step):
        chosen = random.integers(0, len(found), (min(step, resamples - start), len(found)), np.int32)
        means[start : start + step] = found[chosen].mean(axis=1)
    low, high = np.quantile(means, [(1 - level) / 2, (1 + level) / 2])
    return Interval(math.fsum(found) / len(found), float(low), float(high), level)


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


def _values(values: ArrayLike) -> NDArray[np.float64]:
    found = np.asarray(values, np.float64)
    if found.ndim != 1 or not len(found):
        raise DataError(f"statistics need one value a query, not an array of shape {found.shape}")
    if not np.isfinite(found).all():
        raise DataError("a value is not finite")
    return found
