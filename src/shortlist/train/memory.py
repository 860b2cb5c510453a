"""Keep freed memory: a step of training takes and frees gigabytes in large pieces."""

from __future__ import annotations

import ctypes
import sys
from functools import cache

__all__ = ["keep_freed_memory"]

# Numbers of glibc's malloc.h.
_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


@cache
def keep_freed_memory() -> bool:
    """Let the allocator take large pieces from what it has freed, instead of from the kernel, which clears each page.

    A step of a cross-encoder's training takes 1.7 s instead of 2.0 s by it (benchmarks/training_speed.py); the process
    holds on to the most that it ever used. Does nothing, and says so, where the allocator isn't glibc's.
    """
    if not sys.platform.startswith("linux"):
        return False
    try:
        set_option = ctypes.CDLL("libc.so.6").mallopt
    except (OSError, AttributeError):
        return False
    options = {_MMAP_MAX: 0, _TRIM_THRESHOLD: 2**31 - 1, _TOP_PAD: 2**28}
    taken = [set_option(option, value) for option, value in options.items()]
    return all(taken)
