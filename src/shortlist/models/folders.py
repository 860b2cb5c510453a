"""Which folders can an encoder be loaded from, and what do they say? This module reads both kinds.

Our own (``model.json``, weights apart from graphs) and sentence-transformers' (``modules.json``
with an ONNX graph). Nothing in a folder is ever executed; a module that is not known is refused by name.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import ModelError
from shortlist.models.backbone import Backbone, open_graph
from shortlist.models.heads import HEADS, PROJECTION, Heads
from shortlist.models.native_transformer import NativeBackbone
from shortlist.models.own_folder import DEFAULT, Description, describe, folder_at, open_parts
from shortlist.models.pooling import pool
from shortlist.models.safety import (
    GRAPH_BYTES,
    TOKENIZER_BYTES,
    ModelFolder,
    parse_json,
    pickles_hint,
    refuse_code,
    shown,
)
from shortlist.models.settings import (
    MAX_DIMENSIONS,
    MAX_TOKENS,
    Settings,
    integer,
    late_tokens,
    scale,
    text,
    texts,
)
from shortlist.models.tokenizer import Tokenizer

if TYPE_CHECKING:
    from shortlist.scoring._native import Transformer

__all__ = ["DEFAULT", "Loaded", "fingerprint", "load_folder"]

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


@dataclass(frozen=True, eq=False)
class Loaded:
    """Hold an encoder's parts; ``queries`` are those of another one that reads the queries, if there is one."""

    settings: Settings
    tokenizer: Tokenizer
    backbone: Backbone | NativeBackbone
    heads: Heads
    queries: Loaded | None = None


def load_folder(path: Path, mode: str, *, kernels: bool = True) -> Loaded:
    """Load an encoder's parts from a model folder of either kind; without ``kernels`` its graph runs everywhere.

    Raises:
        ModelError: the folder is not a model, is damaged, or uses something that is not supported.
    """
    folder = _existing(path)
    if folder.has("model.json"):
        return _load_own(describe(folder, "bert"), mode, kernels=kernels)
    return Loaded(*_load_sentence_transformers(folder, mode), Heads())


def fingerprint(path: Path) -> str:
    """Give the identity of the model in a folder; of one of ours without loading it.

    Raises:
        ModelError: the folder is not a model.
    """
    folder = _existing(path)
    if folder.has("model.json"):
        return _digest(folder.read("model.json"))[:16]
    return _load_sentence_transformers(folder, "exact")[0].fingerprint


def _existing(path: Path) -> ModelFolder:
    try:
        found, folder = path.is_dir(), folder_at(path)
    except (OSError, ValueError) as error:  # ValueError: a name with a NUL
        raise ModelError(f"{shown(str(path))}: can't be read: {error}") from error
    if not found:
        raise ModelError(f"{path}: no such model folder")
    if not folder.has("model.json") and not folder.has("modules.json"):
        raise ModelError(
            f"{path}: neither model.json nor modules.json",
            hint=pickles_hint(folder)
            or "a model folder is one of shortlist's, or one that sentence-transformers saved with an ONNX graph",
        )
    return folder


def _digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def _load_own(description: Description, mode: str, *, kernels: bool = True) -> Loaded:
    where, values = description.where, description.values
    try:
        settings = _settings(
            where,
            name=text(values["name"], "name", where, 200),
            dimensions=integer(values, "dimensions", where, 1, MAX_DIMENSIONS),
            token_dimensions=integer(values, "token_dimensions", where, 0, MAX_DIMENSIONS),
            max_tokens=integer(values, "max_tokens", where, 1, MAX_TOKENS),
            pooling=text(values["pooling"], "pooling", where, 200),
            similarity=text(values["similarity"], "similarity", where, 200),
            dense_scale=scale(values, "dense_scale", where),
            token_scale=scale(values, "token_scale", where),
            fingerprint=description.fingerprint,
            prompts=texts(values["prompts"], "prompts", where, characters=10_000),
            late=late_tokens(values.get("late"), where, integer(values, "max_tokens", where, 1, MAX_TOKENS)),
        )
    except KeyError as error:
        raise ModelError(f"{where}: no {error}") from None
    needs_mask = settings.late is not None and settings.late.expansion_length and not settings.late.attend
    graph_only = not kernels or settings.pooling == "pooler" or needs_mask
    token_dimensions = settings.token_dimensions

    def fits(transformer: Transformer, stored: Mapping[str, NDArray[Any]]) -> bool:
        return NativeBackbone.fits(transformer, stored.get(PROJECTION), token_dimensions)

    parts = open_parts(description, mode, settings.max_tokens, fits=None if graph_only else fits)
    backbone: Backbone | NativeBackbone
    if parts.transformer is not None:
        # Of weights that are shared with the default model the projection may be its alone.
        projection = parts.stored[PROJECTION] if token_dimensions else None
        backbone = NativeBackbone(parts.transformer, projection, where.parent, batch_tokens=BATCH_TOKENS)
    else:
        assert parts.session is not None
        backbone = Backbone(parts.session, parts.graph, batch_tokens=BATCH_TOKENS)
    if (backbone.dimensions, backbone.late_dimensions) != (settings.dimensions, settings.token_dimensions):
        raise ModelError(
            f"{where}: dimensions {settings.dimensions} and token_dimensions {settings.token_dimensions},"
            f" its graph gives {backbone.dimensions} and {backbone.late_dimensions}"
        )
    heads = Heads.of(parts.heads, settings.dimensions, where.parent / HEADS)
    queries = None
    if values.get("query_encoder"):
        queries = _query_encoder(description, settings, mode, kernels=kernels)
    return Loaded(settings, parts.tokenizer, backbone, heads, queries)


