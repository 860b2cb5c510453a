"""Which colours does a report have? One palette for light and paper, one for dark; tests compute their contrast."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["DARK", "LIGHT", "Palette", "contrast", "ink_on"]


@dataclass(frozen=True)
class Palette:
    """Hold colours as ``#rrggbb``: text on ``paper`` and ``raised`` is ``ink`` or ``muted``; ``line`` only divides.

    ``accent`` draws what stands out, ``down`` what is worse, ``stages`` fill bars, in this order.
    """

    paper: str
    raised: str
    ink: str
    muted: str
    line: str
    accent: str
    down: str
    stages: tuple[str, ...]


LIGHT = Palette(
    paper="#fcfcfa",
    raised="#f3f2ed",
    ink="#1d1f21",
    muted="#5c5f61",
    line="#d8d6cf",
    accent="#1b5e86",
    down="#9a3412",
    stages=("#6b7075", "#b4570a", "#0f7a6c", "#2f5fc4", "#8f3a84", "#5d7a1f", "#a33a3a", "#4a4e8f"),
)

DARK = Palette(
    paper="#16181b",
    raised="#212428",
    ink="#e9e7e2",
    muted="#a9aaa8",
    line="#3b3f44",
    accent="#7fbbe6",
    down="#f0a57c",
    stages=("#9aa0a6", "#e59a4f", "#4fc2ae", "#86a9f5", "#d58fca", "#a8c465", "#ee8f86", "#a9acec"),
)


def contrast(one: str, other: str) -> float:
    """Compute the contrast of two colours, 1 to 21. Source: WCAG 2.2, contrast ratio.

    >>> round(contrast("#000000", "#ffffff"), 2)
    21.0
    """
    brighter, darker = sorted((_luminance(one), _luminance(other)), reverse=True)
    return (brighter + 0.05) / (darker + 0.05)


def ink_on(fill: str) -> str:
    """Choose black or white for text on a fill, whichever is read better.

    >>> ink_on("#1b5e86"), ink_on("#e59a4f")
    ('#ffffff', '#000000')
    """
    return max(("#ffffff", "#000000"), key=lambda ink: contrast(ink, fill))


def _luminance(colour: str) -> float:
    parts = [int(colour[start : start + 2], 16) / 255 for start in (1, 3, 5)]
    linear = [part / 12.92 if part <= 0.04045 else ((part + 0.055) / 1.055) ** 2.4 for part in parts]
    return sum(weight * part for weight, part in zip((0.2126, 0.7152, 0.0722), linear, strict=True))
