"""Pipelines as values: what is retrieved, what is combined, what is read again.

A pipeline says what to do and holds no data: equal pipelines are equal values, and ``str`` gives the text
form that the command line, settings files and result tables share (see notation.py).

>>> print(Rerank(Fuse((BM25(), Dense()), weights=(1, 4)), MaxSim(), depth=100))
rerank(fuse(bm25, dense, weights=[1, 4]), maxsim, depth=100)
"""

from __future__ import annotations

import math
from dataclasses import dataclass, fields, replace
from functools import lru_cache
from typing import ClassVar

from shortlist.errors import PipelineError

__all__ = [
    "BM25",
    "DEPTH",
    "TFIDF",
    "Cross",
    "Dense",
    "Fuse",
    "Leaf",
    "MaxSim",
    "Pipeline",
    "Poly",
    "Rerank",
    "can_run",
    "deepen",
    "leaves",
    "with_recall",
]

DEPTH = 200


class _Stage:
    """Print as the text form."""

    needs_vectors: ClassVar[bool] = False

    def __str__(self) -> str:
        from shortlist.search.notation import to_text

        return to_text(self)  # type: ignore[arg-type]


def _check_depth(depth: int) -> None:
    if not isinstance(depth, int) or isinstance(depth, bool) or depth < 1:
        raise PipelineError(f"depth must be a whole number from 1, not {depth!r}")


def _check_number(name: str, value: float, low: float, high: float = math.inf) -> None:
    if isinstance(value, bool) or not isinstance(value, int | float) or not low <= value <= high:
        raise PipelineError(f"{name} must be a number from {low:g} to {high:g}, not {value!r}")


@dataclass(frozen=True)
class BM25(_Stage):
    """Retrieve by words: rare terms count more, repeated ones ever less, long documents less.

    Source: Robertson and Zaragoza 2009.
    """

    depth: int = DEPTH
    k1: float = 1.2
    b: float = 0.75

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        _check_number("k1", self.k1, 0, 1e6)
        _check_number("b", self.b, 0, 1)


@dataclass(frozen=True)
class TFIDF(_Stage):
    """Retrieve by words: cosine of log-frequency vectors weighted by rarity. Source: Salton 1988."""

    depth: int = DEPTH

    def __post_init__(self) -> None:
        _check_depth(self.depth)


@dataclass(frozen=True)
class Dense(_Stage):
    """Retrieve by meaning: one vector a passage (bi-encoder); a document is its best passage.

    With a ``recall`` below 1 the vectors' signs, or a graph, choose in large segments what is compared: about that
    share of the best is found, in a fraction of the time; behind a filter all is compared. Its scores are exact always.
    """

    needs_vectors: ClassVar[bool] = True
    depth: int = DEPTH
    recall: float = 1

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        _check_number("recall", self.recall, 0, 1)


@dataclass(frozen=True)
class MaxSim(_Stage):
    """Compare token by token (late interaction).

    As a retriever it reads every document of a small collection; of one with more than 20,000 passages those that
    its lists of tokens suggest, unless it has to be ``exact``. Scores are exact always.

    Source: Khattab and Zaharia 2020.
    """

    needs_vectors: ClassVar[bool] = True
    depth: int = DEPTH
    exact: bool = False

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        if not isinstance(self.exact, bool):
            raise PipelineError(f"exact must be true or false, not {self.exact!r}")


@dataclass(frozen=True)
class Poly(_Stage):
    """Retrieve by meaning as seen from several sides of the query (poly-encoder), with the vectors that dense reads.

    Costs as many times what ``dense`` does as the model has codes. Source: Humeau et al. 2020.
    """

    needs_vectors: ClassVar[bool] = True
    depth: int = DEPTH

    def __post_init__(self) -> None:
        _check_depth(self.depth)


