"""Where is trained: on a GPU if there is one, else on the CPU; and with which numbers."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

__all__ = ["bfloat16_helps", "on_device", "training_device"]

P = ParamSpec("P")
R = TypeVar("R")


def training_device() -> torch.device:
    """Give the first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def bfloat16_helps() -> bool:
    """Say whether products in bfloat16 are faster: a CPU without instructions for them takes several times as long."""
    if training_device().type == "cuda":
        return bool(torch.cuda.is_bf16_supported())
    # Of torch's own module, under names that it may change: without them the instructions are not known to be there.
    known = (
        getattr(torch.cpu, name, None) for name in ("_is_avx512_bf16_supported", "_is_amx_tile_supported")
    )
    return any(bool(asked()) for asked in known if asked is not None)


def on_device(function: Callable[P, R]) -> Callable[P, R]:
    """Let all tensors that a function makes lie where is trained."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with training_device():
            return function(*args, **kwargs)

    return wrapped
