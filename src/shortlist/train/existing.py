"""Read a model folder of ours to train on from it: what it holds, and as the base that a recipe names."""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import save

from shortlist.errors import ModelError
from shortlist.models.own_folder import Parts, describe, folder_at, open_parts
from shortlist.models.safety import TOKENIZER_BYTES
from shortlist.models.settings import MAX_TOKENS, integer

__all__ = ["HEAD", "KIND", "Existing", "thaw"]

HEAD = "head.safetensors"
"""The file of a thawed cross-encoder with what lies on its transformer, and in its metadata which kind that is."""

KIND = "kind"
"""The metadata's entry: which head it is, and for which labels."""


@dataclass(frozen=True, eq=False)
class Existing:
    """Hold what a model folder of ours has: its description, and what it is made of."""

    path: Path
    values: Mapping[str, Any]
    parts: Parts

    @classmethod
    def read(cls, path: Path, architecture: str | None = None) -> Existing:
        """Read all of a folder with a model of this ``architecture``, ``None`` is any.

        Raises:
            ModelError: it is no such folder, or damaged.
        """
        description = describe(folder_at(path), architecture)
        try:
            max_tokens = integer(description.values, "max_tokens", description.where, 1, MAX_TOKENS)
        except KeyError as error:
            raise ModelError(f"{description.where}: no {error}") from None
        return cls(path, description.values, open_parts(description, "exact", max_tokens))

    @property
    def heads(self) -> Mapping[str, NDArray[Any]]:
        """The heads of an encoder; the projection that early folders have among their weights is one."""
        late = self.parts.stored.get("late.weight")
        if self.parts.heads or not self.values.get("token_dimensions") or late is None:
            return self.parts.heads
        return {"late.weight": late}

    def has(self, tensors: Mapping[str, NDArray[Any]]) -> bool:
        """Say whether these tensors are among its own as they are stored, byte for byte."""
        stored = self.parts.stored
        return all(name in stored and np.array_equal(value, stored[name]) for name, value in tensors.items())


def thaw(path: Path, base: Path) -> Path:
    """Write a model folder of ours as a base: ``config.json``, ``model.safetensors`` in float32, ``tokenizer.json``.

    Its weights are what int8 left of them. An encoder knows one type of token: the embeddings of both are zero.

    Raises:
        ModelError: it is no model folder of ours, is damaged, or its graph is not one that we drew.
    """
    found = Existing.read(path)
    if found.values.get("query_encoder"):
        raise ModelError(
            f"{path}: has two encoders, one can be trained on from",
            hint="name the inner folder, or make a copy",
        )
    weights = found.parts.bound
    try:
        config = _config(found.parts.graph_data, weights)
        tensors = _bert_names(weights, config["num_hidden_layers"])
    except KeyError as error:
        raise ModelError(
            f"{path}: can't be trained on from: shortlist didn't draw its graph: no {error}"
        ) from None
    shutil.rmtree(base, ignore_errors=True)
    base.mkdir(parents=True)
    (base / "model.safetensors").write_bytes(save(tensors))
    head = {name: value for name, value in weights.items() if name.startswith("head.")}
    if head:
        kind = json.dumps({"head": found.values.get("head"), "labels": found.values.get("labels")})
        # One entry: of several the order is random, and these bytes are part of a training's identity.
        (base / HEAD).write_bytes(save(head, metadata={KIND: kind}))
    (base / "tokenizer.json").write_bytes(folder_at(path).read("tokenizer.json", TOKENIZER_BYTES))
    (base / "config.json").write_text(json.dumps(config, indent=2, sort_keys=True) + "\n", encoding="utf-8")
    return base


def _config(graph: bytes, weights: Mapping[str, NDArray[Any]]) -> dict[str, Any]:
    """Give the sizes of the transformer: of the tensors that the graph asks for, and what only the graph knows.

    Raises:
        KeyError: something of it isn't there.
    """
    nodes = onnx.load_from_string(graph).graph.node
    known = {
        (node.op_type, attribute.name): onnx.helper.get_attribute_value(attribute)
        for node in nodes
        for attribute in node.attribute
    }
    positions, hidden = weights["embeddings.position.weight"].shape
    table = "embeddings.word.weight"
    return {
        "model_type": "bert",
        "architectures": ["BertModel"],
        "hidden_act": "gelu",
        "hidden_size": hidden,
        "intermediate_size": len(weights["layer0.intermediate.weight"]),
        "max_position_embeddings": positions,
        "num_hidden_layers": sum(node.op_type == "MultiHeadAttention" for node in nodes),
        "num_attention_heads": int(known["MultiHeadAttention", "num_heads"]),
        "layer_norm_eps": float(np.float32(known["LayerNormalization", "epsilon"])),
        "type_vocab_size": 2,
        "vocab_size": len(weights[table] if table in weights else weights[f"{table}.i8"]),
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