@dataclass(frozen=True)
class Cross(_Stage):
    """Read query and passage together (cross-encoder); scores are logits.

    ``model`` is the folder of a cross-encoder, or ``judge`` or ``judge-small`` for those that come along. Of a document
    the ``passages`` nearest to the query by their vectors are read, and the best one speaks for it. As a retriever it
    reads every document, if they are at most ``budget``.

    Source: Nogueira and Cho 2019.
    """

    needs_vectors: ClassVar[bool] = True
    depth: int = DEPTH
    model: str = "judge"
    passages: int = 1
    budget: int = 2000

    def __post_init__(self) -> None:
        _check_depth(self.depth)
        if not isinstance(self.model, str) or not self.model:
            raise PipelineError(
                f"cross needs the folder of a cross-encoder, not {self.model!r}",
                hint="write cross, or cross(model='FOLDER')",
            )
        for name, value in (("passages", self.passages), ("budget", self.budget)):
            if not isinstance(value, int) or isinstance(value, bool) or value < 1:
                raise PipelineError(f"{name} must be a whole number from 1, not {value!r}")


@dataclass(frozen=True)
class Fuse(_Stage):
    """Combine retrievers: every document that one of them found gets its exact score from all.

    ``method`` is ``scores`` (lexical scores divided by the query's best, similarities as they are, times
    ``weights``), ``rrf`` (weights over ``rrf_k`` + rank, ranks counted among the documents found), or
    ``adaptive``: BM25 and dense, weighted for each query by how far each can be trusted there, without judgements
    (see scoring/adaptive.py); the weights are divided by their sum.

    Source (rrf): Cormack, Clarke and Büttcher 2009. Deviation: a document that a retriever did not return
    still has a rank by its exact score there, unless it shares no word with the query.
    """

    stages: tuple[Pipeline, ...]
    weights: tuple[float, ...] | None = None
    method: str = "scores"
    rrf_k: float = 60

    def __post_init__(self) -> None:
        object.__setattr__(self, "stages", tuple(self.stages))
        if len(self.stages) < 2:
            raise PipelineError("fuse needs two stages or more")
        _check_stages(*self.stages)
        _refuse_parts("stage of fuse", *self.stages)
        if self.weights is not None:
            object.__setattr__(self, "weights", tuple(self.weights))
            if len(self.weights) != len(self.stages):
                raise PipelineError(f"fuse has {len(self.stages)} stages and {len(self.weights)} weights")
            for weight in self.weights:
                _check_number("a weight", weight, 0, 1e6)
            if not any(self.weights):
                raise PipelineError("fuse needs a weight above 0")
        if self.method not in ("scores", "rrf", "adaptive"):
            raise PipelineError(f"method must be 'scores', 'rrf' or 'adaptive', not {self.method!r}")
        if self.method == "adaptive":
            if [type(stage) for stage in self.stages] != [BM25, Dense]:
                raise PipelineError("method 'adaptive' combines bm25 and dense, in this order")
            if self.weights is not None:
                raise PipelineError("method 'adaptive' finds its own weights")
        _check_number("rrf_k", self.rrf_k, 0, 1e6)


@dataclass(frozen=True)
class Rerank(_Stage):
    """Let ``judge`` score the first ``depth`` documents of ``first``; the rest keep their order below.

    With ``weight`` below 1 the result is ``weight * judge + (1 - weight) * first``, both brought to the
    range from 0 to 1 over the documents that were read; so such a score depends on which ones were.

    With ``top`` it reads in the order of ``first`` and stops when the first ``top`` documents can't change any more,
    whatever the model of a ``cross`` in ``judge`` said of the others: they are the same, in the same order. With
    ``budget_ms`` it also stops when it has read for so long, after some documents at least; what is found then depends
    on the machine. The documents that were not read keep their order below.
    """

    first: Pipeline
    judge: Pipeline
    depth: int = DEPTH
    weight: float = 1
    top: int | None = None
    budget_ms: float | None = None

    def __post_init__(self) -> None:
        _check_stages(self.first, self.judge)
        _check_depth(self.depth)
        _check_number("weight", self.weight, 0, 1)
        if self.top is not None and (
            not isinstance(self.top, int) or isinstance(self.top, bool) or self.top < 1
        ):
            raise PipelineError(f"top must be a whole number from 1, not {self.top!r}")
        if self.budget_ms is not None:
            _check_number("budget_ms", self.budget_ms, 0, 1e9)
        _refuse_parts("judge", self.judge)
        if self.weight < 1:
            _refuse_parts("first of a rerank with a weight below 1", self.first)
        if self.reads_in_parts and (self.weight < 1 or not _scores_alone(self.judge)):
            raise PipelineError(
                "rerank can't stop early where a document's score depends on which others are read",
                hint="leave out top and budget_ms, or fuse scores with weights instead",
            )

    @property
    def reads_in_parts(self) -> bool:
        """Whether it may stop before it has read all."""
        return self.top is not None or self.budget_ms is not None


