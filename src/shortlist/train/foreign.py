"""Read models of other projects: which files there are, what their settings are called, which tensors they have.

Five layouts of BERT checkpoints are known. Their keys and defaults are taken from the loaders of these projects:

- sentence-transformers 6.2.0: ``base/model.py``, ``base/modules/transformer.py``, ``base/modules/dense.py``,
  ``sentence_transformer/modules/pooling.py``, ``cross_encoder/model.py``, ``multi_vector_encoder/model.py`` and
  ``multi_vector_encoder/modules/multi_vector_mask.py`` (SentenceTransformer, CrossEncoder, MultiVectorEncoder);
- PyLate (lightonai/pylate, commit 00b0c526): ``pylate/models/colbert.py``, ``pylate/models/Dense.py``;
- Stanford ColBERT (stanford-futuredata/ColBERT, commits f8c6498e and 04fb69e5): ``colbert/infra/config/settings.py``,
  ``colbert/modeling/hf_colbert.py``, and of f232bdee ``tokenization/query_tokenization.py``.
"""

from __future__ import annotations

import string
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import numpy as np
import tokenizers
from numpy.typing import NDArray
from safetensors.numpy import load

from shortlist.errors import ModelError
from shortlist.models.safety import (
    TOKENIZER_BYTES,
    WEIGHTS_BYTES,
    ModelFolder,
    parse_json,
    pickles_hint,
    refuse_code,
    shown,
)
from shortlist.models.settings import LateTokens
from shortlist.models.tokenizer_check import check_tokenizer

__all__ = ["ForeignModel", "Kind", "read_foreign"]

Float = NDArray[np.float32]
Kind = Literal["bi-encoder", "late-interaction", "cross-encoder"]

_HEADS = ("BertForSequenceClassification",)
_POOLING_FLAGS = {
    "pooling_mode_cls_token": "cls",
    "pooling_mode_max_tokens": "max",
    "pooling_mode_mean_tokens": "mean",
}
_OTHER_POOLINGS = (
    "pooling_mode_mean_sqrt_len_tokens",
    "pooling_mode_weightedmean_tokens",
    "pooling_mode_lasttoken",
)
_PYLATE_KEYS = ("query_prefix", "document_prefix", "do_query_expansion", "attend_to_expansion_tokens")


@dataclass(frozen=True)
class ForeignModel:
    """Hold a checkpoint, whatever it was saved by.

    ``tensors`` are those of the transformer under the names of BERT, in float32; ``projection [H, D]`` is that of late
    interaction, ``classifier`` weight ``[K, H]`` and bias of a cross-encoder. ``layout`` names the project.
    """

    kind: Kind
    layout: str
    folder: Path
    config: Mapping[str, Any]
    tensors: Mapping[str, Float]
    max_tokens: int
    pooling: str = "mean"
    similarity: str = "cosine"
    prompts: Mapping[str, str] = field(default_factory=dict)
    projection: Float | None = None
    late: LateTokens | None = None
    classifier: tuple[Float, Float] | None = None
    labels: tuple[str, ...] = ()
    activation: str = "identity"

    @property
    def tokenizer(self) -> Path:
        """Where its tokenizer is."""
        return self.folder / "tokenizer.json"


def read_foreign(path: Path) -> ForeignModel:
    """Read a checkpoint of one of the known layouts.

    Raises:
        ModelError: it is of none, holds code or pickles, is no BERT, or has a part that we have no counterpart of.
    """
    if not path.is_dir():
        raise ModelError(f"{path}: no such folder")
    try:
        return _read(ModelFolder(path))
    except (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError) as error:
        # Its files hold what they may not: a key is missing, or a value is of another kind.
        raise ModelError(f"{path}: can't be read: {type(error).__name__}: {error}") from error


