"""How a result reads on a terminal: title, passage with the matching words marked, scores, source."""

from __future__ import annotations

import os
import shutil
import sys
import textwrap
from dataclasses import dataclass
from typing import TextIO

from shortlist.cli.terminal import printable
from shortlist.collection import Analyzer
from shortlist.plain_text import counted
from shortlist.search import Result, name_of
from shortlist.types import Document, Hit

__all__ = ["Style", "one_line", "show_result", "snippet"]

SNIPPET_LINES = 3


@dataclass(frozen=True)
class Style:
    """Mark parts of a text; plain where the output is no terminal or ``NO_COLOR`` is set."""

    colour: bool
    width: int

    @classmethod
    def of(cls, stream: TextIO) -> Style:
        """Give the style that suits ``stream``."""
        colour = stream.isatty() and not os.environ.get("NO_COLOR") and os.environ.get("TERM") != "dumb"
        return cls(colour, max(20, min(shutil.get_terminal_size((100, 24)).columns, 110)))

    def bold(self, text: str) -> str:
        """Mark a title."""
        return f"\x1b[1m{text}\x1b[0m" if self.colour else text

    def mark(self, text: str) -> str:
        """Mark a word that matched."""
        return f"\x1b[1;33m{text}\x1b[0m" if self.colour else text

    def dim(self, text: str) -> str:
        """Set back what is not read first."""
        return f"\x1b[2m{text}\x1b[0m" if self.colour else text


def show_result(result: Result, analyzer: Analyzer, style: Style) -> None:
    """Print hits to stdout and how they were found to stderr."""
    terms = set(analyzer.terms(result.query))
    for hit, document in result:
        _show_hit(hit, document, terms, analyzer, style)
    steps = ", ".join(
        f"{name} {value:.1f}"
        for name, value in result.timings_ms.items()
        if name != "total" and value >= 0.05
    )
    count = len(result.ranking)
    found = counted(count, "document") if count else "nothing found"
    if result.truncated_tokens:
        cut = counted(result.truncated_tokens, "token")
        print(f"the query is {cut} longer than the model reads; words were compared in full", file=sys.stderr)
    if result.judge_truncated_tokens:
        cut = counted(result.judge_truncated_tokens, "token")
        print(f"{cut} of what the judge was given are beyond what it reads", file=sys.stderr)
    print(
        f"{found} · {name_of(result.pipeline)} · {result.timings_ms['total']:.1f} ms ({steps})",
        file=sys.stderr,
    )


def _show_hit(hit: Hit, document: Document, terms: set[str], analyzer: Analyzer, style: Style) -> None:
    title = one_line(document.title) or one_line(document.doc_id)
    print(f"{hit.rank:>3}  {style.bold(_marked(title, terms, analyzer, style))}")
    span = document.text[hit.span.start : hit.span.end] if hit.span else document.text
    room = (style.width - 6) * SNIPPET_LINES
    for line in textwrap.wrap(snippet(one_line(span), terms, analyzer, room), style.width - 5):
        print(f"     {_marked(line, terms, analyzer, style)}")
    stages = "  ".join(f"{name} {score:.3g}" for name, score in hit.stages.items())
    print(f"     {style.dim(f'{hit.score:.9g}   {stages}   {one_line(document.doc_id)}')}")
    print()


def snippet(text: str, terms: set[str], analyzer: Analyzer, room: int) -> str:
    """Cut the part of ``text`` with the most different matching words, about ``room`` characters long."""
    if len(text) <= room:
        return text
    matches = [(start, end, term) for term, start, end in analyzer.words(text) if term in terms]
    best, begin = -1, 0
    for start, _, _ in matches or [(0, 0, "")]:
        left = max(0, start - room // 5)
        inside = len({term for s, e, term in matches if s >= left and e <= left + room})
        if inside > best:
            best, begin = inside, left
    if begin:
        sentence = text.rfind(". ", max(0, begin - room // 4), begin + room // 5)
        space = text.find(" ", begin, begin + room // 5)
        begin = next((found for found in (sentence + 2, space + 1) if found > 1), begin)
    end = len(text)
    if begin + room < end:
        space = text.rfind(" ", begin + room // 2, begin + room - 2)
        end = space if space > 0 else begin + room - 2
    return f"{'… ' if begin else ''}{text[begin:end]}{' …' if end < len(text) else ''}"


def _marked(text: str, terms: set[str], analyzer: Analyzer, style: Style) -> str:
    pieces, last = [], 0
    for term, start, end in analyzer.words(text):
        if term in terms:
            pieces += [text[last:start], style.mark(text[start:end])]
            last = end
    return "".join([*pieces, text[last:]])


def one_line(text: str) -> str:
    """Make one line of a text, without what could steer a terminal."""
    return " ".join(printable(text).split())
