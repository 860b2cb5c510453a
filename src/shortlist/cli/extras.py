"""Say what to install where a command needs more than searching does."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from shortlist.errors import MissingExtraError

__all__ = ["training_extra"]

_TRAINING = ("huggingface_hub", "onnx", "safetensors", "sentence_transformers", "torch", "transformers")


@contextmanager
def training_extra() -> Iterator[None]:
    """Name the extra where one of its libraries is missing."""
    try:
        yield
    except ModuleNotFoundError as error:
        if (error.name or "").split(".")[0] not in _TRAINING:
            raise
        raise MissingExtraError(f"this needs {error.name}", hint="pip install 'shortlist[train]'") from error
