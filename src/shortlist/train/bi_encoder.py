"""Train a bi-encoder: one vector a text, near to that of its answer and far from those of the others in its batch.

Shapes: B queries of a batch, P passages of a batch (the answers first, then the negatives), H dimensions.
"""

from __future__ import annotations

import random
import shutil
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import tokenizers
import torch
from torch import Tensor, nn
from torch.nn.functional import normalize
from transformers import BertModel

from shortlist.errors import DataError
from shortlist.formats.paths import refuse_existing
from shortlist.models.encoder import Encoder
from shortlist.models.tokenizer import Tokenizer
from shortlist.protocols import Steps
from shortlist.train.base import freeze, load_bert, prepare_base
from shortlist.train.batches import pad, run_by_length
from shortlist.train.cached import TokenCache
from shortlist.train.device import on_device
from shortlist.train.examples import Example
from shortlist.train.export import EncoderDescription, export_encoder
from shortlist.train.from_recipe import Trained, identity_of, int8_step, put_in_place, stated, work_folder
from shortlist.train.in_batch import columns_of, own_scores
from shortlist.train.loading import fit_first_stage, load_examples, require_scores
from shortlist.train.loop import Budget, Step, train
from shortlist.train.losses import in_batch_contrastive, kl_divergence, margin_mse
from shortlist.train.recipe import BiEncoderRecipe, BiEncoderSettings
from shortlist.train.record import training_record

__all__ = ["BiEncoderModel", "train_bi_encoder"]

QUERY_FOLDER = "query"


class BiEncoderModel(nn.Module):
    """Encode queries and passages by one transformer, or by one each."""

    def __init__(self, queries: BertModel, passages: BertModel, settings: BiEncoderSettings) -> None:
        super().__init__()
        self.passages = passages
        self.queries = queries
        self.settings = settings
        for backbone in (queries, passages):
            freeze(backbone, settings.frozen_layers)

    def encode(self, rows: Sequence[list[int]], *, queries: bool) -> Tensor:
        """Give one vector a text, ``[B, H]``, of the token ids of each."""
        backbone = self.queries if queries else self.passages

        def run(part: list[int]) -> Tensor:
            batch = pad([(rows[index], len(rows[index])) for index in part])
            output = backbone(**batch)
            return self._pool(output.last_hidden_state, output.pooler_output, batch["attention_mask"].bool())

        return run_by_length([len(row) for row in rows], run)

    def encode_above(self, hidden: Tensor, known: Tensor, *, queries: bool) -> Tensor:
        """Give one vector a text, of what the frozen layers give ``[B, S, H]`` where there are tokens ``[B, S]``."""
        backbone = self.queries if queries else self.passages
        mask = torch.zeros(known.shape).masked_fill(~known, torch.finfo(torch.float32).min)[:, None, None, :]
        for layer in backbone.encoder.layer[self.settings.frozen_layers :]:
            hidden = layer(hidden, mask.to(hidden.dtype))
        pooler = backbone.pooler
        return self._pool(hidden, None if pooler is None else pooler(hidden), known)

    def _pool(self, hidden: Tensor, pooler: Tensor | None, known: Tensor) -> Tensor:
        """Make one vector of a text's token vectors, or take BERT's own, ``pooler [B, H]``."""
        pooling, hidden, known = self.settings.pooling, hidden.float(), known[..., None]
        if pooling == "pooler":
            assert pooler is not None  # it was loaded for that
            pooled = pooler.float()
        elif pooling == "cls":
            pooled = hidden[:, 0]
        elif pooling == "max":
            pooled = hidden.masked_fill(~known, -torch.inf).amax(dim=1)
        else:
            pooled = (hidden * known).sum(dim=1) / known.sum(dim=1)
        return normalize(pooled, dim=-1) if self.settings.similarity == "cosine" else pooled


