"""How much a term that a document shares with the query is worth: BM25 and TF-IDF."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numpy.typing import NDArray

__all__ = ["bm25_idf", "bm25_weights", "tfidf_idf", "tfidf_weights"]

Float = NDArray[np.float64]


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