def _read(folder: ModelFolder) -> ForeignModel:
    path = folder.path
    config = folder.json("config.json") if folder.has("config.json") else {}
    modules = _modules(folder) if folder.has("modules.json") else None
    extra = folder.optional_json("config_sentence_transformers.json")
    refuse_code(folder)
    if config.get("model_type") != "bert" or config.get("hidden_act", "gelu") != "gelu":
        kind = f"{config.get('model_type')!r} with {config.get('hidden_act', 'gelu')!r}"
        raise ModelError(f"{path}: its transformer is {kind}, what can be converted is 'bert' with 'gelu'")
    if config.get("position_embedding_type", "absolute") != "absolute" or config.get("type_vocab_size") != 2:
        raise ModelError(f"{path}: positions or types of tokens of another kind than BERT's")
    for key in (
        "hidden_size",
        "intermediate_size",
        "num_hidden_layers",
        "num_attention_heads",
        "max_position_embeddings",
    ):
        if type(config.get(key)) is not int or config[key] < 1:
            raise ModelError(
                f"{path / 'config.json'}: {key} is {shown(config.get(key))}, expected a whole number"
            )
    if config.get("is_decoder"):
        raise ModelError(f"{path}: is a decoder")
    if not folder.has("tokenizer.json"):
        raise ModelError(f"{path}: no tokenizer.json", hint="save the tokenizer with its fast version")
    _refuse_lower_case(folder)
    architectures = config.get("architectures") or []
    if modules is None:
        if "HF_ColBERT" in architectures:
            return _stanford(folder, config)
        if any(name in _HEADS for name in architectures):
            return _cross_encoder(folder, config, extra)
        raise ModelError(
            f"{path}: neither modules.json nor an architecture that is known: {shown(architectures)}",
            hint="known are SentenceTransformer, CrossEncoder, MultiVectorEncoder, PyLate and Stanford ColBERT",
        )
    saved = extra.get("model_type")
    if saved == "CrossEncoder" or (saved is None and any(name in _HEADS for name in architectures)):
        _by_kind(folder, modules, ("Transformer",))
        return _cross_encoder(folder, config, extra)
    if saved == "MultiVectorEncoder":
        return _multi_vector(folder, config, extra, modules)
    foreign = any(name.startswith("pylate.") for name, _ in modules)
    if saved == "ColBERT" or foreign or any(key in extra for key in _PYLATE_KEYS):
        return _pylate(folder, config, extra, modules)
    return _sentence_transformer(folder, config, extra, modules)


def _sentence_transformer(
    folder: ModelFolder, config: Mapping[str, Any], extra: Mapping[str, Any], modules: list[tuple[str, str]]
) -> ForeignModel:
    known = _by_kind(folder, modules, ("Transformer", "Pooling", "Normalize"))
    if "Pooling" not in known:
        raise ModelError(f"{folder.path}: modules.json names no Pooling")
    similarity = extra.get("similarity_fn_name") or "cosine"
    if similarity not in ("cosine", "dot"):
        raise ModelError(f"{folder.path}: compares by {shown(similarity)}, supported are cosine and dot")
    if similarity == "dot" and "Normalize" in known:
        similarity = "cosine"  # the same number on vectors of length 1
    pooling = _pooling(folder, known["Pooling"])
    return ForeignModel(
        "bi-encoder",
        "sentence-transformers SentenceTransformer",
        folder.path,
        config,
        _bert(_tensors(folder), folder),
        _max_tokens(folder, config),
        pooling=pooling,
        similarity=similarity,
        prompts={name: text for name, text in (extra.get("prompts") or {}).items() if text},
    )


def _multi_vector(
    folder: ModelFolder, config: Mapping[str, Any], extra: Mapping[str, Any], modules: list[tuple[str, str]]
) -> ForeignModel:
    known = _by_kind(folder, modules, ("Transformer", "Dense", "MultiVectorMask", "Normalize"))
    for name in ("Dense", "Normalize"):
        if name not in known:
            raise ModelError(f"{folder.path}: modules.json names no {name}")
    if extra.get("similarity_fn_name") not in (None, "maxsim", "meanmaxsim"):
        raise ModelError(
            f"{folder.path}: compares by {shown(extra['similarity_fn_name'])}, supported is maxsim"
        )
    inner = folder.optional_json("sentence_bert_config.json")
    limit = _max_tokens(folder, config)
    mask = folder.json(f"{known['MultiVectorMask']}/config.json") if "MultiVectorMask" in known else {}
    if mask.get("keep_only_token_ids") or list(mask.get("skiplist_tasks", ["document"])) != ["document"]:
        raise ModelError(f"{folder.path}: keeps tokens in a way that isn't supported: {shown(dict(mask))}")
    tokenizer = _tokenizer(folder)
    expansion = inner.get("query_expansion") or {}
    if expansion.get("strategy", "fixed") != "fixed":
        raise ModelError(f"{folder.path}: query_expansion {shown(expansion['strategy'])} is not supported")
    length = int(expansion.get("length", 0))
    late = LateTokens(
        query_tokens=min(length or inner.get("query_length") or limit, limit),
        expansion_token=_token(tokenizer, expansion.get("token") or "[MASK]", folder) if expansion else 0,
        expansion_length=length,
        attend=bool(expansion.get("attend", False)),
        skip=_ids(tokenizer, mask.get("skiplist_words") or []),
    )
    tensors = _tensors(folder)
    return ForeignModel(
        "late-interaction",
        "sentence-transformers MultiVectorEncoder",
        folder.path,
        config,
        _bert(tensors, folder),
        min(inner.get("document_length") or limit, limit),
        projection=_dense(folder, known["Dense"], "torch.nn.modules.activation.Tanh"),
        prompts={name: text for name, text in (extra.get("prompts") or {}).items() if text},
        late=late,
    )


