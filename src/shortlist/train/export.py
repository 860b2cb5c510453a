"""How does a trained model become a model folder? int8 weights, graphs without weights, tokenizer, ``model.json``."""

from __future__ import annotations

import hashlib
import json
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save
from transformers import BertModel

from shortlist.models.own_folder import DEFAULT, SHARED, WEIGHTS
from shortlist.models.safety import ModelFolder
from shortlist.models.weights import read_bytes, read_weights
from shortlist.train.bert_graph import GROUP, Shape, draw_cross_encoder
from shortlist.train.cross_encoder import CrossEncoderModel

__all__ = ["bert_tensors", "export_cross_encoder", "group_quantize", "write_description"]

Float = NDArray[np.float32]


def group_quantize(weight: Float) -> tuple[NDArray[np.int8], NDArray[np.float16]]:
    """Round ``[rows, columns]`` to int8 with one float16 scale for each group of a row."""
    groups = weight.reshape(len(weight), -1, GROUP)
    scale = (np.abs(groups).max(axis=-1) / 127).astype(np.float16)
    steps = np.rint(groups / np.maximum(scale, np.float16(6e-8)).astype(np.float32)[..., None])
    return np.clip(steps, -127, 127).astype(np.int8).reshape(weight.shape), scale


def bert_tensors(
    source: Mapping[str, Float], layers: int, *, types: bool
) -> tuple[dict[str, Float], dict[str, Float]]:
    """Sort a BERT's parameters into matrices to quantise and small tensors to keep, under the names of our graphs.

    Without ``types`` every text is one segment, so its type row is made part of every position.
    """
    positions, kinds = (source[f"embeddings.{name}_embeddings.weight"] for name in ("position", "token_type"))
    small = {
        "embeddings.position.weight": positions if types else positions + kinds[0],
        "embeddings.norm.weight": source["embeddings.LayerNorm.weight"],
        "embeddings.norm.bias": source["embeddings.LayerNorm.bias"],
    }
    if types:
        small["embeddings.type.weight"] = kinds
    large = {f"{SHARED}weight": source["embeddings.word_embeddings.weight"]}
    for number in range(layers):
        old, new = f"encoder.layer.{number}", f"layer{number}"
        for kind, target in (("weight", large), ("bias", small)):
            heads = [source[f"{old}.attention.self.{part}.{kind}"] for part in ("query", "key", "value")]
            target[f"{new}.attention.qkv.{kind}"] = np.concatenate(heads)
            target[f"{new}.attention.output.{kind}"] = source[f"{old}.attention.output.dense.{kind}"]
            target[f"{new}.intermediate.{kind}"] = source[f"{old}.intermediate.dense.{kind}"]
            target[f"{new}.output.{kind}"] = source[f"{old}.output.dense.{kind}"]
            small[f"{new}.attention.norm.{kind}"] = source[f"{old}.attention.output.LayerNorm.{kind}"]
            small[f"{new}.output.norm.{kind}"] = source[f"{old}.output.LayerNorm.{kind}"]
    return large, small


def export_cross_encoder(
    model: CrossEncoderModel,
    tokenizer: Path,
    folder: Path,
    *,
    name: str,
    max_tokens: int,
    max_query_tokens: int,
    labels: tuple[str, ...] = ("relevance",),
    details: Mapping[str, Any] | None = None,
) -> None:
    """Write a trained cross-encoder as a model folder.

    If its word embeddings are those of the model that comes with the package (frozen while it was trained), rounded as
    there, the folder names that model instead of holding them again. ``details`` go into ``model.json`` as they are:
    where it comes from, its licence.
    """
    source = {key: value.detach().float().numpy() for key, value in model.backbone.state_dict().items()}
    shape = bert_shape(model.backbone)
    large, small = bert_tensors(source, shape.layers, types=True)
    tensors: dict[str, NDArray[Any]] = {
        key: np.ascontiguousarray(value, dtype=np.float32) for key, value in small.items()
    }
    tensors["head.weight"] = model.linear.weight.detach().numpy().astype(np.float32)
    tensors["head.bias"] = model.linear.bias.detach().numpy().astype(np.float32)
    if model.head == "maxsim":
        tensors["head.factor"] = model.scale.detach().numpy().astype(np.float32).reshape(1)
    for key, value in large.items():
        tensors[f"{key}.i8"], tensors[f"{key}.scale"] = group_quantize(value)
    shared = _shared(tensors)
    if shared:
        tensors = {key: value for key, value in tensors.items() if not key.startswith(SHARED)}
    folder.mkdir(parents=True, exist_ok=True)
    (folder / WEIGHTS).write_bytes(save(tensors))  # save_file would keep it from everybody else
    shutil.copyfile(tokenizer, folder / "tokenizer.json")
    for mode in ("fast", "exact"):
        graph = draw_cross_encoder(shape, fast=mode == "fast", head=model.head, labels=len(labels))
        (folder / f"graph.{mode}.onnx").write_bytes(graph.SerializeToString())
    values = {
        "format": 1,
        "name": name,
        "architecture": "cross_encoder",
        "head": model.head,
        "labels": list(labels),
        "max_tokens": max_tokens,
        "max_query_tokens": max_query_tokens,
        "group": GROUP,
        **({"embeddings": shared} if shared else {}),
        **(details or {}),
    }
    write_description(folder, values)


def bert_shape(backbone: BertModel) -> Shape:
    """Give the sizes of a BERT."""
    config = backbone.config
    return Shape(
        hidden=config.hidden_size,
        intermediate=config.intermediate_size,
        layers=config.num_hidden_layers,
        heads=config.num_attention_heads,
        vocabulary=config.vocab_size,
        positions=config.max_position_embeddings,
        epsilon=config.layer_norm_eps,
    )


def write_description(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``model.json`` with the checksum of every other file: the last step, which makes the folder a model."""
    names = (WEIGHTS, "tokenizer.json", "graph.fast.onnx", "graph.exact.onnx")
    files = {name: hashlib.sha256((folder / name).read_bytes()).hexdigest() for name in names}
    (folder / "model.json").write_text(
        json.dumps({**values, "files": files}, indent=2) + "\n", encoding="utf-8"
    )


def _shared(tensors: Mapping[str, NDArray[Any]]) -> str:
    """Give the checksum of the default model's weights if these word embeddings are its own, else nothing."""
    data = read_bytes(ModelFolder(DEFAULT, trusted=True), WEIGHTS)
    stored = read_weights(data, DEFAULT / WEIGHTS)
    same = all(np.array_equal(value, stored[key]) for key, value in tensors.items() if key.startswith(SHARED))
    return hashlib.sha256(data).hexdigest() if same else ""
