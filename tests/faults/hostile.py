"""Model folders that mean harm."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from tests.faults.cases import Family
from tests.faults.world import DisagreementError
from tests.models.hostile.folders import run_hostile

__all__ = ["FAMILIES"]


def cases() -> Iterator[str]:
    """All of them share what they are made from."""
    return iter(("all",))


def run(case: str, scratch: Path) -> int:
    """Try to load each; give how many there were."""
    _ = case
    tried, executions = run_hostile(scratch)
    if executions:
        raise DisagreementError(f"{executions} of {tried} folders had something executed")
    return tried


FAMILIES = [
    Family(
        "hostile-models",
        "model folders with pickles, code, bombs, lies and links: refused, and nothing in them executed",
        cases,
        run,
        counted="folders",
        heavy=True,
    )
]
