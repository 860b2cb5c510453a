"""How far can dense retrieval be trusted beside BM25, for this query in this collection? No judgements needed.

Four signs, each read off what a search knows anyway:

- *spread*: how far the best similarity stands above the hundred and first. Where all documents are about as similar
  (the sections of one story), similarity says little.
- *flatness*: the eleventh BM25 score as a share of the best. Where eleven documents match the words equally well,
  words say little.
- *shortness*: how far documents are below 30 terms on the mean. Between two short utterances a shared word is luck.
- *strangeness*: the share of the query's words, by rarity, that no document has. Who asks in other words than the
  documents' is not found by words.

The weight of dense is ``2 ** (a + b ln spread + c flatness + d shortness + e strangeness)``, BM25's is 1. The five
numbers were fitted on open development sets and tried on others: benchmarks/adaptive_fusion.py says how far they carry.
"""

from __future__ import annotations

import math
from dataclasses import astuple, dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.selection import at_least_kth

__all__ = [
    "COEFFICIENTS",
    "FLAT_RANK",
    "HIGHEST",
    "LOWEST",
    "SPREAD_RANK",
    "Signs",
    "dense_weight",
    "signs",
]

COEFFICIENTS = (1.451, 1.706, 3.241, 1.212, 5.064)
"""a to e of the module's formula, as ``benchmarks/adaptive_fusion.py --fit`` prints them."""

LOWEST, HIGHEST = -2.0, 5.0
"""log2 of the smallest and the largest weight: what the fit looked at."""

SPREAD_RANK, FLAT_RANK = 101, 11
LEAST_SPREAD = 0.02
SHORT = 30.0  # terms


@dataclass(frozen=True)
class Signs:
    """Hold what one query shows: ln spread, flatness 0 to 1, shortness from 0, strangeness 0 to 1."""

    spread: float
    flatness: float
    shortness: float
    strangeness: float


def signs(
    lexical: NDArray[np.float64], dense: NDArray[np.float64], average_length: float, strangeness: float
) -> Signs:
    """Read the signs off BM25 scores and similarities, each ``[N]`` with its best hundred and one among them.

    Of fewer documents the last one counts. ``average_length`` of the documents is in terms.
    """
    top = float(lexical.max(initial=0.0))
    best = float(dense.max()) if len(dense) else 0.0
    return Signs(
        math.log(max(best - _at(dense, SPREAD_RANK), LEAST_SPREAD)),
        _at(lexical, FLAT_RANK) / top if top > 0 else 0.0,
        max(0.0, math.log(SHORT / max(average_length, 1.0))),
        strangeness,
    )


def dense_weight(found: Signs) -> float:
    """Give the weight of similarities beside BM25 divided by its best, from 1/4 to 32."""
    constant, *factors = COEFFICIENTS
    exponent = math.fsum((constant, *(f * sign for f, sign in zip(factors, astuple(found), strict=True))))
    return float(2 ** min(max(exponent, LOWEST), HIGHEST))


def _at(scores: NDArray[np.float64], rank: int) -> float:
    """Give the score at a rank from 1; the last one where there are fewer, 0 where there is none."""
    best = at_least_kth(scores, min(rank, len(scores)))
    return float(scores[best].min()) if len(best) else 0.0
