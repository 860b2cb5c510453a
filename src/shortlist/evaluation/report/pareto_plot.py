"""What does quality cost? Each pipeline as a point, quality against latency or bytes, with the Pareto front."""

from __future__ import annotations

from itertools import pairwise

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.placing import Box, Point, leader, place_labels
from shortlist.evaluation.report.scales import Scale, linear, logarithmic
from shortlist.evaluation.report.verdict import front
from shortlist.evaluation.report.wording import number, plain, quality, range_of, size
from shortlist.evaluation.results import Comparison, System

__all__ = ["pareto_plot", "plot_svg"]

TITLES = {"latency": "median latency of a search", "bytes": "bytes of index a document"}
LABEL_HEIGHT = 15.0
LABEL_SHARE = 0.55  # of the width
RADIUS = 5.0
INSET = 10.0
LEFT, RIGHT, TOP, BOTTOM = 48.0, 14.0, 28.0, 62.0


def plot_svg(comparison: Comparison, against: str = "latency") -> str:
    """Draw quality against ``latency`` or ``bytes`` as an SVG file that stands alone, as in a README.

    It has its own background, and follows the reader's light or dark setting.

    Raises:
        ValueError: ``against`` is something else.
    """
    width, height = 760.0, max(420.0, _least_height(comparison))
    drawn = pareto_plot(comparison, against, width=width, height=height, name=f"plot-{against}", heading=True)
    return svg.standalone(drawn, width, height)


def pareto_plot(
    comparison: Comparison,
    against: str,
    *,
    width: float,
    height: float = 360.0,
    name: str,
    heading: bool = False,
    kind: str = "",
) -> str:
    """Draw quality with its interval against the logarithm of a cost as an ``svg`` element of a page.

    Points on the front are full and joined by a step line, dominated ones hollow, the baseline is a square. The
    height grows where many labels need it.

    Raises:
        ValueError: ``against`` is neither ``latency`` nor ``bytes``.
    """
    if against not in TITLES:
        raise ValueError(f"against must be one of {', '.join(TITLES)}, not {against!r}")
    measure = comparison.measures[0]
    height = max(height, _least_height(comparison))
    top = TOP + (30 if heading else 0)
    frame = Box(LEFT, top, width - RIGHT, height - BOTTOM)
    intervals = [system.intervals[measure] for system in comparison.systems]
    ends = [value for each in intervals for value in (each.low, each.mean, each.high)]
    y = linear(ends, frame.bottom - INSET, frame.top + INSET, limits=(0.0, 1.0))
    costs = [_cost(system, against) for system in comparison.systems]
    x = logarithmic(
        costs, frame.left + INSET + 6, frame.right - INSET - 6, most_ticks=max(3, int(width / 75))
    )
    names = front(comparison, against)
    corners = _corners(comparison, names, against, x, y)
    title = f"{plain(measure)} against {TITLES[against]}"
    elements = [
        *(
            [
                svg.text(
                    LEFT - 32,
                    26,
                    svg.fitted(f"{title}, {comparison.source}", width - 32, 15),
                    "strong",
                    px=15,
                )
            ]
            if heading
            else []
        ),
        *_axes(frame, x, y, measure, against),
        svg.path([*corners, (frame.right, corners[-1][1])], "front"),
        *_points(comparison, names, against, frame, corners, x, y),
        *_legend(comparison, names, frame, height),
    ]
    return svg.picture(
        elements,
        width,
        height,
        name=name,
        title=title,
        description=_description(comparison, names, against),
        kind=kind,
    )


def _least_height(comparison: Comparison) -> float:
    return TOP + BOTTOM + 30 + 2 * INSET + 2 * LABEL_HEIGHT * len(comparison.systems)


def _cost(system: System, against: str) -> float:
    return system.latency.p50_ms if against == "latency" else system.costs.total_bytes


def _written(cost: float, against: str) -> str:
    return f"{number(cost)} ms" if against == "latency" else size(cost)


def _tick(value: float, against: str) -> str:
    """Write a round value without the zeros that significant digits would add."""
    if against == "bytes":
        count, unit = size(value).split(" ")
        return f"{count.rstrip('0').rstrip('.') if '.' in count else count} {unit}"
    return f"{value:,.0f}" if 1 <= value < 1e9 else f"{value:g}"


