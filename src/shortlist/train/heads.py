"""Train what is put on an encoder that stays as it is: late interaction's projection, or a poly-encoder's codes.

The transformer runs once for each text (cached.py), not once for each step, so that a training takes minutes on two
cores. Shapes: B queries of a batch, P passages of a batch (the answers first, then the negatives), H dimensions.
"""

from __future__ import annotations

import hashlib
import json
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

from shortlist.errors import DataError, ModelError
from shortlist.formats.paths import refuse_existing
from shortlist.models.encoder import Encoder
from shortlist.models.own_folder import FLOAT, describe, folder_at
from shortlist.protocols import Steps
from shortlist.train.base import is_ours, load_bert, prepare_base
from shortlist.train.cached import Expansion, TokenCache
from shortlist.train.device import on_device, training_device
from shortlist.train.examples import Example
from shortlist.train.export import EncoderDescription, check_beside, export_encoder
from shortlist.train.from_recipe import (
    VECTORS,
    Trained,
    identity_of,
    int8_step,
    put_in_place,
    stated,
    work_folder,
)
from shortlist.train.in_batch import columns_of, own_scores
from shortlist.train.late_interaction import LateHead, maxsim
from shortlist.train.loading import Loaded, fit_first_stage, load_examples, require_scores
from shortlist.train.loop import Budget, Step, train
from shortlist.train.losses import in_batch_contrastive, kl_divergence
from shortlist.train.poly_encoder import PolyHead
from shortlist.train.recipe import HeadSettings, LateRecipe, LateSettings, PolyRecipe, PolySettings
from shortlist.train.record import training_record

__all__ = ["train_head"]

_AT_ONCE = 1000  # passages encoded together
_SAMPLE = 2000
"""How many texts the constants of a model are measured on."""


@dataclass(frozen=True)
class _Item:
    """Hold an example by the numbers of its texts."""

    query: int
    passages: tuple[int, ...]
    scores: tuple[float, ...]


@dataclass(frozen=True, eq=False)
class _Material:
    """Hold what heads learn from: every text's token vectors, the examples, and all that answers a query.

    Of passages that an encoder gave their one vector there are only these, ``vectors [P, H]``. ``expansion`` is what
    queries were filled up with.
    """

    queries: TokenCache
    passages: TokenCache | None
    vectors: NDArray[np.float32] | None
    items: list[_Item]
    answers: Mapping[int, set[int]]
    examples: list[Example]
    left_out: int
    teacher_weight: float
    expansion: Expansion | None

    def length(self, item: _Item) -> int:
        """Give how many token vectors of an example are looked at."""
        found = self.queries.length(item.query)
        if self.passages is not None:
            found += sum(map(self.passages.length, item.passages))
        return found

    def pooled(self) -> NDArray[np.float32]:
        """Give the one vector of each passage, scaled to length 1."""
        if self.vectors is not None:
            return self.vectors
        assert self.passages is not None
        return self.passages.pooled()


@on_device
def train_head(
    recipe: LateRecipe | PolyRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    cache: Path | None = None,
    beside: Path | None = None,
    memory: int | None = None,
    steps: Steps | None = None,
    progress: Callable[[Step], object] | None = None,
) -> Trained:
    """Train what the recipe is of, and write the encoder with it as a model folder.

    That is late interaction's projection to token vectors, with weights of the query's tokens; or a poly-encoder's
    codes, for passages that are compared by the mean of their tokens.

    ``base`` is as :func:`~shortlist.train.judge.train_cross_encoder` has it. ``cache`` keeps the encoder's output
    beyond this training (2 H bytes a token). ``beside`` is a model folder with the same transformer, by default a base
    of ours: its other heads, prompts and constants are taken over. A training that was interrupted is gone on with.

    Raises:
        DataError: there is something at ``folder``, the examples can't be used, or a step takes more than ``memory``
            bytes.
        ModelError: the base is no BERT that a model folder can be made of, or ``beside`` is of another one.
    """
    refuse_existing(folder)
    work = work_folder(folder)
    if beside is None and is_ours(base):
        beside = base
    loaded = _load(recipe, examples_in)
    given, base = base, prepare_base(base, work)
    material, backbone = _prepare(recipe.model, loaded, base, cache or work / "cache", beside, steps)
    head: _Late | _Poly
    if isinstance(recipe, LateRecipe):
        head = _Late(recipe.model, material, backbone.config.hidden_size, recipe.schedule.seed)
    else:
        head = _Poly(recipe.model, material, backbone.config.hidden_size, recipe.schedule.seed)
    loss = _fit(head, recipe, material, work, base, memory, progress)
    details = stated(recipe) | {"training": training_record(recipe, given, material.examples, loss)}
    if material.expansion is not None:
        details["late"] = {
            "query_tokens": recipe.model.max_query_tokens,
            "expansion": {**asdict(material.expansion), "attend": False},
        }
    description = EncoderDescription(
        name=recipe.name,
        max_tokens=recipe.model.max_tokens,
        pooling="mean",
        similarity="cosine",
        dense_scale=int8_step(material.pooled()[:_SAMPLE]),
        token_scale=head.token_scale(),
        details=details,
    )
    made = work / "model"
    shutil.rmtree(made, ignore_errors=True)
    export_encoder(
        backbone, base / "tokenizer.json", made, description,
        heads=head.tensors(), beside=beside, masked=material.expansion is not None,
    )  # fmt: skip
    Encoder.load(made)
    put_in_place(made, folder)
    return Trained(len(material.items), material.left_out, loss)


