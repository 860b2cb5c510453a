"""How alike the two texts of each pair are to a model, and how well that agrees with what people said."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError, ModelError
from shortlist.measures import (
    AtThreshold,
    Interval,
    average_precision,
    best_accuracy,
    best_f1,
    bootstrap,
    pearson,
    spearman,
)
from shortlist.measures.statistics import Indices
from shortlist.models import Encoder, Views
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.protocols import Progress
from shortlist.scoring import maxsim
from shortlist.similarity.pairs import Pair

__all__ = ["By", "Measured", "PairScores", "judge_pairs", "score_pairs"]

TEXTS_AT_ONCE = 1024
PAIRS_AT_ONCE = 4096
PAIRS_JUDGED_AT_ONCE = 256

By = Literal["dense", "late"]
Float = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Measured:
    """Hold one measure of scored pairs.

    ``value`` is ``None`` where the measure is undefined, ``interval``, of 95 %, where there are too few pairs for one;
    ``reason`` says why, and is empty where both are there. ``threshold`` is where a measure that needs one is at its
    best. ``pairs`` counts those that people had said something of.
    """

    name: str
    value: float | None
    pairs: int
    interval: Interval | None
    threshold: float | None = None
    reason: str = ""


@dataclass(frozen=True, eq=False)
class PairScores:
    """Hold the score of every pair, ``scores[i]`` that of ``pairs[i]``, float64, higher for more alike.

    ``by`` says how texts were compared: ``cosine`` or ``dot`` of their vectors, ``maxsim`` of their tokens', or
    ``cross``, read together. A cross-encoder of several labels gives in ``predicted`` the likeliest of each pair, and
    ``scores`` are how likely. ``texts`` counts the distinct texts, ``truncated_texts`` those with more tokens than the
    model reads (of a cross-encoder, pairs), and ``truncated_tokens`` the tokens of theirs that it has not seen.
    """

    pairs: tuple[Pair, ...]
    scores: Float
    by: str
    texts: int
    truncated_texts: int
    truncated_tokens: int
    predicted: tuple[str, ...] = ()

    def __iter__(self) -> Iterator[tuple[Pair, float]]:
        return zip(self.pairs, self.scores.tolist(), strict=True)

    def measures(self, *, resamples: int = 1000, seed: int = 0) -> tuple[Measured, ...]:
        """Compare the scores with what people said, with 95 % bootstrap intervals.

        Pairs with a grade give ``spearman`` and ``pearson``; pairs with a label give ``average precision``,
        ``accuracy`` and ``f1``, the last two at the threshold that is best for these pairs; where labels are predicted
        ``accuracy`` alone, of pairs with a category. Where nobody said anything there are no measures. One that is
        undefined for these pairs (a single one, or all grades, labels or scores are the same) says so.

        Pairs are resampled as if they were independent: where many share a sentence, intervals are too narrow. The
        best threshold is chosen anew in each resample, so that intervals of ``accuracy`` and ``f1`` lie a little high.

        Raises:
            DataError: ``resamples`` is below 1.
        """
        if resamples < 1:
            raise DataError(f"resamples must be at least 1, not {resamples}")
        if self.predicted:  # how likely a label is says nothing of how alike two texts are
            return self._accuracy(resamples, seed)
        graded = [index for index, pair in enumerate(self.pairs) if pair.score is not None]
        labelled = [index for index, pair in enumerate(self.pairs) if pair.label is not None]
        grades = np.array([self.pairs[index].score for index in graded], np.float64)
        labels = np.array([self.pairs[index].label for index in labelled], np.float64)
        found = []
        for name, measure in _OF_GRADES.items() if graded else ():
            found.append(_measured(name, measure, self.scores[graded], grades, resamples, seed))
        for name, measure in _OF_LABELS.items() if labelled else ():
            found.append(_measured(name, measure, self.scores[labelled], labels, resamples, seed))
        return tuple(found)

    def _accuracy(self, resamples: int, seed: int) -> tuple[Measured, ...]:
        known = [index for index, pair in enumerate(self.pairs) if pair.category]
        if not known:
            return ()
        right = np.array([float(self.predicted[index] == self.pairs[index].category) for index in known])

        def share(right: Float, _: Float) -> float:
            return float(right.mean())

        return (_measured("accuracy", share, right, right, resamples, seed),)


Measure = Callable[[Float, Float], float | AtThreshold]
_OF_GRADES: dict[str, Measure] = {"spearman": spearman, "pearson": pearson}
_OF_LABELS: dict[str, Measure] = {
    "average precision": average_precision,
    "accuracy": best_accuracy,
    "f1": best_f1,
}


def _measured(
    name: str, measure: Measure, scores: Float, truth: Float, resamples: int, seed: int
) -> Measured:
    def value_of(chosen: Indices) -> float:
        found = measure(scores[chosen], truth[chosen])
        return found.value if isinstance(found, AtThreshold) else found

    try:
        found = measure(scores, truth)
    except DataError as error:
        return Measured(name, None, len(scores), None, reason=str(error))
    value, threshold = (found.value, found.threshold) if isinstance(found, AtThreshold) else (found, None)
    try:
        interval = bootstrap(value_of, len(scores), resamples=resamples, seed=seed)
    except DataError as error:
        return Measured(name, value, len(scores), None, threshold, str(error))
    return Measured(name, value, len(scores), interval, threshold)


def score_pairs(
    pairs: Iterable[Pair],
    encoder: Encoder,
    *,
    by: By = "dense",
    prompt: str = "document",
    threads: int | None = None,
    progress: Progress | None = None,
) -> PairScores:
    """Score how alike the two texts of every pair are; each distinct text is encoded once.

    ``dense`` compares the two texts' vectors, in float, by what the model says: their cosine (equal texts have
    exactly 1) or dot product. ``late`` is MaxSim as in a collection, on int8: for each token of ``sentence1`` the
    best match among the tokens of ``sentence2``, averaged; so it asks whether the second says what the first does,
    and isn't symmetric. ``prompt`` names the prefix that the model adds to both texts, if it has any.
    ``progress`` is called with the number of texts just encoded.

    >>> scored = score_pairs([Pair("A cat sleeps.", "A cat is asleep.", 4.5), Pair("A cat sleeps.", "Buy it!", 0)],
    ...                      Encoder.load())
    >>> bool(scored.scores[0] > scored.scores[1])
    True

    Raises:
        DataError: there are no pairs, or a text isn't one.
        ModelError: the model has no token vectors for ``late``.
    """
    chosen = tuple(pairs)
    if not chosen:
        raise DataError("there are no pairs to score")
    if by not in ("dense", "late"):
        raise DataError(f"pairs are compared by 'dense' or 'late', not {by!r}")
    if by == "late" and not encoder.settings.token_dimensions:
        raise ModelError(
            f"model {encoder.settings.name} has no token vectors", hint="compare by 'dense' instead"
        )
    numbers: dict[str, int] = {}
    for pair in chosen:
        numbers.setdefault(pair.sentence1, len(numbers))
        numbers.setdefault(pair.sentence2, len(numbers))
    texts = list(numbers)
    views = (
        encoder.views(texts[start : start + TEXTS_AT_ONCE], prompt=prompt, threads=threads, progress=progress)
        for start in range(0, len(texts), TEXTS_AT_ONCE)
    )
    first = np.array([numbers[pair.sentence1] for pair in chosen])
    second = np.array([numbers[pair.sentence2] for pair in chosen])
    if by == "dense":
        vectors, truncated = _dense(views)
        scores = _compare(vectors, first, second, cosine=encoder.settings.similarity == "cosine")
    else:
        tokens, truncated = _tokens(views, encoder.settings.token_scale)
        scores = _late(tokens, first, second) * encoder.settings.token_scale**2
    return PairScores(
        chosen,
        scores,
        encoder.settings.similarity if by == "dense" else "maxsim",
        len(texts),
        sum(count > 0 for count in truncated),
        sum(truncated),
    )


def judge_pairs(
    pairs: Iterable[Pair],
    judge: CrossEncoder,
    *,
    threads: int | None = None,
    progress: Progress | None = None,
) -> PairScores:
    """Score pairs by a cross-encoder, which reads both texts together: ``sentence1`` in the place of the query.

    ``progress`` is called with the number of pairs just read.

    Raises:
        DataError: there are no pairs, or a text isn't one.
    """
    labels = judge.settings.labels
    # A judge of one label tells it from any other.
    chosen = tuple(
        replace(pair, label=int(pair.category in (labels[0], "1")))
        if pair.category and len(labels) == 1
        else pair
        for pair in pairs
    )
    if not chosen:
        raise DataError("there are no pairs to score")
    parts: list[Float] = []
    truncated: list[int] = []
    for start in range(0, len(chosen), PAIRS_JUDGED_AT_ONCE):
        part = [(pair.sentence1, pair.sentence2) for pair in chosen[start : start + PAIRS_JUDGED_AT_ONCE]]
        judged = judge.score_pairs(part, threads=threads)
        parts.append(judged.scores)
        truncated += judged.truncated_tokens
        _ = progress and progress(len(part))
    scores = np.concatenate(parts)
    predicted: tuple[str, ...] = ()
    if scores.ndim == 2:
        odds = np.exp(scores - scores.max(axis=1, keepdims=True))
        if judge.settings.activation == "identity":
            scores = odds / odds.sum(axis=1, keepdims=True)
        predicted = tuple(labels[number] for number in scores.argmax(axis=1).tolist())
        scores = scores.max(axis=1)
    return PairScores(
        chosen,
        scores,
        "cross",
        len({text for pair in chosen for text in (pair.sentence1, pair.sentence2)}),
        sum(count > 0 for count in truncated),
        sum(truncated),
        predicted,
    )


def _dense(views: Iterable[Views]) -> tuple[NDArray[np.float32], list[int]]:
    parts: list[NDArray[np.float32]] = []
    truncated: list[int] = []
    for view in views:
        parts.append(view.dense.data)
        truncated += view.truncated_tokens
    return np.concatenate(parts), truncated


def _tokens(views: Iterable[Views], scale: float) -> tuple[list[NDArray[np.int8]], list[int]]:
    parts: list[NDArray[np.int8]] = []
    truncated: list[int] = []
    for view in views:
        parts += list(view.tokens.quantized(scale))
        truncated += view.truncated_tokens
    return parts, truncated


def _compare(
    vectors: NDArray[np.float32], first: NDArray[np.int64], second: NDArray[np.int64], *, cosine: bool
) -> Float:
    """Give the dot product or the cosine of pairs of vectors; a vector of zeros is like nothing."""
    scores = np.empty(len(first))
    for start in range(0, len(first), PAIRS_AT_ONCE):
        block = slice(start, start + PAIRS_AT_ONCE)
        left, right = (vectors[numbers[block]].astype(np.float64) for numbers in (first, second))
        scores[block] = _dots(left, right)
        if cosine:
            lengths = np.sqrt(_dots(left, left) * _dots(right, right))
            scores[block] = np.clip(scores[block] / np.where(lengths == 0, 1, lengths), -1, 1)
    return scores


def _dots(left: Float, right: Float) -> Float:
    result: Float = np.einsum("nh,nh->n", left, right)
    return result


def _late(tokens: Sequence[NDArray[Any]], first: NDArray[np.int64], second: NDArray[np.int64]) -> Float:
    """Give the MaxSim of pairs of texts, in units of the product of both scales."""
    scores = [
        maxsim(tokens[query], tokens[text], np.array([0, len(tokens[text])]))[0]
        for query, text in zip(first.tolist(), second.tolist(), strict=True)
    ]
    return np.array(scores)
