"""What a family of faults is: cases with names, each run by itself, each to be repeated by its name."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

__all__ = ["Family"]


@dataclass(frozen=True)
class Family:
    """Describe a family of faults.

    ``cases`` names every case; ``run`` takes a name and an empty folder and raises if anything is not as it
    should be; what it gives, if not ``None``, is a number for the report, which adds them up. ``promise`` is a
    line of the report: what was done, and what held.
    """

    name: str
    promise: str
    cases: Callable[[], Iterable[str]]
    run: Callable[[str, Path], int | None]
    counted: str = ""
    """What the numbers that cases give count, if they do."""
    heavy: bool = False
    """Whether a single case takes more than a second or two: these have few cases, of which tests run one."""
