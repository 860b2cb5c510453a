"""Disks of our own: small ones, and read-only ones."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from pathlib import Path

__all__ = ["can_mount", "disk", "read_only"]


@lru_cache
def can_mount() -> bool:
    """Say whether disks of our own can be made here."""
    if sys.platform != "linux" or os.geteuid() != 0:
        return False
    with tempfile.TemporaryDirectory() as folder:
        made = _mount("-t", "tmpfs", "-o", "size=64k", "tmpfs", folder)
        if made:
            subprocess.run(["umount", folder], check=True)
    return made


def _mount(*arguments: str) -> bool:
    return subprocess.run(["mount", *arguments], capture_output=True, check=False).returncode == 0


@contextmanager
def disk(path: Path, size_bytes: int) -> Iterator[Path]:
    """Make a disk of a certain size."""
    path.mkdir()
    if not _mount("-t", "tmpfs", "-o", f"size={size_bytes}", "tmpfs", str(path)):
        raise RuntimeError("can't mount")
    try:
        yield path
    finally:
        subprocess.run(["umount", "-l", str(path)], check=True)


@contextmanager
def read_only(path: Path) -> Iterator[None]:
    """Make a folder read-only: by mounting it so, or, for who is not root, by its permissions."""
    if can_mount():
        if not (_mount("--bind", str(path), str(path)) and _mount("-o", "remount,ro,bind", str(path))):
            raise RuntimeError("can't mount")
        try:
            yield
        finally:
            subprocess.run(["umount", "-l", str(path)], check=True)
        return
    everything = [path, *path.rglob("*")]
    for one in everything:
        one.chmod(0o555 if one.is_dir() else 0o444)
    try:
        yield
    finally:
        for one in everything:
            one.chmod(0o755 if one.is_dir() else 0o644)