Leaf = BM25 | TFIDF | Dense | MaxSim | Poly | Cross
Pipeline = Leaf | Fuse | Rerank


@lru_cache(1024)
def leaves(pipeline: Pipeline) -> tuple[Leaf, ...]:
    """Give the scorers of a pipeline, each once, at its default depth."""
    match pipeline:
        case Fuse(stages=stages):
            found = [leaf for stage in stages for leaf in leaves(stage)]
        case Rerank(first=first, judge=judge):
            found = [*leaves(first), *leaves(judge)]
        case _:
            found = [replace(pipeline, depth=DEPTH)]
    return tuple(dict.fromkeys(found))


@lru_cache(1024)
def deepen(pipeline: Pipeline, depth: int) -> Pipeline:
    """Give the pipeline whose retrievers pass on at least ``depth`` documents, as many of them in their final order.

    Judges read no more documents than before.
    """
    match pipeline:
        case Fuse(stages=stages):
            return replace(pipeline, stages=tuple(deepen(stage, depth) for stage in stages))
        case Rerank(first=first, top=top):
            deep = deepen(first, depth)
            if (
                isinstance(deep, Rerank) and deep.top is not None
            ):  # what is read here has its final order there
                deep = replace(deep, top=max(deep.top, pipeline.depth))
            return replace(pipeline, first=deep, top=None if top is None else max(top, depth))
        case _:
            return replace(pipeline, depth=max(depth, pipeline.depth))


@lru_cache(1024)
def with_recall(pipeline: Pipeline, recall: float) -> Pipeline:
    """Give the pipeline whose dense stages need to find only that share of the best; see :class:`Dense`.

    Raises:
        PipelineError: ``recall`` is not from 0 to 1, or there is no dense stage.
    """
    _check_number("recall", recall, 0, 1)
    if not any(isinstance(leaf, Dense) for leaf in leaves(pipeline)):
        raise PipelineError(
            f"{pipeline} has no dense stage, which recall is about",
            hint="leave it out, or choose another pipeline, such as hybrid",
        )
    return _with_recall(pipeline, recall)


def _with_recall(pipeline: Pipeline, recall: float) -> Pipeline:
    match pipeline:
        case Fuse(stages=stages):
            return replace(pipeline, stages=tuple(_with_recall(stage, recall) for stage in stages))
        case Rerank(first=first, judge=judge):
            return replace(pipeline, first=_with_recall(first, recall), judge=_with_recall(judge, recall))
        case Dense():
            return replace(pipeline, recall=recall)
    return pipeline


def can_run(pipeline: Pipeline, *, has_tokens: bool, has_codes: bool) -> bool:
    """Say whether a collection with or without token vectors, whose model has or lacks codes, can run a pipeline."""
    return not any(
        (isinstance(leaf, MaxSim) and not has_tokens) or (isinstance(leaf, Poly) and not has_codes)
        for leaf in leaves(pipeline)
    )


def _scores_alone(stage: Pipeline) -> bool:
    """Whether a document's score is the same whichever others are scored with it."""
    match stage:
        case Fuse(stages=parts, method=method):
            return method != "rrf" and all(map(_scores_alone, parts))
        case Rerank():
            return False
    return True


def _refuse_parts(where: str, *stages: Pipeline) -> None:
    """Refuse a rerank that may stop early where every document's score is asked for."""
    for stage in stages:
        match stage:
            case Rerank() if stage.reads_in_parts:
                raise PipelineError(
                    f"a rerank with top or budget_ms can't be the {where}, which scores every document",
                    hint="leave out top and budget_ms there",
                )
            case Rerank(first=first):
                _refuse_parts(where, first)
            case _:
                pass


def _check_stages(*stages: object) -> None:
    for stage in stages:
        if not isinstance(stage, _Stage):
            raise PipelineError(f"a stage must be a pipeline, not {stage!r}")


FIELDS = {kind: fields(kind) for kind in (BM25, TFIDF, Dense, MaxSim, Poly, Cross, Fuse, Rerank)}
"""The settings of every kind of stage, for the notation."""
