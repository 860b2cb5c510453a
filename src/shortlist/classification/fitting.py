"""How are weights fitted, and with which regularisation? The one that tells held-out texts best.

Shapes: N texts, L labels, H features (dense or sparse).
"""

from __future__ import annotations

import importlib
import warnings
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.calibration import fit_temperature, softmax
from shortlist.cores import usable_cores
from shortlist.errors import DataError, MissingExtraError
from shortlist.protocols import Progress

__all__ = ["FOLDS", "GRID", "Fitted", "assign_folds", "fit_logistic", "import_sklearn"]

FOLDS = 3
GRID = (1.0, 5.0, 25.0, 125.0, 625.0)
DEFAULT = 25.0  # where there is nothing to choose by
MAX_ITERATIONS = 500
# scikit-learn's own 1e-4 is on the gradient of the mean loss, small from the start where there are 150 labels;
# for the same reason no fit begins from the one before: it would count as ended before its first step.
TOLERANCE = 3e-5


@dataclass(frozen=True, eq=False)
class Fitted:
    """Hold a fitted logistic regression.

    ``weights`` is ``[L, H]`` and ``bias`` ``[L]``. ``confidence`` and ``right`` are, for every text that was held
    out once, the probability of its answer and whether that was its label. ``folds`` is 0 where none could be.
    """

    weights: NDArray[Any]
    bias: NDArray[Any]
    regularization: float
    temperature: float
    folds: int
    confidence: NDArray[np.float64]
    right: NDArray[np.bool_]
    converged: bool


def fit_logistic(
    features: Any,
    targets: NDArray[np.int64],
    *,
    seed: int,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Fitted:
    """Fit a multinomial logistic regression with an L2 penalty; choose the penalty by cross-validation.

    ``features`` is ``[N, H]``, an array or a sparse matrix of SciPy; ``targets`` ``[N]`` numbers the labels from 0
    without gaps. From the strongest penalty on, each is fitted to two thirds of the texts and judged by the log loss
    on the other third after a temperature; the first that is worse than the one before ends the search. With the best
    one every third is held out once, for the temperature; then it is fitted to all texts.
    ``progress`` is called with 1 after every fit.

    Raises:
        DataError: there are fewer than two labels.
        MissingExtraError: scikit-learn is not installed.
    """
    classes = int(targets.max()) + 1 if len(targets) else 0
    if classes < 2:
        raise DataError(f"{classes} labels, at least two are needed to tell them apart")
    folds = assign_folds(targets, seed)
    held_out = folds >= 0
    used = [fold for fold in range(FOLDS) if (folds == fold).any()]
    with _threads(threads):
        best = _Trial(np.inf, DEFAULT, np.empty((0, classes)))
        for regularization in GRID if used else ():
            logits = _held_out(features, targets, folds, used[0], regularization)
            _ = progress and progress(1)
            _, loss = fit_temperature(logits, targets[folds == used[0]])
            if loss >= best.loss:
                break
            best = _Trial(loss, regularization, logits)
        every = np.empty((len(targets), classes))
        for fold in used:
            first = fold == used[0]
            every[folds == fold] = (
                best.logits if first else _held_out(features, targets, folds, fold, best.regularization)
            )
            _ = progress and not first and progress(1)
        final = _Model.fitted(features, targets, best.regularization)
        _ = progress and progress(1)
    temperature, _ = fit_temperature(every[held_out], targets[held_out]) if used else (1.0, 0.0)
    probabilities = softmax(every[held_out] / temperature)
    return Fitted(
        final.weights,
        final.bias,
        best.regularization,
        temperature,
        len(used),
        probabilities.max(axis=1),
        probabilities.argmax(axis=1) == targets[held_out],
        final.converged,
    )


def _held_out(
    features: Any, targets: NDArray[np.int64], folds: NDArray[np.int64], fold: int, regularization: float
) -> NDArray[Any]:
    """Fit to all texts but a fold's, and give the logits of these."""
    model = _Model.fitted(features[folds != fold], targets[folds != fold], regularization)
    return model.logits(features[folds == fold])


def assign_folds(targets: NDArray[np.int64], seed: int) -> NDArray[np.int64]:
    """Give every text a fold ``[N]`` from 0 to 2, so that each label's texts are spread evenly; or -1: never held out.

    A label with a single text can't be held out, as nothing would be left to learn it from.
    """
    random = np.random.default_rng(seed)
    folds = np.full(len(targets), -1, np.int64)
    begin = 0
    for label in range(int(targets.max()) + 1):
        members = random.permutation(np.flatnonzero(targets == label))
        if len(members) > 1:
            folds[members] = (begin + np.arange(len(members))) % FOLDS
            begin += len(members)
    return folds


def import_sklearn(module: str) -> Any:
    """Give a module of scikit-learn.

    Raises:
        MissingExtraError: it is not installed.
    """
    try:
        return importlib.import_module(f"sklearn.{module}")
    except ImportError as error:
        raise MissingExtraError(
            "training a classifier needs scikit-learn", hint="pip install 'shortlist[classify]'"
        ) from error


@dataclass(frozen=True, eq=False)
class _Trial:
    """Hold what a penalty gave for the first third: ``logits`` is ``[texts held out, L]``."""

    loss: float
    regularization: float
    logits: NDArray[np.float64]


@dataclass(frozen=True, eq=False)
class _Model:
    """Hold weights ``[L, H]`` and bias ``[L]`` of one fit."""

    weights: NDArray[Any]
    bias: NDArray[Any]
    converged: bool

    @classmethod
    def fitted(cls, features: Any, targets: NDArray[np.int64], regularization: float) -> _Model:
        """Fit to texts among which every label is."""
        regression = import_sklearn("linear_model").LogisticRegression(
            C=regularization, tol=TOLERANCE, max_iter=MAX_ITERATIONS
        )
        with warnings.catch_warnings():  # `converged` says it
            warnings.simplefilter("ignore", import_sklearn("exceptions").ConvergenceWarning)
            regression.fit(features, targets)
        weights, bias = regression.coef_, regression.intercept_
        if len(weights) == 1:  # two labels: scikit-learn has one row, of the second against the first
            weights, bias = np.concatenate([-weights, weights]) / 2, np.concatenate([-bias, bias]) / 2
        return cls(weights, bias, bool((regression.n_iter_ < MAX_ITERATIONS).all()))

    def logits(self, features: Any) -> NDArray[Any]:
        """Give logits ``[texts, L]``."""
        result: NDArray[Any] = features @ self.weights.T + self.bias
        return result


def _threads(threads: int | None) -> Any:
    """Let BLAS and OpenMP use so many threads, whatever they were told at the start; all cores by default."""
    import_sklearn("linear_model")  # loads what is limited
    return importlib.import_module("threadpoolctl").threadpool_limits(threads or usable_cores())
