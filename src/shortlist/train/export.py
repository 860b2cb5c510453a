"""How does a trained model become a model folder? int8 weights, graphs without weights, tokenizer, ``model.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from safetensors.numpy import save
from transformers import BertModel

from shortlist.errors import ModelError
from shortlist.models.heads import HEADS
from shortlist.models.own_folder import DEFAULT, FLOAT, WEIGHTS
from shortlist.models.safety import TOKENIZER_BYTES, ModelFolder
from shortlist.models.weights import read_bytes, read_weights
from shortlist.train.bert_graph import GROUP, Shape, draw_cross_encoder, draw_encoder
from shortlist.train.cross_encoder import CrossEncoderModel
from shortlist.train.existing import Existing

__all__ = [
    "EncoderDescription",
    "bert_tensors",
    "check_beside",
    "export_cross_encoder",
    "export_encoder",
    "group_quantize",
    "numpy_tensors",
    "write_cross_encoder",
    "write_description",
    "write_encoder",
]

Float = NDArray[np.float32]
INT8 = "int8"


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
    large = {"embeddings.word.weight": source["embeddings.word_embeddings.weight"]}
    if "pooler.dense.weight" in source:
        large["pooler.weight"] = source["pooler.dense.weight"]
        small["pooler.bias"] = source["pooler.dense.bias"]
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

    What it has in common with the model that comes with the package (word embeddings and layers that were frozen while
    it was trained) is not stored again: the folder names that model. ``details`` go into ``model.json`` as they are:
    where it comes from, its licence.
    """
    heads = {
        "head.weight": model.linear.weight.detach().cpu().numpy().astype(np.float32),
        "head.bias": model.linear.bias.detach().cpu().numpy().astype(np.float32),
    }
    if model.head == "maxsim":
        heads["head.factor"] = model.scale.detach().cpu().numpy().astype(np.float32).reshape(1)
        weight, bias = (
            value.detach().cpu().numpy().astype(np.float32) for value in model.weight.parameters()
        )
        heads |= {"head.query.weight": weight.reshape(-1, 1), "head.query.bias": bias}
    values = {"name": name, "labels": list(labels), "max_tokens": max_tokens}
    values |= {"max_query_tokens": max_query_tokens, **(details or {})}
    write_cross_encoder(
        numpy_tensors(model.backbone), bert_shape(model.backbone), tokenizer, folder,
        head=model.head, heads=heads, values=values,
    )  # fmt: skip


def write_cross_encoder(
    source: Mapping[str, Float],
    shape: Shape,
    tokenizer: Path,
    folder: Path,
    *,
    head: str,
    heads: Mapping[str, Float],
    values: Mapping[str, Any],
    weights: str = INT8,
) -> None:
    """Write a cross-encoder of a BERT's parameters and its head's; ``values`` are what ``model.json`` says of it."""
    small, large = _sorted(source, shape, types=True)
    tensors: dict[str, NDArray[Any]] = {**_stored(large, weights), **small, **heads}
    shared = ""
    if weights != FLOAT:
        tensors, shared = _without_shared(tensors)
    labels, floats = len(values["labels"]), weights == FLOAT
    graphs = {
        mode: draw_cross_encoder(shape, fast=mode == "fast", head=head, labels=labels, floats=floats)
        for mode in _modes(weights)
    }
    _write_files(folder, {WEIGHTS: tensors}, tokenizer, graphs)
    made = {"format": 1, "name": values["name"], "architecture": "cross_encoder", "head": head}
    made |= {
        **values,
        "group": GROUP,
        **({"weights": weights} if floats else {"transformer": _transformer(shape)}),
    }
    write_description(folder, made | ({"shared_weights": shared} if shared else {}))


@dataclass(frozen=True)
class EncoderDescription:
    """Hold what ``model.json`` says of an encoder; ``details`` (licence, origin) go in as they are."""

    name: str
    max_tokens: int
    pooling: str
    similarity: str
    dense_scale: float
    token_scale: float | None = None
    prompts: Mapping[str, str] = field(default_factory=dict)
    details: Mapping[str, Any] = field(default_factory=dict)


