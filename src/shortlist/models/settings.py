"""What a model folder says about its encoder, in one value whatever kind of folder it is."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shortlist.errors import ModelError

__all__ = ["Settings", "read_json"]


@dataclass(frozen=True)
class Settings:
    """Describe an encoder.

    ``max_tokens`` counts special tokens. ``similarity`` is ``cosine`` (vectors are scaled to length 1) or
    ``dot``. ``dense_scale`` and ``token_scale`` are the int8 steps of the two stored views: constants of
    the model, so that no vector depends on its neighbours. ``token_dimensions`` is 0 for a model without
    token vectors.
    """

    name: str
    dimensions: int
    token_dimensions: int
    max_tokens: int
    pooling: str
    similarity: str
    dense_scale: float
    token_scale: float
    fingerprint: str
    prompts: Mapping[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        if self.similarity not in ("cosine", "dot"):
            raise ModelError(
                f"model {self.name}: similarity {self.similarity!r} is neither 'cosine' nor 'dot'"
            )
        if self.pooling not in ("cls", "mean", "max", "pooler"):
            raise ModelError(
                f"model {self.name}: pooling {self.pooling!r} is not supported",
                hint="supported are cls, mean, max and pooler",
            )


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object from a model folder.

    Raises:
        ModelError: the file is missing, or holds something else.
    """
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise ModelError(f"{path.parent}: no {path.name}", hint="is this a model folder?") from None
    except (OSError, ValueError, RecursionError) as error:
        raise ModelError(f"{path}: can't be read: {error}") from error
    if not isinstance(value, dict):
        raise ModelError(f"{path}: holds {type(value).__name__}, expected an object")
    return value