def _query_encoder(description: Description, settings: Settings, mode: str, *, kernels: bool) -> Loaded:
    """Load the encoder of queries from its folder in the folder, if it is the one that was meant and fits."""
    where, values = description.where, description.values
    name = text(values["query_encoder"], "query_encoder", where, 200)
    folder = description.folder
    if not folder.contains(name) or name != Path(name).name:
        raise ModelError(f"{where}: query_encoder {shown(name)} is no folder beside it")
    inner = ModelFolder(folder.path / name, trusted=folder.trusted)
    if not inner.has("model.json"):
        raise ModelError(f"{folder.path / name}: no model.json")
    other = describe(inner, "bert")
    if other.checksum != values.get("query_encoder_sha256"):
        raise ModelError(f"{inner.path}: damaged: its checksum is not the one in {where}")
    if other.values.get("query_encoder"):
        raise ModelError(f"{inner.path}: has an encoder of queries of its own")
    found = _load_own(other, mode, kernels=kernels)
    for what in ("dimensions", "token_dimensions", "similarity"):
        if getattr(found.settings, what) != getattr(settings, what):
            theirs, own = getattr(found.settings, what), getattr(settings, what)
            raise ModelError(f"{inner.path}: its {what} {theirs} don't fit {own} of {folder.path}")
    return found


def _settings(where: Path, **values: Any) -> Settings:
    """Make the settings; an error also says where they come from."""
    try:
        return Settings(**values)
    except ModelError as error:
        raise ModelError(f"{where}: {error}", hint=error.hint) from None