def _pylate(
    folder: ModelFolder, config: Mapping[str, Any], extra: Mapping[str, Any], modules: list[tuple[str, str]]
) -> ForeignModel:
    known = _by_kind(folder, modules, ("Transformer", "Dense"))
    if "Dense" not in known:
        raise ModelError(f"{folder.path}: modules.json names no Dense")

    def setting(key: str, default: Any) -> Any:
        value = extra.get(key)
        return default if value is None else value

    if any((extra.get("prompts") or {}).values()):
        raise ModelError(f"{folder.path}: has prompts beside its markers, which is not supported")
    tokenizer = _tokenizer(folder)
    length = int(setting("query_length", 32))
    expands = bool(setting("do_query_expansion", True))
    late = LateTokens(
        query_marker=_marker(tokenizer, setting("query_prefix", "[Q] "), folder),
        document_marker=_marker(tokenizer, setting("document_prefix", "[D] "), folder),
        query_tokens=length,
        expansion_token=_token(tokenizer, "[MASK]", folder) if expands else 0,
        expansion_length=length if expands else 0,
        attend=expands and bool(setting("attend_to_expansion_tokens", False)),
        skip=_ids(tokenizer, setting("skiplist_words", list(string.punctuation))),
    )
    return ForeignModel(
        "late-interaction",
        "PyLate",
        folder.path,
        config,
        _bert(_tensors(folder), folder),
        min(int(setting("document_length", 180)), int(config["max_position_embeddings"])),
        projection=_dense(folder, known["Dense"], "torch.nn.modules.linear.Identity"),
        late=late,
    )


def _stanford(folder: ModelFolder, config: Mapping[str, Any]) -> ForeignModel:
    meta = folder.json("artifact.metadata")
    meta = meta["config"] if isinstance(meta.get("config"), dict) else meta

    def setting(key: str, default: Any) -> Any:
        value = meta.get(key)
        return default if value is None else value

    if setting("interaction", "colbert") != "colbert" or setting("similarity", "cosine") != "cosine":
        found = f"{meta.get('interaction')!r} by {meta.get('similarity')!r}"
        raise ModelError(f"{folder.path}: interacts as {found}, supported is 'colbert' by 'cosine'")
    tokenizer = _tokenizer(folder)
    tensors = _tensors(folder)
    if "linear.weight" not in tensors or "linear.bias" in tensors:
        raise ModelError(f"{folder.path}: expected a tensor linear.weight and no linear.bias")
    length = int(setting("query_maxlen", 32))
    punctuation = list(string.punctuation) if setting("mask_punctuation", True) else []
    late = LateTokens(
        query_marker=_marker(tokenizer, setting("query_token_id", "[unused0]"), folder),
        document_marker=_marker(tokenizer, setting("doc_token_id", "[unused1]"), folder),
        query_tokens=length,
        expansion_token=_token(tokenizer, "[MASK]", folder),
        expansion_length=length,
        attend=bool(setting("attend_to_mask_tokens", False)),
        skip=_ids(tokenizer, punctuation),
    )
    return ForeignModel(
        "late-interaction",
        "Stanford ColBERT",
        folder.path,
        config,
        _bert(tensors, folder),
        min(int(setting("doc_maxlen", 220)), int(config["max_position_embeddings"])),
        projection=np.ascontiguousarray(tensors["linear.weight"].T),
        late=late,
    )


