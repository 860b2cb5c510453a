"""Which folders an encoder can be loaded from, and what in them is believed.

Two kinds: our own (``model.json``, weights apart from graphs) and sentence-transformers' (``modules.json``
with an ONNX graph). Nothing in a folder is ever executed; a module that is not known is refused by name.
"""

from __future__ import annotations

import hashlib
import json
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.errors import ModelError
from shortlist.models.backbone import Backbone, bind_weights, open_graph
from shortlist.models.pooling import pool
from shortlist.models.settings import Settings, read_json
from shortlist.models.tokenizer import Tokenizer

__all__ = ["DEFAULT", "fingerprint", "load_folder"]

DEFAULT = Path(__file__).parent / "default"
FORMAT = 1
BATCH_TOKENS = 512  # more buys nothing on a CPU and costs cache: docs/decisions/0002-no-padding.md

# Where the graph of a sentence-transformers folder lies: as its own exporter and optimum write it.
_GRAPHS = ("onnx/model.onnx", "model.onnx")
_EXPORT = "SentenceTransformer(FOLDER, backend='onnx').save_pretrained(FOLDER)"

# pooling_mode_* flags of sentence-transformers before 5.2 -> our names.
_OLD_POOLING = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
    "pooling_mode_mean_sqrt_len_tokens": "mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens": "weightedmean",
    "pooling_mode_lasttoken": "lasttoken",
}


