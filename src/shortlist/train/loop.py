"""Train a model step by step: the order of examples, checkpoints, the learning rate, progress.

A training that was killed goes on from its last whole checkpoint and ends as it would have: the order depends on the
seed and the step alone.
"""

from __future__ import annotations

import heapq
import math
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

import numpy as np
import torch
from torch import Tensor, nn

from shortlist.errors import DataError
from shortlist.train.checkpoint import Checkpoint
from shortlist.train.device import bfloat16_helps, training_device
from shortlist.train.memory import fitting_part, kept_memory

__all__ = ["Budget", "Schedule", "Step", "train"]

T = TypeVar("T")


@dataclass(frozen=True)
class Schedule:
    """Say how long and how fast a model learns.

    ``batch_size`` counts examples; a batch is worked on in parts of at most ``part_size``, which changes memory and
    speed but not what is learned. The learning rate rises over the share ``warm_up`` of all steps and falls to zero
    in a line. ``shrink`` is how far all that was learned is drawn back to where it started when training ends, from 0
    (not at all) to 1: text of other kinds than the examples gains by some of it, as the start is what the base knows.
    Source: Wortsman et al. 2022. ``bf16`` computes products in bfloat16 where that is faster. A checkpoint is written
    every ``checkpoint_s`` seconds.
    """

    steps: int
    batch_size: int = 16
    part_size: int = 16
    learning_rate: float = 3e-5
    head_learning_rate: float = 1e-3
    weight_decay: float = 0.01
    warm_up: float = 0.1
    clip: float = 1.0
    bf16: bool = True
    shrink: float = 0.0
    checkpoint_s: float = 120.0
    seed: int = 0

    def __post_init__(self) -> None:
        for name, value in (
            ("steps", self.steps),
            ("batch_size", self.batch_size),
            ("part_size", self.part_size),
        ):
            if value < 1:
                raise DataError(f"schedule.{name} must be at least 1, not {value}")
        for name, rate in (
            ("learning_rate", self.learning_rate),
            ("head_learning_rate", self.head_learning_rate),
            ("weight_decay", self.weight_decay),
            ("checkpoint_s", self.checkpoint_s),
            ("seed", self.seed),
        ):
            if not 0 <= rate < math.inf:
                raise DataError(f"schedule.{name} must be a number from 0, not {rate}")
        if not 0 <= self.warm_up <= 1:
            raise DataError(f"schedule.warm_up must be a share from 0 to 1, not {self.warm_up}")
        if not 0 <= self.shrink <= 1:
            raise DataError(f"schedule.shrink must be from 0 to 1, not {self.shrink}")
        if not self.clip > 0:
            raise DataError(f"schedule.clip must be above 0, not {self.clip}")

    def factor(self, step: int) -> float:
        """Give the share of the learning rate in force at a step, counted from 0."""
        rising = self.warm_up * self.steps
        if step < rising:
            return (step + 1) / rising
        return max(0.0, (self.steps - step) / max(1.0, self.steps - rising))


@dataclass(frozen=True)
class Step:
    """Hold how far a training is: ``number`` of ``steps`` done, the mean ``loss`` of the last ones, seconds left."""

    number: int
    steps: int
    loss: float
    remaining_s: float


@dataclass(frozen=True)
class Budget(Generic[T]):
    """Say in how many bytes of memory a process must train.

    ``length`` says which examples take more than others; ``whole``, that a batch can't be worked on in parts.
    """

    limit: int
    length: Callable[[T], int]
    whole: bool = False


