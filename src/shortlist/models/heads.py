"""What is put on an encoder's token vectors when they are a query's? Weights of the tokens, and a poly-encoder's codes.

They lie in a file beside the weights, so that heads can be trained on an encoder that stays as it is. Both are small
enough for numpy, which makes this module the reference of what ``shortlist train`` learns. Shapes: Q tokens, H
dimensions, m codes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError, ModelError
from shortlist.models.pooling import normalize
from shortlist.models.safety import shown

__all__ = ["HEADS", "PROJECTION", "Heads", "PolyCodes", "PolyQuery", "TokenWeights"]

HEADS = "heads.safetensors"
PROJECTION = "late.weight"
"""The tensor of the heads' file that the graph takes."""

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class TokenWeights:
    """Say how much each token of a query counts in late interaction: ``softplus(hidden @ weight + bias)``.

    ``weight`` is ``[H]``.
    """

    weight: Float
    bias: float

    def __call__(self, hidden: Float) -> Float:
        """Give the weights ``[Q]`` of token vectors ``[Q, H]``; their mean is 1."""
        raw = np.logaddexp(0, hidden @ self.weight + np.float32(self.bias))
        result: Float = (raw / raw.mean()).astype(np.float32)
        return result


@dataclass(frozen=True, eq=False)
class PolyCodes:
    """Attend to a query's tokens with ``codes [m, H]``, or take the first ``count`` tokens as they are.

    ``transform`` is ``[H, H]``. ``sharpness`` multiplies the products of a passage with what the codes found, before
    the softmax over them. Source: Humeau et al. 2020, section 4.4, equation 4.
    """

    transform: Float
    sharpness: float
    codes: Float | None = None
    count: int = 0

    def __call__(self, hidden: Float) -> Float:
        """Give what the codes find in token vectors ``[Q, H]``: ``[m, H]``, or fewer of a shorter query's first."""
        if self.codes is None:
            return normalize(hidden[: self.count] @ self.transform)
        products = self.codes @ hidden.T
        attention = np.exp(products - products.max(axis=1, keepdims=True))
        attention /= attention.sum(axis=1, keepdims=True)
        return normalize(attention @ hidden @ self.transform)


@dataclass(frozen=True, eq=False)
class PolyQuery:
    """Hold what a poly-encoder needs of a query, so that its codes can be made where a pipeline compares them.

    ``hidden [Q, H]`` is the last layer's vectors of the query's tokens, ``model`` the model's name.
    """

    head: PolyCodes
    hidden: Float
    model: str

    def codes(self) -> Float:
        """Give what the codes find in the query, ``[m, H]``.

        Raises:
            DataError: that is NaN or infinite.
        """
        found = self.head(self.hidden)
        if not np.isfinite(found).all():
            raise DataError(f"the codes of model {self.model} gave NaN or infinity for a query")
        return found


@dataclass(frozen=True, eq=False)
class Heads:
    """Hold the heads that an encoder has; ``None`` where it has none."""

    token_weights: TokenWeights | None = None
    poly: PolyCodes | None = None

    @classmethod
    def of(cls, tensors: Mapping[str, NDArray[Any]], dimensions: int, where: Path) -> Heads:
        """Make heads of the tensors of a file.

        Raises:
            ModelError: one is missing, too many, or of another shape than the others ask for.
        """
        found = {name: _Tensor(value, f"{where}: tensor {shown(name)}") for name, value in tensors.items()}
        found.pop(PROJECTION, None)
        token_weights, poly = None, None
        try:
            if "late.query.weight" in found:
                token_weights = TokenWeights(
                    found.pop("late.query.weight").shaped(dimensions), found.pop("late.query.bias").number()
                )
            if "poly.transform" in found:
                transform = found.pop("poly.transform").shaped(dimensions, dimensions)
                sharpness = found.pop("poly.sharpness").number()
                if "poly.first" in found:
                    poly = PolyCodes(transform, sharpness, count=int(found.pop("poly.first").number()))
                else:
                    poly = PolyCodes(transform, sharpness, found.pop("poly.codes").shaped(None, dimensions))
        except KeyError as error:
            raise ModelError(f"{where}: no tensor {error}") from None
        if found:
            raise ModelError(f"{where}: tensor {shown(min(found))} belongs to no head")
        if poly is not None and poly.codes is None and poly.count < 1:
            raise ModelError(f"{where}: poly.first is {poly.count}, expected a number from 1")
        return cls(token_weights, poly)


@dataclass(frozen=True, eq=False)
class _Tensor:
    value: NDArray[Any]
    place: str

    def shaped(self, *sizes: int | None) -> Float:
        shape = self.value.shape
        fits = len(shape) == len(sizes) and all(
            size in (None, found) and found for size, found in zip(sizes, shape, strict=True)
        )
        if not fits or self.value.dtype != np.float32:
            expected = ", ".join("any" if size is None else str(size) for size in sizes)
            raise ModelError(
                f"{self.place} is {self.value.dtype} {list(shape)}, expected float32 [{expected}]"
            )
        return self.value

    def number(self) -> float:
        return float(self.shaped(1)[0])
