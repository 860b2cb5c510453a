"""Draw how long searches take as a collection grows, from what growth.py measured."""

from __future__ import annotations

from collections.abc import Mapping
from itertools import pairwise
from typing import Any

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.placing import Box
from shortlist.evaluation.report.scales import logarithmic

__all__ = ["growth_plot"]

SHOWN = ("bm25", "dense", "dense, signs first", "late", "hybrid+late", "hybrid+late, signs first")
WIDTH, HEIGHT = 760.0, 420.0
LEFT, RIGHT, TOP, BOTTOM = 56.0, 220.0, 78.0, 52.0
RADIUS, LABEL_HEIGHT = 4.0, 17.0


def growth_plot(record: Mapping[str, Any], threads: str = "ms, 2 threads") -> str:
    """Draw the median of every pipeline's searches against the number of passages, both logarithmic, as an SVG file."""
    sizes = record["results"]
    counts = [int(size.replace(",", "")) for size in sizes]
    times = {name: [found[threads][name]["p50_ms"] for found in sizes.values()] for name in SHOWN}
    frame = Box(LEFT, TOP, WIDTH - RIGHT, HEIGHT - BOTTOM)
    x = logarithmic(counts, frame.left + 14, frame.right - 14, most_ticks=4)
    every = [value for each in times.values() for value in each]
    y = logarithmic(every, frame.bottom - 10, frame.top + 10)
    elements = [
        svg.text(24, 26, "Median time of a search as a collection grows", "strong", px=15),
        svg.text(24, 46, f"ms, {threads.removeprefix('ms, ')}, encoding included", "muted"),
        svg.text(24, 63, record["machine"], "muted", px=10),
    ]
    for tick in y.ticks:
        elements.append(svg.line(frame.left, y(tick), frame.right, y(tick), "grid"))
        elements.append(svg.text(frame.left - 7, y(tick) + 4, f"{tick:g}", "muted", anchor="end"))
    elements.append(svg.line(frame.left, frame.bottom, frame.right, frame.bottom, "zero"))
    elements += svg.ticks([(x(count), f"{count:,}") for count in counts], frame.bottom + 18, WIDTH)
    elements.append(svg.text(frame.right, frame.bottom + 40, "passages (log scale)", "muted", anchor="end"))
    ends = []
    for stage, (name, values) in enumerate(times.items(), start=1):
        places = [(x(count), y(value)) for count, value in zip(counts, values, strict=True)]
        elements += [svg.line(*one, *other, "leader") for one, other in pairwise(places)]
        elements += [
            svg.group(
                [svg.circle(*place, RADIUS, f"stage-{stage}")], f"{name}, {count:,} passages: {value:.1f} ms"
            )
            for place, count, value in zip(places, counts, values, strict=True)
        ]
        ends.append((places[-1], stage, name))
    lowest = frame.top - LABEL_HEIGHT
    for (at, height), stage, name in sorted(ends, key=lambda end: end[0][1]):
        lowest = max(height, lowest + LABEL_HEIGHT)
        elements.append(svg.line(at + RADIUS + 2, height, frame.right + 20, lowest, "grid"))
        elements.append(svg.circle(frame.right + 26, lowest, RADIUS, f"stage-{stage}"))
        elements.append(svg.text(frame.right + 35, lowest + 4, name))
    said = "; ".join(
        f"{name}: " + ", ".join(f"{value:.1f}" for value in values) for name, values in times.items()
    )
    drawn = svg.picture(
        elements, WIDTH, HEIGHT,
        name="growth", title="Median time of a search as a collection grows",
        description=f"Milliseconds at {', '.join(sizes)} passages. {said}.",
    )  # fmt: skip
    return svg.standalone(drawn, WIDTH, HEIGHT)
