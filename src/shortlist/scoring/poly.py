"""Compare what a poly-encoder's codes found in a query with the vectors of passages."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["poly_scores"]


def poly_scores(similarities: NDArray[np.float64], sharpness: float) -> NDArray[np.float64]:
    """Give the scores ``[P]`` of passages by the similarities ``[m, P]`` of their vectors with each code's.

    Each passage weighs the codes by the softmax of its similarities times ``sharpness``, and its score is the product
    of its vector with what the codes hold, so weighed: the mean of the similarities under these weights. That is a sum
    in a fixed order, one passage by itself.

    Source: Humeau et al. 2020, section 4.4, equation 5. Deviation: ``sharpness``, which the paper fixes at 1 on
    vectors that are not of length 1.
    """
    logits = sharpness * similarities
    logits -= logits.max(axis=0)
    weights = np.exp(logits)
    total, weighed = np.zeros(similarities.shape[1]), np.zeros(similarities.shape[1])
    for weight, similarity in zip(weights, similarities, strict=True):  # code by code: no order but this one
        total += weight
        weighed += weight * similarity
    return weighed / total
