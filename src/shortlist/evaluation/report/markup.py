"""How is a page written so that no text can become markup? Elements from texts that are escaped here, once."""

from __future__ import annotations

from collections.abc import Sequence
from html import escape

from shortlist.evaluation.report.wording import plain

__all__ = ["cell", "code", "figure", "fold", "foreign", "prose", "section", "table"]


def prose(text: str) -> str:
    """Write a text of ours or of the user's: one line, escaped."""
    return escape(plain(text))


def foreign(text: str) -> str:
    """Write a text from data, whose direction of writing stays its own."""
    return f'<bdi dir="auto">{prose(text)}</bdi>'


def code(text: str) -> str:
    """Write a name that one types."""
    return f"<code>{prose(text)}</code>"


def cell(markup: str, kind: str = "") -> str:
    """Make a cell of a table's body."""
    return f'<td class="{kind}">{markup}</td>' if kind else f"<td>{markup}</td>"


def table(caption: str, head: Sequence[str], rows: Sequence[Sequence[str]], kind: str = "") -> str:
    """Make a table in a box of its own that scrolls; of a row the first is its head, the others are cells.

    ``caption`` is a text, ``head`` and ``rows`` are markup.
    """
    columns = "".join(f'<th scope="col">{each}</th>' for each in head)
    body = "".join(f'<tr><th scope="row">{first}</th>{"".join(cells)}</tr>' for first, *cells in rows)
    label = prose(caption)
    return (
        f'<div class="scroll" role="region" tabindex="0" aria-label="{label}"><table class="{kind}">'
        f"<caption>{label}</caption><thead><tr>{columns}</tr></thead><tbody>{body}</tbody></table></div>"
    )


def figure(wide: str, narrow: str, caption: str) -> str:
    """Show a picture in two versions, for a desk and for a phone; ``caption`` is markup."""
    return f"<figure>{wide}{narrow}<figcaption>{caption}</figcaption></figure>"


def fold(summary: str, markup: str, *, is_open: bool = False) -> str:
    """Hold something back until it is asked for; ``summary`` is markup. Paper shows it always."""
    return f"<details{' open' if is_open else ''}><summary>{summary}</summary>{markup}</details>"


def section(anchor: str, heading: str, markup: str) -> str:
    """Make a part of the page with its heading."""
    return f'<section id="{anchor}"><h2>{prose(heading)}</h2>{markup}</section>'
