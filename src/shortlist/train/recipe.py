"""What is trained, from what, and how? A recipe is a TOML file; every setting it may have stands here.

A setting that is not known is an error: a misspelt one would otherwise be a default.
"""

from __future__ import annotations

import dataclasses
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from types import UnionType
from typing import Any, get_args, get_origin, get_type_hints

from shortlist.errors import DataError
from shortlist.train.loop import Schedule

__all__ = ["CrossEncoderRecipe", "Examples", "JudgeSettings", "read_recipe"]


LOSSES = ("softmax", "kl", "margin-mse")


@dataclass(frozen=True)
class Examples:
    """Say which examples are learned from.

    ``files`` are JSON lines (see examples.py), relative to the recipe. ``leave_out`` names sources that are not used,
    so that what is learned can be tried on text of a kind that was never seen. ``negatives`` of each example are
    drawn.
    """

    files: tuple[str, ...]
    negatives: int = 4
    leave_out: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        if not self.files:
            raise DataError("examples.files names no file")
        if self.negatives < 1:
            raise DataError(f"examples.negatives must be at least 1, not {self.negatives}")


@dataclass(frozen=True)
class JudgeSettings:
    """Say how a cross-encoder is built and what it is told.

    ``head`` and ``scale`` are those of CrossEncoderModel; its lowest ``frozen_layers`` and the embeddings stay as they
    are, and of its ``layers`` the lowest are taken (all by default). ``max_tokens`` of a pair, ``max_query_tokens`` of
    them the query's, are read when it is used, ``training_tokens`` while it learns.

    ``loss`` is ``softmax`` over the answer and its negatives; or, to learn from the examples' scores as a teacher's,
    ``kl`` (their distribution) or ``margin-mse`` (the answer's leads).

    ``first_stage`` is how much the examples' scores count beside the model's own while it learns, so that it learns
    what they lack, to be added to them later: ``"fit"`` takes the weight at which they alone explain the examples best,
    0 leaves them out.
    """

    head: str = "maxsim"
    scale: float = 20.0
    layers: int | None = None
    frozen_layers: int = 0
    max_tokens: int = 384
    max_query_tokens: int = 128
    training_tokens: int = 224
    loss: str = "softmax"
    first_stage: float | str = 0.0

    def __post_init__(self) -> None:
        if self.head not in ("cls", "maxsim"):
            raise DataError(f"model.head must be 'cls' or 'maxsim', not {self.head!r}")
        if self.loss not in LOSSES:
            raise DataError(f"model.loss must be one of {', '.join(LOSSES)}, not {self.loss!r}")
        if self.loss != "softmax" and self.first_stage:
            raise DataError(f"model.loss {self.loss!r} learns the scores that model.first_stage would add")
        if isinstance(self.first_stage, str) and self.first_stage != "fit":
            raise DataError(f"model.first_stage must be a number or 'fit', not {self.first_stage!r}")
        if not isinstance(self.first_stage, str) and not 0 <= self.first_stage < 1e6:
            raise DataError(f"model.first_stage must be a number from 0, not {self.first_stage}")
        for name, most in (("max_tokens", self.max_tokens), ("training_tokens", self.training_tokens)):
            if not 8 <= self.max_query_tokens + 2 <= most:
                raise DataError(
                    f"model.max_query_tokens is {self.max_query_tokens}, of {name} {most} that leaves no room"
                )


@dataclass(frozen=True)
class CrossEncoderRecipe:
    """Say all that makes a cross-encoder, but where its transformer comes from."""

    name: str
    examples: Examples
    schedule: Schedule
    model: JudgeSettings = field(default_factory=JudgeSettings)
    base: str = ""
    license: str = ""
    origin: str = ""


def read_recipe(path: Path) -> CrossEncoderRecipe:
    """Read a recipe.

    Raises:
        DataError: the file can't be read, or a setting is unknown, missing or of the wrong kind; the message names it.
    """
    try:
        values = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise DataError(f"{path}: can't be read: {error.strerror or error}") from error
    except (UnicodeDecodeError, tomllib.TOMLDecodeError) as error:
        raise DataError(f"{path}: no TOML: {error}") from error
    try:
        recipe: CrossEncoderRecipe = _made(CrossEncoderRecipe, values, "")
    except DataError as error:
        raise DataError(f"{path}: {error}", hint=error.hint) from None
    return recipe


def _made(kind: type[Any], values: Mapping[str, Any], place: str) -> Any:
    """Make a dataclass of a table; tables in it become the dataclasses of their fields."""
    known = {one.name: one for one in dataclasses.fields(kind)}
    types = get_type_hints(kind)
    if unknown := [name for name in values if name not in known]:
        raise DataError(f"{place}{unknown[0]} is not known", hint=f"known: {', '.join(known)}")
    made = {}
    for name, one in known.items():
        if name in values:
            made[name] = _value(types[name], values[name], f"{place}{name}")
        elif one.default is dataclasses.MISSING and one.default_factory is dataclasses.MISSING:
            raise DataError(f"{place}{name} is missing")
    return kind(**made)


def _value(kind: Any, value: Any, place: str) -> Any:
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise DataError(f"{place} is {value!r}, expected a table")
        return _made(kind, value, f"{place}.")
    if get_origin(kind) is tuple:
        (item, _) = get_args(kind)
        if not isinstance(value, list) or not all(type(one) is item for one in value):
            raise DataError(f"{place} is {value!r}, expected a list of {item.__name__}")
        return tuple(value)
    allowed = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if type(value) is int and float in allowed and int not in allowed:
        return float(value)
    if type(value) not in allowed:
        names = " or ".join(one.__name__ for one in allowed if one is not type(None))
        raise DataError(f"{place} is {value!r}, expected {names}")
    return value