def _cross_encoder(folder: ModelFolder, config: Mapping[str, Any], extra: Mapping[str, Any]) -> ForeignModel:
    if not any(name in _HEADS for name in config.get("architectures") or []):
        raise ModelError(f"{folder.path}: its architecture is none of {', '.join(_HEADS)}")
    if extra.get("default_prompt_name"):
        raise ModelError(f"{folder.path}: puts a prompt before its texts, which is not supported here")
    tensors = _tensors(folder)
    for name in ("classifier.weight", "classifier.bias", "bert.pooler.dense.weight"):
        if name not in tensors:
            raise ModelError(f"{folder.path}: its weights lack {name}")
    classifier = tensors["classifier.weight"], tensors["classifier.bias"]
    labels = config.get("id2label") or {"0": "LABEL_0", "1": "LABEL_1"}
    if len(labels) != len(classifier[0]):
        raise ModelError(
            f"{folder.path}: names {len(labels)} labels, its classifier has {len(classifier[0])}"
        )
    old = config.get("sentence_transformers")
    stated = (
        extra.get("activation_fn")
        or (old.get("activation_fn") if isinstance(old, dict) else None)
        or config.get("sbert_ce_default_activation_function")
    )
    kind = str(stated).rsplit(".", 1)[-1] if stated else ("Sigmoid" if len(labels) == 1 else "Identity")
    if kind not in ("Sigmoid", "Identity"):
        raise ModelError(
            f"{folder.path}: its activation is {shown(stated)}, supported are Sigmoid and Identity"
        )
    return ForeignModel(
        "cross-encoder",
        "sentence-transformers CrossEncoder",
        folder.path,
        config,
        _bert(tensors, folder),
        _max_tokens(folder, config),
        classifier=classifier,
        labels=("relevance",) if len(labels) == 1 else tuple(str(labels[str(n)]) for n in range(len(labels))),
        activation=kind.lower(),
    )


def _tokenizer(folder: ModelFolder) -> tokenizers.Tokenizer:
    data = folder.read("tokenizer.json", TOKENIZER_BYTES)
    check_tokenizer(data, folder.path / "tokenizer.json")
    return tokenizers.Tokenizer.from_buffer(data)


def _refuse_lower_case(folder: ModelFolder) -> None:
    """Refuse a model whose texts are lowercased by its project and not by its tokenizer."""
    if not folder.optional_json("sentence_bert_config.json").get("do_lower_case"):
        return
    normalizer = (
        parse_json(folder.read("tokenizer.json", TOKENIZER_BYTES), folder.path).get("normalizer") or {}
    )
    if not normalizer.get("lowercase") and normalizer.get("type") != "Lowercase":
        raise ModelError(
            f"{folder.path}: wants its texts in lower case, and its tokenizer doesn't make them so"
        )


def _modules(folder: ModelFolder) -> list[tuple[str, str]]:
    """Give the modules as pairs of type and path."""
    listed: Any = parse_json(folder.read("modules.json"), folder.path / "modules.json")
    if not isinstance(listed, list) or not all(
        isinstance(one, dict) and isinstance(one.get("type"), str) and isinstance(one.get("path"), str)
        for one in listed
    ):
        raise ModelError(f"{folder.path / 'modules.json'}: expected a list of modules with type and path")
    for one in listed:
        if one["path"] and not folder.contains(one["path"]):
            raise ModelError(f"{folder.path}: module path {shown(one['path'])} leads out of the folder")
    return [(one["type"], one["path"]) for one in listed]


def _by_kind(folder: ModelFolder, modules: list[tuple[str, str]], allowed: tuple[str, ...]) -> dict[str, str]:
    found: dict[str, str] = {}
    for name, path in modules:
        kind = name.rsplit(".", 1)[-1]
        if not name.startswith(("sentence_transformers.", "pylate.")) or kind not in allowed or kind in found:
            raise ModelError(
                f"{folder.path}: module {shown(name)} is not supported here",
                hint=f"supported are {', '.join(allowed)}, each once",
            )
        found[kind] = path
    if found.get("Transformer") != "":
        raise ModelError(f"{folder.path}: its Transformer isn't in the folder itself")
    return found


