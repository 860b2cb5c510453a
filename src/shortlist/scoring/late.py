"""Compare the tokens of a query with the tokens of passages: MaxSim, exactly."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring.codes import TokenCodes, levels_of

__all__ = ["maxsim"]

BLOCK_TOKENS = 16_384  # expanded at a time: 8 MB of float32 at 128 dimensions


def maxsim(
    query: NDArray[np.int8],
    tokens: NDArray[np.int8] | NDArray[np.uint8],
    offsets: NDArray[np.int64],
    weights: NDArray[np.floating[Any]] | None = None,
    *,
    codes: TokenCodes | None = None,
) -> NDArray[np.float64]:
    """Give, a passage, the mean over query tokens of the best match among the passage's tokens.

    ``query`` is ``[Q, D]``, ``tokens`` is ``[T, D]``, passage ``p`` has the tokens
    ``offsets[p]:offsets[p + 1]``, at least one. The result is ``[P]``, in units of the product of both
    scales; each query token's best match counts ``weights [Q]`` times, which may hold the query's own scales.
    Of ``codes``, ``tokens`` are rows ``[T, width]``, and each product with the levels they stand for is lengthened as
    its token was, in float32.

    Products are integers held in float32 (exact, see :func:`dot_products`) and their maxima are
    summed in float64 in the order of the query's tokens, so neither blocks nor threads can change a bit. A passage
    without tokens, or a query without, scores -inf. The memory used is that of one block.

    Source: Khattab and Zaharia 2020, equation 3.
    Deviation: the mean instead of the sum over query tokens, so that scores of queries of different lengths
    can be compared and combined; the weights.
    """
    count = len(offsets) - 1
    result = np.full(count, -np.inf)
    expanded = np.ascontiguousarray(query.T, np.float32)
    if not len(query):
        return result
    first = 0
    while first < count:
        # As many whole passages as fit into a block, but at least one.
        last = int(np.searchsorted(offsets, offsets[first] + BLOCK_TOKENS, side="right")) - 1
        last = min(max(last, first + 1), count)
        begin, end = int(offsets[first]), int(offsets[last])
        filled = np.flatnonzero(np.diff(offsets[first : last + 1]))
        if len(filled):
            if codes is None:
                similarity = tokens[begin:end].astype(np.float32) @ expanded
            else:
                levels, factors = levels_of(np.asarray(tokens[begin:end], np.uint8), codes)
                similarity = (levels.astype(np.float32) @ expanded) * factors[:, None]
            best = np.maximum.reduceat(similarity, offsets[first:last][filled] - begin, axis=0)
            total = np.zeros(len(filled))
            for token, product in enumerate(best.T.astype(np.float64)):
                total += product if weights is None else product * np.float64(weights[token])
            result[first + filled] = total / len(query)
        first = last
    return result
