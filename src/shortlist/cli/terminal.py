"""What may reach a terminal: text without the characters that would steer it, and how far a command has come."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from shortlist.errors import ShortlistError
from shortlist.plain_text import printable

if TYPE_CHECKING:  # it imports numpy, and help answers at once
    from shortlist.protocols import Progress, Steps

__all__ = ["UsageError", "print_json", "printable", "progress_bar", "say", "step_bars"]


class UsageError(ShortlistError):
    """The words of the command line don't fit together; ends with exit code 2."""


def say(text: str) -> None:
    """Print a line for people to stderr."""
    print(printable(text), file=sys.stderr)


def print_json(value: object) -> None:
    """Print data for programs to stdout."""
    print(json.dumps(value, ensure_ascii=False))


@contextmanager
def progress_bar(total: int | None, unit: str = "", *, step: str = "") -> Iterator[Progress]:
    """Show a bar with rate and remaining time on a terminal, nothing elsewhere; ``step`` says what is done."""
    from tqdm import tqdm  # not before a command runs: help answers at once

    with tqdm(
        total=total, desc=step or None, unit=f" {unit}", disable=None, leave=False, dynamic_ncols=True
    ) as bar:
        yield bar.update


@contextmanager
def step_bars() -> Iterator[Steps]:
    """Show a bar for one step after the other; one that begins ends the one before."""
    with ExitStack() as stack:

        def begin(step: str, total: int) -> Progress:
            stack.close()
            return stack.enter_context(progress_bar(total or None, step=step))

        yield begin
