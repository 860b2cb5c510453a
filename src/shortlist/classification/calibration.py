"""When does a probability mean what it says? A temperature for logits, and how far confidence is from accuracy.

Shapes: N texts, L labels.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["MAX_TEMPERATURE", "MIN_TEMPERATURE", "expected_calibration_error", "fit_temperature", "softmax"]

MIN_TEMPERATURE, MAX_TEMPERATURE = 0.02, 50.0
BINS = 15

_STEPS = 60

Float = NDArray[np.float64]


def softmax(logits: Float) -> Float:
    """Turn logits ``[N, L]`` into probabilities, each row by itself."""
    powers = np.exp(logits - logits.max(axis=-1, keepdims=True))
    result: Float = powers / powers.sum(axis=-1, keepdims=True)
    return result


def fit_temperature(logits: Float, targets: NDArray[np.int64]) -> tuple[float, float]:
    """Give the temperature that makes ``softmax(logits / temperature)`` most probable, and the log loss with it.

    ``logits`` ``[N, L]`` must be of texts that the weights were not fitted to, ``targets`` ``[N]`` their labels'
    numbers. A target counts (N + 1) / (N + 2) and the other labels share the rest: without that a few texts
    that are all right would ask for a temperature of 0, which is certainty. The loss is convex in
    1 / temperature, so Newton's method inside a shrinking bracket finds the one minimum.

    Source: Guo et al. (2017), On calibration of modern neural networks, section 4.2.
    Deviation: targets are smoothed as by Platt (1999), section 2.2.
    """
    count, labels = logits.shape
    logits = logits - logits.max(axis=1, keepdims=True)
    rest = 1 / (count + 2)
    targeted = logits[np.arange(count), targets]
    others = (logits.sum(axis=1) - targeted) / (labels - 1)
    wanted = (1 - rest) * targeted + rest * others  # what the logits are worth under the targets
    low, high = 1 / MAX_TEMPERATURE, 1 / MIN_TEMPERATURE
    inverse = 1.0
    for _ in range(_STEPS):
        probabilities = softmax(logits * inverse)
        mean = (probabilities * logits).sum(axis=1)
        slope = float((mean - wanted).mean())
        low, high = (low, inverse) if slope > 0 else (inverse, high)
        curvature = float(((probabilities * logits**2).sum(axis=1) - mean**2).mean())
        step = inverse - slope / curvature if curvature > 1e-12 else inverse
        before, inverse = inverse, step if low < step < high else float(np.sqrt(low * high))
        if abs(inverse - before) < 1e-6 * inverse:
            break
    normalizers = np.log(np.exp(logits * inverse).sum(axis=1))
    return 1 / inverse, float((normalizers - inverse * wanted).mean())


def expected_calibration_error(confidence: Float, right: NDArray[np.bool_]) -> float:
    """Give how far confidence is from accuracy, between 0 and 1, over 15 bins of as many texts each.

    ``confidence`` ``[N]`` is the probability of each text's answer, ``right`` ``[N]`` whether that was the label. In
    every bin the mean confidence is compared with the share that was right; bins count by their texts. 0 for no texts.

    Source: Guo et al. (2017), equation 3.
    Deviation: bins of equal numbers instead of equal widths: most answers are nearly certain, and bins of
    a few texts measure noise (Nixon et al., 2019, Measuring calibration in deep learning).
    """
    if not len(confidence):
        return 0.0
    order = np.argsort(confidence, kind="stable")
    gaps = confidence[order] - right[order]
    return float(sum(abs(part.sum()) for part in np.array_split(gaps, BINS)) / len(gaps))