def _pooling(folder: ModelFolder, path: str) -> str:
    config = folder.json(f"{path}/config.json")
    if config.get("include_prompt") is False:
        raise ModelError(f"{folder.path}: pooling without the prompt's tokens is not supported")
    modes = config.get("pooling_mode")
    if modes is None:
        flagged = [name for flag, name in _POOLING_FLAGS.items() if config.get(flag)]
        other = [flag for flag in _OTHER_POOLINGS if config.get(flag)]
        modes = [*flagged, *other] or ["mean"]
    modes = [modes] if isinstance(modes, str) else list(modes)
    if len(modes) != 1 or modes[0] not in ("cls", "max", "mean"):
        raise ModelError(f"{folder.path}: pools by {shown(modes)}, supported are cls, max and mean")
    return str(modes[0])


def _dense(folder: ModelFolder, path: str, default_activation: str) -> Float:
    config = folder.json(f"{path}/config.json")
    activation = str(config.get("activation_function", default_activation)).rsplit(".", 1)[-1]
    if activation != "Identity" or config.get("use_residual"):
        raise ModelError(f"{folder.path}: its projection has the activation {activation}, or a residual")
    tensors = _tensors(ModelFolder(folder.path / path))
    if "linear.bias" in tensors:
        raise ModelError(f"{folder.path}: its projection has a bias")
    return np.ascontiguousarray(tensors["linear.weight"].T)


def _tensors(folder: ModelFolder) -> dict[str, Float]:
    """Read all tensors of ``model.safetensors`` as float32."""
    if not folder.has("model.safetensors"):
        hint = pickles_hint(folder) or "save it again as safetensors"
        raise ModelError(f"{folder.path}: no model.safetensors", hint=hint)
    try:
        found = load(folder.read("model.safetensors", WEIGHTS_BYTES))
    except ModelError:
        raise
    except Exception as error:  # the library's exceptions share no base but Exception
        raise ModelError(f"{folder.path / 'model.safetensors'}: can't be read: {error}") from error
    return {name: np.asarray(value, dtype=np.float32) for name, value in found.items()}


def _bert(tensors: Mapping[str, Float], folder: ModelFolder) -> dict[str, Float]:
    """Give the transformer's tensors under BERT's own names, as old and new versions save them."""
    prefix = "bert." if any(name.startswith("bert.") for name in tensors) else ""
    found = {}
    for name, value in tensors.items():
        if name.startswith(prefix) and not name.endswith("position_ids"):
            new = name[len(prefix) :].replace("LayerNorm.gamma", "LayerNorm.weight")
            found[new.replace("LayerNorm.beta", "LayerNorm.bias")] = value
    if "embeddings.word_embeddings.weight" not in found:
        raise ModelError(f"{folder.path}: its weights lack embeddings.word_embeddings.weight")
    return found


def _max_tokens(folder: ModelFolder, config: Mapping[str, Any]) -> int:
    positions = int(config["max_position_embeddings"])
    stated = folder.optional_json("sentence_bert_config.json").get("max_seq_length")
    if not stated:
        stated = folder.optional_json("tokenizer_config.json").get("model_max_length")
    return min(int(stated), positions) if stated else positions


def _marker(tokenizer: tokenizers.Tokenizer, text: str, folder: ModelFolder) -> str:
    """Give the token that a prefix is, if it is one; it may have a space at its end that is part of it or not."""
    if not text:
        return ""
    for name in (text, text.strip()):
        if tokenizer.token_to_id(name) is not None:
            return name
    raise ModelError(f"{folder.path}: its prefix {shown(text)} is no token of its tokenizer")


def _token(tokenizer: tokenizers.Tokenizer, name: str, folder: ModelFolder) -> int:
    number = tokenizer.token_to_id(name)
    if number is None:
        raise ModelError(f"{folder.path}: its tokenizer has no token {shown(name)}")
    return int(number)


def _ids(tokenizer: tokenizers.Tokenizer, words: list[str]) -> tuple[int, ...]:
    """Give the ids of the words that are one token."""
    found = (tokenizer.token_to_id(word) for word in words)
    return tuple(sorted({number for number in found if number is not None}))
