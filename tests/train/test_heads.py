"""Heads on a frozen encoder: late interaction and poly-encoder, against numpy and in training."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch
from torch import Tensor

from shortlist.scoring import maxsim as reference
from shortlist.train.late_interaction import LateHead, maxsim
from shortlist.train.loop import Schedule, train
from shortlist.train.losses import in_batch_contrastive
from shortlist.train.poly_encoder import PolyHead

LENGTHS = (5, 2, 7)


def padded(seed: int, lengths: tuple[int, ...] = LENGTHS, hidden: int = 16) -> tuple[Tensor, Tensor]:
    draw = torch.Generator().manual_seed(seed)
    known = torch.arange(max(lengths))[None] < torch.tensor(lengths)[:, None]
    return torch.randn(*known.shape, hidden, generator=draw) * known[..., None], known


def test_maxsim_is_the_reference_of_scoring() -> None:
    draw = np.random.default_rng(0)
    ints = [draw.integers(-9, 10, (length, 8)).astype(np.int8) for length in (3, 6, 1, 4)]
    query, passages = ints[0], ints[1:]
    offsets = np.cumsum([0, *map(len, passages)])
    expected = reference(query, np.concatenate(passages), offsets)
    known = torch.arange(6)[None] < torch.tensor([[6], [1], [4]])
    data = torch.zeros(3, 6, 8)
    for row, passage in enumerate(passages):
        data[row, : len(passage)] = torch.tensor(passage).float()
    found = maxsim(torch.tensor(query).float()[None], torch.ones(1, 3, dtype=torch.bool), data, known)
    assert found[0].numpy() == pytest.approx(expected)


def test_padding_changes_no_score() -> None:
    queries, known = padded(1)
    passages, passages_known = padded(2, (4, 9))
    head = LateHead(16, 8)
    torch.nn.init.normal_(head.weight.weight)
    together = maxsim(head.queries(queries, known), known, head.passages(passages), passages_known)
    for row, length in enumerate(LENGTHS):
        one, its = queries[row : row + 1, :length], known[row : row + 1, :length]
        alone = maxsim(head.queries(one, its), its, head.passages(passages), passages_known)
        assert torch.allclose(alone[0], together[row], atol=1e-6)


def test_a_late_head_starts_with_equal_weights_and_the_projection_given() -> None:
    queries, known = padded(3)
    projection = torch.randn(16, 4)
    head = LateHead(16, 4, projection)
    vectors = head.queries(queries, known)
    expected = torch.nn.functional.normalize(queries @ projection, dim=-1) * known[..., None]
    assert torch.allclose(vectors, expected, atol=1e-4)


def test_the_weights_of_a_query_have_a_mean_of_one() -> None:
    queries, known = padded(4)
    head = LateHead(16, 4)
    torch.nn.init.normal_(head.weight.weight)
    lengths = head.queries(queries, known).norm(dim=-1)
    assert (lengths.sum(dim=1) / known.sum(dim=1)).tolist() == pytest.approx([1.0] * 3, abs=1e-5)
    assert lengths[0].std() > 0.1


def poly_in_numpy(head: PolyHead, query: np.ndarray, passages: np.ndarray) -> np.ndarray:
    """Equations 4 and 5 of the paper, one query at a time, with the deviations that PolyHead names."""

    def softmax(values: np.ndarray) -> np.ndarray:
        result: np.ndarray = np.exp(values - values.max()) / np.exp(values - values.max()).sum()
        return result

    if head.variant == "learned":
        codes = head.codes.detach().numpy()
        found = np.stack([softmax(query @ code) @ query for code in codes])
    else:
        found = query[: head.count]
    found = found @ head.transform.detach().numpy()
    found /= np.linalg.norm(found, axis=1, keepdims=True)
    sharpness = float(head.sharpness.detach())
    return np.array([softmax(sharpness * found @ one) @ found @ one for one in passages])


@pytest.mark.parametrize("variant", ["learned", "first"])
@pytest.mark.parametrize("codes", [1, 4, 9])
def test_a_poly_head_is_its_equations(variant: str, codes: int) -> None:
    queries, known = padded(5)
    passages = torch.nn.functional.normalize(torch.randn(6, 16), dim=1)
    head = PolyHead(16, codes, variant)  # type: ignore[arg-type]
    torch.nn.init.normal_(head.transform)
    if variant == "learned":
        torch.nn.init.normal_(head.codes)
    with torch.no_grad():
        found = head.scores(*head.queries(queries, known), passages).numpy()
    for row, length in enumerate(LENGTHS):
        expected = poly_in_numpy(head, queries[row, :length].numpy(), passages.numpy())
        assert found[row] == pytest.approx(expected, abs=1e-5)


def test_an_untrained_poly_head_is_nearly_a_bi_encoder_with_mean_pooling() -> None:
    queries, known = padded(6)
    passages = torch.nn.functional.normalize(torch.randn(6, 16), dim=1)
    head = PolyHead(16, 4)
    head.codes.data.zero_()
    with torch.no_grad():
        found = head.scores(*head.queries(queries, known), passages)
    means = queries.sum(dim=1) / known.sum(dim=1, keepdim=True)
    assert torch.allclose(found, torch.nn.functional.normalize(means, dim=1) @ passages.T, atol=1e-5)


@pytest.mark.parametrize("kind", ["late", "poly"])
def test_heads_learn(tmp_path: Path, kind: str) -> None:
    """What decides is one token of the query, in a direction that the passage has under another name."""
    draw = torch.Generator().manual_seed(0)
    topics = torch.nn.functional.normalize(torch.randn(12, 16, generator=draw), dim=1)
    turn = torch.linalg.qr(torch.randn(16, 16, generator=draw)).Q
    noise = torch.randn(12, 4, 16, generator=draw) * 0.3
    noise[:, 0] = topics
    known = torch.ones(12, 4, dtype=torch.bool)
    head = LateHead(32, 8) if kind == "late" else PolyHead(16, 4)
    zeros = torch.zeros(12, 4, 16)

    def scores(model: torch.nn.Module, rows: list[int]) -> Tensor:
        if isinstance(model, LateHead):  # the two sides differ by where in the vector they stand
            queries = model.queries(torch.cat([noise, zeros], 2)[rows], known[rows])
            passages = model.passages(torch.cat([zeros, noise @ turn], 2)[rows])
            return maxsim(queries, known[rows], passages, known[rows])
        assert isinstance(model, PolyHead)
        return model.scores(*model.queries(noise[rows], known[rows]), topics[rows] @ turn)

    def loss(model: torch.nn.Module, rows: list[int]) -> Tensor:
        return in_batch_contrastive(scores(model, list(rows)), torch.zeros(12, 12, dtype=torch.bool), 0.1)

    with torch.no_grad():
        before = float(loss(head, list(range(12))))
    schedule = Schedule(steps=150, batch_size=12, part_size=12, learning_rate=0.02, bf16=False)
    train(head, list(range(12)), loss, schedule, tmp_path)  # type: ignore[arg-type]
    with torch.no_grad():
        assert float(loss(head, list(range(12)))) < 0.3 * before
