"""How are texts and numbers written for people? Nothing that steers a terminal, counts with nouns, three digits.

Reports and the command line write by these. Nothing else of the package is imported here: help answers at once.
"""

from __future__ import annotations

import math
import re
from decimal import ROUND_CEILING, Context, Decimal

__all__ = ["counted", "limit_text", "number", "printable", "size"]

# Controls but tab and line feed, marks that turn the direction of writing, separators of lines and paragraphs.
_STEERING = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u2028-\u202e\u2066-\u2069]")


def printable(text: str) -> str:
    r"""Replace characters that could steer what is around them by spaces; keep line breaks and tabs.

    >>> printable("a\x1b[31mb\u202ec")
    'a [31mb c'
    """
    return _STEERING.sub(" ", text)


def counted(count: int, one: str, many: str = "") -> str:
    """Write a count with its noun; ``many`` where that isn't ``one`` with an s.

    >>> counted(1, "query", "queries"), counted(6825, "document")
    ('1 query', '6,825 documents')
    """
    return f"{count:,} {one if count == 1 else many or f'{one}s'}"


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


def limit_text(least: float, below: float = math.inf) -> str:
    """Write a limit that is at least ``least``: three significant digits, rounded up.

    There are more digits where three would reach ``below``, from which on something else holds.

    >>> limit_text(9.301), limit_text(421), limit_text(12345), limit_text(9.301, below=9.305)
    ('9.31', '421', '12,400', '9.301')
    """
    exact = repr(float(least))
    rounded = (Context(prec=digits, rounding=ROUND_CEILING).create_decimal(exact) for digits in range(3, 18))
    return f"{next((found for found in rounded if float(found) < below), Decimal(exact)):,f}"


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
