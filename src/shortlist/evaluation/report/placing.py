"""Where does a label stand? Near its point, and covering no other label and no point."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

__all__ = ["Box", "Point", "leader", "place_labels"]

GAP = 4.0  # between a point's rim and its label
ROUNDS = 3
GRID = 6.0


@dataclass(frozen=True)
class Box:
    """Hold a rectangle in pixels, y downwards."""

    left: float
    top: float
    right: float
    bottom: float

    def overlaps(self, other: Box) -> bool:
        """Whether the two share any area."""
        return (
            self.left < other.right
            and other.left < self.right
            and self.top < other.bottom
            and other.top < self.bottom
        )

    def holds(self, other: Box) -> bool:
        """Whether ``other`` lies inside."""
        return (
            self.left <= other.left
            and self.top <= other.top
            and other.right <= self.right
            and other.bottom <= self.bottom
        )

    def nearest(self, x: float, y: float) -> tuple[float, float]:
        """Give the place inside that is nearest to ``(x, y)``."""
        return min(max(x, self.left), self.right), min(max(y, self.top), self.bottom)


@dataclass(frozen=True)
class Point:
    """Hold a mark of a plot with the size of its label."""

    x: float
    y: float
    radius: float
    label_width: float
    label_height: float

    @property
    def box(self) -> Box:
        """What the mark covers."""
        return Box(self.x - self.radius, self.y - self.radius, self.x + self.radius, self.y + self.radius)


def place_labels(points: Sequence[Point], area: Box, lines: Sequence[Box] = ()) -> list[Box]:
    """Give every point's label a place inside ``area``.

    Labels never cover each other or a point as long as the area has room for a column of them with half of it
    free; ``lines`` (error bars, pieces of a curve) they avoid where they can. Labels near their points come
    first; one that must stand farther off gets a :func:`leader`.
    """
    placed: list[Box | None] = [None] * len(points)
    for _ in range(ROUNDS):
        before = list(placed)
        for index, point in enumerate(points):
            others = [
                (points[other], box) for other, box in enumerate(placed) if box is not None and other != index
            ]
            placed[index] = _place(point, points, others, area, lines)
        if placed == before:
            break
    return [box for box in placed if box is not None]


def leader(point: Point, label: Box) -> tuple[tuple[float, float], tuple[float, float]] | None:
    """Give the ends of the line from a point's rim to its label, ``None`` where the label stands beside it."""
    x, y = label.nearest(point.x, point.y)
    distance = math.hypot(x - point.x, y - point.y)
    if distance <= point.radius + GAP + 3:
        return None
    share = (point.radius + 1) / distance
    return (point.x + share * (x - point.x), point.y + share * (y - point.y)), (x, y)


def _place(
    point: Point,
    points: Sequence[Point],
    others: Sequence[tuple[Point, Box]],
    area: Box,
    lines: Sequence[Box],
) -> Box:
    leaders = [line for other, box in others if (line := leader(other, box)) is not None]
    best, least = None, math.inf
    for cost, label in _candidates(point, area):
        if cost >= least:
            break
        if not area.holds(label) or any(label.overlaps(box) for _, box in others):
            continue
        if any(label.overlaps(other.box) for other in points):
            continue
        cost += 12 * sum(label.overlaps(line) for line in lines)
        cost += 40 * sum(_crosses(line, label) for line in leaders)
        own = leader(point, label)
        if own is not None:
            cost += 40 * sum(_crosses(own, box) for _, box in others)
            cost += 25 * sum(_crosses(own, other.box) for other in points if other != point)
        if cost < least:
            best, least = label, cost
    return best or _anywhere(point, others, area)


def _candidates(point: Point, area: Box) -> Iterator[tuple[float, Box]]:
    """Yield places by their cost: right, left, above, below, the corners, then ever wider rings."""
    width, height = point.label_width, point.label_height
    reach = point.radius + GAP
    beside = [
        (0.0, reach, -height / 2),
        (1.0, -reach - width, -height / 2),
        (2.0, -width / 2, -reach - height),
        (3.0, -width / 2, reach),
        (4.0, reach - 2, -reach - height + 3),
        (4.5, reach - 2, reach - 3),
        (5.0, -reach - width + 2, -reach - height + 3),
        (5.5, -reach - width + 2, reach - 3),
    ]
    for cost, left, top in beside:
        yield cost, _label(point, left, top)
    far = math.hypot(area.right - area.left, area.bottom - area.top)
    distance = reach + 8
    while distance < far:
        for step in range(24):
            x, y = math.cos(step * math.pi / 12), math.sin(step * math.pi / 12)
            left = x * distance - width * (1 - x) / 2
            top = y * distance - height * (1 - y) / 2
            yield 8 + distance, _label(point, left, top)
        distance += 7


def _label(point: Point, left: float, top: float) -> Box:
    return Box(
        point.x + left,
        point.y + top,
        point.x + left + point.label_width,
        point.y + top + point.label_height,
    )


def _anywhere(point: Point, others: Sequence[tuple[Point, Box]], area: Box) -> Box:
    """Look for the nearest place on a grid that covers no other label, points or not."""
    width, height = point.label_width, point.label_height
    best, least = Box(area.left, area.top, area.left + width, area.top + height), math.inf
    top = area.top
    while top + height <= area.bottom:
        left = area.left
        while left + width <= area.right:
            label = Box(left, top, left + width, top + height)
            x, y = label.nearest(point.x, point.y)
            distance = math.hypot(x - point.x, y - point.y)
            if distance < least and not any(label.overlaps(box) for _, box in others):
                best, least = label, distance
            left += GRID
        top += GRID
    return best


def _crosses(line: tuple[tuple[float, float], tuple[float, float]], box: Box) -> bool:
    """Whether a straight line passes through a box, looked at every few pixels."""
    (x1, y1), (x2, y2) = line
    steps = max(1, int(math.hypot(x2 - x1, y2 - y1) / 4))
    return any(
        box.left < x1 + (x2 - x1) * step / steps < box.right
        and box.top < y1 + (y2 - y1) * step / steps < box.bottom
        for step in range(steps + 1)
    )
