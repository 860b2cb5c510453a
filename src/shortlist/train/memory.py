"""Keep freed memory: a step of training takes and frees gigabytes in large pieces."""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["kept_memory"]

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_THRESHOLD, _MMAP_MAX = -1, -2, -3, -4

_KEEPING = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**28}
_AS_BEFORE = {_MMAP_MAX: 65536, _TRIM_THRESHOLD: 64 << 20, _TOP_PAD: 128 << 10, _MMAP_THRESHOLD: 32 << 20}
"""What glibc comes to by itself in a process that uses large pieces."""


@contextmanager
def kept_memory() -> Iterator[bool]:
    """Let the allocator take large pieces from what it has freed, instead of from the kernel, which clears each page.

    A step of a cross-encoder's training takes 1.7 s instead of 2.0 s by it (benchmarks/training_speed.py); meanwhile
    the whole process holds on to the most that it ever used. Gives False, and does nothing, where the allocator isn't
    glibc's.
    """
    library = _glibc()
    if library is None:
        yield False
        return
    for option, value in _KEEPING.items():
        library.mallopt(option, value)
    try:
        yield True
    finally:
        for option, value in _AS_BEFORE.items():
            library.mallopt(option, value)
        library.malloc_trim(0)


def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
