"""What `evaluate` and `compare` do, between their arguments and their output."""

from __future__ import annotations

__all__ = ["COMMANDS", "steps"]
