"""How much memory does a step of training take? Freed memory is kept, and a limit is kept to.

What a step takes depends on the transformer, on its frozen layers and on the kind of arithmetic: so it is measured,
with parts of 1, 2, 4, ... of the longest examples, as far as what was measured lets expect that the next one fits.
"""

from __future__ import annotations

import ctypes
import sys
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any, TypeVar

import torch
from torch import Tensor, nn

from shortlist.errors import DataError
from shortlist.plain_text import size

__all__ = ["fitting_part", "kept_memory"]

T = TypeVar("T")

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


def fitting_part(
    model: nn.Module,
    examples: Sequence[T],
    step: Callable[[Sequence[T]], Tensor],
    most: int,
    limit: int,
    *,
    kept: int = 0,
    whole: bool,
) -> int:
    """Give how many examples, up to ``most``, may be worked on at once in so many bytes of memory.

    ``examples`` begin with those that take most. ``step`` gives the loss of some; its gradients are forgotten again.
    ``kept`` bytes will be held besides. With ``whole`` it is ``most`` or none: a batch whose passages are each other's
    negatives can't be divided.

    Raises:
        DataError: that is not even one, or not ``most``; or this system doesn't say what a process takes.
    """
    torch.autograd.backward(step(examples[:1]))  # gradients are there while others are added to them
    peaks: dict[int, int] = {}
    part = 1
    while True:
        _forget_peak()
        torch.autograd.backward(step(examples[:part]))
        peaks[part] = _peak() + kept
        following = min(2 * part, most)
        if peaks[part] > limit or part == most or _expected(peaks, following) > limit:
            break
        part = following
    model.zero_grad(set_to_none=True)
    fitting = max((part for part, peak in peaks.items() if peak <= limit), default=0)
    if fitting and (fitting == most or not whole):
        return fitting
    wanted = most if whole else 1
    about = "about" if len(peaks) > 1 or wanted == 1 else "more than"
    mend = "lower schedule.batch_size or the examples' negatives" if whole else "lower model.training_tokens"
    raise DataError(
        f"a step with {wanted} of the examples at once needs {about} {size(_expected(peaks, wanted))} of memory,"
        f" the limit is {size(limit)}",
        hint=f"raise the limit, {mend}, or freeze more layers",
    )


def _expected(peaks: Mapping[int, int], part: int) -> int:
    """Give what a part takes: as was measured, or each further example as much as the last ones did."""
    if part in peaks:
        return peaks[part]
    *before, last = sorted(peaks)
    if not before:
        return peaks[last]
    each = (peaks[last] - peaks[before[-1]]) / (last - before[-1])
    return peaks[last] + round(each * (part - last))


_STATUS, _CLEAR = Path("/proc/self/status"), Path("/proc/self/clear_refs")


def _forget_peak() -> None:
    """Let :func:`_peak` count from now on, where the system can (Linux); elsewhere loading may have taken more."""
    with suppress(OSError):
        _CLEAR.write_text("5")


def _peak() -> int:
    """Give the most bytes of memory that this process has taken, as far back as the system counts."""
    with suppress(OSError, ValueError, StopIteration):
        line = next(line for line in _STATUS.read_text().splitlines() if line.startswith("VmHWM:"))
        return 1024 * int(line.split()[1])
    try:
        import resource
    except ModuleNotFoundError:
        raise DataError(
            "this system doesn't say how much memory a process takes", hint="leave --memory out"
        ) from None
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most if sys.platform == "darwin" else 1024 * most


def _glibc() -> Any:
    if not sys.platform.startswith("linux"):
        return None
    try:
        library = ctypes.CDLL("libc.so.6")
        _ = library.mallopt, library.malloc_trim
    except (OSError, AttributeError):
        return None
    return library
