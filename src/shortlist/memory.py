"""How much memory may be used? A limit as people write it, and what there is besides a collection."""

from __future__ import annotations

import re

from shortlist.errors import DataError

__all__ = ["PROGRAM_BYTES", "as_bytes"]

PROGRAM_BYTES = 220_000_000
"""What a process takes that has loaded the models that come along and an empty collection, about."""

_UNITS = {
    "": 1, "k": 10**3, "m": 10**6, "g": 10**9, "t": 10**12, "kb": 10**3, "mb": 10**6, "gb": 10**9, "tb": 10**12,
    "kib": 2**10, "mib": 2**20, "gib": 2**30, "tib": 2**40,
}  # fmt: skip


def as_bytes(limit: int | str | None) -> int | None:
    """Read a limit of memory: a number of bytes, or a text such as ``4GB``; ``None`` is none.

    >>> as_bytes("1.5 GB"), as_bytes("512MiB"), as_bytes(1000), as_bytes(None)
    (1500000000, 536870912, 1000, None)

    Raises:
        DataError: it is neither.
    """
    if limit is None:
        return None
    if isinstance(limit, int) and not isinstance(limit, bool) and limit > 0:
        return limit
    text = limit.lower() if isinstance(limit, str) else ""
    found = re.fullmatch(r"\s*([0-9]+(?:\.[0-9]+)?)\s*([a-z]*)\s*", text)
    count = float(found[1]) * _UNITS.get(found[2], 0) if found else 0.0
    if not 1 <= count < 2**63:
        raise DataError(f"a limit of memory must be a size such as 4GB, not {limit!r}")
    return int(count)
