"""What may reach a terminal: text without the characters that would steer it."""

from __future__ import annotations

import json
import re
import sys

from shortlist.errors import ShortlistError

__all__ = ["UsageError", "print_json", "printable", "say"]

_STEERING = re.compile(r"[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class UsageError(ShortlistError):
    """The words of the command line don't fit together; ends with exit code 2."""


def printable(text: str) -> str:
    r"""Replace control and direction characters by spaces; keep line breaks and tabs.

    >>> printable("a\x1b[31mb")
    'a [31mb'
    """
    return _STEERING.sub(" ", text)


def say(text: str) -> None:
    """Print a line for people to stderr."""
    print(printable(text), file=sys.stderr)


def print_json(value: object) -> None:
    """Print data for programs to stdout."""
    print(json.dumps(value, ensure_ascii=False))
