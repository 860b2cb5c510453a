"""Train what is put on an encoder that stays as it is: late interaction's projection, or a poly-encoder's codes.

The transformer runs once for each text (cached.py), not once for each step, so that a training takes minutes on two
cores. Shapes: B queries of a batch, P passages of a batch (the answers first, then the negatives), H dimensions.
"""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor, nn

from shortlist.errors import DataError
from shortlist.formats.paths import refuse_existing
from shortlist.models.encoder import Encoder
from shortlist.protocols import Steps
from shortlist.train.base import BASE_FILES, load_bert
from shortlist.train.cached import TokenCache
from shortlist.train.checkpoint import Checkpoint
from shortlist.train.device import on_device, training_device
from shortlist.train.examples import Example
from shortlist.train.export import EncoderDescription, check_beside, export_encoder
from shortlist.train.late_interaction import LateHead, maxsim
from shortlist.train.loading import fit_first_stage, load_examples
from shortlist.train.loop import Step, train
from shortlist.train.losses import in_batch_contrastive, kl_divergence
from shortlist.train.poly_encoder import PolyHead
from shortlist.train.recipe import HeadSettings, LateRecipe, LateSettings, PolyRecipe
from shortlist.train.record import training_record, write_card

__all__ = ["TrainedHead", "train_late_interaction", "train_poly_encoder"]

_SAMPLE = 2000
"""How many texts the constants of a model are measured on."""


@dataclass(frozen=True)
class TrainedHead:
    """Say how a training ended: how many examples, how many had too few negatives, the mean loss of the last steps."""

    examples: int
    left_out: int
    loss: float


@dataclass(frozen=True)
class _Item:
    """Hold an example by the numbers of its texts."""

    query: int
    passages: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Material:
    """Hold what heads learn from: every text's token vectors, the examples, and all that answers a query."""

    queries: TokenCache
    passages: TokenCache
    items: list[_Item]
    answers: Mapping[int, set[int]]
    examples: list[Example]
    left_out: int
    teacher_weight: float

    def batch(self, part: Sequence[_Item]) -> tuple[list[int], Tensor]:
        """Give the passages of a batch, the answers first, and which of them answer which query, ``[B, P]``."""
        numbers = [item.passages[0] for item in part]
        first = set(numbers)
        numbers += dict.fromkeys(n for item in part for n in item.passages[1:] if n not in first)
        same = [[number in self.answers[item.query] for number in numbers] for item in part]
        return numbers, torch.tensor(same)


Scores = Callable[[Sequence[_Item], Sequence[int]], Tensor]
"""Score the passages of these numbers for the queries of some examples, ``[B, P]``."""


@on_device
def train_late_interaction(
    recipe: LateRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    cache: Path | None = None,
    beside: Path | None = None,
    steps: Steps | None = None,
    progress: Callable[[Step], object] | None = None,
) -> TrainedHead:
    """Train a projection to token vectors, and weights of the query's tokens; write the encoder as a model folder.

    ``base`` is as :func:`~shortlist.train.judge.train_cross_encoder` has it. ``cache`` keeps the encoder's output
    beyond this training (2 H bytes a token). ``beside`` is a model folder with the same transformer: its other heads,
    prompts and constants are taken over. A training that was interrupted is gone on with.

    Raises:
        DataError: there is something at ``folder``, or the examples can't be used.
        ModelError: the base is no BERT that a model folder can be made of, or ``beside`` is of another one.
    """
    refuse_existing(folder)
    work = _work(folder)
    material, backbone = _prepare(
        recipe, recipe.model, base, examples_in, cache or work / "cache", beside, steps
    )
    settings = recipe.model
    hidden = backbone.config.hidden_size
    start = _principal(material.queries, settings.dimensions, recipe.schedule.seed)
    torch.manual_seed(recipe.schedule.seed)
    head = LateHead(hidden, settings.dimensions, start)
    head.weight.requires_grad_(settings.query_weights)

    def scores(part: Sequence[_Item], numbers: Sequence[int]) -> Tensor:
        queries, known = material.queries.padded([item.query for item in part])
        passages, passages_known = material.passages.padded(numbers)
        return maxsim(head.queries(queries, known), known, head.passages(passages), passages_known)

    last = _fit(head, recipe, material, scores, work, base, progress)
    projection = head.projection.detach().cpu().numpy()
    tensors = {"late.weight": np.ascontiguousarray(projection, np.float32)}
    if settings.query_weights:
        tensors["late.query.weight"] = head.weight.weight.detach().cpu().numpy()[0].copy()
        tensors["late.query.bias"] = head.weight.bias.detach().cpu().numpy().copy()
    step = _token_step(material.passages, projection)
    _write(recipe, backbone, base, work, folder, tensors, beside, material, last, token_scale=step)
    return TrainedHead(len(material.items), material.left_out, last)


