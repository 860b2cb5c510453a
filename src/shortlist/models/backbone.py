"""Run a transformer: token ids in, the vectors of every token out, on ONNX Runtime.

One forward serves every view. Texts in one call have the same number of tokens, so there is no padding
and no mask, and a text's vectors don't depend on its neighbours (docs/decisions/0002-no-padding.md).
Intra-operator threads stay at one: texts run beside each other instead, which leaves results the same on
any number of threads.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from safetensors import SafetensorError
from safetensors.numpy import load_file

from shortlist.errors import ModelError

__all__ = ["Backbone", "Forward", "bind_weights", "open_graph"]

Float = NDArray[np.float32]


@dataclass(frozen=True, eq=False)
class Forward:
    """Hold what one forward gives: ``hidden [B, S, H]``, ``late [B, S, D]``, ``pooler [B, H]``."""

    hidden: Float
    late: Float | None
    pooler: Float | None


class Backbone:
    """Wrap an ONNX session whatever its inputs and outputs are called.

    ``batch_tokens`` is how many tokens of texts of one length may run together without changing a byte: our
    own graphs hold that (the tests check it); of a graph that a user brings nobody knows, so its texts run
    one by one.
    """

    def __init__(self, session: onnxruntime.InferenceSession, name: str, *, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens
        self._session = session
        self._inputs = [node.name for node in session.get_inputs()]
        unknown = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs:
            raise ModelError(f"model {name}: its graph asks for {self._inputs}, expected input_ids and masks")
        outputs = {node.name: node for node in session.get_outputs()}
        hidden = next((n for n in ("hidden", "last_hidden_state", "token_embeddings") if n in outputs), None)
        if hidden is None:
            raise ModelError(f"model {name}: its graph gives {list(outputs)}, expected last_hidden_state")
        self._outputs = [hidden, *(n for n in ("late", "pooler_output") if n in outputs)]
        self.has_pooler = "pooler_output" in outputs
        self.dimensions = int(outputs[hidden].shape[-1])

    def __call__(self, ids: NDArray[np.int64]) -> Forward:
        """Run ``ids [B, S]``; safe to call from several threads at once."""
        feed = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            feed["attention_mask"] = np.ones_like(ids)
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        found = dict(zip(self._outputs, self._session.run(self._outputs, feed), strict=True))
        return Forward(found[self._outputs[0]], found.get("late"), found.get("pooler_output"))


def open_graph(
    graph: Path, weights: Mapping[str, NDArray[Any]] | None = None
) -> onnxruntime.InferenceSession:
    """Open an ONNX graph on one thread and bind ``weights`` to the initialisers of these names.

    Raises:
        ModelError: the runtime refuses the graph.
    """
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    if weights is not None:
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(array) for array in weights.values()]
        options.add_external_initializers(list(weights), values)
    try:
        return onnxruntime.InferenceSession(str(graph), options, providers=["CPUExecutionProvider"])
    except Exception as error:  # the runtime's exceptions share no base but Exception
        raise ModelError(f"{graph}: ONNX Runtime can't open it: {error}") from error


def bind_weights(path: Path, *, group: int, fast: bool) -> dict[str, NDArray[Any]]:
    """Read a weights file and shape it for the graph of one mode.

    Matrices are stored as ``NAME.i8 [rows, columns]`` with ``NAME.scale [rows, columns / group]``. The fast
    graph takes them as they are (ONNX counts from 128 upwards where we count from 0); the exact graph
    takes their float32 expansion. Embedding tables stay int8 in both: a lookup expands only its rows.

    Raises:
        ModelError: the file can't be read.
    """
    try:
        stored = load_file(path)
    except (OSError, SafetensorError) as error:
        raise ModelError(f"{path}: can't be read: {error}") from error
    bound: dict[str, NDArray[Any]] = {}
    for name, value in stored.items():
        if name.endswith(".scale"):
            continue
        if not name.endswith(".i8"):
            bound[name] = value
            continue
        base = name.removesuffix(".i8")
        scale = stored[f"{base}.scale"].astype(np.float32)
        grouped = value.reshape(len(value), -1, group)
        if base.startswith("embeddings."):
            bound[name], bound[f"{base}.scale"] = grouped, scale[..., None]
        elif fast:
            bound[f"{base}.q8"], bound[f"{base}.scale"] = grouped.view(np.uint8) ^ np.uint8(0x80), scale
        else:
            bound[base] = (grouped * scale[..., None]).reshape(value.shape)
    return bound
