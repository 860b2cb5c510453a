"""Read pages and pictures as strictly as a browser is lenient."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Sequence
from html.parser import HTMLParser

from shortlist.evaluation.report.svg import BOLD, FONT_PX, text_width

VOID = {"meta", "line", "rect", "circle", "path"}
SPACE = "{http://www.w3.org/2000/svg}"


class Page(HTMLParser):
    """Collect elements, attributes and texts; every element must be closed, in order."""

    def __init__(self, markup: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str]] = []
        self.texts: list[str] = []
        self.feed(markup)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value or "") for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert tag in VOID
        self.handle_starttag(tag, attrs)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.texts.append(data)


Area = tuple[float, float, float, float]
"""Left, top, right, bottom."""


class Picture:
    """Read an SVG, from a page or a file: where its texts and shapes lie by their coordinates."""

    def __init__(self, markup: str) -> None:
        self.root = ET.fromstring(markup)
        view = self.root.attrib["viewBox"].split()
        self.width, self.height = float(view[2]), float(view[3])
        self.texts = [
            (element.text or "", _text_area(element.attrib, element.text or ""))
            for element in self._all("text")
        ]

    def _all(self, name: str) -> Sequence[ET.Element]:
        return [element for element in self.root.iter() if element.tag in (name, SPACE + name)]

    def marks(self) -> list[Area]:
        """Give the areas of circles and rectangles, the ground apart."""
        found = [
            (float(a["cx"]) - r, float(a["cy"]) - r, float(a["cx"]) + r, float(a["cy"]) + r)
            for a in (element.attrib for element in self._all("circle"))
            for r in [float(a["r"])]
        ]
        for element in self._all("rect"):
            a = element.attrib
            if a["class"] != "ground":
                x, y = float(a["x"]), float(a["y"])
                found.append((x, y, x + float(a["width"]), y + float(a["height"])))
        return found

    def areas(self) -> list[Area]:
        """Give the areas of all that is drawn."""
        lines = [
            (
                min(float(a["x1"]), float(a["x2"])),
                min(float(a["y1"]), float(a["y2"])),
                max(float(a["x1"]), float(a["x2"])),
                max(float(a["y1"]), float(a["y2"])),
            )
            for a in (element.attrib for element in self._all("line"))
        ]
        for element in self._all("path"):
            numbers = [float(each) for each in re.findall(r"-?[\d.]+", element.attrib["d"])]
            lines.append((min(numbers[::2]), min(numbers[1::2]), max(numbers[::2]), max(numbers[1::2])))
        return [*self.marks(), *lines, *(area for _, area in self.texts)]


def overlap(one: Area, other: Area) -> bool:
    return one[0] < other[2] and other[0] < one[2] and one[1] < other[3] and other[1] < one[3]


def pictures(page: str) -> list[str]:
    return re.findall(r"<svg .*?</svg>", page, re.DOTALL)


def _text_area(attributes: dict[str, str], content: str) -> Area:
    px = float(attributes.get("font-size", 11 if "stage-text" in attributes["class"] else FONT_PX))
    width = text_width(content, px) * (BOLD if attributes["class"] == "strong" and px == FONT_PX else 1)
    x, y = float(attributes["x"]), float(attributes["y"])
    left = x - width * {"start": 0.0, "middle": 0.5, "end": 1.0}[attributes.get("text-anchor", "start")]
    return left, y - 0.75 * px, left + width, y + 0.2 * px
