"""What a trained head is, and what it says of vectors: numpy, and nothing else.

Shapes: N texts, L labels, H dimensions.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE, softmax
from shortlist.errors import DataError, ModelError
from shortlist.measures import Interval
from shortlist.models import Encoder
from shortlist.models.encoder import Mode

__all__ = ["EncodedBy", "Head", "LabelProbability", "Prediction", "TrainingRecord"]


@dataclass(frozen=True, slots=True)
class EncodedBy:
    """Name the encoder whose vectors a head reads; ``fingerprint`` is the model's identity."""

    model: str
    fingerprint: str
    mode: Mode

    @classmethod
    def of(cls, encoder: Encoder) -> EncodedBy:
        """Name an encoder."""
        return cls(encoder.settings.name, encoder.settings.fingerprint, encoder.mode)


@dataclass(frozen=True, slots=True)
class TrainingRecord:
    """Say what a head was trained on, and how well its like did on texts that they had not seen.

    ``texts`` counts the training texts of each label. ``regularization`` is scikit-learn's C, for vectors whose
    squared length is 1 on average, chosen by cross-validation over ``folds`` folds; so are ``accuracy`` and
    ``calibration_error``, which are None where no label has two texts. ``converged`` is False where the
    optimiser was stopped. ``truncated_texts`` were longer than the model reads.
    """

    texts: tuple[int, ...]
    seed: int
    folds: int
    regularization: float
    accuracy: Interval | None
    calibration_error: float | None
    converged: bool
    truncated_texts: int


@dataclass(frozen=True, slots=True)
class LabelProbability:
    """Hold a label and how probable it is."""

    label: str
    probability: float


@dataclass(frozen=True, slots=True)
class Prediction:
    """Hold the answer for one text.

    ``label`` is None where the best probability is below the threshold: none of them. ``candidates`` are the k most
    probable labels, best first, whatever the threshold. ``truncated_tokens`` counts what the model did not read.
    """

    label: str | None
    candidates: tuple[LabelProbability, ...]
    truncated_tokens: int = 0


@dataclass(frozen=True, eq=False)
class Head:
    """Tell labels from pooled vectors: the softmax of ``(weights @ vector + bias) / temperature``.

    ``weights`` is ``[L, H]`` and ``bias`` ``[L]``, float32. ``labels`` are sorted, L of them, at least two.

    Raises:
        ModelError: shapes, labels or numbers don't fit each other.
    """

    weights: NDArray[np.float32]
    bias: NDArray[np.float32]
    labels: tuple[str, ...]
    temperature: float
    encoded_by: EncodedBy
    training: TrainingRecord

    def __post_init__(self) -> None:
        count = len(self.labels)
        if count < 2 or list(self.labels) != sorted(set(self.labels)):
            raise ModelError(
                f"a head needs two or more labels, sorted and different, not {count} of another kind"
            )
        if self.weights.ndim != 2 or self.weights.shape[0] != count or not self.weights.shape[1]:
            raise ModelError(f"weights of shape {list(self.weights.shape)}, expected [{count}, dimensions]")
        if self.bias.shape != (count,):
            raise ModelError(f"bias of shape {list(self.bias.shape)}, expected [{count}]")
        if self.weights.dtype != np.float32 or self.bias.dtype != np.float32:
            raise ModelError(f"weights are {self.weights.dtype} and bias {self.bias.dtype}, expected float32")
        if not np.isfinite(self.weights).all() or not np.isfinite(self.bias).all():
            raise ModelError("weights or bias hold NaN or an infinite number")
        if not MIN_TEMPERATURE <= self.temperature <= MAX_TEMPERATURE:
            raise ModelError(
                f"temperature {self.temperature}, expected one from {MIN_TEMPERATURE} to {MAX_TEMPERATURE}"
            )
        if len(self.training.texts) != count:
            raise ModelError(f"counts of {len(self.training.texts)} labels, expected {count}")

    @property
    def dimensions(self) -> int:
        """H."""
        return int(self.weights.shape[1])

    def probabilities(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        """Give the probability of every label, ``[N, L]``, for vectors ``[N, H]``.

        A text's probabilities are the same bytes alone and in any batch: products are summed by numpy a text at a
        time, as what BLAS does with a matrix depends on its number of rows.

        Raises:
            DataError: the vectors have other dimensions, or hold NaN.
        """
        return softmax(self._logits(vectors))

    def predict(
        self, vectors: NDArray[np.float32], *, k: int = 1, threshold: float = 0.0
    ) -> list[Prediction]:
        """Answer for vectors ``[N, H]``; below ``threshold`` the answer is "none of them".

        Of labels that are equally probable, the first in alphabetical order counts.

        Raises:
            DataError: the vectors have other dimensions or hold NaN; k or the threshold make no sense.
        """
        if k < 1:
            raise DataError(f"k must be at least 1, not {k}")
        if not 0 <= threshold <= 1:  # NaN is neither
            raise DataError(f"threshold must be between 0 and 1, not {threshold}")
        logits = self._logits(vectors)
        # Logits, not probabilities, are sorted: of probabilities many are 0.
        order = np.argsort(-logits, axis=1, kind="stable")[:, :k]
        probabilities = np.take_along_axis(softmax(logits), order, axis=1)
        return [
            self._prediction(row, chances, threshold)
            for row, chances in zip(order, probabilities, strict=True)
        ]

    def _prediction(
        self, order: NDArray[np.int64], probabilities: NDArray[np.float64], threshold: float
    ) -> Prediction:
        candidates = tuple(
            LabelProbability(self.labels[index], float(chance))
            for index, chance in zip(order, probabilities, strict=True)
        )
        best = candidates[0]
        return Prediction(best.label if best.probability >= threshold else None, candidates)

    def _logits(self, vectors: NDArray[np.float32]) -> NDArray[np.float64]:
        if vectors.ndim != 2 or vectors.shape[1] != self.dimensions:
            raise DataError(
                f"vectors of shape {list(vectors.shape)}, the head reads [texts, {self.dimensions}]"
            )
        if not np.isfinite(vectors).all():
            raise DataError("vectors hold NaN or infinity")
        # C order: in another one numpy would sum in another order.
        weights, bias = self.weights.astype(np.float64, order="C"), self.bias.astype(np.float64)
        logits = np.empty((len(vectors), len(self.labels)))
        for row, vector in zip(logits, vectors, strict=True):
            row[:] = ((weights * vector).sum(axis=1) + bias) / self.temperature
        return logits
