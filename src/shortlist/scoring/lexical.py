"""How much a term that a document shares with the query is worth: BM25 and TF-IDF."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.selection import at_least_kth

__all__ = ["Postings", "best_bm25", "bm25_idf", "bm25_weights", "tfidf_idf", "tfidf_weights"]

Float = NDArray[np.float64]
Postings = tuple[NDArray[np.int32], NDArray[Any]]
"""The documents that have a term, ascending, and how often each has it (an unsigned integer)."""


def bm25_idf(documents_with_term: int, documents: int) -> float:
    """Weigh a term by its rarity; never negative.

    Source: Robertson and Zaragoza 2009, equation 3.3, with 1 added inside the logarithm as Lucene does.
    """
    return math.log(1 + (documents - documents_with_term + 0.5) / (documents_with_term + 0.5))


def bm25_weights(frequencies: Float, relative_lengths: Float, idf: float, *, k1: float) -> Float:
    """Give what one query term adds to the score of each document that has it.

    ``frequencies`` and ``relative_lengths`` (``1 - b + b * length / average``) are ``[documents]``. The
    result lies in ``[0, idf)``; it is a new array.

    Source: Robertson and Zaragoza 2009, equation 3.15.
    Deviation: without the factor ``k1 + 1``, which changes no ranking; as Lucene since version 8.
    """
    result = relative_lengths * k1
    result += frequencies
    np.divide(frequencies, result, out=result)
    result *= idf
    return result


def best_bm25(
    postings: Sequence[Postings],
    idfs: Sequence[float],
    relative_lengths: Float,
    k: int,
    allowed: NDArray[np.bool_] | None = None,
    *,
    k1: float,
) -> tuple[NDArray[np.int64], Float]:
    """Give the ``k`` documents with the highest sums of :func:`bm25_weights` over a query's terms, and these sums.

    Each term has its ``postings`` and its ``idf``, times how often the query has it. Only documents that share a term
    are found, and of these only those with ``allowed``. All that tie with the ``k``-th are given, in ascending order.
    Terms are added in their order, so the sums are the same whoever adds them up.
    """
    scores = np.zeros(len(relative_lengths))
    for (documents, frequencies), idf in zip(postings, idfs, strict=True):
        counts = frequencies.astype(np.float64)
        np.add.at(scores, documents, bm25_weights(counts, relative_lengths[documents], idf, k1=k1))
    if allowed is not None:
        scores = np.where(allowed, scores, 0.0)
    best = at_least_kth(scores, k, above=0.0)
    return best, scores[best]


def tfidf_idf(documents_with_term: int, documents: int) -> float:
    """Weigh a term by its rarity, smoothed as if one more document had every term.

    Source: Salton and Buckley 1988, as scikit-learn smooths it: ``ln((1 + N) / (1 + df)) + 1``.
    """
    return math.log((1 + documents) / (1 + documents_with_term)) + 1


def tfidf_weights(frequencies: NDArray[Any], idf: float) -> Float:
    """Give a term's component in the vector of each document that has it: ``(1 + ln tf) idf``.

    Source: Salton and Buckley 1988, weighting "l t"; the cosine length is the caller's.
    """
    result: Float = (1 + np.log(frequencies, dtype=np.float64)) * idf
    return result