def _axes(frame: Box, x: Scale, y: Scale, measure: str, against: str) -> list[str]:
    elements = [svg.text(frame.left - 32, frame.top - 10, f"{measure}, higher is better", "muted")]
    decimals = max((len(f"{tick:.6f}".rstrip("0").split(".")[1]) for tick in y.ticks), default=2)
    for tick in y.ticks:
        elements.append(svg.line(frame.left, y(tick), frame.right, y(tick), "grid"))
        written = f"{tick + 0.0:.{max(1, decimals)}f}"
        elements.append(svg.text(frame.left - 7, y(tick) + 4, written, "muted", anchor="end"))
    elements += [svg.line(x(tick), frame.bottom, x(tick), frame.bottom + 4, "zero") for tick in x.ticks]
    values = [(x(tick), _tick(tick, against)) for tick in x.ticks]
    elements += svg.ticks(values, frame.bottom + 18, frame.right + RIGHT)
    elements.append(svg.line(frame.left, frame.bottom, frame.right, frame.bottom, "zero"))
    unit = "p50 latency, ms" if against == "latency" else "index bytes a document"
    elements.append(svg.text(frame.right, frame.bottom + 36, f"{unit} (log scale)", "muted", anchor="end"))
    return elements


def _corners(
    comparison: Comparison, names: list[str], against: str, x: Scale, y: Scale
) -> list[tuple[float, float]]:
    """Give the corners of the best quality that each cost buys: level until the next point, then up."""
    measure = comparison.measures[0]
    corners: list[tuple[float, float]] = []
    for name in names:
        system = comparison.system(name)
        at, up = x(_cost(system, against)), y(system.intervals[measure].mean)
        corners += [(at, corners[-1][1] if corners else up), (at, up)]
    return corners


def _points(
    comparison: Comparison,
    names: list[str],
    against: str,
    frame: Box,
    corners: list[tuple[float, float]],
    x: Scale,
    y: Scale,
) -> list[str]:
    measure = comparison.measures[0]
    shown = svg.labels(comparison, (frame.right - frame.left) * LABEL_SHARE)
    points = []
    lines = [
        Box(min(x1, x2) - 1, min(y1, y2) - 1, max(x1, x2) + 1, max(y1, y2) + 1)
        for (x1, y1), (x2, y2) in pairwise([*corners, (frame.right, corners[-1][1])])
    ]
    for system in comparison.systems:
        interval = system.intervals[measure]
        at = x(_cost(system, against))
        width = svg.text_width(shown[system.name]) * (svg.BOLD if system.name in names else 1) + 2
        points.append(Point(at, y(interval.mean), RADIUS, width, LABEL_HEIGHT))
        lines.append(Box(at - 2, y(interval.high), at + 2, y(interval.low)))
    order = sorted(range(len(points)), key=lambda place: (points[place].x, points[place].y))
    placed = dict(zip(order, place_labels([points[place] for place in order], frame, lines), strict=True))
    errors, marks, words = [], [], []
    for place, system in enumerate(comparison.systems):
        interval, point, label = system.intervals[measure], points[place], placed[place]
        top, bottom = y(interval.high), y(interval.low)
        errors += [
            svg.line(point.x, top, point.x, bottom, "bar"),
            svg.line(point.x - 3, top, point.x + 3, top, "bar"),
            svg.line(point.x - 3, bottom, point.x + 3, bottom, "bar"),
        ]
        kind = "full" if system.name in names else "hollow"
        said = (
            f"{plain(system.name)}: {quality(interval.mean)} ({range_of(interval.low, interval.high)}), "
            f"{_written(_cost(system, against), against)}"
        )
        if (line := leader(point, label)) is not None:
            words.append(svg.line(*line[0], *line[1], "leader"))
        marks.append(svg.group([_mark(point.x, point.y, kind, system.name == comparison.baseline)], said))
        weight = "strong" if kind == "full" else "ink"
        words.append(svg.text(label.left + 1, label.bottom - 3.5, shown[system.name], weight))
    return [*errors, *marks, *words]


def _mark(x: float, y: float, kind: str, is_baseline: bool) -> str:
    if is_baseline:
        return svg.box(x - RADIUS + 0.5, y - RADIUS + 0.5, 2 * RADIUS - 1, 2 * RADIUS - 1, kind)
    return svg.circle(x, y, RADIUS, kind)


def _legend(comparison: Comparison, names: list[str], frame: Box, height: float) -> list[str]:
    y = height - 10
    elements = [
        svg.circle(frame.left - 26, y - 4, 4, "full"),
        svg.text(frame.left - 17, y, "on the front", "muted"),
        svg.circle(frame.left + 72, y - 4, 4, "hollow"),
        svg.text(frame.left + 81, y, "dominated", "muted"),
    ]
    kind = "full" if comparison.baseline in names else "hollow"
    return [
        *elements,
        svg.box(frame.left + 160, y - 8, 8, 8, kind),
        svg.text(frame.left + 173, y, "baseline", "muted"),
    ]


def _description(comparison: Comparison, names: list[str], against: str) -> str:
    measure = comparison.measures[0]
    said = [
        f"{plain(system.name)} {quality(system.intervals[measure].mean)} at "
        f"{_written(_cost(system, against), against)}"
        f"{'' if system.name in names else ' (dominated)'}"
        for system in comparison.systems
    ]
    return f"{'; '.join(said)}. Vertical bars are intervals of the mean."
