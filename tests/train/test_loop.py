from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from torch import Tensor, nn

from shortlist import DataError
from shortlist.train.checkpoint import FILE
from shortlist.train.loop import Schedule, Step, batch_at, train

EXAMPLES = [(torch.tensor([n / 40, 1.0]), torch.tensor(3 * n / 40 - 1)) for n in range(40)]
SCHEDULE = Schedule(
    steps=60, batch_size=8, part_size=8, learning_rate=0.1, bf16=False, checkpoint_s=0.0, seed=3
)


def line() -> nn.Linear:
    torch.manual_seed(1)
    return nn.Linear(2, 1, bias=False)


def squared_error(model: nn.Module, examples: Sequence[tuple[Tensor, Tensor]]) -> Tensor:
    x, y = (torch.stack(column) for column in zip(*examples, strict=True))
    return nn.functional.mse_loss(model(x)[:, 0], y)


class KilledError(Exception):
    pass


def killed_at(step: int) -> object:
    def progress(done: Step) -> None:
        if done.number == step:
            raise KilledError

    return progress


def test_training_finds_the_line(tmp_path: Path) -> None:
    model = line()
    seen: list[Step] = []
    loss = train(model, EXAMPLES, squared_error, replace(SCHEDULE, steps=300), tmp_path, progress=seen.append)
    assert model.weight[0].tolist() == pytest.approx([3, -1], abs=0.2)
    assert loss < 0.05
    assert [step.number for step in seen] == list(range(1, 301))
    assert seen[-1].remaining_s == 0
    assert seen[0].loss > seen[-1].loss


@pytest.mark.parametrize("step", [1, 2, 17, 59])
def test_a_killed_training_ends_as_it_would_have(tmp_path: Path, step: int) -> None:
    whole, resumed = line(), line()
    expected = train(whole, EXAMPLES, squared_error, SCHEDULE, tmp_path / "whole")
    with pytest.raises(KilledError):
        train(resumed, EXAMPLES, squared_error, SCHEDULE, tmp_path / "killed", progress=killed_at(step))  # type: ignore[arg-type]
    fresh = line()
    numbers: list[int] = []
    found = train(
        fresh,
        EXAMPLES,
        squared_error,
        SCHEDULE,
        tmp_path / "killed",
        progress=lambda s: numbers.append(s.number),
    )
    assert numbers == list(range(step, 61))  # the checkpoint of the step before the kill
    assert torch.equal(fresh.weight, whole.weight)
    assert found == expected


@pytest.mark.parametrize("shrink", [0.25, 1])
def test_what_was_learned_is_drawn_back_to_the_start(tmp_path: Path, shrink: float) -> None:
    start, whole, drawn = line(), line(), line()
    train(whole, EXAMPLES, squared_error, SCHEDULE, tmp_path)
    train(
        drawn, EXAMPLES, squared_error, replace(SCHEDULE, shrink=shrink), tmp_path
    )  # of the same checkpoint
    assert torch.allclose(drawn.weight, (1 - shrink) * whole.weight + shrink * start.weight)
    with pytest.raises(DataError, match=r"schedule\.shrink must be from 0 to 1, not 2"):
        replace(SCHEDULE, shrink=2)


def test_parts_change_nothing_but_rounding(tmp_path: Path) -> None:
    whole, parts = line(), line()
    train(whole, EXAMPLES, squared_error, SCHEDULE, tmp_path / "a")
    train(parts, EXAMPLES, squared_error, replace(SCHEDULE, part_size=3), tmp_path / "b")
    assert torch.allclose(whole.weight, parts.weight, atol=1e-4)


@pytest.mark.parametrize(
    "other",
    [replace(SCHEDULE, learning_rate=0.2), replace(SCHEDULE, seed=4), replace(SCHEDULE, steps=61)],
)
def test_a_checkpoint_of_another_training_is_refused(tmp_path: Path, other: Schedule) -> None:
    train(line(), EXAMPLES, squared_error, SCHEDULE, tmp_path)
    with pytest.raises(DataError, match="a checkpoint of another training"):
        train(line(), EXAMPLES, squared_error, other, tmp_path)
    with pytest.raises(DataError, match="a checkpoint of another training"):
        train(line(), EXAMPLES, squared_error, SCHEDULE, tmp_path, identity={"model": "x"})
    with pytest.raises(DataError, match="a checkpoint of another training"):
        train(line(), EXAMPLES[1:], squared_error, SCHEDULE, tmp_path)


def test_a_damaged_checkpoint_is_refused_by_name(tmp_path: Path) -> None:
    (tmp_path / FILE).write_bytes(b"nonsense")
    with pytest.raises(DataError, match=FILE):
        train(line(), EXAMPLES, squared_error, SCHEDULE, tmp_path)


def test_heads_learn_at_their_own_rate(tmp_path: Path) -> None:
    first, second = nn.Linear(2, 2), nn.Linear(2, 1)
    model = nn.Sequential(first, second)
    before = [parameter.clone() for parameter in model.parameters()]
    schedule = replace(SCHEDULE, steps=5, learning_rate=0.0, weight_decay=0.0, head_learning_rate=0.1)
    train(model, EXAMPLES, squared_error, schedule, tmp_path, heads=list(second.parameters()))
    after = list(model.parameters())
    assert torch.equal(before[0], after[0])
    assert not torch.equal(before[2], after[2])


def test_frozen_parameters_stay(tmp_path: Path) -> None:
    first = nn.Linear(2, 2).requires_grad_(False)
    model = nn.Sequential(first, nn.Linear(2, 1))
    before = first.weight.clone()
    train(model, EXAMPLES, squared_error, replace(SCHEDULE, steps=5), tmp_path)
    assert torch.equal(before, first.weight)


def test_a_loss_that_is_no_number_ends_the_training(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="step 0: the loss is nan"):
        train(
            line(), EXAMPLES, lambda model, _: model(torch.ones(2)).sum() * float("nan"), SCHEDULE, tmp_path
        )


def test_fewer_examples_than_a_batch_are_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="7 examples are fewer than a batch of 8"):
        train(line(), EXAMPLES[:7], squared_error, SCHEDULE, tmp_path)


def test_every_epoch_has_every_example_once_in_an_order_of_its_own() -> None:
    epochs = [
        [index for step in range(5) for index in batch_at(5 * epoch + step, 40, SCHEDULE)] for epoch in (0, 1)
    ]
    assert [sorted(epoch) for epoch in epochs] == [list(range(40))] * 2
    assert epochs[0] != epochs[1]
    assert batch_at(0, 40, replace(SCHEDULE, seed=9)) != batch_at(0, 40, SCHEDULE)


def test_the_learning_rate_rises_and_falls_to_zero() -> None:
    schedule = Schedule(steps=100, warm_up=0.1)
    factors = [schedule.factor(step) for step in range(100)]
    assert factors[:10] == pytest.approx([n / 10 for n in range(1, 11)])
    assert factors[10:] == sorted(factors[10:], reverse=True)
    assert factors[-1] == pytest.approx(1 / 90)
    assert Schedule(steps=10, warm_up=0).factor(0) == 1
