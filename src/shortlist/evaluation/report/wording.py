"""How are numbers and names written for people? Rounding, units, and texts without what could steer a reader."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence

from shortlist.evaluation.results import Finding
from shortlist.plain_text import counted, number, printable, size

__all__ = [
    "NAME_LETTERS",
    "columns",
    "counted",
    "cut",
    "difference",
    "finding_text",
    "listed",
    "number",
    "plain",
    "probability",
    "quality",
    "range_of",
    "short_names",
    "size",
]

MOST_EXAMPLES = 3  # of a finding
NAME_LETTERS = 40
"""How long a pipeline's name may be in sentences and tables."""

_NOT_IN_XML = re.compile("[\ud800-\udfff\ufffe\uffff]")


def plain(text: str) -> str:
    r"""Make one line of a text, with a space for what could steer what is around it and for what XML can't hold.

    >>> plain("a\x1b[31m\u202eb\n c")
    'a [31m b c'
    """
    return " ".join(_NOT_IN_XML.sub(" ", printable(text)).split())


def cut(text: str, most: int) -> str:
    """Shorten a text to ``most`` characters, the last of them an ellipsis.

    >>> cut("rerank(bm25, maxsim)", 10)
    'rerank(bm…'
    """
    return text if len(text) <= most else f"{text[: most - 1].rstrip()}…"


def short_names(names: Sequence[str], most: int = NAME_LETTERS) -> dict[str, str]:
    """Give each name in at most ``most`` letters; one that is cut starts with its place among them, from 1.

    >>> short_names(["bm25", "fuse(bm25, dense)"], 12)
    {'bm25': 'bm25', 'fuse(bm25, dense)': '2 fuse(bm25…'}
    """
    return {
        name: plain(name) if len(plain(name)) <= most else cut(f"{place} {plain(name)}", most)
        for place, name in enumerate(names, start=1)
    }


def finding_text(finding: Finding) -> str:
    """Write what a rule found, with up to three examples.

    >>> finding_text(Finding("self-hits", 4, "queries that are documents", ("q1", "q2", "q3")))
    'self-hits (4): queries that are documents (q1, q2, q3, …)'
    """
    shown = [plain(example) for example in finding.examples[:MOST_EXAMPLES]]
    more = ", …" if finding.count > len(shown) else ""
    also = f" ({', '.join(shown)}{more})" if shown else ""
    return f"{plain(finding.rule)} ({finding.count:,}): {plain(finding.message)}{also}"


def columns(text: str) -> int:
    """Count the columns of a terminal that a text takes.

    >>> columns("bm25"), columns("検索")
    (4, 4)
    """
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def listed(words: Sequence[str]) -> str:
    """Join words as a sentence does.

    >>> listed(["bm25", "dense", "late"])
    'bm25, dense and late'
    """
    return " and ".join(filter(None, [", ".join(words[:-1]), *words[-1:]]))


def quality(value: float) -> str:
    """Write a measure's value.

    >>> quality(0.61249)
    '0.612'
    """
    return _unsigned_zero(f"{value:.3f}")


def difference(value: float) -> str:
    """Write how far a measure's value lies from another.

    >>> difference(0.1034), difference(-0.02), difference(-0.0001)
    ('+0.103', '−0.020', '0.000')
    """
    return _unsigned_zero(f"{value:+.3f}").replace("-", "−")


def range_of(low: float, high: float) -> str:
    """Write the ends of an interval.

    >>> range_of(0.5, 0.75), range_of(-0.1, 0.1)
    ('0.500 to 0.750', '−0.100 to 0.100')
    """
    return f"{quality(low)} to {quality(high)}".replace("-", "−")


def probability(p: float) -> str:
    """Write a p-value with its sign.

    >>> probability(0.0123), probability(0.00005)
    ('p = 0.012', 'p < 0.001')
    """
    return "p < 0.001" if p < 0.001 else f"p = {p:.3f}"


def _unsigned_zero(text: str) -> str:
    return text if text.strip("+-0.") else text.lstrip("+-")