@on_device
def train_poly_encoder(
    recipe: PolyRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    cache: Path | None = None,
    beside: Path | None = None,
    steps: Steps | None = None,
    progress: Callable[[Step], object] | None = None,
) -> TrainedHead:
    """Train a poly-encoder's codes for passages that are compared by the mean of their tokens; as late interaction's.

    Raises:
        DataError: there is something at ``folder``, or the examples can't be used.
        ModelError: the base is no BERT that a model folder can be made of, or ``beside`` is of another one.
    """
    refuse_existing(folder)
    work = _work(folder)
    material, backbone = _prepare(
        recipe, recipe.model, base, examples_in, cache or work / "cache", beside, steps
    )
    settings = recipe.model
    head = PolyHead(backbone.config.hidden_size, settings.codes, settings.variant, seed=recipe.schedule.seed)
    vectors = torch.from_numpy(material.passages.pooled()).to(training_device())

    def scores(part: Sequence[_Item], numbers: Sequence[int]) -> Tensor:
        queries, known = material.queries.padded([item.query for item in part])
        return head.scores(*head.queries(queries, known), vectors[list(numbers)])

    last = _fit(head, recipe, material, scores, work, base, progress)
    tensors = {
        "poly.transform": head.transform.detach().cpu().numpy().copy(),
        "poly.sharpness": head.sharpness.detach().cpu().numpy().reshape(1).copy(),
    }
    if settings.variant == "learned":
        tensors["poly.codes"] = head.codes.detach().cpu().numpy().copy()
    else:
        tensors["poly.first"] = np.array([settings.codes], np.float32)
    _write(recipe, backbone, base, work, folder, tensors, beside, material, last)
    return TrainedHead(len(material.items), material.left_out, last)


def _work(folder: Path) -> Path:
    return folder.with_name(f"{folder.name}.training")


def _prepare(
    recipe: LateRecipe | PolyRecipe,
    settings: HeadSettings,
    base: Path,
    examples_in: Path,
    cache: Path,
    beside: Path | None,
    steps: Steps | None,
) -> tuple[_Material, Any]:
    loaded = load_examples(recipe.examples, examples_in, recipe.schedule.seed)
    examples = loaded.examples
    if settings.distillation and not all(example.scores for example in examples):
        raise DataError("examples have no scores, which model.distillation needs")
    teacher_weight = 0.0
    if settings.distillation:
        teacher_weight = settings.teacher_weight or fit_first_stage(examples)
    backbone = load_bert(base, positions=max(settings.max_tokens, settings.max_query_tokens))
    if isinstance(settings, LateSettings) and settings.dimensions > backbone.config.hidden_size:
        raise DataError(
            f"model.dimensions is {settings.dimensions}, the transformer has {backbone.config.hidden_size}"
        )
    prompts = {} if beside is None else check_beside(beside, backbone, base / "tokenizer.json")
    queries = {text: number for number, text in enumerate(dict.fromkeys(e.query for e in examples))}
    passages = {text: n for n, text in enumerate(dict.fromkeys(p for e in examples for p in e.passages))}

    def encoded(name: str, texts: Mapping[str, int], prompt: str, limit: int) -> TokenCache:
        return TokenCache.of(
            [prompts.get(prompt, "") + text for text in texts],
            backbone,
            Tokenizer.from_file(str(base / "tokenizer.json")),
            cache / name,
            max_tokens=limit,
            progress=None if steps is None else steps(f"encode {name}", len(texts)),
        )

    query_tokens = encoded("queries", queries, "query", settings.max_query_tokens)
    passage_tokens = encoded("passages", passages, "document", settings.max_tokens)
    items = [
        _Item(queries[e.query], tuple(passages[text] for text in e.passages), e.scores) for e in examples
    ]
    answers = {
        number: {passages[answer] for answer in loaded.answers[text] if answer in passages}
        for text, number in queries.items()
    }
    return (
        _Material(query_tokens, passage_tokens, items, answers, examples, loaded.left_out, teacher_weight),
        backbone,
    )


