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
from typing import Any, Literal, TypeVar, get_args, get_origin, get_type_hints

from shortlist.errors import DataError
from shortlist.train.labelled import LabelledPairs
from shortlist.train.loop import Schedule

__all__ = [
    "BiEncoderRecipe",
    "BiEncoderSettings",
    "CrossEncoderRecipe",
    "Examples",
    "HeadSettings",
    "JudgeSettings",
    "LateRecipe",
    "LateSettings",
    "PolyRecipe",
    "PolySettings",
    "Recipe",
    "read_recipe",
]


R = TypeVar("R")

LOSSES = ("softmax", "kl", "margin-mse")
"""What is learned of candidates: which is the answer, or a teacher's scores."""

PAIR_LOSSES = ("binary", "graded", "labels")
"""What is learned of labelled pairs: whether (a label of two, or a grade taken as how likely), how much, or which."""


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
    ``kl`` (their distribution) or ``margin-mse`` (the answer's leads). Of labelled pairs ``binary`` is the binary
    cross-entropy, ``graded`` the squared error of a grade, ``labels`` the cross-entropy of one of several labels.

    ``first_stage`` is how much the examples' scores count beside the model's own while it learns, so that it learns
    what they lack, to be added to them later: ``"fit"`` takes the weight at which they alone explain the examples best,
    0 leaves them out. They count for ``first_stage_share`` of the queries; of the others it learns to find the answer
    alone, of which there is more to learn where the first stage is mostly right.
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
    first_stage_share: float = 1.0

    def __post_init__(self) -> None:
        if self.first_stage_share != 1 and not self.first_stage:
            raise DataError(
                "model.first_stage_share is a share of what model.first_stage adds, which is nothing"
            )
        if not 0 <= self.first_stage_share <= 1:
            raise DataError(f"model.first_stage_share must be from 0 to 1, not {self.first_stage_share}")
        if self.head not in ("cls", "maxsim"):
            raise DataError(f"model.head must be 'cls' or 'maxsim', not {self.head!r}")
        if self.loss not in (*LOSSES, *PAIR_LOSSES):
            raise DataError(
                f"model.loss must be one of {', '.join((*LOSSES, *PAIR_LOSSES))}, not {self.loss!r}"
            )
        if self.loss == "labels" and self.head != "cls":
            raise DataError("model.loss 'labels' needs the head 'cls': the other gives one score")
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


def _check_losses(settings: HeadSettings | BiEncoderSettings, losses: tuple[str, ...], taught: str) -> None:
    """Refuse weights of losses, a temperature or limits that can't be; ``taught`` is the loss that weighs a teacher."""
    for name in (*losses, "teacher_weight"):
        if not 0 <= getattr(settings, name) < 1e6:
            raise DataError(f"model.{name} must be a number from 0, not {getattr(settings, name)}")
    if not any(getattr(settings, name) for name in losses):
        names = [f"model.{name}" for name in losses]
        raise DataError(f"{', '.join(names[:-1])} and {names[-1]} are all 0: nothing to learn")
    if settings.teacher_weight and not getattr(settings, taught):
        raise DataError(f"model.teacher_weight is of model.{taught}, which is 0")
    if not 1e-4 <= settings.temperature <= 100:
        raise DataError(f"model.temperature must be a number from .0001 to 100, not {settings.temperature}")
    for name in ("max_tokens", "max_query_tokens"):
        if getattr(settings, name) < 8:
            raise DataError(f"model.{name} must be at least 8, not {getattr(settings, name)}")


@dataclass(frozen=True)
class HeadSettings:
    """Say what a head on a frozen encoder is told.

    ``contrastive`` and ``distillation`` weigh two losses: finding each query's answer among the passages of its batch,
    similarities divided by ``temperature``; and the divergence from the distribution that the examples' scores have
    over their own passages, these times ``teacher_weight`` (0: the weight at which they explain the answers best).
    ``max_tokens`` and ``max_query_tokens`` are read of a passage and of a query.
    """

    contrastive: float = 1.0
    distillation: float = 0.0
    teacher_weight: float = 0.0
    temperature: float = 0.02
    max_tokens: int = 256
    max_query_tokens: int = 128

    def __post_init__(self) -> None:
        _check_losses(self, ("contrastive", "distillation"), "distillation")


@dataclass(frozen=True)
class LateSettings(HeadSettings):
    """Say how late interaction's head is built: ``dimensions`` of a token, and whether a query's tokens are weighed.

    A query is filled up to ``expansion_length`` with mask tokens, which look for words that it lacks (0: it isn't).
    Queries are then cut to ``max_query_tokens`` for every view, and no other head can be trained beside this one.
    """

    dimensions: int = 128
    query_weights: bool = True
    expansion_length: int = 0

    def __post_init__(self) -> None:
        super().__post_init__()
        if not 1 <= self.dimensions <= 1024:
            raise DataError(f"model.dimensions must be from 1 to 1,024, not {self.dimensions}")
        most = min(self.max_tokens, self.max_query_tokens)
        if self.expansion_length and self.max_query_tokens > self.max_tokens:
            raise DataError(
                f"model.max_query_tokens ({self.max_query_tokens}) is above model.max_tokens ({self.max_tokens}),"
                " which a query that is filled up can't be"
            )
        if not 0 <= self.expansion_length <= most:
            raise DataError(
                f"model.expansion_length must be from 0 to model.max_query_tokens ({most}),"
                f" not {self.expansion_length}"
            )


@dataclass(frozen=True)
class PolySettings(HeadSettings):
    """Say how a poly-encoder's head is built: how many ``codes``, ``learned`` ones or the ``first`` tokens."""

    codes: int = 64
    variant: Literal["learned", "first"] = "learned"

    def __post_init__(self) -> None:
        super().__post_init__()
        if self.variant not in ("learned", "first"):
            raise DataError(f"model.variant must be 'learned' or 'first', not {self.variant!r}")
        if not 1 <= self.codes <= 4096:
            raise DataError(f"model.codes must be from 1 to 4,096, not {self.codes}")


@dataclass(frozen=True)
class BiEncoderSettings:
    """Say how a bi-encoder is built and what it is told.

    ``separate`` gives queries a transformer of their own. ``pooling`` is ``mean``, ``cls``, ``max`` or ``pooler``
    (BERT's layer on [CLS]), ``similarity`` ``cosine`` or ``dot``. The lowest ``frozen_layers`` and the embeddings stay
    as they are; with ``cached`` what they give of each text is computed once and kept on disk. ``query_prompt`` and
    ``document_prompt`` are put before every text. With ``float_copy`` the transformer is kept in float32 too.

    Three losses have weights: ``contrastive``, the answer among all passages of the batch, products divided by
    ``temperature``; and of the examples' scores, as a teacher's, ``kl`` (their distribution over the example's own
    passages, scores times ``teacher_weight``, or if that is 0 the weight at which they explain the answers best) and
    ``margin_mse`` (the answer's leads).
    """

    pooling: Literal["mean", "cls", "max", "pooler"] = "mean"
    similarity: Literal["cosine", "dot"] = "cosine"
    separate: bool = False
    frozen_layers: int = 0
    query_prompt: str = ""
    document_prompt: str = ""
    contrastive: float = 1.0
    temperature: float = 0.05
    kl: float = 0.0
    teacher_weight: float = 0.0
    margin_mse: float = 0.0
    max_tokens: int = 256
    max_query_tokens: int = 128
    cached: bool = False
    float_copy: bool = False

    def __post_init__(self) -> None:
        if self.cached and not self.frozen_layers:
            raise DataError("model.cached keeps what frozen layers give, model.frozen_layers is 0")
        if self.pooling not in ("mean", "cls", "max", "pooler"):
            raise DataError(f"model.pooling must be mean, cls, max or pooler, not {self.pooling!r}")
        if self.similarity not in ("cosine", "dot"):
            raise DataError(f"model.similarity must be cosine or dot, not {self.similarity!r}")
        _check_losses(self, ("contrastive", "kl", "margin_mse"), "kl")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """Say what every recipe says: the model's name, how long it learns, what it starts from, and where it may go."""

    name: str
    schedule: Schedule
    base: str = ""
    license: str = ""
    origin: str = ""


@dataclass(frozen=True, kw_only=True)
class BiEncoderRecipe(Recipe):
    """Say all that makes a bi-encoder, but where its transformer comes from."""

    examples: Examples
    model: BiEncoderSettings = field(default_factory=BiEncoderSettings)


@dataclass(frozen=True, kw_only=True)
class LateRecipe(Recipe):
    """Say all that makes a late-interaction head, but where its transformer comes from."""

    examples: Examples
    model: LateSettings = field(default_factory=LateSettings)


@dataclass(frozen=True, kw_only=True)
class PolyRecipe(Recipe):
    """Say all that makes a poly-encoder's head, but where its transformer comes from."""

    examples: Examples
    model: PolySettings = field(default_factory=PolySettings)


@dataclass(frozen=True, kw_only=True)
class CrossEncoderRecipe(Recipe):
    """Say all that makes a cross-encoder, but where its transformer comes from.

    It learns from ``examples`` (queries with candidates) or from ``pairs`` (labelled ones).
    """

    examples: Examples | None = None
    pairs: LabelledPairs | None = None
    model: JudgeSettings = field(default_factory=JudgeSettings)

    def __post_init__(self) -> None:
        if (self.examples is None) == (self.pairs is None):
            raise DataError("a cross-encoder learns from [examples] or from [pairs]: one of them")
        of_pairs = self.model.loss in PAIR_LOSSES
        if of_pairs != (self.pairs is not None):
            losses = ", ".join(PAIR_LOSSES if self.pairs else LOSSES)
            raise DataError(f"model.loss {self.model.loss!r} doesn't fit these data", hint=f"one of {losses}")
        if self.pairs is not None and self.pairs.target == "score" and self.model.loss == "labels":
            raise DataError("model.loss 'labels' learns labels, pairs.target is 'score'")
        if self.pairs is not None and self.pairs.target == "label" and self.model.loss == "graded":
            raise DataError("model.loss 'graded' learns grades, pairs.target is 'label'")


def read_recipe(path: Path, kind: type[R]) -> R:
    """Read a recipe of some kind.

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
        recipe: R = _made(kind, values, "")
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
    if isinstance(kind, UnionType) and (tables := [k for k in get_args(kind) if dataclasses.is_dataclass(k)]):
        kind = tables[0]
    if dataclasses.is_dataclass(kind) and isinstance(kind, type):
        if not isinstance(value, Mapping):
            raise DataError(f"{place} is {value!r}, expected a table")
        return _made(kind, value, f"{place}.")
    if get_origin(kind) is tuple:
        (item, _) = get_args(kind)
        if not isinstance(value, list) or not all(type(one) is item for one in value):
            raise DataError(f"{place} is {value!r}, expected a list of {item.__name__}")
        return tuple(value)
    if get_origin(kind) is Literal:
        kind = str  # which, is for the dataclass to say
    allowed = get_args(kind) if isinstance(kind, UnionType) else (kind,)
    if type(value) is int and float in allowed and int not in allowed:
        return float(value)
    if type(value) not in allowed:
        names = " or ".join(one.__name__ for one in allowed if one is not type(None))
        raise DataError(f"{place} is {value!r}, expected {names}")
    return value
