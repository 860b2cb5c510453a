"""Read a model folder of ours to train on from it: what it holds, and as the base that a recipe names."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import save

from shortlist.errors import ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.encoder import Encoder
from shortlist.models.heads import FILE as HEADS
from shortlist.models.own_folder import DEFAULT, FLOAT, WEIGHTS, folder_at
from shortlist.models.safety import TOKENIZER_BYTES, ModelFolder
from shortlist.models.weights import bind_weights, read_bytes, read_weights

__all__ = ["HEAD", "Existing", "thaw"]

HEAD = "head.safetensors"
"""The file of a thawed cross-encoder with what lies on its transformer."""


@dataclass(frozen=True)
class Existing:
    """Hold what a model folder of ours has: its description, its tensors as they are stored, its heads."""

    path: Path
    values: Mapping[str, Any]
    tensors: Mapping[str, NDArray[Any]]
    heads: Mapping[str, NDArray[Any]]

    @classmethod
    def read(cls, path: Path) -> Existing:
        """Read all of a folder.

        Raises:
            ModelError: it is no model folder of ours, or damaged.
        """
        folder = folder_at(path)
        cross = json.loads(folder.read("model.json")).get("architecture") == "cross_encoder"
        values = json.loads(folder.read("model.json"))
        mode: Any = "exact" if values.get("weights") == FLOAT else "fast"
        (CrossEncoder if cross else Encoder).load(path, mode=mode)  # whatever is wrong with it is said there
        tensors: dict[str, NDArray[Any]] = {}
        if values.get("shared_weights"):
            default = read_bytes(ModelFolder(DEFAULT, trusted=True), WEIGHTS)
            tensors |= read_weights(default, DEFAULT / WEIGHTS)
        if WEIGHTS in values["files"]:
            tensors |= read_weights(read_bytes(folder, WEIGHTS), path / WEIGHTS)
        heads = read_weights(read_bytes(folder, HEADS), path / HEADS) if HEADS in values["files"] else {}
        if not heads and values.get("token_dimensions") and "late.weight" in tensors:
            heads = {"late.weight": tensors["late.weight"]}
        return cls(path, values, tensors, heads)

    def has(self, tensors: Mapping[str, NDArray[Any]]) -> bool:
        """Say whether these tensors are among its own, byte for byte."""
        return all(
            name in self.tensors and np.array_equal(value, self.tensors[name])
            for name, value in tensors.items()
        )


def thaw(path: Path, base: Path) -> Path:
    """Write a model folder of ours as a base: ``config.json``, ``model.safetensors`` in float32, ``tokenizer.json``.

    Its weights are what int8 left of them. An encoder has one type of token, so the other's embedding starts at zero.

    Raises:
        ModelError: it is no model folder of ours, damaged, or its graph is not one that we drew.
    """
    found = Existing.read(path)
    if found.values.get("query_encoder"):
        raise ModelError(
            f"{path}: has two encoders, one can be trained on from", hint="name the inner folder"
        )
    floats = bind_weights(
        {name: value.copy() for name, value in found.tensors.items()},
        path / WEIGHTS,
        group=int(found.values["group"]),
        form="floats",
    )
    config = _config(folder_at(path).read("graph.exact.onnx"), path, floats)
    base.mkdir(parents=True, exist_ok=True)
    (base / "model.safetensors").write_bytes(save(_bert_names(floats, config["num_hidden_layers"])))
    head = {name: value for name, value in floats.items() if name.startswith("head.")}
    if head:
        (base / HEAD).write_bytes(save(head))
    (base / "tokenizer.json").write_bytes(folder_at(path).read("tokenizer.json", TOKENIZER_BYTES))
    (base / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return base


def _config(graph: bytes, path: Path, weights: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Give the sizes of the transformer: of its tensors, and what only the graph knows."""
    nodes = onnx.load_from_string(graph).graph.node
    known = {
        (node.op_type, attribute.name): onnx.helper.get_attribute_value(attribute)
        for node in nodes
        for attribute in node.attribute
    }
    heads, epsilon = (
        known.get(("MultiHeadAttention", "num_heads")),
        known.get(("LayerNormalization", "epsilon")),
    )
    if heads is None or epsilon is None:
        raise ModelError(f"{path}: its graph is none that shortlist drew, so it can't be trained on from")
    positions, hidden = weights["embeddings.position.weight"].shape
    words = weights.get("embeddings.word.weight.i8", weights.get("embeddings.word.weight"))
    assert words is not None  # the graph asks for one of them
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "intermediate_size": len(weights["layer0.intermediate.weight"]),
        "max_position_embeddings": positions,
        "num_hidden_layers": sum(name.endswith(".intermediate.weight") for name in weights),
        "num_attention_heads": int(heads),
        "layer_norm_eps": float(np.float32(epsilon)),
        "type_vocab_size": 2,
        "vocab_size": len(words),
    }


def _bert_names(weights: Mapping[str, NDArray[Any]], layers: int) -> dict[str, NDArray[np.float32]]:
    """Give the tensors by the names that BertModel has for them: what export.bert_tensors does, the other way."""
    hidden = weights["embeddings.position.weight"].shape[1]
    words = weights.get("embeddings.word.weight")
    if words is None:
        steps = weights["embeddings.word.weight.i8"] * weights["embeddings.word.weight.scale"]
        words = steps.reshape(len(steps), hidden)
    found = {
        "embeddings.word_embeddings.weight": words,
        "embeddings.position_embeddings.weight": weights["embeddings.position.weight"],
        "embeddings.token_type_embeddings.weight": weights.get(
            "embeddings.type.weight", np.zeros((2, hidden), np.float32)
        ),
    }
    for kind in ("weight", "bias"):
        found[f"embeddings.LayerNorm.{kind}"] = weights[f"embeddings.norm.{kind}"]
        if f"pooler.{kind}" in weights:
            found[f"pooler.dense.{kind}"] = weights[f"pooler.{kind}"]
        for number in range(layers):
            old, new = f"encoder.layer.{number}", f"layer{number}"
            parts = np.split(weights[f"{new}.attention.qkv.{kind}"], 3)
            for part, value in zip(("query", "key", "value"), parts, strict=True):
                found[f"{old}.attention.self.{part}.{kind}"] = value
            found[f"{old}.attention.output.dense.{kind}"] = weights[f"{new}.attention.output.{kind}"]
            found[f"{old}.intermediate.dense.{kind}"] = weights[f"{new}.intermediate.{kind}"]
            found[f"{old}.output.dense.{kind}"] = weights[f"{new}.output.{kind}"]
            found[f"{old}.attention.output.LayerNorm.{kind}"] = weights[f"{new}.attention.norm.{kind}"]
            found[f"{old}.output.LayerNorm.{kind}"] = weights[f"{new}.output.norm.{kind}"]
    return {name: np.ascontiguousarray(value, np.float32) for name, value in found.items()}