def _fit(
    head: nn.Module,
    recipe: LateRecipe | PolyRecipe,
    material: _Material,
    scores: Scores,
    work: Path,
    base: Path,
    progress: Callable[[Step], object] | None,
) -> float:
    settings = recipe.model

    def loss(_: nn.Module, part: Sequence[_Item]) -> Tensor:
        numbers, same = material.batch(part)
        found = scores(part, numbers)
        value = settings.contrastive * in_batch_contrastive(found, same, settings.temperature)
        if settings.distillation:
            places = {number: place for place, number in reversed(list(enumerate(numbers)))}
            own = torch.tensor([[places[number] for number in item.passages] for item in part])
            teacher = material.teacher_weight * torch.tensor([item.scores for item in part])
            student = found.gather(1, own) / settings.temperature
            value = value + settings.distillation * kl_divergence(student, teacher)
        return value

    # A head learns fast and is small: one rate for all of it; in-batch negatives are those of a whole batch.
    # In float32 whatever the schedule says: three digits, divided by a temperature, are none.
    schedule = replace(recipe.schedule, part_size=recipe.schedule.batch_size, bf16=False)
    identity = {
        "model": asdict(settings),
        "examples": hashlib.sha256(repr(material.items).encode()).hexdigest(),
        "base": [hashlib.sha256((base / name).read_bytes()).hexdigest() for name in BASE_FILES],
    }
    return train(head, material.items, loss, schedule, work, identity=identity, progress=progress)


def _principal(tokens: TokenCache, dimensions: int, seed: int) -> Tensor:
    """Give the principal components of queries' token vectors, each divided by its standard deviation, ``[H, D]``.

    Measured in tools/fit_projection.py: better than components of passages, or than undivided ones.
    """
    sample = tokens.sample(20 * _SAMPLE, seed)
    sample /= np.linalg.norm(sample, axis=1, keepdims=True)
    values, vectors = np.linalg.eigh(sample.T.astype(np.float64) @ sample)
    values, vectors = values[::-1][:dimensions], vectors[:, ::-1][:, :dimensions]
    vectors = vectors * np.sign(vectors.sum(axis=0))  # a component's sign is arbitrary
    scaled = vectors / np.sqrt(np.maximum(values, 1e-9 * values[0]) / values[0])
    return torch.from_numpy(scaled.astype(np.float32))


def _token_step(passages: TokenCache, projection: NDArray[np.float32]) -> float:
    """Give an int8 step that all but one in 100,000 components of token vectors fit into."""
    tokens = passages.sample(50 * _SAMPLE, 0) @ projection
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    return float(np.quantile(np.abs(tokens), 0.99999)) * 1.05 / 127


def _write(
    recipe: LateRecipe | PolyRecipe,
    backbone: Any,
    base: Path,
    work: Path,
    folder: Path,
    tensors: Mapping[str, NDArray[np.float32]],
    beside: Path | None,
    material: _Material,
    loss: float,
    *,
    token_scale: float | None = None,
) -> None:
    pooled = material.passages.pooled(_SAMPLE)
    description = EncoderDescription(
        name=recipe.name,
        max_tokens=recipe.model.max_tokens,
        pooling="mean",
        similarity="cosine",
        dense_scale=float(np.quantile(np.abs(pooled), 0.99999)) * 1.05 / 127,
        token_scale=token_scale,
        details={
            **{key: value for key in ("license", "origin") if (value := getattr(recipe, key))},
            "training": training_record(recipe, base, material.examples, loss),
        },
    )
    made = work / "model"
    shutil.rmtree(made, ignore_errors=True)
    export_encoder(backbone, base / "tokenizer.json", made, description, heads=tensors, beside=beside)
    Encoder.load(made)
    write_card(made)
    refuse_existing(folder)
    made.rename(folder)
    TokenCache.remove_all(work / "cache")
    Checkpoint.remove(work)
