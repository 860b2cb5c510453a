"""Train a cross-encoder by a recipe, from examples to a model folder.

Each example's passages are scored together, and the answer's score should be the highest: a softmax over the answer and
its negatives; or they should be as a teacher's. Where the examples carry scores of a first stage these can be added, so
that the model learns what is missing there: as a boosted model learns from what those before it left (Friedman 2001),
it can be weak where they are strong, and what it doesn't know of a new domain disturbs them less.
"""

from __future__ import annotations

import hashlib
import json
import random
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor
from transformers import BertModel
from transformers.utils import logging as transformers_logging

from shortlist.errors import DataError, ModelError
from shortlist.formats.paths import refuse_existing
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.train.base import BASE_FILES
from shortlist.train.bert_graph import GROUP
from shortlist.train.checkpoint import Checkpoint
from shortlist.train.cross_encoder import CrossEncoderModel, PairTokenizer, candidate_scores
from shortlist.train.examples import Example, read_examples
from shortlist.train.export import export_cross_encoder
from shortlist.train.loop import Step, train
from shortlist.train.losses import kl_divergence, margin_mse, softmax_over_candidates
from shortlist.train.recipe import CrossEncoderRecipe, Examples, JudgeSettings

__all__ = ["Trained", "fit_first_stage", "load_examples", "train_cross_encoder"]

_WEIGHTS = np.geomspace(0.25, 64, 49)


@dataclass(frozen=True)
class Trained:
    """Say how a training ended: how many examples, what the first stage counted, the mean loss of the last steps."""

    examples: int
    left_out: int
    first_stage: float
    loss: float


def train_cross_encoder(
    recipe: CrossEncoderRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    progress: Callable[[Step], object] | None = None,
) -> Trained:
    """Train by a recipe and write the model folder; a training that was interrupted is gone on with.

    ``base`` is a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json`` of a BERT; ``examples_in``
    is what the recipe's files are relative to. The checkpoint lies in ``folder`` with ``.training`` behind its name
    until the model is whole.

    Raises:
        DataError: there is something at ``folder``, the examples can't be used, or a checkpoint is of another training.
        ModelError: the base is no BERT that a model folder can be made of.
    """
    refuse_existing(folder)
    examples, left_out = load_examples(recipe.examples, examples_in, recipe.schedule.seed)
    settings = recipe.model
    weight = settings.first_stage
    if (weight or settings.loss != "softmax") and not all(example.scores for example in examples):
        raise DataError(f"examples have no scores, which {'first_stage' if weight else settings.loss} needs")
    if isinstance(weight, str):
        weight = fit_first_stage(examples)
    torch.manual_seed(recipe.schedule.seed)  # a linear layer starts at random
    model = build(base, settings)
    tokenizer = PairTokenizer(base / "tokenizer.json", settings.training_tokens, settings.max_query_tokens)

    def loss(_: torch.nn.Module, part: Sequence[Example]) -> Tensor:
        scores = candidate_scores(model, tokenizer, part)
        if settings.loss == "softmax" and not weight:
            return softmax_over_candidates(scores)
        given = torch.tensor([example.scores for example in part])
        if settings.loss == "softmax":
            return softmax_over_candidates(scores + weight * given)
        return margin_mse(scores, given) if settings.loss == "margin-mse" else kl_divergence(scores, given)

    work = folder.with_name(f"{folder.name}.training")
    identity = {
        "model": asdict(settings),
        "first_stage": weight,
        "examples": hashlib.sha256(repr(examples).encode()).hexdigest(),
        "base": [hashlib.sha256((base / name).read_bytes()).hexdigest() for name in BASE_FILES],
    }
    details: dict[str, Any] = {"license": recipe.license, "origin": recipe.origin}
    if weight:
        details["first_stage"] = weight

    def export(place: Path) -> None:
        export_cross_encoder(
            model,
            base / "tokenizer.json",
            place,
            name=recipe.name,
            max_tokens=settings.max_tokens,
            max_query_tokens=settings.max_query_tokens,
            details={key: value for key, value in details.items() if value},
        )
        CrossEncoder.load(place)

    made = work / "model"
    export(made)  # what can't be made a model of is found before hours of training
    last = train(
        model,
        examples,
        loss,
        recipe.schedule,
        work,
        heads=model.head_parameters(),
        identity=identity,
        progress=progress,
    )
    export(made)
    refuse_existing(folder)
    made.rename(folder)
    Checkpoint.remove(work)
    return Trained(len(examples), left_out, weight, last)


