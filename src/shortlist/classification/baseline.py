"""What can be told from words alone? Logistic regression on TF-IDF, fitted as a head is: the mark to beat."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.fitting import fit_logistic, import_sklearn
from shortlist.protocols import Progress

__all__ = ["Baseline", "train_baseline"]

WORD = r"(?u)\b\w+\b"  # scikit-learn's own leaves out "i" and "a"
MANY = 1000


@dataclass(frozen=True, eq=False)
class Baseline:
    """Tell labels from words: ``weights`` is ``[labels, words and pairs of words]``."""

    vectorizer: Any
    weights: NDArray[Any]
    bias: NDArray[Any]
    labels: tuple[str, ...]
    regularization: float

    def predict(self, texts: Sequence[str]) -> list[str]:
        """Give the most probable label of each text."""
        if not texts:
            return []
        logits = self.vectorizer.transform(texts) @ self.weights.T + self.bias
        return [self.labels[number] for number in np.asarray(logits).argmax(axis=1)]


def train_baseline(
    texts: Sequence[str],
    labels: Sequence[str],
    *,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Baseline:
    """Train the baseline: words and pairs of words that stand in two texts or more, weighted by TF-IDF.

    The regularisation is chosen by the same cross-validation as a head's. Takes minutes for 15,000 texts.

    Raises:
        DataError: there are fewer than two labels.
        MissingExtraError: scikit-learn is not installed.
    """
    # What stands in one text only tells nothing of another; it would make three times the weights.
    vectorizer = import_sklearn("feature_extraction.text").TfidfVectorizer(
        ngram_range=(1, 2),
        token_pattern=WORD,
        min_df=2 if len(texts) > MANY else 1,
        dtype=np.float32,
    )
    known = tuple(sorted(set(labels)))
    numbers = {label: number for number, label in enumerate(known)}
    targets = np.array([numbers[label] for label in labels], np.int64)
    fitted = fit_logistic(
        vectorizer.fit_transform(texts), targets, seed=seed, threads=threads, progress=progress
    )
    return Baseline(vectorizer, fitted.weights, fitted.bias, known, fitted.regularization)