@on_device
def train_bi_encoder(
    recipe: BiEncoderRecipe,
    base: Path,
    folder: Path,
    *,
    examples_in: Path,
    cache: Path | None = None,
    memory: int | None = None,
    steps: Steps | None = None,
    progress: Callable[[Step], object] | None = None,
) -> Trained:
    """Train by a recipe and write the model folder; a training that was interrupted is gone on with.

    ``base`` is as :func:`~shortlist.train.judge.train_cross_encoder` has it; pooling, similarity and prompts are the
    recipe's, whatever a base of ours says of them. With ``float_copy`` the folder also holds
    the transformer in float32 (``float/``), from which heads can be trained or a training gone on with. ``cache`` keeps
    what frozen layers give beyond this training (2 H bytes a token).

    Raises:
        DataError: there is something at ``folder``, the examples can't be used, a checkpoint is of another training, or
            a step takes more than ``memory`` bytes.
        ModelError: the base is no BERT that a model folder can be made of.
    """
    refuse_existing(folder)
    settings = recipe.model
    loaded = load_examples(recipe.examples, examples_in, recipe.schedule.seed)
    examples, answers = loaded.examples, loaded.answers
    if settings.kl or settings.margin_mse:
        require_scores(examples, "model.kl" if settings.kl else "model.margin_mse")
    work = work_folder(folder)
    given, base = base, prepare_base(base, work)
    teacher_weight = (settings.teacher_weight or fit_first_stage(examples)) if settings.kl else 0.0
    pooler = settings.pooling == "pooler"
    positions = max(settings.max_tokens, settings.max_query_tokens)
    backbone = load_bert(base, positions=positions, pooler=pooler)
    if settings.frozen_layers == len(backbone.encoder.layer) and not pooler:
        raise DataError("model.frozen_layers are all layers: nothing is left to learn")
    if cache is not None and not settings.cached:
        raise DataError("a cache keeps what frozen layers give, and model.cached is not set")
    query_backbone = load_bert(base, positions=positions, pooler=pooler) if settings.separate else backbone
    model = BiEncoderModel(query_backbone, backbone, settings)
    read_query, read_passage = (
        _Reader(base / "tokenizer.json", limit, prompt)
        for limit, prompt in (
            (settings.max_query_tokens, settings.query_prompt),
            (settings.max_tokens, settings.document_prompt),
        )
    )

    def encode(texts: Sequence[str], *, queries: bool) -> Tensor:
        return model.encode((read_query if queries else read_passage)(texts), queries=queries)

    def loss(_: nn.Module, part: Sequence[Example]) -> Tensor:
        candidates = [example.passages for example in part]
        texts, same = columns_of(candidates, [answers[example.query] for example in part])
        queries = encode([example.query for example in part], queries=True)
        passages = encode(texts, queries=False)
        # bfloat16 has three digits: divided by a temperature they are none.
        with torch.autocast(queries.device.type, enabled=False):
            found = queries.float() @ passages.float().T
            value = settings.contrastive * in_batch_contrastive(found, same, settings.temperature)
            if settings.kl or settings.margin_mse:
                own = own_scores(found, texts, candidates)
                teacher = torch.tensor([example.scores for example in part])
                if settings.kl:
                    student = own / settings.temperature
                    value += settings.kl * kl_divergence(student, teacher_weight * teacher)
                if settings.margin_mse:
                    value += settings.margin_mse * margin_mse(own, teacher)
        return value

    def export(place: Path, loss: float | None = None) -> None:
        shutil.rmtree(place, ignore_errors=True)
        some = random.Random(0).sample(examples, min(len(examples), _SAMPLE))  # noqa: S311 of every source
        with torch.inference_mode():
            vectors = model.encode(read_passage([one.passage for one in some]), queries=False)
        description = EncoderDescription(
            name=recipe.name,
            max_tokens=settings.max_tokens,
            pooling=settings.pooling,
            similarity=settings.similarity,
            dense_scale=int8_step(vectors.float().cpu().numpy()),
            prompts={"query": settings.query_prompt, "document": settings.document_prompt},
            details={
                **stated(recipe),
                **({} if loss is None else {"training": training_record(recipe, given, examples, loss)}),
            },
        )
        if settings.separate:
            inner = replace(description, name=f"{recipe.name} (queries)")
            export_encoder(query_backbone, base / "tokenizer.json", place / QUERY_FOLDER, inner)
        export_encoder(
            backbone,
            base / "tokenizer.json",
            place,
            description,
            query_encoder=QUERY_FOLDER if settings.separate else "",
        )
        if settings.float_copy:
            _save_float(
                {"": backbone} | ({QUERY_FOLDER: query_backbone} if settings.separate else {}), base, place
            )
        Encoder.load(place)

    made = work / "model"
    export(made)  # what can't be made a model of is found before hours of training
    if settings.cached:
        encode = _CachedLayers(model, base, examples, cache or work / "cache", steps)
    # In-batch negatives are those of a whole batch.
    schedule = replace(recipe.schedule, part_size=recipe.schedule.batch_size)
    identity = identity_of(settings, examples, base)
    budget = None if memory is None else Budget(memory, _length, whole=True)
    last = train(model, examples, loss, schedule, work, identity=identity, budget=budget, progress=progress)
    export(made, last)
    put_in_place(made, folder)
    return Trained(len(examples), loaded.left_out, last)


