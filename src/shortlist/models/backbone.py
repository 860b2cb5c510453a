"""Run a transformer: token ids in, the vectors of every token out, on ONNX Runtime.

One forward serves every view. Texts in one call have the same number of tokens, so there is no padding
and no mask, and a text's vectors don't depend on its neighbours (docs/decisions/0002-no-padding.md).
Intra-operator threads stay at one: texts run beside each other instead, which leaves results the same on
any number of threads.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray

from shortlist.errors import ModelError
from shortlist.models.graph_check import GraphFacts, check_graph
from shortlist.models.safety import shown
from shortlist.models.settings import MAX_DIMENSIONS

__all__ = ["Backbone", "Forward", "open_graph"]

Float = NDArray[np.float32]

_FOLDED_BYTES = str(64 << 20)


@dataclass(frozen=True, eq=False)
class Forward:
    """Hold what one forward gives: ``hidden [B, S, H]``, ``late [B, S, D]``, ``pooler [B, H]``."""

    hidden: Float
    late: Float | None
    pooler: Float | None

    def row(self, row: int, length: int) -> Forward:
        """Give the first ``length`` tokens of one text, as a batch of its own."""
        part = slice(row, row + 1)
        return Forward(
            self.hidden[part, :length],
            None if self.late is None else self.late[part, :length],
            None if self.pooler is None else self.pooler[part],
        )


class Backbone:
    """Wrap an ONNX session whatever its inputs and outputs are called.

    ``batch_tokens`` is how many tokens of texts of one length may run together without changing a byte: our
    own graphs hold that (the tests check it); of a graph that a user brings nobody knows, so its texts run
    one by one.
    """

    def __init__(self, session: onnxruntime.InferenceSession, where: Path, *, batch_tokens: int) -> None:
        self.batch_tokens = batch_tokens
        self._session = session
        self._where = where
        try:
            self._inputs = [node.name for node in session.get_inputs()]
            outputs = {node.name: node for node in session.get_outputs()}
            _ = [node.shape for node in outputs.values()]
        except UnicodeDecodeError as error:
            raise ModelError(f"{where}: names its inputs or outputs in no text: {error}") from error
        unknown = set(self._inputs) - {"input_ids", "attention_mask", "token_type_ids"}
        if unknown or "input_ids" not in self._inputs:
            raise ModelError(
                f"{where}: its graph asks for {shown(self._inputs)}, expected input_ids and masks"
            )
        hidden = next((n for n in ("hidden", "last_hidden_state", "token_embeddings") if n in outputs), None)
        if hidden is None:
            raise ModelError(f"{where}: its graph gives {shown(list(outputs))}, expected last_hidden_state")
        self._outputs = [hidden, *(n for n in ("late", "pooler_output") if n in outputs)]
        self.has_pooler = "pooler_output" in outputs
        self.dimensions = _dimensions(outputs[hidden], where)
        self.late_dimensions = _dimensions(outputs["late"], where) if "late" in outputs else 0
        self._widths = [_dimensions(outputs[output], where) for output in self._outputs]

    def __call__(self, ids: NDArray[np.int64], mask: NDArray[np.int64] | None = None) -> Forward:
        """Run ``ids [B, S]``; safe to call from several threads at once.

        ``mask`` is 0 where a token is not attended to by others; a graph that knows no masks takes none.
        """
        feed = {"input_ids": ids}
        if "attention_mask" in self._inputs:
            feed["attention_mask"] = np.ones_like(ids) if mask is None else mask
        elif mask is not None:
            raise ModelError(f"{self._where}: its graph has no attention_mask, which its settings need")
        if "token_type_ids" in self._inputs:
            feed["token_type_ids"] = np.zeros_like(ids)
        try:
            arrays = self._session.run(self._outputs, feed)
        except Exception as error:  # the runtime's exceptions share no base but Exception
            raise ModelError(f"{self._where}: its graph fails: {error}") from error
        for output, array, width in zip(self._outputs, arrays, self._widths, strict=True):
            # What a graph declares is a promise that the runtime doesn't hold it to.
            expected = (len(ids), width) if output == "pooler_output" else (*ids.shape, width)
            if array.shape != expected:
                shape = f"{array.shape}, expected {expected}"
                raise ModelError(f"{self._where}: its graph gives {output} as {shape}")
        found = {
            output: array.astype(np.float32, copy=False)
            for output, array in zip(self._outputs, arrays, strict=True)
        }
        return Forward(found[self._outputs[0]], found.get("late"), found.get("pooler_output"))


def _dimensions(output: onnxruntime.NodeArg, where: Path) -> int:
    found = output.shape[-1] if output.shape else None
    floats = output.type in ("tensor(float)", "tensor(float16)")
    if not floats or type(found) is not int or not 1 <= found <= MAX_DIMENSIONS:
        shape = f"{output.type} {shown(output.shape)}"
        raise ModelError(f"{where}: its graph gives {output.name} as {shape}, expected vectors of floats")
    return found


def open_graph(
    data: bytes, where: Path, bind: Callable[[GraphFacts], Mapping[str, NDArray[Any]]] | None = None
) -> tuple[onnxruntime.InferenceSession, GraphFacts]:
    """Check an ONNX graph, open it on one thread and bind weights to its initialisers of these names.

    ``bind`` gives the weights as the graph asks for them; a graph that a user brings has its own. The runtime gets
    bytes and no path, so that there is nothing that a path in the graph could be relative to.

    Raises:
        ModelError: the graph is not what it may be, its weights are missing, or the runtime refuses it.
    """
    facts = check_graph(data, where, own=bind is not None)
    weights = None if bind is None else bind(facts)
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.log_severity_level = 4
    options.add_session_config_entry("session.load_model_format", "ONNX")
    # Constants that make more than they are: the runtime would compute them while it opens the graph.
    options.add_session_config_entry("optimization.constant_folding_max_output_size_in_bytes", _FOLDED_BYTES)
    if weights is not None:
        for name, expected in facts.bound.items():
            value = weights.get(name)
            found = None if value is None else (str(value.dtype), value.shape)
            if found != expected:
                raise ModelError(f"{where}: asks for weights {shown(name)} {expected}, the file has {found}")
        values = [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in facts.bound]
        options.add_external_initializers(list(facts.bound), values)
    try:
        session = onnxruntime.InferenceSession(
            data,
            options,
            providers=["CPUExecutionProvider"],
            enable_fallback=0,  # it would print, and try the same again
            disabled_optimizers=["SkipLayerNormFusion"],  # its operator takes five times as long as its parts
        )
    except Exception as error:  # the runtime's exceptions share no base but Exception
        raise ModelError(f"{where}: ONNX Runtime can't open it: {error}") from error
    return session, facts
