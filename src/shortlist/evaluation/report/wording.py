"""How are numbers and names written for people? Rounding, units, and texts without what could steer a reader."""

from __future__ import annotations

import math
import re
import unicodedata
from collections.abc import Sequence

__all__ = [
    "NAME_LETTERS",
    "columns",
    "counted",
    "cut",
    "difference",
    "listed",
    "number",
    "plain",
    "probability",
    "quality",
    "range_of",
    "short_names",
    "size",
]

NAME_LETTERS = 40
"""How long a pipeline's name may be in sentences and tables."""

# Controls, marks that turn the direction of writing, line separators, and what XML can't hold.
_STEERING = re.compile(
    "[\x00-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff\ufffe\uffff]+"
)


def plain(text: str) -> str:
    r"""Make one line of a text, with a space for every run of characters that could steer what is around it.

    >>> plain("a\x1b[31m\u202eb\n c")
    'a [31m b c'
    """
    return " ".join(_STEERING.sub(" ", text).split())


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


def columns(text: str) -> int:
    """Count the columns of a terminal that a text takes.

    >>> columns("bm25"), columns("検索")
    (4, 4)
    """
    return sum(
        0 if unicodedata.combining(letter) else 1 + (unicodedata.east_asian_width(letter) in "WF")
        for letter in text
    )


def counted(count: int, one: str, many: str) -> str:
    """Write a count with its noun.

    >>> counted(1, "query", "queries"), counted(6825, "document", "documents")
    ('1 query', '6,825 documents')
    """
    return f"{count:,} {one if count == 1 else many}"


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


def number(value: float) -> str:
    """Write a number with three significant digits.

    >>> [number(value) for value in (0, 0.01234, 9.3, 70.61, 12345, 1e-9)]
    ['0', '0.0123', '9.30', '70.6', '12,300', '1e-09']
    """
    if not value:
        return "0"
    if not 1e-4 <= abs(value) < 1e9:
        return f"{value:.3g}"
    rounded = float(f"{value:.2e}")
    digits = 2 - math.floor(math.log10(abs(rounded)))
    return f"{rounded:,.{max(0, digits)}f}"


def size(count: float) -> str:
    """Write a number of bytes with three significant digits.

    >>> size(412), size(999.9), size(3_172_000)
    ('412 B', '1.00 kB', '3.17 MB')
    """
    for unit in ("B", "kB", "MB", "GB"):
        if abs(count) < 999.5:
            return f"{number(count)} {unit}"
        count /= 1000
    return f"{number(count)} TB"


def _unsigned_zero(text: str) -> str:
    return text if text.strip("+-0.") else text.lstrip("+-")
