"""Where facts about the machine come from: system files and small commands; nothing where there is none."""

from __future__ import annotations

import subprocess
from pathlib import Path

__all__ = ["command_output", "system_file"]

ROOT = Path("/")
_WAIT_S = 5.0


def system_file(name: str) -> str:
    """Give the text of a file such as ``proc/cpuinfo``; an empty one where it is missing or refused."""
    try:
        return (ROOT / name).read_text(encoding="utf-8", errors="replace")
    except (OSError, ValueError):
        return ""


def command_output(*words: str) -> str:
    """Give what a command prints; nothing where it is missing, fails or takes too long."""
    try:
        done = subprocess.run(
            words, capture_output=True, stdin=subprocess.DEVNULL, timeout=_WAIT_S, check=False
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout.decode(errors="replace")