def build(base: Path, settings: JudgeSettings) -> CrossEncoderModel:
    """Make the model that training starts from.

    Without dropout: drawing its masks takes longer than all else of a step on a CPU (docs/decisions/0008-judges.md),
    and a short training on much data doesn't need it.
    """
    _check_base(base, settings)
    with _quiet():
        loaded: Any = BertModel.from_pretrained(
            base,
            add_pooling_layer=False,
            hidden_dropout_prob=0.0,
            attention_probs_dropout_prob=0.0,
            local_files_only=True,
            use_safetensors=True,
            output_loading_info=True,
        )
    backbone: BertModel = loaded[0]
    info: dict[str, Any] = loaded[1]
    if info["missing_keys"]:
        raise ModelError(f"{base}: its weights lack {min(info['missing_keys'])}")
    if settings.layers is not None:
        if not 1 <= settings.layers <= len(backbone.encoder.layer):
            raise DataError(f"model.layers is {settings.layers}, {base} has {len(backbone.encoder.layer)}")
        backbone.encoder.layer = backbone.encoder.layer[: settings.layers]
        backbone.config.num_hidden_layers = settings.layers
    if not 0 <= settings.frozen_layers <= len(backbone.encoder.layer):
        raise DataError(
            f"model.frozen_layers is {settings.frozen_layers}, there are {len(backbone.encoder.layer)}"
        )
    model = CrossEncoderModel(backbone, settings.head, scale=settings.scale)
    model.freeze(settings.frozen_layers)
    return model


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


def _check_base(base: Path, settings: JudgeSettings) -> None:
    """Refuse a base that our graphs don't draw: it would be trained as one function and run as another.

    Raises:
        ModelError: it is no BERT, or one with other activations, sizes or types of tokens.
    """
    where = base / "config.json"
    try:
        config = json.loads(where.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ModelError(f"{where}: can't be read: {error}") from error
    wanted = {"model_type": ("bert",), "hidden_act": ("gelu",), "type_vocab_size": (2,)}
    wanted |= {"position_embedding_type": ("absolute",), "is_decoder": (False,)}
    for key, allowed in wanted.items():
        if config.get(key, allowed[0]) not in allowed:
            raise ModelError(f"{where}: {key} is {config[key]!r}, a judge is made of {allowed[0]!r} alone")
    for key in ("hidden_size", "intermediate_size"):
        if int(config[key]) % GROUP:
            raise ModelError(f"{where}: {key} is {config[key]}, no multiple of {GROUP}")
    longest = max(settings.max_tokens, settings.training_tokens)
    if config["max_position_embeddings"] < longest:
        raise ModelError(
            f"{where}: has {config['max_position_embeddings']} positions, the recipe wants {longest}"
        )


def load_examples(settings: Examples, folder: Path, seed: int) -> tuple[list[Example], int]:
    """Read examples and draw the negatives of each; give them, and how many had too few negatives.

    Raises:
        DataError: a file can't be read, or nothing is left.
    """
    draw = random.Random(seed)  # noqa: S311
    found, short = [], 0
    for name in settings.files:
        for example in read_examples(folder / name):
            if example.source in settings.leave_out:
                continue
            if len(example.negatives) < settings.negatives:
                short += 1
                continue
            chosen = [0, *draw.sample(range(1, len(example.passages)), settings.negatives)]
            found.append(
                Example(
                    example.query,
                    example.passage,
                    tuple(example.passages[index] for index in chosen[1:]),
                    tuple(example.scores[index] for index in chosen) if example.scores else (),
                    example.source,
                )
            )
    if not found:
        raise DataError(
            f"no example has {settings.negatives} negatives", hint="mine some: shortlist train negatives"
        )
    return found, short


def fit_first_stage(examples: Sequence[Example]) -> float:
    """Give the weight at which the examples' scores alone make their answers likeliest, by a softmax over each.

    Raises:
        DataError: there is none: the scores tell every answer, or nothing at all.
    """
    scores = np.array([example.scores for example in examples])
    leads = scores - scores[:, :1]  # of the answer over itself, and of the others over it
    losses = [
        float(np.log(np.exp(np.minimum(weight * leads, 700)).sum(axis=1)).mean()) for weight in _WEIGHTS
    ]
    best = int(np.argmin(losses))
    if best in (0, len(_WEIGHTS) - 1):
        raise DataError(
            "no weight of the examples' scores fits best: they tell every answer, or none",
            hint="mine without a margin, or give model.first_stage as a number",
        )
    return float(_WEIGHTS[best])