@kept_memory()
def train(
    model: nn.Module,
    examples: Sequence[T],
    loss: Callable[[nn.Module, Sequence[T]], Tensor],
    schedule: Schedule,
    folder: Path,
    *,
    heads: Sequence[nn.Parameter] = (),
    identity: Mapping[str, Any] | None = None,
    budget: Budget[T] | None = None,
    progress: Callable[[Step], object] | None = None,
) -> float:
    """Train ``model`` in place; give the mean loss of the last steps.

    ``loss`` takes some examples and gives their mean loss. ``heads`` are the parameters that learn at
    ``head_learning_rate``. ``folder`` keeps the checkpoint; what it holds of the same schedule and ``identity``
    (whatever else decides what is learned) is gone on with. With a ``budget`` as many examples are worked on at once as
    fit into it, up to ``part_size``.

    Raises:
        DataError: there are fewer examples than a batch, ``folder`` holds a checkpoint of another training, or the
            budget is too small.
    """
    if len(examples) < schedule.batch_size:
        raise DataError(f"{len(examples):,} examples are fewer than a batch of {schedule.batch_size}")
    model.to(training_device())
    bfloat16 = schedule.bf16 and bfloat16_helps()

    def loss_of(part: Sequence[T]) -> Tensor:
        with torch.autocast(training_device().type, torch.bfloat16, enabled=bfloat16):
            return loss(model, part)

    part_size = min(schedule.part_size, schedule.batch_size)
    if budget is not None:
        if training_device().type != "cpu":
            raise DataError("a limit of memory is of the machine's, and training runs on a GPU")
        model.train()
        longest = heapq.nlargest(part_size, examples, key=budget.length)
        learned = sum(parameter.numel() for parameter in model.parameters() if parameter.requires_grad)
        kept = learned * (12 if schedule.shrink else 8)  # two moments of each, and where it began
        part_size = fitting_part(
            model, longest, loss_of, part_size, budget.limit, kept=kept, whole=budget.whole
        )
    torch.manual_seed(schedule.seed)
    apart = {id(parameter) for parameter in heads}
    slow = [p for p in model.parameters() if p.requires_grad and id(p) not in apart]
    optimizer = torch.optim.AdamW(
        [
            {"params": slow, "base": schedule.learning_rate, "weight_decay": schedule.weight_decay},
            {"params": list(heads), "base": schedule.head_learning_rate, "weight_decay": 0.0},
        ],
        lr=0.0,
    )
    known = {**asdict(schedule), **(identity or {}), "example_count": len(examples)}
    del known["checkpoint_s"], known["part_size"], known["shrink"]
    learning = {name: value for name, value in model.named_parameters() if value.requires_grad}
    begun = {name: value.detach().clone() for name, value in learning.items()} if schedule.shrink else {}
    checkpoint = Checkpoint(folder, known, model, optimizer)
    losses = checkpoint.load()
    begin, first, saved = time.monotonic(), len(losses), time.monotonic()
    model.train()
    for number in range(first, schedule.steps):
        for group in optimizer.param_groups:
            group["lr"] = group["base"] * schedule.factor(number)
        batch = [examples[index] for index in batch_at(number, len(examples), schedule)]
        value = 0.0
        for start in range(0, len(batch), part_size):
            part = batch[start : start + part_size]
            share = loss_of(part) * (len(part) / len(batch))
            torch.autograd.backward(share)
            value += float(share.detach())
        if not math.isfinite(value):
            raise DataError(f"step {number}: the loss is {value}", hint="lower the learning rate")
        torch.nn.utils.clip_grad_norm_(model.parameters(), schedule.clip)
        optimizer.step()
        optimizer.zero_grad(set_to_none=True)
        losses.append(value)
        if progress is not None:
            each = (time.monotonic() - begin) / (number + 1 - first)
            progress(Step(number + 1, schedule.steps, _recent(losses), each * (schedule.steps - number - 1)))
        if time.monotonic() - saved >= schedule.checkpoint_s or number + 1 == schedule.steps:
            checkpoint.save(losses)
            saved = time.monotonic()
    with torch.no_grad():
        for name, at_first in begun.items():
            learning[name].lerp_(at_first, schedule.shrink)
    model.eval()
    return _recent(losses)


def batch_at(step: int, count: int, schedule: Schedule) -> list[int]:
    """Give the indices of a step's examples: every epoch has its own order and leaves out its incomplete batch."""
    per_epoch = count // schedule.batch_size
    epoch, place = divmod(step, per_epoch)
    order = np.random.default_rng([schedule.seed, epoch]).permutation(count)
    found: list[int] = order[place * schedule.batch_size : (place + 1) * schedule.batch_size].tolist()
    return found


def _recent(losses: Sequence[float]) -> float:
    return float(np.mean(losses[-100:])) if losses else math.nan
