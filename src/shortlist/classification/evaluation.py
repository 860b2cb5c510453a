"""How good are predictions on texts whose labels are known, label by label, and what is taken for what? Counts.

Shapes: N texts, C classes: the labels, and one for "none of them".
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.calibration import expected_calibration_error
from shortlist.classification.head import Prediction
from shortlist.errors import DataError
from shortlist.measures import Interval, bootstrap, bootstrap_mean

__all__ = ["Confusion", "Evaluation", "LabelScores", "evaluate"]

F1_RESAMPLES = 2000  # one at a time, other than those of means


@dataclass(frozen=True, slots=True)
class LabelScores:
    """Say how one label is told: of ``texts`` that have it, and of those that got it.

    ``label`` is None for "none of them". Where no text got the label, precision is 0.
    """

    label: str | None
    texts: int
    precision: float
    recall: float
    f1: float


@dataclass(frozen=True, slots=True)
class Confusion:
    """Count the texts that have ``label`` and got ``predicted``; None is "none of them"."""

    label: str | None
    predicted: str | None
    texts: int


@dataclass(frozen=True)
class Evaluation:
    """Hold what predictions are worth.

    ``outside`` counts texts whose label the head doesn't know: right for them is "none of them", and they are
    wrong without a threshold. ``answered`` counts texts that got a label, ``answered_accuracy`` is the share of
    these that is right (None where there are none). ``labels`` are in alphabetical order, ``confusions``
    the most frequent first. ``calibration_error`` is of the most probable label, whatever the threshold.
    """

    texts: int
    outside: int
    accuracy: Interval
    macro_f1: Interval
    calibration_error: float
    answered: int
    answered_accuracy: float | None
    labels: tuple[LabelScores, ...]
    confusions: tuple[Confusion, ...]


def evaluate(
    predictions: Sequence[Prediction], labels: Sequence[str], known: Sequence[str], *, seed: int = 0
) -> Evaluation:
    """Compare predictions with the labels of the same texts; ``known`` are the labels of the head.

    Macro F1 is the mean F1 of the labels that occur among ``labels`` or the predictions, each counting as much
    as any other; "none of them" counts as one where texts of unknown labels are there. Intervals are
    bootstrapped over texts.

    Raises:
        DataError: there are no texts, or not as many predictions.
    """
    if len(predictions) != len(labels) or not labels:
        raise DataError(f"{len(predictions):,} predictions for {len(labels):,} labels")
    names = [*sorted(known), None]
    numbers = {name: number for number, name in enumerate(names)}
    none = numbers[None]
    truth = np.array([numbers.get(label, none) for label in labels], np.int64)
    answers = np.array([numbers[prediction.label] for prediction in predictions], np.int64)
    right = truth == answers
    outside = int((truth == none).sum())

    def macro_f1(chosen: NDArray[np.int64]) -> float:
        f1, counted = _f1(truth[chosen], answers[chosen], len(names), with_none=outside > 0)
        return float(f1[counted].mean()) if counted.any() else 0.0

    answered = answers != none
    return Evaluation(
        texts=len(labels),
        outside=outside,
        accuracy=bootstrap_mean(right, seed=seed),
        macro_f1=bootstrap(macro_f1, len(labels), resamples=F1_RESAMPLES, seed=seed),
        calibration_error=_calibration_error(predictions, labels),
        answered=int(answered.sum()),
        answered_accuracy=float(right[answered].mean()) if answered.any() else None,
        labels=_label_scores(truth, answers, names),
        confusions=tuple(
            Confusion(names[label], names[answer], count)
            for (label, answer), count in Counter(
                zip(truth[~right].tolist(), answers[~right].tolist(), strict=True)
            ).most_common()
        ),
    )


def _f1(
    truth: NDArray[np.int64], answers: NDArray[np.int64], classes: int, *, with_none: bool
) -> tuple[NDArray[np.float64], NDArray[np.bool_]]:
    """Give F1 of each class ``[C]``, and which classes occur; the last is "none of them"."""
    both = np.bincount(truth[truth == answers], minlength=classes)
    total = np.bincount(truth, minlength=classes) + np.bincount(answers, minlength=classes)
    counted = total > 0
    counted[-1] &= with_none
    return 2 * both / np.maximum(total, 1), counted


def _label_scores(
    truth: NDArray[np.int64], answers: NDArray[np.int64], names: Sequence[str | None]
) -> tuple[LabelScores, ...]:
    classes = len(names)
    both = np.bincount(truth[truth == answers], minlength=classes)
    have, got = np.bincount(truth, minlength=classes), np.bincount(answers, minlength=classes)
    f1, _ = _f1(truth, answers, classes, with_none=True)
    return tuple(
        LabelScores(
            name,
            int(have[number]),
            float(both[number] / max(got[number], 1)),
            float(both[number] / max(have[number], 1)),
            float(f1[number]),
        )
        for number, name in enumerate(names)
        if have[number] or got[number]
    )


def _calibration_error(predictions: Sequence[Prediction], labels: Sequence[str]) -> float:
    best = [prediction.candidates[0] for prediction in predictions]
    confidence = np.array([candidate.probability for candidate in best])
    right = np.array([candidate.label == label for candidate, label in zip(best, labels, strict=True)])
    return expected_calibration_error(confidence, right)
