"""How far does each pipeline lie from the baseline, and how sure is that? Differences with their intervals."""

from __future__ import annotations

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.scales import Scale, linear
from shortlist.evaluation.report.verdict import best_first
from shortlist.evaluation.report.wording import (
    difference,
    plain,
    probability,
    range_of,
)
from shortlist.evaluation.results import Comparison, Difference

__all__ = ["difference_plot"]

ROW, TALL_ROW, TOP, BOTTOM = 28.0, 46.0, 26.0, 30.0
WIDE = 600.0  # from here on names and numbers stand beside the row, otherwise above it


def difference_plot(comparison: Comparison, *, width: float, name: str, kind: str = "") -> str:
    """Draw the differences of the first measure as an ``svg`` element of a page, best system first.

    What differs by more than chance is full, the rest hollow. Empty where there is only the baseline.
    """
    measure = comparison.measures[0]
    found = {
        system.name: system.differences[measure]
        for system in best_first(comparison)
        if measure in system.differences
    }
    if not found:
        return ""
    wide = width >= WIDE
    row = ROW if wide else TALL_ROW
    left, right = (190.0, width - 282.0) if wide else (14.0, width - 14.0)
    bottom = TOP + row * len(found)
    ends = [0.0, *(end for each in found.values() for end in (each.difference.low, each.difference.high))]
    ends += [each.difference.mean for each in found.values()]
    x = linear(ends, left + 8, right - 8, most_ticks=5)
    elements = [
        *_axis(x, bottom, comparison.baseline, width),
        *(svg.text(at, 14, head, "muted") for at, head in _heads(right, wide)),
    ]
    shown = svg.labels(comparison, left - 12 if wide else width - 150)
    for place, (system, each) in enumerate(found.items()):
        elements += _row(shown[system], each, x, TOP + row * place, right, wide)
    said = [f"{plain(system)} {_written(each)}, {probability(each.p_holm)}" for system, each in found.items()]
    return svg.picture(
        elements,
        width,
        bottom + BOTTOM,
        name=name,
        title=f"{plain(measure)}: differences from {plain(comparison.baseline)}",
        description=f"{'; '.join(said)}.",
        kind=kind,
    )


def _heads(right: float, wide: bool) -> list[tuple[float, str]]:
    if not wide:
        return []
    return [(right + 12, "difference, interval"), (right + 202, "corrected p")]


def _axis(x: Scale, bottom: float, baseline: str, width: float) -> list[str]:
    elements, values = [], []
    decimals = max(len(f"{tick:.6f}".rstrip("0").split(".")[1]) for tick in x.ticks)
    for tick in x.ticks:
        is_zero = abs(tick) < 1e-12
        elements.append(svg.line(x(tick), TOP - 2, x(tick), bottom, "zero" if is_zero else "grid"))
        written = f"{tick:+.{max(1, decimals)}f}".replace("-", "−")
        values.append((x(tick), "0" if is_zero else written))
    shown = svg.fitted(baseline, x.end - x.start)
    room = svg.text_width(shown) / 2
    at = min(max(x(0), x.start + room), x.end - room)
    return [
        *elements,
        *svg.ticks(values, bottom + 17, width),
        svg.text(at, 14, shown, "muted", anchor="middle"),
    ]


def _row(name: str, each: Difference, x: Scale, top: float, right: float, wide: bool) -> list[str]:
    middle = top + (ROW / 2 if wide else TALL_ROW - 14)
    gap = each.difference
    kind = "full" if each.is_significant else "hollow"
    weight = "strong" if each.is_significant else "ink"
    marks = [
        svg.line(x(gap.low), middle, x(gap.high), middle, "bar"),
        svg.line(x(gap.low), middle - 4, x(gap.low), middle + 4, "bar"),
        svg.line(x(gap.high), middle - 4, x(gap.high), middle + 4, "bar"),
        svg.circle(x(gap.mean), middle, 5, kind),
    ]
    chance = probability(each.p_holm).removeprefix("p = ").removeprefix("p ")
    if wide:
        return [
            svg.text(4, middle + 4, name, weight),
            svg.group(marks),
            svg.text(right + 12, middle + 4, _written(each)),
            svg.text(right + 202, middle + 4, chance, weight),
        ]
    return [
        svg.text(4, top + 14, name, weight),
        svg.text(right + 10, top + 14, f"{difference(gap.mean)}, {probability(each.p_holm)}", anchor="end"),
        svg.group(marks),
    ]


def _written(each: Difference) -> str:
    gap = each.difference
    return f"{difference(gap.mean)} ({range_of(gap.low, gap.high)})"
