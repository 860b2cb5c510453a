"""The losses against their formulas, written in numpy."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

from shortlist.train import losses

SCORES = arrays(np.float64, st.tuples(st.integers(1, 5), st.integers(2, 6)), elements=st.floats(-20, 20))


def log_softmax(scores: np.ndarray) -> np.ndarray:
    shifted = scores - scores.max(axis=1, keepdims=True)
    result: np.ndarray = shifted - np.log(np.exp(shifted).sum(axis=1, keepdims=True))
    return result


@given(SCORES)
def test_softmax_over_candidates_is_minus_the_log_probability_of_the_first(scores: np.ndarray) -> None:
    found = losses.softmax_over_candidates(torch.tensor(scores))
    assert float(found) == pytest.approx(-log_softmax(scores)[:, 0].mean(), abs=1e-9)


def test_softmax_over_candidates_leaves_out_the_unknown() -> None:
    scores = torch.tensor([[1.0, 2.0, 50.0], [0.0, 3.0, 1.0]])
    known = torch.tensor([[True, True, False], [True, True, True]])
    each = [losses.softmax_over_candidates(scores[:1, :2]), losses.softmax_over_candidates(scores[1:])]
    assert losses.softmax_over_candidates(scores, known) == pytest.approx(float(sum(each)) / 2)


@given(SCORES, st.floats(0.02, 2))
def test_in_batch_contrastive_finds_the_diagonal(scores: np.ndarray, temperature: float) -> None:
    square = scores[:, : len(scores)]
    rows = len(square[0])
    square = square[:rows]
    expected = -np.diag(log_softmax(square / temperature)).mean()
    same = torch.zeros(square.shape, dtype=torch.bool)
    found = losses.in_batch_contrastive(torch.tensor(square), same, temperature)
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-6)


def test_the_same_passage_twice_in_a_batch_is_no_negative() -> None:
    similarities = torch.tensor([[5.0, 5.0, 1.0], [5.0, 5.0, 2.0], [0.0, 0.0, 4.0]])
    same = torch.zeros(3, 3, dtype=torch.bool)
    same[0, 1] = same[1, 0] = True
    found = losses.in_batch_contrastive(similarities, same, 1.0)
    rows = [torch.tensor([5.0, 1.0]), torch.tensor([5.0, 2.0]), torch.tensor([4.0, 0.0, 0.0])]
    expected = -sum(row.log_softmax(0)[0] for row in rows) / 3
    assert float(found) == pytest.approx(float(expected), rel=1e-5)
    own = torch.eye(3, dtype=torch.bool)
    alone = losses.in_batch_contrastive(similarities, own, 1.0)
    assert float(alone) == pytest.approx(float(losses.in_batch_contrastive(similarities, ~own & own, 1.0)))


def test_binary_cross_entropy_of_an_undecided_model_is_the_log_of_two() -> None:
    found = losses.binary_cross_entropy(torch.zeros(3), torch.tensor([0.0, 0.5, 1.0]))
    assert float(found) == pytest.approx(np.log(2))


def test_label_cross_entropy_is_minus_the_log_probability_of_the_label() -> None:
    scores = np.array([[1.0, 2.0, 0.0], [0.0, -1.0, 3.0]])
    found = losses.label_cross_entropy(torch.tensor(scores), torch.tensor([1, 0]))
    assert float(found) == pytest.approx(-(log_softmax(scores)[0, 1] + log_softmax(scores)[1, 0]) / 2)


def test_mse_compares_probabilities_with_grades() -> None:
    found = losses.mse(torch.tensor([0.0, 100.0]), torch.tensor([0.5, 0.0]))
    assert float(found) == pytest.approx(0.5)


@given(SCORES, st.floats(-50, 50))
def test_margin_mse_and_kl_divergence_are_zero_where_all_leads_are_the_teacher_s(
    scores: np.ndarray, offset: float
) -> None:
    own, teacher = torch.tensor(scores + offset), torch.tensor(scores)
    assert float(losses.margin_mse(own, teacher)) == pytest.approx(0, abs=1e-9)
    assert float(losses.kl_divergence(own, teacher, 2.0)) == pytest.approx(0, abs=1e-9)


def test_margin_mse_is_the_mean_squared_difference_of_leads() -> None:
    found = losses.margin_mse(torch.tensor([[3.0, 1.0, 2.0]]), torch.tensor([[4.0, 0.0, 1.0]]))
    assert float(found) == pytest.approx(((2 - 4) ** 2 + (1 - 3) ** 2) / 2)


@given(SCORES, st.floats(0.5, 4))
def test_kl_divergence_is_its_formula(scores: np.ndarray, temperature: float) -> None:
    teacher = scores[:, ::-1].copy()
    own, wanted = log_softmax(scores / temperature), log_softmax(teacher / temperature)
    expected = (np.exp(wanted) * (wanted - own)).sum(axis=1).mean() * temperature**2
    found = losses.kl_divergence(torch.tensor(scores), torch.tensor(teacher), temperature)
    assert float(found) == pytest.approx(expected, rel=1e-6, abs=1e-6)
