"""Join the token vectors of a passage that say nearly the same, so that late interaction needs fewer of them.

Shapes: S tokens of a passage, D dimensions.
"""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from shortlist.models.pooling import normalize

__all__ = ["MOST_POOLED", "pool_tokens"]

MOST_POOLED = 4
"""The largest factor: beyond, late interaction loses more than a smaller model would."""


def pool_tokens(tokens: NDArray[np.float32], factor: int) -> NDArray[np.float32]:
    """Give about one ``factor``-th of the vectors ``[S, D]``: the first, and the means of groups of the others.

    Groups are found by joining, again and again, the two whose joining adds least to the squared distances from their
    means (Ward). Groups stand in the order of their first tokens; means are scaled to length 1.

    Source: Clavié, Chaffin and Adams 2024 (token pooling, hierarchical). The first token, [CLS], stays as it is, as
    there.
    """
    rest = tokens[1:]
    wanted = math.ceil(len(rest) / factor)
    if factor == 1 or len(rest) <= wanted:
        return tokens
    distance = 2.0 - 2.0 * (rest @ rest.T).astype(np.float64)  # squared, of vectors of length 1
    np.fill_diagonal(distance, np.inf)
    sizes = np.ones(len(rest))
    groups = [[number] for number in range(len(rest))]
    for _ in range(len(rest) - wanted):
        one, other = sorted(divmod(int(distance.argmin()), len(rest)))
        # Lance and Williams' formula: the distances of the new group from all others.
        sum_one, sum_other = sizes + sizes[one], sizes + sizes[other]
        joined = sum_one * distance[one] + sum_other * distance[other] - sizes * distance[one, other]
        joined /= sizes + sizes[one] + sizes[other]
        joined[~np.isfinite(distance[one])] = np.inf
        joined[other] = np.inf
        distance[one], distance[:, one] = joined, joined
        distance[other], distance[:, other] = np.inf, np.inf
        sizes[one] += sizes[other]
        groups[one] += groups[other]
        groups[other] = []
    means = np.stack([rest[sorted(group)].mean(axis=0) for group in groups if group])
    return np.concatenate([tokens[:1], normalize(means)])
