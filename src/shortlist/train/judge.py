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
import shutil
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch
from safetensors import safe_open
from safetensors.torch import load_file
from torch import Tensor

from shortlist.errors import DataError
from shortlist.formats.paths import refuse_existing
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.train.base import freeze, load_bert, prepare_base
from shortlist.train.cross_encoder import CrossEncoderModel, PairTokenizer, candidate_scores, pair_scores
from shortlist.train.device import on_device
from shortlist.train.examples import Example
from shortlist.train.existing import HEAD, KIND
from shortlist.train.export import export_cross_encoder
from shortlist.train.from_recipe import Trained, identity_of, put_in_place, stated, work_folder
from shortlist.train.labelled import LabelledPair, read_labelled
from shortlist.train.loading import fit_first_stage, load_examples, require_scores
from shortlist.train.loop import Budget, Step, train
from shortlist.train.losses import (
    binary_cross_entropy,
    kl_divergence,
    label_cross_entropy,
    margin_mse,
    mse,
    softmax_over_candidates,
)
from shortlist.train.recipe import CrossEncoderRecipe, JudgeSettings
from shortlist.train.record import training_record

__all__ = ["TrainedJudge", "build", "train_cross_encoder"]


_RANGE_EXAMPLES = 320


@dataclass(frozen=True)
class TrainedJudge(Trained):
    """Say also at what weight the first stage counted, and whether the base's head was gone on with."""

    first_stage: float
    goes_on: bool


@on_device
def train_cross_encoder(
    recipe: CrossEncoderRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    memory: int | None = None,
    progress: Callable[[Step], object] | None = None,
) -> TrainedJudge:
    """Train by a recipe and write the model folder; a training that was interrupted is gone on with.

    ``base`` is a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json`` of a BERT, or a model folder
    of ours, which is trained on, with its head if that is of the recipe's kind; ``examples_in`` is what the recipe's
    files are relative to. With a limit of ``memory``, in bytes, fewer examples are worked on at once. The checkpoint
    lies in ``folder`` with ``.training`` behind its name until the model is whole.

    Raises:
        DataError: there is something at ``folder``, the examples can't be used, or a checkpoint is of another training.
        ModelError: the base is no BERT that a model folder can be made of.
    """
    refuse_existing(folder)
    settings = recipe.model
    work = work_folder(folder)
    torch.manual_seed(recipe.schedule.seed)  # a linear layer starts at random
    task: _Pairs | _Candidates = (
        _Pairs(recipe, examples_in) if recipe.pairs else _Candidates(recipe, examples_in)
    )
    given, base = base, prepare_base(base, work)
    labels = task.labels or ("relevance",)
    model = build(base, settings, labels)
    goes_on = bool(_head_rows(base, settings, labels))
    tokenizer = PairTokenizer(base / "tokenizer.json", settings.training_tokens, settings.max_query_tokens)

    def loss(_: torch.nn.Module, part: Sequence[Any]) -> Tensor:
        return task.loss(model, tokenizer, part)

    identity = identity_of(settings, task.items, base) | {"first_stage": task.first_stage}
    details = stated(recipe)
    if task.first_stage:
        details["first_stage"] = task.first_stage

    def export(place: Path) -> None:
        shutil.rmtree(place, ignore_errors=True)
        export_cross_encoder(
            model,
            base / "tokenizer.json",
            place,
            name=recipe.name,
            max_tokens=settings.max_tokens,
            max_query_tokens=settings.max_query_tokens,
            labels=labels,
            details=details,
        )
        CrossEncoder.load(place)

    made = work / "model"
    export(made)  # what can't be made a model of is found before hours of training
    items: Sequence[Any] = task.items
    last = train(
        model,
        items,
        loss,
        recipe.schedule,
        work,
        heads=model.head_parameters(),
        identity=identity,
        budget=None if memory is None else Budget(memory, task.length),
        progress=progress,
    )
    if isinstance(task, _Candidates):
        details["score_range"] = _score_range(model, tokenizer, task.items)
    details["training"] = training_record(recipe, given, task.items, last) | {
        "head": "base" if goes_on else "new"
    }
    export(made)
    put_in_place(made, folder)
    return TrainedJudge(len(task.items), task.left_out, last, task.first_stage, goes_on)


