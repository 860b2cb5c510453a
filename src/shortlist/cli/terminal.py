"""What may reach a terminal: text without the characters that would steer it, and how far a command has come."""

from __future__ import annotations

import json
import re
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TextIO

from shortlist.errors import ShortlistError

__all__ = ["UsageError", "print_json", "printable", "progress_bar", "say"]

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


def print_json(value: object, *, file: TextIO | None = None) -> None:
    """Print data for programs, to stdout or ``file``."""
    print(json.dumps(value, ensure_ascii=False), file=file)


@contextmanager
def progress_bar(total: int | None, unit: str) -> Iterator[Callable[[int], object]]:
    """Show a bar with rate and remaining time on a terminal, nothing elsewhere."""
    from tqdm import tqdm  # not before a command runs: help answers at once

    with tqdm(
        total=total, unit=f" {unit}", unit_scale=False, disable=None, leave=False, dynamic_ncols=True
    ) as bar:
        yield bar.update
