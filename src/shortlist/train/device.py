"""Where is trained: on a GPU if there is one, else on the CPU."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

import torch

__all__ = ["on_device", "training_device"]

P = ParamSpec("P")
R = TypeVar("R")


def training_device() -> torch.device:
    """Give the first CUDA device, or the CPU."""
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")


def on_device(function: Callable[P, R]) -> Callable[P, R]:
    """Let all tensors that a function makes lie where is trained."""

    @wraps(function)
    def wrapped(*args: P.args, **kwargs: P.kwargs) -> R:
        with training_device():
            return function(*args, **kwargs)

    return wrapped