class _Candidates:
    """Learn which of some passages answers a query, or what a teacher scored them."""

    labels: tuple[str, ...] = ()

    def __init__(self, recipe: CrossEncoderRecipe, folder: Path) -> None:
        assert recipe.examples is not None
        loaded = load_examples(recipe.examples, folder, recipe.schedule.seed)
        self.items, self.left_out = loaded.examples, loaded.left_out
        self._settings = settings = recipe.model
        weight = settings.first_stage
        if weight or settings.loss != "softmax":
            require_scores(self.items, "first_stage" if weight else settings.loss)
        self.first_stage = fit_first_stage(self.items) if isinstance(weight, str) else weight

    def length(self, item: Example) -> int:
        """Give about how much text is read of an example."""
        return sum(len(item.query) + len(text) for text in item.passages)

    def loss(self, model: CrossEncoderModel, tokenizer: PairTokenizer, part: Sequence[Example]) -> Tensor:
        settings = self._settings
        scores = candidate_scores(model, tokenizer, part)
        if settings.loss == "softmax" and not self.first_stage:
            return softmax_over_candidates(scores)
        given = torch.tensor([example.scores for example in part])
        if settings.loss == "softmax":
            counts = torch.tensor([_share_of(example) < settings.first_stage_share for example in part])
            return softmax_over_candidates(scores + self.first_stage * given * counts[:, None])
        return margin_mse(scores, given) if settings.loss == "margin-mse" else kl_divergence(scores, given)


class _Pairs:
    """Learn the labels or grades of pairs."""

    first_stage = 0.0
    left_out = 0

    def __init__(self, recipe: CrossEncoderRecipe, folder: Path) -> None:
        assert recipe.pairs is not None
        self.items, self.labels = read_labelled(recipe.pairs, folder)
        self._loss = recipe.model.loss
        if self._loss == "binary":
            self.labels = self._the_one(recipe.pairs.labels)

    def _the_one(self, named: tuple[str, ...]) -> tuple[str, ...]:
        """Give the label whose logit is learned; nothing if labels are 0 and 1, or pairs have grades."""
        if len(self.labels) > 2:
            raise DataError(
                f"model.loss 'binary' tells two labels apart, these are {', '.join(self.labels)}",
                hint='loss = "labels"',
            )
        if self.labels in ((), ("0", "1")):
            return ()
        if not named:
            raise DataError(
                f"which of the labels {' and '.join(self.labels)} is the one to be told?",
                hint='pairs.labels = ["the other", "the one"]',
            )
        return self.labels[1:]

    def length(self, item: LabelledPair) -> int:
        """Give about how much text is read of a pair."""
        return len(item.first) + len(item.second)

    def loss(
        self, model: CrossEncoderModel, tokenizer: PairTokenizer, part: Sequence[LabelledPair]
    ) -> Tensor:
        scores = pair_scores(model, tokenizer, [(pair.first, pair.second) for pair in part])
        targets = torch.tensor([pair.target for pair in part])
        if self._loss == "labels":
            return label_cross_entropy(scores, targets.long())
        return binary_cross_entropy(scores, targets) if self._loss == "binary" else mse(scores, targets)


def _score_range(
    model: CrossEncoderModel, tokenizer: PairTokenizer, examples: Sequence[Example]
) -> list[float]:
    """Give the range that nearly all scores lie in, from those of some examples; it lets a search stop early."""
    some = random.Random(0).sample(examples, min(len(examples), _RANGE_EXAMPLES))  # noqa: S311 of every source
    with torch.inference_mode():
        scores = [
            candidate_scores(model, tokenizer, some[start : start + 16]) for start in range(0, len(some), 16)
        ]
    flat = torch.cat([part.flatten() for part in scores]).float()
    low, high = (float(flat.quantile(share)) for share in (0.001, 0.999))
    rounding = 1e-3 + 0.05 * (high - low)
    return [round(low - rounding, 4), round(high + rounding, 4)]


def _share_of(example: Example) -> float:
    """Give a number from 0 to 1 that depends on the query alone: a training that is gone on with finds the same."""
    return int.from_bytes(hashlib.blake2b(example.query.encode(), digest_size=4).digest()) / 2**32


def build(base: Path, settings: JudgeSettings, labels: tuple[str, ...] = ("relevance",)) -> CrossEncoderModel:
    """Make the model that training starts from; with the base's head, if it has one of this kind for these labels."""
    positions = max(settings.max_tokens, settings.training_tokens)
    backbone = load_bert(base, positions=positions, layers=settings.layers)
    freeze(backbone, settings.frozen_layers)
    types = backbone.embeddings.token_type_embeddings.weight
    if not types.any():  # of an encoder, which knows no passage from a query
        types.requires_grad_(True)
    model = CrossEncoderModel(backbone, settings.head, len(labels), scale=settings.scale)
    if rows := _head_rows(base, settings, labels):
        model.load_head(load_file(base / HEAD), rows)
    return model


def _head_rows(base: Path, settings: JudgeSettings, labels: tuple[str, ...]) -> list[int]:
    """Give the rows of the base's head that score these labels, in this order; none if it is of another kind.

    One score is one score, whatever it is called: that of relevance is where that of a duplicate may start.
    """
    if not (base / HEAD).is_file():
        return []
    with safe_open(base / HEAD, "pt") as file:
        kind = json.loads(file.metadata()[KIND])
    known = kind["labels"]
    if kind["head"] != settings.head or len(known) != len(labels):
        return []
    if len(labels) == 1:
        return [0]
    return [known.index(label) for label in labels] if set(known) == set(labels) else []
