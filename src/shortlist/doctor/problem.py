"""What is wrong, and what to do about it."""

from __future__ import annotations

from dataclasses import dataclass

from shortlist.doctor.privacy import without_names
from shortlist.errors import ShortlistError

__all__ = ["Problem"]


@dataclass(frozen=True)
class Problem:
    """Say what is wrong and what mends it."""

    what: str
    remedy: str

    @classmethod
    def of(cls, error: ShortlistError, otherwise: str) -> Problem:
        """Make one of an error and its hint; ``otherwise`` is what to do when it has none."""
        return cls(without_names(error.message), without_names(error.hint or otherwise))