class _Late:
    """Late interaction's head, the scores it learns by, and what is kept of it."""

    def __init__(self, settings: LateSettings, material: _Material, hidden: int, seed: int) -> None:
        start = _principal(material.queries, settings.dimensions, seed)
        torch.manual_seed(seed)
        self.module = LateHead(hidden, settings.dimensions, start)
        self.module.weight.requires_grad_(settings.query_weights)
        self._settings, self._material = settings, material

    def scores(self, part: Sequence[_Item], numbers: Sequence[int]) -> Tensor:
        queries, known = self._material.queries.padded([item.query for item in part])
        assert self._material.passages is not None
        passages, passages_known = self._material.passages.padded(numbers)
        head = self.module
        return maxsim(head.queries(queries, known), known, head.passages(passages), passages_known)

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        found = {"late.weight": _array(self.module.projection)}
        if self._settings.query_weights:
            found["late.query.weight"] = _array(self.module.weight.weight[0])
            found["late.query.bias"] = _array(self.module.weight.bias)
        return found

    def token_scale(self) -> float:
        assert self._material.passages is not None
        tokens = self._material.passages.sample(50 * _SAMPLE, 0) @ _array(self.module.projection)
        return int8_step(tokens / np.linalg.norm(tokens, axis=1, keepdims=True))


class _Poly:
    """A poly-encoder's codes, the scores they learn by, and what is kept of them."""

    def __init__(self, settings: PolySettings, material: _Material, hidden: int, seed: int) -> None:
        self.module = PolyHead(hidden, settings.codes, settings.variant, seed=seed)
        self._settings, self._material = settings, material
        self._vectors = torch.from_numpy(material.pooled()).to(training_device())

    def scores(self, part: Sequence[_Item], numbers: Sequence[int]) -> Tensor:
        queries, known = self._material.queries.padded([item.query for item in part])
        return self.module.scores(*self.module.queries(queries, known), self._vectors[list(numbers)])

    def tensors(self) -> dict[str, NDArray[np.float32]]:
        learned = self._settings.variant == "learned"
        return {
            "poly.transform": _array(self.module.transform),
            "poly.sharpness": _array(self.module.sharpness.reshape(1)),
            **(
                {"poly.codes": _array(self.module.codes)}
                if learned
                else {"poly.first": np.array([self._settings.codes], np.float32)}
            ),
        }

    def token_scale(self) -> None:
        """Give nothing: token vectors are as they were."""


def _array(values: Tensor) -> NDArray[np.float32]:
    return np.array(values.detach().cpu().numpy(), np.float32, order="C")


def _load(recipe: LateRecipe | PolyRecipe, examples_in: Path) -> Loaded:
    loaded = load_examples(recipe.examples, examples_in, recipe.schedule.seed)
    if recipe.model.distillation:
        require_scores(loaded.examples, "model.distillation")
    return loaded


