"""Where does a search spend its time? One bar a pipeline, stacked of the medians of its stages."""

from __future__ import annotations

from collections.abc import Mapping

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.palette import LIGHT
from shortlist.evaluation.report.scales import Scale, linear
from shortlist.evaluation.report.verdict import best_first
from shortlist.evaluation.report.wording import number, plain
from shortlist.evaluation.results import Comparison, Latency

__all__ = ["stage_bars", "stage_names"]

MOST = len(LIGHT.stages)
OTHERS = "other stages"
ROW, TALL_ROW, BAR, BOTTOM = 30.0, 44.0, 17.0, 44.0
LEGEND_ROW = 20.0
LEGEND_ROOM = 240.0
WIDE = 600.0


def stage_names(comparison: Comparison) -> list[str]:
    """Give the stages of all systems, in the order in which they first occur."""
    return list(dict.fromkeys(name for system in comparison.systems for name in system.latency.stages))


def stage_bars(comparison: Comparison, *, width: float, name: str, kind: str = "") -> str:
    """Draw the stages' medians one after the other, and the p95 of the whole, as an ``svg`` element of a page.

    Beyond eight stages the shortest are drawn as one.
    """
    systems = best_first(comparison)
    stages = _colours(comparison)
    wide = width >= WIDE
    row = ROW if wide else TALL_ROW
    left, right = (170.0, width - 96.0) if wide else (6.0, width - 12.0)
    legend, top = _legend(stages, width)
    ends = [0.0]
    for system in systems:
        ends += [system.latency.p50_ms, system.latency.p95_ms, sum(_medians(system.latency, stages).values())]
    x = linear(ends, left, right, most_ticks=6 if wide else 4)
    bottom = top + row * len(systems)
    elements = [*legend, *_axis(x, top, bottom, width)]
    shown = svg.labels(comparison, left - 12 if wide else width - 110)
    for place, system in enumerate(systems):
        elements += _row(shown[system.name], system.latency, stages, x, top + row * place, wide, width)
    said = [
        f"{plain(system.name)} p50 {number(system.latency.p50_ms)} ms, p95 {number(system.latency.p95_ms)} ms"
        for system in systems
    ]
    return svg.picture(
        elements,
        width,
        bottom + BOTTOM,
        name=name,
        title="Latency by stage",
        description=f"{'; '.join(said)}. The table below has every stage.",
        kind=kind,
    )


def _colours(comparison: Comparison) -> dict[str, int]:
    """Give each stage the place of its colour; if there are more than colours the shortest share the last."""
    names = stage_names(comparison)
    longest = {
        name: max(system.latency.stages.get(name, (0.0, 0.0))[0] for system in comparison.systems)
        for name in names
    }
    own = names if len(names) <= MOST else sorted(names, key=lambda name: -longest[name])[: MOST - 1]
    shown = [name for name in names if name in own]
    return {name: shown.index(name) if name in shown else MOST - 1 for name in names}


def _medians(latency: Latency, stages: Mapping[str, int]) -> dict[int, float]:
    """Add up the medians of a search by colour, in the order of the colours."""
    found: dict[int, float] = {}
    for stage, place in stages.items():
        if stage in latency.stages:
            found[place] = found.get(place, 0.0) + latency.stages[stage][0]
    return found


def _names(stages: Mapping[str, int]) -> dict[int, str]:
    names: dict[int, str] = {}
    for stage, place in stages.items():
        names[place] = OTHERS if place in names else svg.fitted(stage, LEGEND_ROOM)
    return names


def _legend(stages: Mapping[str, int], width: float) -> tuple[list[str], float]:
    """Write the stages beside their colours, in as many lines as they need; also give where the bars begin."""
    elements, x, y = [], 4.0, 14.0
    entries = [(f"stage-{place}", name) for place, name in _names(stages).items()]
    for kind, name in [*entries, ("", "p95 of the whole")]:
        needed = 20 + svg.text_width(name) + 14
        if x + needed > width and x > 4:
            x, y = 4.0, y + LEGEND_ROW
        if kind:
            elements.append(svg.box(x, y - 10, 12, 12, kind))
        else:
            elements += _whisker(x, x + 13, y - 4)
        elements.append(svg.text(x + 18, y, name, "muted"))
        x += needed
    return elements, y + 16


def _axis(x: Scale, top: float, bottom: float, width: float) -> list[str]:
    lines = [svg.line(x(tick), top, x(tick), bottom, "grid" if tick else "zero") for tick in x.ticks]
    values = [(x(tick), f"{tick:,.10g}") for tick in x.ticks]
    unit = svg.text(x.end, bottom + 34, "milliseconds", "muted", anchor="end")
    return [*lines, *svg.ticks(values, bottom + 16, width), unit]


def _row(
    name: str,
    latency: Latency,
    stages: Mapping[str, int],
    x: Scale,
    top: float,
    wide: bool,
    width: float,
) -> list[str]:
    bar_top = top + (6 if wide else 22)
    middle = bar_top + BAR / 2
    names, medians, at = _names(stages), _medians(latency, stages), 0.0
    elements = _whisker(x(sum(medians.values())), x(latency.p95_ms), middle)
    for place, median in medians.items():
        begin, end = x(at), x(at + median)
        at += median
        if end - begin < 0.3:
            continue
        gap = 1.0 if end - begin > 3 else 0.0
        elements.append(svg.box(begin, bar_top, end - begin - gap, BAR, f"stage-{place}"))
        if svg.text_width(names[place], 11) + 8 < end - begin:
            elements.append(svg.text(begin + 4, middle + 4, names[place], f"on-{place} stage-text"))
    total = f"{number(latency.p50_ms)} ms"
    if wide:
        return [
            svg.text(4, middle + 4, name),
            *elements,
            svg.text(width - 4, middle + 4, total, anchor="end"),
        ]
    return [svg.text(12, top + 16, name), svg.text(width - 4, top + 16, total, anchor="end"), *elements]


def _whisker(begin: float, end: float, y: float) -> list[str]:
    return [svg.line(begin, y, end, y, "bar"), svg.line(end, y - 4, end, y + 4, "bar")]
