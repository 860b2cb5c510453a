"""A limit of memory for training: as much at once as fits, or a refusal that says what is needed."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
import torch
from torch import Tensor, nn

from shortlist.errors import DataError
from shortlist.train import memory
from shortlist.train.loop import Budget, Schedule, train
from shortlist.train.memory import fitting_part

MB = 1_000_000


class Steps:
    """Count what is worked on at once, as a process that takes 100 MB, and 10 MB for each example."""

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self.parts: list[int] = []
        self.model = nn.Linear(2, 1, bias=False)
        patch.setattr(memory, "_peak", lambda: 100 * MB + 10 * MB * self.parts[-1])

    def __call__(self, part: Sequence[float]) -> Tensor:
        self.parts.append(len(part))
        found: Tensor = self.model(torch.ones(len(part), 2)).mean()
        return found


@pytest.mark.parametrize(("limit", "part"), [(260, 16), (259, 8), (180, 8), (179, 4), (111, 1), (1000, 16)])
def test_as_many_at_once_as_fit(monkeypatch: pytest.MonkeyPatch, limit: int, part: int) -> None:
    steps = Steps(monkeypatch)
    found = fitting_part(steps.model, [1.0] * 16, steps, 16, limit * MB, whole=False)
    assert found == part
    assert max(steps.parts) <= max(2 * part, 2)
    assert all(parameter.grad is None for parameter in steps.model.parameters())


def test_less_than_one_takes_is_refused_with_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    with pytest.raises(
        DataError, match=r"with 1 of the examples at once needs about 110 MB .* limit is 109 MB"
    ):
        fitting_part(steps.model, [1.0] * 16, steps, 16, 109 * MB, whole=False)


def test_a_batch_that_can_not_be_divided_is_refused_with_an_estimate(monkeypatch: pytest.MonkeyPatch) -> None:
    steps = Steps(monkeypatch)
    assert fitting_part(steps.model, [1.0] * 12, steps, 12, 221 * MB, whole=True) == 12
    for limit, says in ((219, "about 220 MB"), (125, "about 220 MB"), (109, "more than 110 MB")):
        with pytest.raises(DataError, match=f"with 12 of the examples at once needs {says}") as refused:
            fitting_part(steps.model, [1.0] * 12, steps, 12, limit * MB, whole=True)
        assert "schedule.batch_size" in refused.value.hint


def test_what_a_process_took_before_does_not_count() -> None:
    if not memory._CLEAR.exists():
        pytest.skip("this system counts from the start")
    before = bytearray(400 * MB)
    before[::4096] = b"x" * len(before[::4096])
    del before
    model = nn.Linear(1000, 1000)

    def step(part: Sequence[float]) -> Tensor:
        found: Tensor = (model(torch.ones(10_000 * len(part), 1000)) ** 2).mean()  # 120 MB each, about
        return found

    memory._forget_peak()
    now = memory._peak()
    assert fitting_part(model, [1.0] * 8, step, 8, now + 3000 * MB, whole=False) == 8
    assert fitting_part(model, [1.0] * 8, step, 8, now + 450 * MB, whole=False) in (1, 2, 4)
    with pytest.raises(DataError, match="with 1 of the examples"):
        fitting_part(model, [1.0] * 8, step, 8, now + 10 * MB, whole=False)


def test_what_is_learned_does_not_depend_on_the_limit(
    tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> None:
    examples = torch.randn(40, 3, generator=torch.Generator().manual_seed(0)).tolist()
    weights, parts = [], []
    for limit in (None, 135 * MB):
        torch.manual_seed(1)
        model = nn.Sequential(nn.Dropout(0.0), nn.Linear(3, 1))
        seen: list[int] = []

        def loss(_: nn.Module, part: object, model: nn.Module = model, seen: list[int] = seen) -> Tensor:
            seen.append(len(part))  # type: ignore[arg-type]
            found: Tensor = (model(torch.tensor(part)) ** 2).mean()
            return found

        monkeypatch.setattr(memory, "_peak", lambda seen=seen: 100 * MB + 10 * MB * seen[-1])
        budget: Budget[list[float]] | None = None if limit is None else Budget(limit, len)
        schedule = Schedule(steps=5, batch_size=8, part_size=8, learning_rate=0.1, bf16=False)
        train(model, examples, loss, schedule, tmp_path_factory.mktemp("t"), budget=budget)
        weights.append(torch.cat([value.flatten() for value in model.parameters()]))
        parts.append(max(seen[-4:]))
    assert parts == [8, 2]
    assert torch.allclose(weights[0], weights[1], atol=1e-6)
