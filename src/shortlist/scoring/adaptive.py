"""How far can dense retrieval be trusted beside BM25, for this query in this collection? No judgements needed.

Three signs, each read off scores that are there anyway:

- *spread*: how far the best similarity stands above the hundredth. Where all documents are about as similar (the
  sections of one story), similarity says little.
- *flatness*: the tenth BM25 score as a share of the best. Where ten documents match the words equally well, words
  say little.
- *shortness*: how far documents are below 30 terms on the mean. Between two short utterances a shared word is luck.

The weight of dense is ``2 ** (a + b ln spread + c flatness + d shortness)``, BM25's is 1. The four numbers were fitted
on open development sets and tried on others: benchmarks/adaptive_fusion.py says how far they carry.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

__all__ = ["COEFFICIENTS", "dense_weight", "signs"]

COEFFICIENTS = (1.865, 1.656, 2.24, 1.304)
"""a, b, c and d of the module's formula, as ``benchmarks/adaptive_fusion.py --fit`` prints them."""

SPREAD_RANK, FLAT_RANK = 101, 11
LEAST_SPREAD = 0.02
SHORT = 30.0  # terms
LOWEST, HIGHEST = -2.0, 5.0  # log2 of the weights that the fit looked at


def signs(
    lexical: NDArray[np.float64], dense: NDArray[np.float64], average_length: float
) -> tuple[float, float, float]:
    """Give ln spread, flatness and shortness.

    ``lexical`` are BM25 scores and ``dense`` similarities, each ``[N]`` with its best hundred among them; of fewer
    documents the last counts. ``average_length`` is in terms.
    """
    best, hundredth = _at(dense, 1), _at(dense, SPREAD_RANK)
    top = _at(lexical, 1)
    return (
        math.log(max(best - hundredth, LEAST_SPREAD)),
        _at(lexical, FLAT_RANK) / top if top > 0 else 0.0,
        max(0.0, math.log(SHORT / max(average_length, 1.0))),
    )


def dense_weight(lexical: NDArray[np.float64], dense: NDArray[np.float64], average_length: float) -> float:
    """Give the weight of similarities beside BM25 divided by its best, from 1/4 to 32; 1 where there is no document."""
    if not len(dense):
        return 1.0
    terms = zip(COEFFICIENTS, (1.0, *signs(lexical, dense, average_length)), strict=True)
    exponent = math.fsum(coefficient * sign for coefficient, sign in terms)
    return float(2 ** min(max(exponent, LOWEST), HIGHEST))


def _at(scores: NDArray[np.float64], rank: int) -> float:
    """Give the score at a rank from 1; the last one where there are fewer."""
    rank = min(rank, len(scores))
    return float(np.partition(scores, len(scores) - rank)[len(scores) - rank])
