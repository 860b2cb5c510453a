"""Where on an axis does a value stand, and which values are written at it? Linear and logarithmic scales."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

__all__ = ["Scale", "linear", "logarithmic"]

LEAST_SPAN = 0.02  # of a linear scale: differences below a thousandth aren't drawn large
LEAST_DECADES = 0.6  # of a logarithmic scale: a factor of four


@dataclass(frozen=True)
class Scale:
    """Map values from ``low`` to ``high`` (on a logarithmic scale their powers of ten) to ``start`` to ``end``.

    A value outside stands at the end that is nearer; so does 0 on a logarithmic scale.
    """

    low: float
    high: float
    start: float
    end: float
    ticks: tuple[float, ...]
    is_logarithmic: bool = False

    def __call__(self, value: float) -> float:
        """Give the place of a value in pixels."""
        if self.is_logarithmic:
            value = math.log10(value) if value > 0 else self.low
        share = (min(max(value, self.low), self.high) - self.low) / (self.high - self.low)
        return self.start + share * (self.end - self.start)


def linear(
    values: Sequence[float],
    start: float,
    end: float,
    *,
    most_ticks: int = 6,
    limits: tuple[float, float] = (-math.inf, math.inf),
) -> Scale:
    """Make a scale on which all values find place, with round ticks.

    Where the values lie close together it is wider than they are; not beyond ``limits`` as long as they aren't.
    """
    low, high = min(values), max(values)
    spare = max(0.0, LEAST_SPAN - (high - low))
    below = min(spare / 2, max(0.0, low - limits[0]))
    below = max(below, spare - max(0.0, limits[1] - high))
    low, high = low - below, high + spare - below
    step = _step((high - low) / most_ticks)
    first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
    ticks = tuple(place * step for place in range(first, last + 1))
    return Scale(low, high, start, end, ticks)


def logarithmic(values: Sequence[float], start: float, end: float, *, most_ticks: int = 6) -> Scale:
    """Make a scale on which all positive values find place; ticks are few digits times a power of ten."""
    powers = [math.log10(value) for value in values if value > 0] or [0.0]
    low, high = min(powers), max(powers)
    spare = max(0.0, LEAST_DECADES - (high - low)) / 2
    low, high = low - spare, high + spare
    choices = [_powers(low, high, factors) for factors in ((1, 2, 5), (1, 3), (1,))]
    ticks = next((ticks for ticks in choices if len(ticks) <= most_ticks), choices[-1])
    return Scale(low, high, start, end, tuple(ticks[:: -(-len(ticks) // most_ticks)]), is_logarithmic=True)


def _powers(low: float, high: float, factors: Sequence[int]) -> list[float]:
    """Give the factors times every power of ten whose logarithm lies from ``low`` to ``high``."""
    return [
        float(f"{factor}e{power}")
        for power in range(math.floor(low), math.ceil(high) + 1)
        for factor in factors
        if low - 1e-9 <= math.log10(factor) + power <= high + 1e-9
    ]


def _step(rough: float) -> float:
    """Round a step up to 1, 2 or 5 times a power of ten.

    >>> _step(0.013), _step(3)
    (0.02, 5.0)
    """
    power = math.floor(math.log10(rough))
    return next(
        step for factor in (1, 2, 5, 10) if (step := float(f"{factor}e{power}")) >= rough * (1 - 1e-9)
    )