def _load_sentence_transformers(folder: ModelFolder, mode: str) -> tuple[Settings, Tokenizer, Backbone]:
    if mode != "exact":
        raise ModelError(
            f"{folder.path}: the graph of a sentence-transformers folder runs in mode 'exact' only, not {mode!r}",
            hint="pass mode='exact' (--mode exact)",
        )
    modules = _modules(folder)
    transformer = modules["Transformer"]
    for inside in {"", *modules.values()}:
        refuse_code(folder, inside)
    pooling, normalized = _pooling(folder, modules), "Normalize" in modules
    graph = _first(folder, (_join(transformer, name) for name in _GRAPHS))
    if graph is None:
        pickles = pickles_hint(folder) or pickles_hint(ModelFolder(folder.path / transformer))
        raise ModelError(
            f"{folder.path}: no ONNX graph ({' or '.join(_GRAPHS)})",
            hint=f"{f'{pickles}; ' if pickles else ''}export one with sentence-transformers: {_EXPORT}",
        )
    tokenizer_file = _first(folder, (_join(inside, "tokenizer.json") for inside in (transformer, "")))
    if tokenizer_file is None:
        raise ModelError(f"{folder.path}: no tokenizer.json", hint="save the tokenizer with its fast version")
    # What is small is believed or refused before the graph is opened.
    where = folder.path / "config_sentence_transformers.json"
    extra = folder.optional_json(where.name)
    similarity = text(extra.get("similarity_fn_name") or "cosine", "similarity_fn_name", where, 200)
    if similarity == "dot" and normalized:
        similarity = "cosine"  # the same number on vectors of length 1
    given = texts(extra.get("prompts") or {}, "prompts", where, characters=10_000)
    prompts = {name: prompt for name, prompt in given.items() if prompt}
    lower_case = bool(
        folder.optional_json(_join(transformer, "sentence_bert_config.json")).get("do_lower_case")
    )
    max_tokens = _max_tokens(folder, transformer)
    name = text(folder.path.name, "the folder's name", folder.path, 255)

    tokenizer_data, graph_data = folder.read(tokenizer_file, TOKENIZER_BYTES), folder.read(graph, GRAPH_BYTES)
    tokenizer = Tokenizer(
        folder.path / tokenizer_file, max_tokens, lower_case=lower_case, data=tokenizer_data
    )
    session, facts = open_graph(graph_data, folder.path / graph)
    tokenizer.check_rows(facts.rows)
    backbone = Backbone(session, folder.path / graph, batch_tokens=1)
    if pooling == "pooler" and not backbone.has_pooler:
        raise ModelError(f"{folder.path}: pools with the model's pooler, but its graph has no pooler_output")
    # A graph holds its weights (check_graph), so these are all that changes a vector.
    digests = _digest(graph_data), _digest(tokenizer_data)
    identity = [*digests, pooling, similarity, max_tokens, lower_case, prompts]
    settings = _settings(
        folder.path,
        name=name,
        dimensions=backbone.dimensions,
        token_dimensions=backbone.late_dimensions or backbone.dimensions,
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


def _modules(folder: ModelFolder) -> dict[str, str]:
    """Give the paths of the modules by their class name; refuse what is not known."""
    where = folder.path / "modules.json"
    listed = parse_json(folder.read("modules.json"), where)
    if not isinstance(listed, list) or len(listed) > 100:
        raise ModelError(f"{where}: can't be read: expected a list of at most 100 modules")
    found: dict[str, str] = {}
    for module in listed:
        if not isinstance(module, dict) or not {"type", "path"} <= module.keys():
            raise ModelError(f"{where}: can't be read: module {shown(module)} has no type or no path")
        name = text(module["type"], "a module's type", where, 1000)
        kind = name.rsplit(".", 1)[-1]
        if not name.startswith("sentence_transformers.") or kind not in (
            "Transformer",
            "Pooling",
            "Normalize",
        ):
            raise ModelError(
                f"{folder.path}: module {shown(name)} is not supported",
                hint="supported are Transformer, Pooling and Normalize of sentence-transformers",
            )
        if kind in found:
            raise ModelError(f"{where}: module {shown(name)} is there twice")
        path = text(module["path"], "a module's path", where, 1000)
        if not folder.contains(path):
            raise ModelError(f"{folder.path}: module path {shown(path)} leads out of the folder")
        found[kind] = path
    if "Transformer" not in found:
        raise ModelError(f"{folder.path}: modules.json names no Transformer")
    return found


def _pooling(folder: ModelFolder, modules: dict[str, str]) -> str:
    if "Pooling" not in modules:
        config = folder.optional_json(_join(modules["Transformer"], "sentence_bert_config.json"))
        if _nested(config, "modality_config", "text", "method_output_name") == "pooler_output":
            return "pooler"
        raise ModelError(
            f"{folder.path}: modules.json names no Pooling and the transformer gives no pooler output"
        )
    config = folder.json(_join(modules["Pooling"], "config.json"))
    if config.get("include_prompt") is False and folder.optional_json(
        "config_sentence_transformers.json"
    ).get("prompts"):
        raise ModelError(
            f"{folder.path}: pooling without the prompt's tokens (include_prompt: false) is not supported"
        )
    modes = (
        config.get("pooling_mode")
        or [name for flag, name in _OLD_POOLING.items() if config.get(flag)]
        or "mean"
    )
    if isinstance(modes, list):
        if len(modes) != 1:
            raise ModelError(f"{folder.path}: joins the poolings {shown(modes)}, one is supported")
        modes = modes[0]
    return text(modes, "pooling_mode", folder.path / modules["Pooling"] / "config.json", 200)


def _max_tokens(folder: ModelFolder, transformer: str) -> int:
    """Give the model's own limit as sentence-transformers resolves it."""

    def stated(name: str, key: str) -> int | None:
        value = folder.optional_json(_join(transformer, name)).get(key)
        if isinstance(value, float) and value.is_integer():
            value = int(value)  # some tokenizers state 1e30
        if value is not None and type(value) is not int:
            where = folder.path / transformer / name
            raise ModelError(f"{where}: {key} is {shown(value)}, expected a whole number")
        return value

    limits = [
        stated("sentence_bert_config.json", "max_seq_length")
        or stated("tokenizer_config.json", "model_max_length"),
        stated("config.json", "max_position_embeddings"),
    ]
    known = [limit for limit in limits if limit]
    if not known:
        raise ModelError(
            f"{folder.path / transformer}: no max_seq_length, model_max_length or max_position_embeddings"
        )
    if not 1 <= min(known) <= MAX_TOKENS:
        raise ModelError(
            f"{folder.path / transformer}: takes {shown(min(known))} tokens, at most {MAX_TOKENS:,} are supported",
            hint="state max_seq_length in sentence_bert_config.json",
        )
    return min(known)


def _first(folder: ModelFolder, names: Iterable[str]) -> str | None:
    return next((name for name in names if folder.has(name)), None)


def _join(inside: str, name: str) -> str:
    return f"{inside}/{name}" if inside else name


def _nested(value: Any, *keys: str) -> Any:
    for key in keys:
        value = value.get(key) if isinstance(value, dict) else None
    return value
