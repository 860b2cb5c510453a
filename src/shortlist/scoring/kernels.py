"""Who does the arithmetic of a search: kernels in C++ for this processor, or numpy.

The kernels (``native/`` in the repository) give the same bits as the reference in numpy beside this module; a package
that was built without a compiler does without them. The environment's ``SHORTLIST_KERNELS`` chooses: ``numpy``, or
another of :func:`available`, of which the first, the fastest, is used otherwise. A model that was loaded keeps to what
was chosen then.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from functools import lru_cache, partial
from typing import TYPE_CHECKING, Any

from shortlist.errors import ShortlistError

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from shortlist.scoring._native import Native, Transformer

try:
    import shortlist.scoring._native as _native
except ModuleNotFoundError:  # built without a compiler
    _native = None  # type: ignore[assignment]

__all__ = ["NUMPY", "VARIABLE", "available", "native", "native_named", "native_transformer", "transformers"]

VARIABLE = "SHORTLIST_KERNELS"
NUMPY = "numpy"


@lru_cache
def available() -> tuple[str, ...]:
    """Name what this machine can run, the fastest first; ``numpy`` is always the last."""
    return (*(() if _native is None else _native.available()), NUMPY)


def native() -> Native | None:
    """Give the kernels to use, or ``None`` for numpy.

    Raises:
        ShortlistError: ``SHORTLIST_KERNELS`` names none that this machine can run.
    """
    return native_named(os.environ.get(VARIABLE) or available()[0])


@lru_cache
def native_named(name: str) -> Native | None:
    """Give kernels by their name, ``None`` for ``numpy``.

    Raises:
        ShortlistError: this machine can't run them.
    """
    if name not in available():
        raise ShortlistError(
            f"{VARIABLE}={name}: this machine can't run these kernels",
            hint=f"one of {', '.join(available())}",
        )
    return None if name == NUMPY or _native is None else _native.Native(name)


def transformers() -> tuple[str, ...]:
    """Name those of :func:`available` that can run a transformer, the fastest first."""
    return () if _native is None else tuple(_native.transformers())


def native_transformer() -> Callable[[dict[str, NDArray[Any]], int, int, float], Transformer] | None:
    """Give what makes a transformer of tensors, or ``None`` where the kernels to use can't run one."""
    kernels = native()
    if kernels is None or kernels.name not in transformers():
        return None
    return partial(_native.Transformer, kernels.name)
