"""How well the scores of pairs agree with what people said of them, in grades or in yes and no.

Shapes: N pairs; every function takes ``[N]`` scores, higher for more alike, and ``[N]`` grades (any numbers)
or labels (1: the two belong together, 0: they don't). Tied scores are tied in every measure: the order in which
pairs come never changes a value.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError

__all__ = [
    "AtThreshold",
    "average_precision",
    "best_accuracy",
    "best_f1",
    "pearson",
    "spearman",
]

Numbers = Sequence[float] | NDArray[Any]
Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AtThreshold:
    """Hold the best value of a measure and where it is reached: a pair counts as 1 if ``score >= threshold``."""

    value: float
    threshold: float


def pearson(scores: Numbers, grades: Numbers) -> float:
    """Give the linear correlation of scores and grades, from -1 to 1.

    >>> round(pearson([0.1, 0.2, 0.9], [1, 2, 3]), 4)
    0.9177

    Raises:
        DataError: there are fewer than two pairs, all scores or all grades are the same, or one isn't finite.

    Source: Pearson 1896; the estimator of ``scipy.stats.pearsonr``.
    """
    first, second = map(_centred, _graded(scores, grades))
    lengths = np.sqrt(np.dot(first, first) * np.dot(second, second))
    return float(np.clip(np.dot(first, second) / lengths, -1, 1))


def spearman(scores: Numbers, grades: Numbers) -> float:
    """Give the rank correlation of scores and grades, from -1 to 1: Pearson's, of the ranks.

    Values that tie share the mean of the ranks they take up. No strictly increasing change of the scores
    changes the result.

    >>> spearman([0.1, 0.2, 0.9], [1, 2, 3])
    1.0

    Raises:
        DataError: there are fewer than two pairs, all scores or all grades are the same, or one isn't finite.

    Source: Spearman 1904; ties as Kendall 1945, which is what ``scipy.stats.spearmanr`` does.
    """
    first, second = _graded(scores, grades)
    return pearson(_mean_ranks(first), _mean_ranks(second))


def average_precision(scores: Numbers, labels: Numbers) -> float:
    """Give the mean precision over the pairs labelled 1, each at the threshold that lets it in.

    Pairs whose scores tie come in together: scores that are all the same get the share of pairs labelled 1.

    >>> average_precision([0.9, 0.8, 0.7], [1, 0, 1])
    0.8333333333333333

    Raises:
        DataError: there are no pairs, a label is neither 0 nor 1, all are the same, or a score isn't finite.

    Source: Manning, Raghavan and Schütze 2008, section 8.4, without interpolation; ties as in
    ``sklearn.metrics.average_precision_score``.
    """
    cuts = _Cuts.of(scores, labels)
    gained = np.diff(cuts.right, prepend=0)
    return float(np.sum(gained * cuts.right / cuts.chosen) / cuts.positives)


def best_accuracy(scores: Numbers, labels: Numbers) -> AtThreshold:
    """Give the highest share of pairs that one threshold gets right, and that threshold.

    The threshold is chosen on the pairs that it is measured on, so the value is an upper bound for new pairs. It
    may let in every pair or none. Of equal values the highest threshold counts; it lies in the middle between the
    two scores that it divides.

    >>> best_accuracy([0.9, 0.5, 0.25], [1, 1, 0])
    AtThreshold(value=1.0, threshold=0.375)

    Raises:
        DataError: there are no pairs, a label is neither 0 nor 1, all are the same, or a score isn't finite.

    Source: BinaryClassificationEvaluator of sentence-transformers 6.
    """
    cuts = _Cuts.of(scores, labels)
    negatives = cuts.total - cuts.positives
    correct = cuts.right + negatives - (cuts.chosen - cuts.right)
    best = int(np.argmax(correct))
    if negatives >= correct[best]:
        return AtThreshold(negatives / cuts.total, float(np.nextafter(cuts.scores[0], np.inf)))
    return AtThreshold(float(correct[best] / cuts.total), cuts.threshold(best))


def best_f1(scores: Numbers, labels: Numbers) -> AtThreshold:
    """Give the highest harmonic mean of precision and recall that one threshold reaches, and that threshold.

    What :func:`best_accuracy` says of its threshold holds here too.

    >>> best_f1([0.9, 0.5, 0.25], [1, 0, 1])
    AtThreshold(value=0.8, threshold=0.25)

    Raises:
        DataError: there are no pairs, a label is neither 0 nor 1, all are the same, or a score isn't finite.

    Source: van Rijsbergen 1979, chapter 7; BinaryClassificationEvaluator of sentence-transformers 6.
    """
    cuts = _Cuts.of(scores, labels)
    values = 2 * cuts.right / (cuts.chosen + cuts.positives)
    best = int(np.argmax(values))
    return AtThreshold(float(values[best]), cuts.threshold(best))


@dataclass(frozen=True, eq=False)
class _Cuts:
    """Hold what every threshold lets in, highest first: one for each distinct score, ``[C]``.

    ``chosen`` counts the pairs with at least that score and ``right`` those of them that are labelled 1.
    """

    scores: Float
    chosen: NDArray[np.int64]
    right: NDArray[np.int64]
    positives: int
    total: int

    @classmethod
    def of(cls, scores: Numbers, labels: Numbers) -> _Cuts:
        """Count, after looking at what was given."""
        values, truth = _same_length(_numbers(scores, "scores"), _numbers(labels, "labels"))
        wrong = np.flatnonzero((truth != 0) & (truth != 1))
        if len(wrong):
            raise DataError(f"label {int(wrong[0])} is {truth[wrong[0]]:g}, expected 0 or 1")
        if truth.min() == truth.max():
            raise DataError(
                f"all {len(truth):,} labels are {int(truth[0])}: there is nothing to tell apart",
                hint="label some pairs 0 and some 1",
            )
        order = np.argsort(-values, kind="stable")
        ordered, right = values[order], np.cumsum(truth[order] == 1)
        last_of_ties = np.flatnonzero(np.append(ordered[1:] != ordered[:-1], True))
        return cls(ordered[last_of_ties], last_of_ties + 1, right[last_of_ties], int(right[-1]), len(ordered))

    def threshold(self, cut: int) -> float:
        """Give a number that divides the scores of this cut from those below."""
        upper = float(self.scores[cut])
        if cut + 1 == len(self.scores):
            return upper
        lower = float(self.scores[cut + 1])
        middle = upper / 2 + lower / 2
        return middle if lower < middle <= upper else upper  # neighbouring floats have no middle


def _numbers(values: Numbers, what: str) -> Float:
    try:
        numbers = np.asarray(values, np.float64)
    except (TypeError, ValueError) as error:
        raise DataError(f"{what} must be numbers: {error}") from error
    if numbers.ndim != 1:
        raise DataError(f"{what} have shape [pairs], not {list(numbers.shape)}")
    if not len(numbers):
        raise DataError(f"there are no {what} to measure")
    wrong = np.flatnonzero(~np.isfinite(numbers))
    if len(wrong):
        raise DataError(f"number {int(wrong[0])} of the {what} is {numbers[wrong[0]]}, expected a finite one")
    return numbers


def _same_length(first: Float, second: Float) -> tuple[Float, Float]:
    if len(first) != len(second):
        raise DataError(f"{len(first):,} scores don't fit {len(second):,} grades or labels")
    return first, second


def _graded(scores: Numbers, grades: Numbers) -> tuple[Float, Float]:
    first, second = _same_length(_numbers(scores, "scores"), _numbers(grades, "grades"))
    if len(first) < 2:
        raise DataError("one pair has no correlation: it takes two at least")
    for values, what in ((first, "scores"), (second, "grades")):
        if values.min() == values.max():
            raise DataError(f"all {len(values):,} {what} are {values[0]:g}: nothing to correlate with")
    return first, second


def _centred(values: Float) -> Float:
    """Take the mean away and bring the largest to about 1; there are two different values at least.

    Powers of two scale without rounding, so that squares neither overflow nor vanish. The mean is rounded to the
    precision of the largest values; what is left of it after the first centring goes with the second.
    """
    values = values / _power_of_two(values)
    values -= values.mean()
    values -= values.mean()
    values /= _power_of_two(values)
    return values


def _power_of_two(values: Float) -> float:
    return float(np.ldexp(1.0, min(int(np.frexp(np.abs(values).max())[1]), 1023)))


def _mean_ranks(values: Float) -> Float:
    """Rank from 1; values that tie share the mean of their ranks."""
    _, places, counts = np.unique(values, return_inverse=True, return_counts=True)
    ranks: Float = (np.cumsum(counts) - (counts - 1) / 2)[places]
    return ranks
