"""Write the ONNX graphs of the tiny model; from the repository, with onnx installed:

    PYTHONPATH=src python -m tests.models.data.make_graphs

The tests read the files and don't need onnx. ``transformer`` computes ``tiny_model.forward``; the others
differ from it in the one thing they are named after:

``words``       asks for nothing but input_ids, has no pooler, and looks words up; NaN for the word "cough"
``wide``        ``words`` repeated to 1104 dimensions, more than int8 products add up to exactly
``undeclared``  ``words`` that doesn't say how many dimensions it has, as some exporters leave it
``logits``      gives another output
``pixels``      asks for another input
"""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np

from tests.models.tiny_model import (
    DIMENSIONS,
    VOCABULARY,
    pooler_weights,
    position_step,
    type_table,
    word_table,
)

onnx: Any = importlib.import_module("onnx")  # no dependency of the tests
helper: Any = importlib.import_module("onnx.helper")
INT64, FLOAT = onnx.TensorProto.INT64, onnx.TensorProto.FLOAT
WIDE = 138  # times 8 dimensions


def constant(name: str, value: Any) -> Any:
    array = np.asarray(value)
    return onnx.numpy_helper.from_array(
        array.astype(np.int64 if array.dtype.kind == "i" else np.float32), name
    )


def save(
    name: str, nodes: list[Any], inputs: list[str], outputs: dict[str, list[Any]], constants: list[Any]
) -> None:
    graph = helper.make_graph(
        nodes,
        name,
        [helper.make_tensor_value_info(text, INT64, ["B", "S"]) for text in inputs],
        [helper.make_tensor_value_info(text, FLOAT, shape) for text, shape in outputs.items()],
        constants,
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.checker.check_model(model)
    path = Path(__file__).parent / f"{name}.onnx"
    path.write_bytes(model.SerializeToString())
    print(f"{path.name}: {path.stat().st_size} bytes")


def transformer() -> None:
    weight, bias = pooler_weights()
    node = helper.make_node
    nodes = [
        node("Gather", ["words", "input_ids"], ["word"]),
        node("Gather", ["types", "token_type_ids"], ["type"]),
        node("Add", ["word", "type"], ["embedded"]),
        node("ReduceMean", ["embedded"], ["average"], axes=[1], keepdims=1),
        node("Mul", ["average", "half"], ["context"]),
        node("Add", ["embedded", "context"], ["mixed"]),
        node("CumSum", ["attention_mask", "one"], ["position"]),
        node("Cast", ["position"], ["counted"], to=FLOAT),
        node("Unsqueeze", ["counted", "last"], ["column"]),
        node("Mul", ["column", "step"], ["shift"]),
        node("Add", ["mixed", "shift"], ["last_hidden_state"]),
        node("Gather", ["last_hidden_state", "zero"], ["first"], axis=1),
        node("MatMul", ["first", "weight"], ["turned"]),
        node("Add", ["turned", "bias"], ["sum"]),
        node("Tanh", ["sum"], ["pooler_output"]),
    ]
    constants = {
        "words": word_table(), "types": type_table(), "step": position_step(), "weight": weight, "bias": bias,
        "half": 0.5, "one": 1, "zero": 0, "last": [2],
    }  # fmt: skip
    save(
        "transformer",
        nodes,
        ["input_ids", "attention_mask", "token_type_ids"],
        {"last_hidden_state": ["B", "S", DIMENSIONS], "pooler_output": ["B", DIMENSIONS]},
        [constant(name, value) for name, value in constants.items()],
    )


def lookups() -> None:
    table = word_table()
    table[VOCABULARY.index("cough")] = np.nan
    words, repeats = constant("words", table), constant("repeats", [1, 1, WIDE])
    node = helper.make_node
    shape = ["B", "S", DIMENSIONS]
    look_up = [node("Gather", ["words", "input_ids"], ["token_embeddings"])]
    save("words", look_up, ["input_ids"], {"token_embeddings": shape}, [words])
    save("undeclared", look_up, ["input_ids"], {"token_embeddings": ["B", "S", "H"]}, [words])
    save(
        "logits",
        [node("Gather", ["words", "input_ids"], ["logits"])],
        ["input_ids"],
        {"logits": shape},
        [words],
    )
    save(
        "wide",
        [*look_up, node("Tile", ["token_embeddings", "repeats"], ["last_hidden_state"])],
        ["input_ids"],
        {"last_hidden_state": ["B", "S", DIMENSIONS * WIDE]},
        [words, repeats],
    )
    save(
        "pixels",
        [*look_up, node("Add", ["input_ids", "pixel_values"], ["unused"])],
        ["input_ids", "pixel_values"],
        {"token_embeddings": shape},
        [words],
    )


if __name__ == "__main__":
    transformer()
    lookups()
