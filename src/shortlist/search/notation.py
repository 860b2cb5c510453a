"""The text form of pipelines: ``rerank(fuse(bm25, dense, weights=[1, 4]), maxsim, depth=100)``.

A stage is a name, with settings in brackets where they differ from the defaults. Some pipelines have short
names (``hybrid``), which stand for their value anywhere. ``parse(to_text(p)) == p``.
"""

from __future__ import annotations

import ast
import difflib
from dataclasses import MISSING
from typing import Any

from shortlist.errors import PipelineError
from shortlist.search.pipeline import BM25, FIELDS, TFIDF, Cross, Dense, Fuse, MaxSim, Pipeline, Poly, Rerank

__all__ = ["ANY_SIZE", "NAMES", "name_of", "parse", "to_text"]

_KINDS: dict[str, type[Any]] = {
    "bm25": BM25,
    "tfidf": TFIDF,
    "dense": Dense,
    "maxsim": MaxSim,
    "poly": Poly,
    "cross": Cross,
    "fuse": Fuse,
    "rerank": Rerank,
}
_WORDS = {kind: word for word, kind in _KINDS.items()}

_HYBRID = Fuse((BM25(), Dense()), method="adaptive")
_LATE = Rerank(_HYBRID, Fuse((_HYBRID, MaxSim()), weights=(1, 2)))
_SMALL = Fuse((_HYBRID, MaxSim(), Cross(model="judge-small")), weights=(1, 1, 0.1))
_JUDGE = Fuse((_HYBRID, MaxSim(), Cross()), weights=(1, 2, 0.05))

NAMES: dict[str, Pipeline] = {
    "bm25": BM25(),
    "tfidf": TFIDF(),
    "dense": Dense(),
    "poly": Poly(),
    "late": MaxSim(),
    "cross": Cross(),
    "hybrid": _HYBRID,
    "hybrid+poly": Rerank(_HYBRID, Fuse((_HYBRID, Poly()), weights=(1, 0.25))),
    "hybrid+late": _LATE,
    "hybrid+cross": Rerank(_HYBRID, _JUDGE, depth=50),
    "cascade": Rerank(Rerank(_LATE, _SMALL, depth=10), _JUDGE, depth=6),
}
"""Short names; docs/scoring.md says where their weights come from."""

ANY_SIZE = tuple(name for name in NAMES if name != "cross")
"""The short names of what runs on collections of any size: ``cross`` reads every document."""

_HINT = f"short names: {', '.join(NAMES)}; or write one, such as rerank(fuse(bm25, dense), maxsim, depth=100)"
_MAX_DEPTH = 20


def parse(text: str) -> Pipeline:
    """Read a pipeline's text form or short name.

    Raises:
        PipelineError: the text is no pipeline; the message says what in it is not.
    """
    if text.strip() in NAMES:
        return NAMES[text.strip()]
    try:
        return _stage(ast.parse(text.strip(), mode="eval").body, 0)
    except PipelineError:
        raise
    except (SyntaxError, ValueError, TypeError, RecursionError, MemoryError, OverflowError):
        shown = text if len(text) <= 80 else f"{text[:77]}..."
        raise PipelineError(f"pipeline {shown!r} can't be read", hint=_HINT) from None


def name_of(pipeline: Pipeline) -> str:
    """Give a pipeline's short name, or its text form if it has none."""
    return next((name for name, value in NAMES.items() if value == pipeline), None) or to_text(pipeline)


def to_text(pipeline: Pipeline) -> str:
    """Give the text form with all settings that are not defaults."""
    arguments: list[str] = []
    settings: list[str] = []
    for field in FIELDS[type(pipeline)]:
        value = getattr(pipeline, field.name)
        if field.name == "stages":
            arguments.extend(to_text(stage) for stage in value)
        elif field.default is MISSING:
            arguments.append(to_text(value))
        elif value != field.default:
            shown = [_plain(one) for one in value] if isinstance(value, tuple) else _plain(value)
            settings.append(f"{field.name}={shown!r}")
    inner = ", ".join([*arguments, *settings])
    return f"{_WORDS[type(pipeline)]}({inner})" if inner else _WORDS[type(pipeline)]


def _plain(value: Any) -> Any:
    """Give a number of numpy as one of Python, which prints as it reads."""
    return value.item() if hasattr(value, "item") else value


def _stage(node: ast.expr, depth: int) -> Pipeline:
    name = ast.unparse(node).replace(" ", "")
    if name in NAMES:
        return NAMES[name]
    if depth > _MAX_DEPTH:
        raise PipelineError(f"pipeline: nested deeper than {_MAX_DEPTH}")
    if isinstance(node, ast.Name):
        node = ast.Call(node, [], [])
    if not isinstance(node, ast.Call) or not isinstance(node.func, ast.Name):
        raise PipelineError(f"pipeline: {ast.unparse(node)!r} is not a stage", hint=_HINT)
    word = node.func.id
    if word not in _KINDS:
        if word in NAMES:
            hint = f"{word!r} is a short name and takes no settings; write them into {to_text(NAMES[word])}"
            raise PipelineError(f"pipeline: there is no stage {word!r}", hint=hint)
        near = difflib.get_close_matches(word, [*NAMES, *_KINDS], n=1)
        hint = f"did you mean {near[0]!r}? {_HINT}" if near else _HINT
        raise PipelineError(f"pipeline: there is no stage {word!r}", hint=hint)
    return _build(word, node, depth)


def _build(word: str, node: ast.Call, depth: int) -> Pipeline:
    kind = _KINDS[word]
    known = [field.name for field in FIELDS[kind]]
    required = [field.name for field in FIELDS[kind] if field.default is MISSING]
    settings: dict[str, Any] = {}
    stages = [_stage(argument, depth + 1) for argument in node.args]
    if word == "fuse":
        settings["stages"] = tuple(stages)
    elif len(stages) == len(required):
        settings.update(zip(required, stages, strict=True))
    else:
        wanted = f"the stages {' and '.join(required)}" if required else "no stage"
        raise PipelineError(f"pipeline: {word} takes {wanted}, {len(stages)} given")
    for keyword in node.keywords:
        if keyword.arg not in known or keyword.arg in settings:
            allowed = ", ".join(name for name in known if name not in settings)
            raise PipelineError(f"pipeline: {word} has no setting {keyword.arg!r}", hint=f"it has: {allowed}")
        try:
            value = ast.literal_eval(keyword.value)
        except (ValueError, TypeError, SyntaxError, MemoryError, RecursionError):
            raise PipelineError(f"pipeline: {keyword.arg}={ast.unparse(keyword.value)} is no value") from None
        settings[keyword.arg] = tuple(value) if isinstance(value, list) else value
    if not isinstance(settings.get("weights", ()), tuple | None):
        raise PipelineError("pipeline: weights must be a list of numbers, as in weights=[1, 4]")
    result: Pipeline = kind(**settings)
    return result