def _length(example: Example) -> int:
    """Give about how much text is read of an example."""
    return len(example.query) + sum(map(len, example.passages))


_SAMPLE = 500
"""How many passages the step of stored vectors is measured on."""


class _CachedLayers:
    """Encode texts from what the frozen layers give of them, which is computed once."""

    def __init__(
        self,
        model: BiEncoderModel,
        base: Path,
        examples: Sequence[Example],
        folder: Path,
        steps: Steps | None,
    ) -> None:
        settings = model.settings
        self._model = model
        self._caches: dict[bool, tuple[TokenCache, dict[str, int]]] = {}
        lower = load_bert(
            base,
            positions=max(settings.max_tokens, settings.max_query_tokens),
            layers=settings.frozen_layers,
        )
        of_queries = dict.fromkeys(example.query for example in examples)
        of_passages = dict.fromkeys(text for example in examples for text in example.passages)
        for name, texts, prompt, limit in (
            ("queries", of_queries, settings.query_prompt, settings.max_query_tokens),
            ("passages", of_passages, settings.document_prompt, settings.max_tokens),
        ):
            cache = TokenCache.of(
                [prompt + text for text in texts],
                lower,
                tokenizers.Tokenizer.from_file(str(base / "tokenizer.json")),
                folder / name,
                max_tokens=limit,
                progress=None if steps is None else steps(f"encode {name}", len(texts)),
            )
            self._caches[name == "queries"] = cache, {text: number for number, text in enumerate(texts)}

    def __call__(self, texts: Sequence[str], *, queries: bool) -> Tensor:
        cache, numbers = self._caches[queries]
        chosen = [numbers[text] for text in texts]
        lengths = [int(cache.offsets[number + 1] - cache.offsets[number]) for number in chosen]

        def run(part: list[int]) -> Tensor:
            hidden, known = cache.padded([chosen[index] for index in part])
            return self._model.encode_above(hidden, known, queries=queries)

        return run_by_length(lengths, run)


class _Reader:
    """Make token ids of texts, a prompt before each."""

    def __init__(self, file: Path, max_tokens: int, prompt: str) -> None:
        self._tokenizer = Tokenizer(file, max_tokens)
        self._prompt = prompt

    def __call__(self, texts: Sequence[str]) -> list[list[int]]:
        return [list(one.ids) for one in self._tokenizer([self._prompt + text for text in texts])]


def _save_float(backbones: Mapping[str, BertModel], base: Path, place: Path) -> None:
    for name, backbone in backbones.items():
        target = place / "float" / name
        backbone.save_pretrained(target)
        (target / "tokenizer.json").write_bytes((base / "tokenizer.json").read_bytes())
