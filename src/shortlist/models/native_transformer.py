"""Run a transformer of ours on the kernels in C++: what its graph ``fast`` does, faster.

The graphs stay what a model is: they run where this processor lacks the instructions, where a model was drawn
otherwise, and in mode ``exact``. Both round activations to int8 in groups of 64 of a token; the last digits differ.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ModelError
from shortlist.models.backbone import Forward
from shortlist.models.safety import shown
from shortlist.models.settings import integer
from shortlist.scoring.kernels import native_transformer

if TYPE_CHECKING:
    from shortlist.scoring._native import Transformer

__all__ = ["NativeBackbone", "NativeJudge", "open_transformer"]

_GROUP = 64
_COLUMNS = 32  # that a projection gives at a time
_MOST = 1000

Tensors = Mapping[str, NDArray[Any]]


def open_transformer(values: Mapping[str, Any], stored: Tensors, where: Path) -> Transformer | None:
    """Open the transformer that ``model.json`` describes; ``None`` where the kernels can't run it.

    Raises:
        ModelError: the description is no description.
    """
    said, make = values.get("transformer"), native_transformer()
    if said is None or make is None or values.get("group") != _GROUP:
        return None
    if not isinstance(said, dict) or said.keys() != {"layers", "attention_heads", "epsilon"}:
        raise ModelError(
            f"{where}: transformer is {shown(said)}, expected layers, attention_heads and epsilon"
        )
    layers = integer(said, "layers", where, 1, _MOST)
    heads = integer(said, "attention_heads", where, 1, _MOST)
    epsilon = said["epsilon"]
    if type(epsilon) is not float or not 0 < epsilon < 1:
        raise ModelError(f"{where}: epsilon is {shown(epsilon)}, expected a number between 0 and 1")
    tensors = {
        name: np.ascontiguousarray(value, np.float32) if name.endswith(".scale") else value
        for name, value in stored.items()
    }
    try:
        return make(tensors, layers, heads, epsilon)
    except ValueError:  # of another shape than the kernels are for: the graph says whether it is one at all
        return None


def _is(value: NDArray[Any] | None, *shape: int | None) -> bool:
    """Say whether a tensor is float32 and of a shape, ``None`` being any size."""
    return (
        value is not None
        and value.dtype == np.float32
        and value.ndim == len(shape)
        and all(wanted in (None, found) for wanted, found in zip(shape, value.shape, strict=True))
    )


class NativeBackbone:
    """Stand in for a :class:`~shortlist.models.backbone.Backbone`: token ids in, the vectors of every token out."""

    has_pooler = False

    def __init__(
        self,
        transformer: Transformer,
        projection: NDArray[np.float32] | None,
        where: Path,
        *,
        batch_tokens: int,
    ) -> None:
        self.batch_tokens = batch_tokens
        self._transformer = transformer
        self._projection = projection
        self._where = where
        self.dimensions = transformer.hidden
        self.late_dimensions = 0 if projection is None else projection.shape[1]

    @staticmethod
    def fits(transformer: Transformer, projection: NDArray[Any] | None, token_dimensions: int) -> bool:
        """Say whether an encoder's projection is one that the kernels know; else its graph has to run."""
        if not token_dimensions:
            return True
        return _is(projection, transformer.hidden, token_dimensions) and token_dimensions % _COLUMNS == 0

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None) -> Forward:
        """Run ``ids [B, S]``; safe to call from several threads at once. There is no ``mask``."""
        assert mask is None  # models that need one run on a graph
        texts, length = ids.shape
        offsets = np.arange(texts + 1, dtype=np.int64) * length
        try:
            hidden = self._transformer(ids.astype(np.int32).ravel(), offsets)
        except ValueError as error:
            raise ModelError(f"{self._where}: {error}") from error
        late = None if self._projection is None else self._transformer.project(hidden, self._projection)
        shape = (texts, length, -1)
        return Forward(hidden.reshape(shape), None if late is None else late.reshape(shape), None)


class NativeJudge:
    """Score pairs as the graph of a cross-encoder with the head ``cls`` or ``maxsim`` does."""

    def __init__(self, transformer: Transformer, stored: Tensors, head: str, where: Path) -> None:
        self._transformer = transformer
        self._where = where
        self._weight, self._bias = stored["head.weight"], stored["head.bias"]
        self._joint: tuple[NDArray[np.float32], float, float] | None = None
        if head == "maxsim":
            weight = np.ascontiguousarray(stored["head.query.weight"]).reshape(-1)
            self._joint = weight, float(stored["head.query.bias"][0]), float(stored["head.factor"][0])

    @staticmethod
    def fits(transformer: Transformer, stored: Tensors, head: object, labels: int) -> bool:
        """Say whether a judge's head is one that the kernels know; else its graph has to run."""
        hidden, get = transformer.hidden, stored.get
        joint = (
            _is(get("head.query.weight"), hidden, 1)
            and _is(get("head.query.bias"), 1)
            and _is(get("head.factor"), 1)
        )
        return (
            transformer.has_types
            and _is(get("head.weight"), labels, hidden)
            and _is(get("head.bias"), labels)
            and ((head == "maxsim" and joint) or (head == "cls" and "head.factor" not in stored))
        )

    def __call__(self, ids: Sequence[int], first: int) -> NDArray[np.float32]:
        """Score one pair whose passage begins at ``first``: ``[K]``."""
        types = np.zeros(len(ids), np.uint8)
        types[first:] = 1
        try:
            hidden = self._transformer(np.array(ids, np.int32), np.array([0, len(ids)], np.int64), types)
        except ValueError as error:
            raise ModelError(f"{self._where}: {error}") from error
        scores: NDArray[np.float32] = self._weight @ hidden[0] + self._bias
        if self._joint is not None:
            weight, bias, factor = self._joint
            scores = scores + np.float32(factor * self._transformer.joint_maxsim(hidden, first, weight, bias))
        return scores.astype(np.float32)