def _prepare(
    settings: HeadSettings,
    loaded: Loaded,
    base: Path,
    cache: Path,
    beside: Path | None,
    steps: Steps | None,
) -> tuple[_Material, Any]:
    examples = loaded.examples
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

    expansion = _expansion(settings, base / "tokenizer.json")

    def encoded(
        name: str, texts: Mapping[str, int], prompt: str, limit: int, expansion: Expansion | None = None
    ) -> TokenCache:
        return TokenCache.of(
            [prompts.get(prompt, "") + text for text in texts],
            backbone,
            Tokenizer.from_file(str(base / "tokenizer.json")),
            cache / name,
            max_tokens=limit,
            expansion=expansion,
            progress=None if steps is None else steps(f"encode {name}", len(texts)),
        )

    query_tokens = encoded("queries", queries, "query", settings.max_query_tokens, expansion)
    passage_tokens, vectors = None, None
    if beside is not None and isinstance(settings, PolySettings):
        vectors = _served(list(passages), beside, cache / VECTORS, steps)
    else:
        passage_tokens = encoded("passages", passages, "document", settings.max_tokens)
    items = [
        _Item(queries[e.query], tuple(passages[text] for text in e.passages), e.scores) for e in examples
    ]
    answers = {
        number: {passages[answer] for answer in loaded.answers[text] if answer in passages}
        for text, number in queries.items()
    }
    return (
        _Material(
            query_tokens,
            passage_tokens,
            vectors,
            items,
            answers,
            examples,
            loaded.left_out,
            teacher_weight,
            expansion,
        ),
        backbone,
    )


def _served(texts: Sequence[str], model: Path, folder: Path, steps: Steps | None) -> NDArray[np.float32]:
    """Give the vectors of passages as the model that will serve them makes them, in a fraction of training's time.

    What an earlier call made of the same texts is taken from ``folder``.
    """
    weights = describe(folder_at(model), "bert").values.get("weights")
    encoder = Encoder.load(model, mode="exact" if weights == FLOAT else "fast")
    identity = hashlib.sha256(json.dumps([encoder.settings.fingerprint, *texts]).encode()).hexdigest()
    place = folder / f"{identity[:16]}.npy"
    if place.exists():
        return np.load(place)  # type: ignore[no-any-return]
    progress = None if steps is None else steps("encode passages", len(texts))
    found = np.concatenate(
        [
            encoder.views(texts[start : start + _AT_ONCE], progress=progress).dense.data
            for start in range(0, len(texts), _AT_ONCE)
        ]
    )
    folder.mkdir(parents=True, exist_ok=True)
    unfinished = place.with_suffix(".new.npy")
    np.save(unfinished, found)
    unfinished.replace(place)
    return found


def _expansion(settings: HeadSettings, tokenizer: Path) -> Expansion | None:
    """Give what a recipe wants queries to be filled up with.

    Raises:
        ModelError: the tokenizer has no mask token.
    """
    length = settings.expansion_length if isinstance(settings, LateSettings) else 0
    if not length:
        return None
    token = Tokenizer.from_file(str(tokenizer)).token_to_id("[MASK]")
    if token is None:
        raise ModelError(f"{tokenizer}: has no [MASK], with which model.expansion_length fills queries up")
    return Expansion(token, length)


def _fit(
    head: _Late | _Poly,
    recipe: LateRecipe | PolyRecipe,
    material: _Material,
    work: Path,
    base: Path,
    memory: int | None,
    progress: Callable[[Step], object] | None,
) -> float:
    settings = recipe.model

    def loss(_: nn.Module, part: Sequence[_Item]) -> Tensor:
        candidates = [item.passages for item in part]
        numbers, same = columns_of(candidates, [material.answers[item.query] for item in part])
        found = head.scores(part, numbers)
        value = settings.contrastive * in_batch_contrastive(found, same, settings.temperature)
        if settings.distillation:
            teacher = material.teacher_weight * torch.tensor([item.scores for item in part])
            student = own_scores(found, numbers, candidates) / settings.temperature
            value = value + settings.distillation * kl_divergence(student, teacher)
        return value

    # A head learns fast and is small: one rate for all of it; in-batch negatives are those of a whole batch.
    # In float32 whatever the schedule says: three digits, divided by a temperature, are none.
    schedule = replace(recipe.schedule, part_size=recipe.schedule.batch_size, bf16=False)
    identity = identity_of(settings, material.items, base)
    budget = None if memory is None else Budget(memory, material.length, whole=True)
    return train(
        head.module, material.items, loss, schedule, work, identity=identity, budget=budget, progress=progress
    )


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