def export_encoder(
    backbone: BertModel,
    tokenizer: Path,
    folder: Path,
    description: EncoderDescription,
    *,
    heads: Mapping[str, Float] | None = None,
    beside: Path | None = None,
    query_encoder: str = "",
    masked: bool = False,
) -> None:
    """Write an encoder with heads as a model folder; a ``masked`` one can leave tokens out of what others attend to.

    ``query_encoder`` names the folder in it, written before, whose encoder reads queries in its place.

    ``beside`` is a model folder with the same transformer: its other heads, and all that is said of its vectors, are
    taken over. What the transformer has in common with that of the model that comes with the package is not stored
    again: the folder names that model. Without a projection among the heads the model has no token vectors.

    Raises:
        ModelError: the transformer of ``beside`` is another.
    """
    write_encoder(
        numpy_tensors(backbone), bert_shape(backbone), tokenizer, folder, description,
        heads=heads, beside=beside, query_encoder=query_encoder, masked=masked,
    )  # fmt: skip


def write_encoder(
    source: Mapping[str, Float],
    shape: Shape,
    tokenizer: Path,
    folder: Path,
    description: EncoderDescription,
    *,
    heads: Mapping[str, Float] | None = None,
    beside: Path | None = None,
    query_encoder: str = "",
    weights: str = INT8,
    masked: bool = False,
) -> None:
    """Write an encoder of a BERT's parameters, as :func:`export_encoder` of a model.

    ``weights`` are rounded to int8, or kept as float32, for which there is the mode ``exact`` only. A ``masked`` graph
    can leave tokens out of what others attend to.

    Raises:
        ModelError: the transformer of ``beside`` is another.
    """
    small, large = _sorted(source, shape, types=False)
    tensors = {**_stored(large, weights), **small}
    values = _encoder_values(description)
    heads = heads or {}
    known = dict(heads)
    if beside is not None:
        other = Existing.read(beside, "bert")
        if not other.has(tensors):
            raise ModelError(f"{beside}: its transformer is another than that of {tokenizer.parent}")
        replaced = {name.split(".")[0] for name in heads}
        known |= {name: value for name, value in other.heads.items() if name.split(".")[0] not in replaced}
        values |= {name: other.values[name] for name in _TAKEN_OVER if name in other.values}
        if "late.weight" in heads:
            values["token_scale"] = description.token_scale
    shape = replace(shape, token_dimensions=known["late.weight"].shape[1] if "late.weight" in known else 0)
    own, shared = (tensors, "") if weights == FLOAT else _without_shared(tensors)
    pooler, floats = values["pooling"] == "pooler", weights == FLOAT
    graphs = {
        mode: draw_encoder(shape, fast=mode == "fast", pooler=pooler, masked=masked, floats=floats)
        for mode in _modes(weights)
    }
    _write_files(folder, {WEIGHTS: own, HEADS: known}, tokenizer, graphs)
    values["token_dimensions"] = shape.token_dimensions
    values["dimensions"] = shape.hidden
    if floats:
        values["weights"] = weights
    else:
        values["transformer"] = _transformer(shape)
    if known:
        values["heads"] = sorted({name.split(".")[0] for name in known})
    if shared:
        values["shared_weights"] = shared
    if query_encoder:
        values["query_encoder"] = query_encoder
        inner = (folder / query_encoder / "model.json").read_bytes()
        values["query_encoder_sha256"] = hashlib.sha256(inner).hexdigest()
    write_description(folder, values)


def _transformer(shape: Shape) -> dict[str, Any]:
    """Give what kernels must know of a transformer beyond its tensors."""
    return {"layers": shape.layers, "attention_heads": shape.heads, "epsilon": float(shape.epsilon)}


_TAKEN_OVER = ("pooling", "similarity", "prompts", "dense_scale", "token_scale", "max_tokens")


def check_beside(path: Path, backbone: BertModel, tokenizer: Path) -> dict[str, str]:
    """Check that heads can be trained on a transformer for a model folder; give the prompts of its texts.

    Raises:
        ModelError: it has another transformer, or reads, pools or compares texts in a way that heads don't learn.
    """
    other = Existing.read(path, "bert")
    small, large = _sorted(numpy_tensors(backbone), bert_shape(backbone), types=False)
    if not other.has({**_stored(large, str(other.values.get("weights", INT8))), **small}):
        raise ModelError(f"{path}: its transformer is another than that of {tokenizer.parent}")
    for key, what in (("query_encoder", "an encoder of their own"), ("late", "tokens of their own")):
        if other.values.get(key):
            raise ModelError(
                f"{path}: gives queries {what}, beside which no head can be trained",
                hint="train late interaction with filled up queries last",
            )
    if (other.values["pooling"], other.values["similarity"]) != ("mean", "cosine"):
        found = f"pools by {other.values['pooling']} and compares by {other.values['similarity']}"
        raise ModelError(f"{path}: {found}; heads are trained beside mean and cosine")
    return dict(other.values["prompts"])


