"""How is a picture written? Elements of SVG with classes, and the rules that colour them in light and dark."""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from html import escape

from shortlist.evaluation.report.palette import DARK, LIGHT, Palette, ink_on
from shortlist.evaluation.report.wording import cut, plain
from shortlist.evaluation.results import Comparison

__all__ = [
    "BOLD",
    "FONT_PX",
    "box",
    "circle",
    "fitted",
    "group",
    "labels",
    "line",
    "path",
    "picture",
    "standalone",
    "style",
    "text",
    "text_width",
    "ticks",
]

FONT_PX = 12.5
BOLD = 1.12  # how much wider bold letters are
GAP = 6.0  # between values at an axis
FONTS = "system-ui, -apple-system, 'Segoe UI', Roboto, 'Helvetica Neue', 'DejaVu Sans', sans-serif"

_WIDTHS = dict.fromkeys("ijl.,:;'|! ", 0.36) | dict.fromkeys('frt()[]-"/', 0.44)
_WIDTHS |= dict.fromkeys("mwMWQOG@%+=<>−…", 0.98)


def text_width(content: str, px: float = FONT_PX) -> float:
    """Estimate the width of a text, on the safe side: as wide as in DejaVu Sans, wider than in most fonts."""
    return px * sum(_letter_width(letter) for letter in content)


def _letter_width(letter: str) -> float:
    if letter in _WIDTHS:
        return _WIDTHS[letter]
    if unicodedata.combining(letter):
        return 0.0
    if unicodedata.east_asian_width(letter) in "WF":
        return 1.05
    return 0.76 if letter.isupper() or not letter.isascii() else 0.645


def fitted(content: str, room: float, px: float = FONT_PX) -> str:
    """Shorten a text until it is at most ``room`` pixels wide, bold or not.

    >>> fitted("bm25", 60), fitted("rerank(bm25, maxsim)", 80)
    ('bm25', 'rerank(b…')
    """
    content = plain(content)
    length = len(content)
    while length > 1 and text_width(cut(content, length), px) * BOLD > room:
        length -= 1
    return cut(content, length)


def labels(comparison: Comparison, room: float) -> dict[str, str]:
    """Give each system's name as it labels pictures; one that is cut starts with its place, from 1."""
    return {
        system.name: plain(system.name)
        if text_width(plain(system.name)) * BOLD <= room
        else fitted(f"{place} {system.name}", room)
        for place, system in enumerate(comparison.systems, start=1)
    }


def ticks(places: Iterable[tuple[float, str]], y: float, right: float) -> list[str]:
    """Write values at an axis, from 0 to ``right``; one that would touch another is left out."""
    elements, taken = [], -GAP
    for x, content in sorted(places):
        half = text_width(content) / 2
        middle = min(max(x, half), right - half)
        if middle - half >= taken + GAP:
            elements.append(text(middle, y, content, "muted", anchor="middle"))
            taken = middle + half
    return elements


def text(
    x: float, y: float, content: str, kind: str = "ink", *, anchor: str = "start", px: float = FONT_PX
) -> str:
    """Write a text with its base line at ``y``; ``anchor`` is what stands at ``x``: start, middle or end."""
    size = f' font-size="{px:g}"' if px != FONT_PX else ""
    side = f' text-anchor="{anchor}"' if anchor != "start" else ""
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}"{side}{size}>{escape(plain(content))}</text>'


def line(x1: float, y1: float, x2: float, y2: float, kind: str) -> str:
    """Draw a straight line."""
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def box(x: float, y: float, width: float, height: float, kind: str) -> str:
    """Draw a rectangle."""
    return f'<rect class="{kind}" x="{x:.1f}" y="{y:.1f}" width="{width:.1f}" height="{height:.1f}"/>'


def circle(x: float, y: float, radius: float, kind: str) -> str:
    """Draw a circle."""
    return f'<circle class="{kind}" cx="{x:.1f}" cy="{y:.1f}" r="{radius:g}"/>'


def path(points: Iterable[tuple[float, float]], kind: str) -> str:
    """Draw a line through points."""
    return f'<path class="{kind}" d="M{" L".join(f"{x:.1f} {y:.1f}" for x, y in points)}"/>'


def group(elements: Iterable[str], title: str = "") -> str:
    """Hold elements together; a pointer that rests on them shows the title."""
    shown = f"<title>{escape(plain(title))}</title>" if title else ""
    return f"<g>{shown}{''.join(elements)}</g>"


def picture(
    elements: Iterable[str],
    width: float,
    height: float,
    *,
    name: str,
    title: str,
    description: str,
    kind: str = "",
) -> str:
    """Make an ``svg`` element of a page; ``name`` is unique in it, title and description are read aloud."""
    return (
        f'<svg class="chart {kind}" viewBox="0 0 {width:g} {height:g}" width="{width:g}" height="{height:g}" '
        f'role="img" aria-labelledby="{name}-title {name}-desc">'
        f'<title id="{name}-title">{escape(plain(title))}</title>'
        f'<desc id="{name}-desc">{escape(plain(description))}</desc>{"".join(elements)}</svg>'
    )


def standalone(drawn: str, width: float, height: float) -> str:
    """Make a file of a ``picture``: with its own background and colours, dark where the reader's system is."""
    ground = f'<rect class="ground" width="{width:g}" height="{height:g}" rx="6"/>'
    head, rest = drawn.split("</desc>", 1)
    head = head.replace("<svg ", '<svg xmlns="http://www.w3.org/2000/svg" ', 1)
    return f"{head}</desc><style>{style()}</style>{ground}{rest}\n"


def style() -> str:
    """Give the rules for all pictures: light, and dark on a screen whose reader prefers it."""
    fixed = (
        f".chart{{font:{FONT_PX}px {FONTS};font-variant-numeric:tabular-nums}}"
        ".chart .front,.chart .bar,.chart .grid,.chart .zero,.chart .leader{fill:none}"
        ".chart .front{stroke-width:2.5;stroke-opacity:.45}.chart .bar{stroke-width:1.25}.chart .grid{stroke-width:1}"
        ".chart .zero{stroke-width:1.25}.chart .leader{stroke-width:.75}"
        ".chart .full,.chart .hollow{stroke-width:1.75}"
        ".chart .strong{font-weight:600}"
        ".chart .ink,.chart .strong,.chart .muted{paint-order:stroke;stroke-width:3px;stroke-linejoin:round}"
        ".chart .stage-text{font-size:11px}"
    )
    return f"{fixed}{_colours(LIGHT)}@media screen and (prefers-color-scheme:dark){{{_colours(DARK)}}}"


def _colours(palette: Palette) -> str:
    rules = [
        f".chart .ground{{fill:{palette.paper}}}",
        f".chart .ink,.chart .strong{{fill:{palette.ink};stroke:{palette.paper}}}",
        f".chart .muted{{fill:{palette.muted};stroke:{palette.paper}}}",
        f".chart .grid{{stroke:{palette.line}}}",
        f".chart .zero,.chart .leader,.chart .bar{{stroke:{palette.muted}}}",
        f".chart .front{{stroke:{palette.accent}}}",
        f".chart .full{{fill:{palette.accent};stroke:{palette.accent}}}",
        f".chart .hollow{{fill:{palette.paper};stroke:{palette.muted}}}",
    ]
    for place, fill in enumerate(palette.stages):
        rules.append(f".chart .stage-{place}{{fill:{fill}}}.chart .on-{place}{{fill:{ink_on(fill)}}}")
    return "".join(rules)