def load_folder(folder: Path, mode: str) -> tuple[Settings, Tokenizer, Backbone]:
    """Load an encoder's parts from a model folder of either kind.

    Raises:
        ModelError: the folder is not a model, is damaged, or uses something that is not supported.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    if (folder / "model.json").exists():
        return _load_own(folder, mode)
    if (folder / "modules.json").exists():
        return _load_sentence_transformers(folder, mode)
    raise ModelError(
        f"{folder}: neither model.json nor modules.json",
        hint="a model folder is one of shortlist's, or one that sentence-transformers saved with an ONNX graph",
    )


def fingerprint(folder: Path) -> str:
    """Give the identity of the model in ``folder``; of one of ours without loading it.

    Raises:
        ModelError: the folder is not a model.
    """
    if not folder.is_dir():
        raise ModelError(f"{folder}: no such model folder")
    if (folder / "model.json").exists():
        return _digest(folder / "model.json")[:16]
    return _load_sentence_transformers(folder, "exact")[0].fingerprint


def _digest(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _load_own(folder: Path, mode: str) -> tuple[Settings, Tokenizer, Backbone]:
    values = read_json(folder / "model.json")
    if values.get("format") != FORMAT:
        raise ModelError(
            f"{folder}: model format {values.get('format')!r}, this version reads {FORMAT}",
            hint="upgrade shortlist, or export the model again",
        )
    graph = f"graph.{mode}.onnx"
    try:
        for name in ("weights.safetensors", "tokenizer.json", graph):
            if _digest(folder / name) != values["files"][name]:
                raise ModelError(f"{folder / name}: damaged: its checksum is not the one in model.json")
        settings = Settings(
            name=values["name"],
            dimensions=values["dimensions"],
            token_dimensions=values["token_dimensions"],
            max_tokens=values["max_tokens"],
            pooling=values["pooling"],
            similarity=values["similarity"],
            dense_scale=values["dense_scale"],
            token_scale=values["token_scale"],
            # model.json names every file's checksum, so its own stands for the whole folder.
            fingerprint=_digest(folder / "model.json")[:16],
            prompts=values["prompts"],
        )
        group = int(values["group"])
    except KeyError as error:
        raise ModelError(f"{folder / 'model.json'}: no {error}") from None
    except OSError as error:
        raise ModelError(f"{folder}: can't be read: {error}") from error
    weights = bind_weights(folder / "weights.safetensors", group=group, fast=mode == "fast")
    backbone = Backbone(open_graph(folder / graph, weights), settings.name, batch_tokens=BATCH_TOKENS)
    return settings, Tokenizer(folder / "tokenizer.json", settings.max_tokens), backbone


def _load_sentence_transformers(folder: Path, mode: str) -> tuple[Settings, Tokenizer, Backbone]:
    if mode != "exact":
        raise ModelError(
            f"{folder}: the graph of a sentence-transformers folder runs in mode 'exact' only, not {mode!r}",
            hint="pass mode='exact' (--mode exact)",
        )
    modules = _modules(folder)
    transformer = folder / modules["Transformer"]
    pooling, normalized = _pooling(folder, modules), "Normalize" in modules
    graph = next((transformer / name for name in _GRAPHS if (transformer / name).is_file()), None)
    if graph is None:
        raise ModelError(
            f"{folder}: no ONNX graph ({' or '.join(_GRAPHS)})",
            hint=f"export one with sentence-transformers: {_EXPORT}",
        )
    tokenizer_file = next(
        (p / "tokenizer.json" for p in (transformer, folder) if (p / "tokenizer.json").is_file()), None
    )
    if tokenizer_file is None:
        raise ModelError(f"{folder}: no tokenizer.json", hint="save the tokenizer with its fast version")
    backbone = Backbone(open_graph(graph), folder.name, batch_tokens=1)
    if pooling == "pooler" and not backbone.has_pooler:
        raise ModelError(f"{folder}: pools with the model's pooler, but its graph has no pooler_output")
    extra = _optional(folder / "config_sentence_transformers.json")
    similarity = str(extra.get("similarity_fn_name") or "cosine")  # its default
    if similarity == "dot" and normalized:
        similarity = "cosine"  # the same number on vectors of length 1
    lower_case = bool(_optional(transformer / "sentence_bert_config.json").get("do_lower_case"))
    max_tokens = _max_tokens(transformer)
    prompts = {name: text for name, text in (extra.get("prompts") or {}).items() if text}
    tokenizer = Tokenizer(tokenizer_file, max_tokens, lower_case=lower_case)
    identity = [_digest(graph), _digest(tokenizer_file), pooling, similarity, max_tokens, lower_case, prompts]
    settings = Settings(
        name=folder.name,
        dimensions=backbone.dimensions,
        token_dimensions=backbone.dimensions,
        max_tokens=max_tokens,
        pooling=pooling,
        similarity=similarity,
        # Any vector of length 1 fits into steps of 1/127; a model of ours has a finer, measured constant.
        dense_scale=1 / 127 if similarity == "cosine" else _probed_scale(tokenizer, backbone, pooling),
        token_scale=1 / 127,
        fingerprint=hashlib.sha256(json.dumps(identity, sort_keys=True).encode()).hexdigest()[:16],
        prompts=prompts,
    )
    return settings, tokenizer, backbone


# Texts of several kinds whose vectors give the range of a model that compares by dot product.
_PROBES = (
    "What is the capital of Norway?",
    "my card isn't working abroad",
    "International transaction declined: switch on regional usage and try again by chip and PIN.",
    "def add(left, right):\n    return left + right",
    "The mitochondrion is the organelle in which most of a cell's adenosine triphosphate is made.",
    "In 1815, after the battle, some 40,000 men lay on the field; it rained for two days more.",
    "a",
)


def _probed_scale(tokenizer: Tokenizer, backbone: Backbone, pooling: str) -> float:
    """Give an int8 step for vectors of unknown length: half as much again as fixed texts need.

    The texts never change, so the step is a constant of the model, like that of the others.
    """
    forwards = [backbone(np.array([one.ids], np.int64)) for one in tokenizer(_PROBES)]
    return 1.5 * max(float(np.abs(pool(forward, pooling)).max()) for forward in forwards) / 127


def _modules(folder: Path) -> dict[str, str]:
    """Give the paths of the modules by their class name; refuse what is not known."""
    try:
        listed = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
        found = {str(module["type"]).rsplit(".", 1)[-1]: str(module["path"]) for module in listed}
        types = [str(module["type"]) for module in listed]
    except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
        raise ModelError(f"{folder / 'modules.json'}: can't be read: {error}") from error
    for name in types:
        kind = name.rsplit(".", 1)[-1]
        if not name.startswith("sentence_transformers.") or kind not in (
            "Transformer",
            "Pooling",
            "Normalize",
        ):
            raise ModelError(
                f"{folder}: module {name!r} is not supported",
                hint="supported are Transformer, Pooling and Normalize of sentence-transformers",
            )
    if "Transformer" not in found:
        raise ModelError(f"{folder}: modules.json names no Transformer")
    for path in found.values():
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise ModelError(f"{folder}: module path {path!r} leads out of the folder")
    return found


def _pooling(folder: Path, modules: dict[str, str]) -> str:
    transformer = _optional(folder / modules["Transformer"] / "sentence_bert_config.json")
    if "Pooling" not in modules:
        text = (transformer.get("modality_config") or {}).get("text") or {}
        if text.get("method_output_name") == "pooler_output":
            return "pooler"
        raise ModelError(
            f"{folder}: modules.json names no Pooling and the transformer gives no pooler output"
        )
    config = read_json(folder / modules["Pooling"] / "config.json")
    if config.get("include_prompt") is False and _optional(folder / "config_sentence_transformers.json").get(
        "prompts"
    ):
        raise ModelError(
            f"{folder}: pooling without the prompt's tokens (include_prompt: false) is not supported"
        )
    modes = (
        config.get("pooling_mode")
        or [name for flag, name in _OLD_POOLING.items() if config.get(flag)]
        or "mean"
    )
    if isinstance(modes, list):
        if len(modes) != 1:
            raise ModelError(f"{folder}: joins the poolings {modes}, one is supported")
        modes = modes[0]
    return str(modes)


def _max_tokens(transformer: Path) -> int:
    """Give the model's own limit as sentence-transformers resolves it."""
    stated = _optional(transformer / "sentence_bert_config.json").get("max_seq_length")
    limits = [
        stated or _optional(transformer / "tokenizer_config.json").get("model_max_length"),
        _optional(transformer / "config.json").get("max_position_embeddings"),
    ]
    known = [int(limit) for limit in limits if limit]
    if not known:
        raise ModelError(f"{transformer}: no max_seq_length, model_max_length or max_position_embeddings")
    return min(known)


def _optional(path: Path) -> dict[str, Any]:
    return read_json(path) if path.exists() else {}
