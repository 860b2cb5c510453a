"""How the token vectors of a text become its one vector.

Shapes: ``hidden`` is ``[B, S, H]``: B texts of S tokens each, none of them padding.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.models.backbone import Forward

__all__ = ["POOLINGS", "normalize", "pool"]

Float = NDArray[np.float32]


def _cls(hidden: Float) -> Float:
    return hidden[:, 0]


def _mean(hidden: Float) -> Float:
    result: Float = hidden.mean(axis=1, dtype=np.float32)
    return result


def _max(hidden: Float) -> Float:
    result: Float = hidden.max(axis=1)
    return result


POOLINGS: dict[str, Callable[[Float], Float]] = {"cls": _cls, "mean": _mean, "max": _max}
"""Pooling by name: the first token, the average or the largest value of every dimension.

``pooler``, the fourth that a model folder may name, is BERT's own layer on [CLS] and comes from the graph.
"""


def pool(forward: Forward, pooling: str) -> Float:
    """Give one vector a text, ``[B, H]``, by the pooling of this name."""
    if pooling == "pooler":
        assert forward.pooler is not None  # a folder whose graph lacks it was refused
        return forward.pooler
    return POOLINGS[pooling](forward.hidden)


def normalize(vectors: NDArray[Any]) -> Float:
    """Scale the vectors along the last axis to length 1; a zero vector stays zero."""
    length = np.sqrt(np.einsum("...h,...h->...", vectors, vectors, dtype=np.float32))[..., None]
    result: Float = (vectors / np.maximum(length, 1e-12)).astype(np.float32, copy=False)
    return result
