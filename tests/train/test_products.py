"""int8 products of cross-encoders: weights in seven bits, a scale for each output and for each token."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnxruntime
import pytest
from numpy.typing import NDArray
from onnx import TensorProto, helper

from shortlist import ModelError
from shortlist.models.weights import bind_weights
from shortlist.train.bert_graph import MICROSOFT, Graph
from shortlist.train.export import group_quantize

INPUTS, OUTPUTS = 128, 192


@pytest.fixture
def stored() -> dict[str, NDArray[Any]]:
    weights = np.random.default_rng(0).normal(size=(OUTPUTS, INPUTS)).astype(np.float32)
    weights *= np.geomspace(0.01, 10, OUTPUTS, dtype=np.float32)[:, None]
    steps, scale = group_quantize(weights)
    return {"layer.weight.i8": steps, "layer.weight.scale": scale}


def bound(stored: dict[str, NDArray[Any]], form: str) -> dict[str, NDArray[Any]]:
    copies = {name: value.copy() for name, value in stored.items()}
    return bind_weights(copies, Path("weights"), group=64, form=form)  # type: ignore[arg-type]


def test_columns_are_the_floats_in_seven_bits(stored: dict[str, NDArray[Any]]) -> None:
    floats = bound(stored, "floats")["layer.weight"]
    found = bound(stored, "columns")
    steps, step = found["layer.weight.i7"], found["layer.weight.step"]
    assert (steps.shape, str(steps.dtype), step.shape) == ((INPUTS, OUTPUTS), "int8", (OUTPUTS,))
    assert np.abs(steps).max() == 63
    assert (np.abs(steps).max(axis=0) == 63).all()
    assert (np.abs(steps * step - floats.T) <= step / 2 * 1.001).all()


def test_every_token_has_a_scale_of_its_own(stored: dict[str, NDArray[Any]]) -> None:
    graph = Graph(fast=True, alone=True)
    graph.linear("x", "layer.weight", INPUTS, OUTPUTS)
    weights = bound(stored, "columns")
    drawn = helper.make_graph(
        graph.nodes,
        "product",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, None, INPUTS])],
        [helper.make_tensor_value_info("layer.weight.out", TensorProto.FLOAT, None)],
        [*graph.constants, *graph.bound],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    options = onnxruntime.SessionOptions()
    names = ["layer.weight.i7", "layer.weight.step"]
    options.add_external_initializers(
        names, [onnxruntime.OrtValue.ortvalue_from_numpy(weights[name]) for name in names]
    )
    session = onnxruntime.InferenceSession(
        helper.make_model(drawn, opset_imports=opsets, ir_version=10).SerializeToString(), options
    )
    tokens = np.random.default_rng(1).normal(size=(1, 7, INPUTS)).astype(np.float32)
    tokens[0, 3] *= 200  # one that would take all steps of a scale for all
    tokens[0, 5] = 0
    (found,) = session.run(None, {"x": tokens})
    expected = tokens @ bound(stored, "floats")["layer.weight"].T
    errors = np.linalg.norm(found - expected, axis=2)[0]
    assert errors[5] == 0
    sizes = np.linalg.norm(expected, axis=2)[0]
    assert (errors <= 0.02 * sizes).all()


def test_scales_that_make_weights_infinite_are_refused(stored: dict[str, NDArray[Any]]) -> None:
    stored["layer.weight.scale"] = np.full((OUTPUTS, INPUTS // 64), 3e38, np.float32)
    for form in ("columns", "floats"):
        with pytest.raises(ModelError, match="times its scales is infinite"):
            bound(stored, form)