def _encoder_values(description: EncoderDescription) -> dict[str, Any]:
    return {
        "format": 1,
        "name": description.name,
        "architecture": "bert",
        "max_tokens": description.max_tokens,
        "pooling": description.pooling,
        "similarity": description.similarity,
        "prompts": {"query": "", "document": "", **description.prompts},
        "dense_scale": description.dense_scale,
        "token_scale": description.token_scale or 1 / 127,
        "group": GROUP,
        **description.details,
    }


def numpy_tensors(backbone: BertModel) -> dict[str, Float]:
    """Give a model's parameters by their names."""
    return {key: value.detach().cpu().float().numpy() for key, value in backbone.state_dict().items()}


def _sorted(
    source: Mapping[str, Float], shape: Shape, *, types: bool
) -> tuple[dict[str, Float], dict[str, Float]]:
    """Give what is kept as it is, and the matrices."""
    large, small = bert_tensors(source, shape.layers, types=types)
    return {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in small.items()}, large


def _stored(large: Mapping[str, Float], weights: str) -> dict[str, NDArray[Any]]:
    """Give the matrices as they are stored."""
    if weights == FLOAT:
        return {key: np.ascontiguousarray(value, dtype=np.float32) for key, value in large.items()}
    tensors: dict[str, NDArray[Any]] = {}
    for key, value in large.items():
        tensors[f"{key}.i8"], tensors[f"{key}.scale"] = group_quantize(value)
    return tensors


def _modes(weights: str) -> tuple[str, ...]:
    return ("exact",) if weights == FLOAT else ("fast", "exact")


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


def _write_files(
    folder: Path,
    tensors: Mapping[str, Mapping[str, NDArray[Any]]],
    tokenizer: Path,
    graphs: Mapping[str, onnx.ModelProto],
) -> None:
    """Write all files of a model folder but its description, without those that would hold no tensor."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, held in tensors.items():
        if held:
            (folder / name).write_bytes(save(dict(held)))  # save_file would keep it from everybody else
    data = ModelFolder(tokenizer.parent).read(tokenizer.name, TOKENIZER_BYTES)
    (folder / "tokenizer.json").write_bytes(data)
    for mode, graph in graphs.items():
        (folder / f"graph.{mode}.onnx").write_bytes(graph.SerializeToString())


def write_description(folder: Path, values: Mapping[str, Any]) -> None:
    """Write ``model.json`` with the checksum of every other file: the last step, which makes the folder a model."""
    names = (WEIGHTS, HEADS, "tokenizer.json", "graph.fast.onnx", "graph.exact.onnx")
    files = {
        name: hashlib.sha256((folder / name).read_bytes()).hexdigest()
        for name in names
        if (folder / name).exists()
    }
    (folder / "model.json").write_text(
        json.dumps({**values, "files": files}, indent=2) + "\n", encoding="utf-8"
    )


def _without_shared(tensors: Mapping[str, NDArray[Any]]) -> tuple[dict[str, NDArray[Any]], str]:
    """Give the tensors that the default model doesn't have; and the checksum of its weights, if it has some of them."""
    data = read_bytes(ModelFolder(DEFAULT, trusted=True), WEIGHTS)
    stored = read_weights(data, DEFAULT / WEIGHTS)
    own = {
        name: value
        for name, value in tensors.items()
        if name not in stored or not np.array_equal(value, stored[name])
    }
    # A matrix without its scales is none: both stay, or none.
    own |= {name: value for name, value in tensors.items() if _other_half(name) in own}
    return own, hashlib.sha256(data).hexdigest() if len(own) < len(tensors) else ""


def _other_half(name: str) -> str:
    base, _, kind = name.rpartition(".")
    return f"{base}.{({'i8': 'scale', 'scale': 'i8'}).get(kind, kind)}"
