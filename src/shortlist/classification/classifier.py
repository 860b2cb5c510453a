"""How texts get their labels: an encoder and a head that fit each other."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.folder import load_head, save_head
from shortlist.classification.head import EncodedBy, Head, Prediction
from shortlist.classification.training import train_head
from shortlist.errors import ModelMismatchError
from shortlist.models import Encoder
from shortlist.models.folders import DEFAULT, fingerprint
from shortlist.protocols import Progress

__all__ = ["Classifier", "Encoded", "encode_texts"]

TEXTS_AT_ONCE = 1024  # token vectors come along and take 1.5 kB a token


@dataclass(frozen=True, eq=False)
class Encoded:
    """Hold pooled vectors ``[N, H]`` and, a text, the tokens beyond the model's limit."""

    vectors: NDArray[np.float32]
    truncated_tokens: tuple[int, ...]


class Classifier:
    """Tell the labels of texts.

    >>> texts = ["what is my balance", "how much money have I got", "book me a flight", "I want to fly to Rome"]
    >>> classifier = Classifier.train(texts, ["balance", "balance", "flight", "flight"], Encoder.load())
    >>> [prediction.label for prediction in classifier.predict(["a plane to Oslo, please"])]
    ['flight']

    Raises:
        ModelMismatchError: the head was trained on the vectors of another model or mode.
    """

    def __init__(self, head: Head, encoder: Encoder) -> None:
        _check_fingerprint(head, encoder.settings.fingerprint, encoder.settings.name)
        if head.encoded_by.mode != encoder.mode or head.dimensions != encoder.settings.dimensions:
            raise ModelMismatchError(
                f"trained on vectors of {head.dimensions} dimensions in mode {head.encoded_by.mode!r}, "
                f"the encoder gives {encoder.settings.dimensions} in mode {encoder.mode!r}",
                hint="load the encoder as the head's `encoded_by` says",
            )
        self.head = head
        self.encoder = encoder

    @classmethod
    def train(
        cls,
        texts: Sequence[str],
        labels: Sequence[str],
        encoder: Encoder,
        *,
        seed: int = 0,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Classifier:
        """Encode texts and train a head on them; ``progress`` counts the texts encoded.

        Raises:
            DataError: numbers differ, a text is not a string, or there are fewer than two labels.
            MissingExtraError: scikit-learn is not installed.
        """
        encoded = encode_texts(encoder, texts, threads=threads, progress=progress)
        truncated = sum(1 for count in encoded.truncated_tokens if count)
        head = train_head(
            encoded.vectors,
            labels,
            EncodedBy.of(encoder),
            seed=seed,
            threads=threads,
            truncated_texts=truncated,
        )
        return cls(head, encoder)

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str], *, model: str | os.PathLike[str] | None = None
    ) -> Classifier:
        """Load a head and its encoder: the model that comes with shortlist, or the one in ``model``.

        Raises:
            ModelError: the head or the model can't be used.
            ModelMismatchError: the head was trained on the vectors of another model.
        """
        head = load_head(folder)
        path = DEFAULT if model is None else Path(model)
        _check_fingerprint(head, fingerprint(path), path.name)
        return cls(head, Encoder.load(model, mode=head.encoded_by.mode))

    def save(self, folder: str | os.PathLike[str]) -> None:
        """Write the head into a new folder; the encoder is not in it.

        Raises:
            DataError: there is something at ``folder`` already.
            OSError: the folder can't be written.
        """
        save_head(self.head, folder)

    def predict(
        self,
        texts: Sequence[str],
        *,
        k: int = 1,
        threshold: float = 0.0,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> list[Prediction]:
        """Give the ``k`` most probable labels of each text; below ``threshold`` the answer is "none of them".

        Raises:
            DataError: a text is not a string; k or the threshold make no sense.
        """
        encoded = encode_texts(self.encoder, texts, threads=threads, progress=progress)
        found = self.head.predict(encoded.vectors, k=k, threshold=threshold)
        return [
            replace(prediction, truncated_tokens=count)
            for prediction, count in zip(found, encoded.truncated_tokens, strict=True)
        ]


def encode_texts(
    encoder: Encoder, texts: Sequence[str], *, threads: int | None = None, progress: Progress | None = None
) -> Encoded:
    """Give the pooled vectors of texts; token vectors are dropped as they come.

    Raises:
        DataError: a text is not a string.
    """
    vectors = [np.empty((0, encoder.settings.dimensions), np.float32)]
    truncated: list[int] = []
    for start in range(0, max(1, len(texts)), TEXTS_AT_ONCE):
        views = encoder.views(texts[start : start + TEXTS_AT_ONCE], threads=threads, progress=progress)
        vectors.append(views.dense.data)
        truncated += views.truncated_tokens
    return Encoded(np.concatenate(vectors), tuple(truncated))


def _check_fingerprint(head: Head, found: str, name: str) -> None:
    if head.encoded_by.fingerprint != found:
        raise ModelMismatchError(
            f"trained on vectors of {head.encoded_by.model} ({head.encoded_by.fingerprint}), not of {name} ({found})",
            hint="name its model with --model FOLDER, or train a new head",
        )
