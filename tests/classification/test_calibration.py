import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.classification.calibration import (
    MIN_TEMPERATURE,
    expected_calibration_error,
    fit_temperature,
    softmax,
)


def drawn(temperature: float) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Logits, and targets drawn from what they mean at a temperature."""
    random = np.random.default_rng(7)
    logits = random.normal(0, 3, (4000, 5))
    chances = softmax(logits / temperature).cumsum(axis=1)
    return logits, (random.random((4000, 1)) > chances).sum(axis=1).astype(np.int64)


@pytest.mark.parametrize("temperature", [0.5, 1.0, 4.0])
def test_the_temperature_that_made_the_data_is_found_and_calibrates(temperature: float) -> None:
    logits, targets = drawn(temperature)
    found, loss = fit_temperature(logits, targets)
    assert found == pytest.approx(temperature, rel=0.08)
    for other in (0.9 * found, 1.1 * found):
        chances = softmax(logits / other)[np.arange(len(targets)), targets]
        assert -np.log(chances).mean() > loss - 1e-3
    probabilities = softmax(logits / found)
    right = probabilities.argmax(axis=1) == targets
    assert expected_calibration_error(probabilities.max(axis=1), right) < 0.025
    raw = softmax(logits)
    if temperature == 4.0:
        assert expected_calibration_error(raw.max(axis=1), right) > 0.3


def test_a_few_texts_that_are_all_right_do_not_ask_for_certainty() -> None:
    logits = np.array([[1.0, 0.0], [0.0, 1.0]] * 5)
    temperature, _ = fit_temperature(logits, np.array([0, 1] * 5))
    assert temperature > MIN_TEMPERATURE
    assert softmax(logits / temperature).max() == pytest.approx(11 / 12, abs=1e-3)


@pytest.mark.parametrize("logits", [np.zeros((4, 3)), np.array([[1e4, 0, -1e4]] * 4)])
def test_logits_without_a_message_or_beyond_all_bounds_give_a_finite_temperature(
    logits: NDArray[np.float64],
) -> None:
    temperature, loss = fit_temperature(logits, np.array([0, 1, 2, 0]))
    assert np.isfinite([temperature, loss]).all()


def test_the_calibration_error_is_the_gap_between_confidence_and_accuracy() -> None:
    right = np.array([True] * 80 + [False] * 20)
    assert expected_calibration_error(np.full(100, 0.8), np.random.default_rng(0).permutation(right)) < 0.2
    assert expected_calibration_error(np.full(100, 1.0), np.ones(100, bool)) == 0
    assert expected_calibration_error(np.full(100, 0.9), np.zeros(100, bool)) == pytest.approx(0.9)
    assert expected_calibration_error(np.empty(0), np.empty(0, bool)) == 0
