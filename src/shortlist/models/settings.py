"""What a model folder says about its encoder, in one value whatever kind of folder it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from shortlist.errors import ModelError
from shortlist.models.safety import shown

__all__ = [
    "MAX_DIMENSIONS",
    "MAX_TOKENS",
    "LateTokens",
    "Settings",
    "integer",
    "late_tokens",
    "scale",
    "text",
    "texts",
]

MAX_DIMENSIONS = 1 << 16
MAX_TOKENS = 1 << 20


@dataclass(frozen=True)
class LateTokens:
    """Say which tokens a late-interaction model reads that a text doesn't have, and which of a document's count.

    The token ``query_marker`` or ``document_marker`` stands behind the first one of every text. A query of up to
    ``query_tokens`` is filled up to ``expansion_length`` with ``expansion_token``, which other tokens ``attend`` to or
    not, and whose vectors count as the query's (0: no expansion). A document's tokens with an id in ``skip`` have no
    vectors. Source: Khattab and Zaharia 2020, section 3.2.
    """

    query_marker: str = ""
    document_marker: str = ""
    query_tokens: int = 0
    expansion_token: int = 0
    expansion_length: int = 0
    attend: bool = False
    skip: tuple[int, ...] = ()


@dataclass(frozen=True)
class Settings:
    """Describe an encoder.

    ``max_tokens`` counts special tokens. ``similarity`` is ``cosine`` (vectors are scaled to length 1) or
    ``dot``. ``dense_scale`` and ``token_scale`` are the int8 steps of the two stored views: constants of
    the model, so that no vector depends on its neighbours. ``token_dimensions`` is 0 for a model without
    token vectors. ``late`` is there if these were trained with tokens of their own.
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
    late: LateTokens | None = None

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


def integer(values: Mapping[str, Any], key: str, where: Path, low: int, high: int) -> int:
    """Give a whole number between two bounds; KeyError where it is missing."""
    value = values[key]
    if type(value) is not int or not low <= value <= high:
        raise ModelError(f"{where}: {key} is {shown(value)}, expected a whole number from {low} to {high:,}")
    return value


def scale(values: Mapping[str, Any], key: str, where: Path) -> float:
    """Give a finite number above zero; KeyError where it is missing."""
    value = values[key]
    if type(value) not in (int, float) or not 1e-12 < value < 1e12 or not math.isfinite(value):
        raise ModelError(f"{where}: {key} is {shown(value)}, expected a finite number above 0")
    return float(value)


def text(value: object, what: str, where: Path, characters: int) -> str:
    """Give a text that can be encoded and isn't too long."""
    if not isinstance(value, str) or len(value) > characters:
        raise ModelError(f"{where}: {what} is {shown(value)}, expected a text of at most {characters:,}")
    if any("\ud800" <= letter <= "\udfff" for letter in value):
        raise ModelError(f"{where}: {what} holds half a surrogate pair: {shown(value)}")
    return value


def texts(value: object, what: str, where: Path, *, count: int = 1000, characters: int) -> dict[str, str]:
    """Give an object whose values are texts."""
    if not isinstance(value, dict) or len(value) > count:
        raise ModelError(f"{where}: {what} is {shown(value)}, expected an object of at most {count} texts")
    return {
        text(name, f"a name in {what}", where, 200): text(one, f"{what}[{shown(name)}]", where, characters)
        for name, one in value.items()
    }


def late_tokens(value: object, where: Path, max_tokens: int) -> LateTokens | None:
    """Read what a folder says of late interaction's own tokens; nothing if it says nothing."""
    if value is None:
        return None
    known = {"query_marker", "document_marker", "query_tokens", "expansion", "skip"}
    if not isinstance(value, dict) or not value.keys() <= known:
        raise ModelError(f"{where}: late is {shown(value)}, expected an object of {', '.join(sorted(known))}")
    expansion = value.get("expansion") or {"token": 0, "length": 0, "attend": False}
    skip = value.get("skip", [])
    if not isinstance(expansion, dict) or expansion.keys() != {"token", "length", "attend"}:
        raise ModelError(f"{where}: late.expansion is {shown(expansion)}, expected token, length and attend")
    if type(expansion["attend"]) is not bool:
        raise ModelError(
            f"{where}: late.expansion.attend is {shown(expansion['attend'])}, expected true or false"
        )
    if not isinstance(skip, list) or len(skip) > MAX_TOKENS or not all(type(one) is int for one in skip):
        raise ModelError(f"{where}: late.skip is {shown(skip)}, expected a list of token ids")
    return LateTokens(
        query_marker=text(value.get("query_marker", ""), "late.query_marker", where, 200),
        document_marker=text(value.get("document_marker", ""), "late.document_marker", where, 200),
        query_tokens=integer(
            {"late.query_tokens": max_tokens, **_prefixed(value)}, "late.query_tokens", where, 4, max_tokens
        ),
        expansion_token=integer(expansion, "token", where, 0, 1 << 30),
        expansion_length=integer(expansion, "length", where, 0, max_tokens),
        attend=expansion["attend"],
        skip=tuple(skip),
    )


def _prefixed(value: Mapping[str, Any]) -> dict[str, Any]:
    return {f"late.{name}": one for name, one in value.items()}
