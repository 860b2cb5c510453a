"""Tune weights and depths on judged queries, and say what is gained on queries that did not choose them.

From a pipeline's own settings the search goes, one setting at a time, to whatever raises the mean most, as long as
that is more than a hair. Five times a fifth of the queries is left out and judged with what the others chose: that
gain, not the one on the queries that were tuned on, is what tuning can promise.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from shortlist.api import Collection
from shortlist.errors import DataError, PipelineError
from shortlist.evaluation.checks import Checked, check_judgements
from shortlist.evaluation.comparison import all_documents, differences, judged_runs
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.results import Difference
from shortlist.measures.ranking import Measure, by_query, nDCG
from shortlist.protocols import Steps
from shortlist.search import Fuse, Pipeline, Rerank, name_of
from shortlist.types import Query

__all__ = ["Fold", "Tuning", "check_tunable", "neighbours", "tune"]

WEIGHTS = (0, 0.25, 0.5, 1, 2, 3, 4, 6, 8, 12)
"""Weights tried for every stage of a fusion but the first, which has 1."""
MOST_WEIGHT = 1e6  # that a fusion takes
INTERPOLATION = (0.25, 0.5, 0.75, 0.9, 1)
DEPTHS = (20, 50, 100, 200, 400)
LEAST_GAIN = 0.0005  # of the mean, for a setting to be changed
MOVES = 8
FOLDS = 5
BATCH = 24  # variants run at once: what they share is computed once


@dataclass(frozen=True)
class Fold:
    """Hold one fold: the pipeline that the other folds' queries chose, and how many queries it was tried on."""

    pipeline: Pipeline
    queries: int


@dataclass(frozen=True)
class Tuning:
    """Hold what tuning found.

    ``tuned`` is what all queries choose. ``gain`` is of the folds' choices on the queries that did not choose
    them, against ``original``; ``gain_inside`` is the mean gain on the queries that were tuned on, which flatters.
    """

    original: Pipeline
    tuned: Pipeline
    measure: str
    gain: Difference
    gain_inside: float
    folds: tuple[Fold, ...]
    tried: int

    @property
    def is_worth_it(self) -> bool:
        """Whether the gain outside the tuning folds is significantly above 0."""
        return self.gain.is_significant and self.gain.difference.mean > 0


def neighbours(pipeline: Pipeline, *, inside: bool = False) -> Iterator[Pipeline]:
    """Give the pipelines that differ in one setting: a fusion weight, an interpolation weight, a depth read.

    Weights are relative to the first stage's; ``inside`` another fusion, where the scale of the scores counts, they
    keep it.
    """
    match pipeline:
        case Fuse(stages=stages):
            scales = pipeline.method != "rrf"
            for index in range(len(stages)):
                for stage in neighbours(stages[index], inside=scales):
                    yield replace(pipeline, stages=(*stages[:index], stage, *stages[index + 1 :]))
            if pipeline.method == "adaptive":
                for weight in filter(None, WEIGHTS):
                    whole = 1 + weight if inside else 1  # adaptive scores are a mean
                    yield replace(
                        pipeline, method="scores", weights=(_tidy(1 / whole), _tidy(weight / whole))
                    )
            else:
                yield from _weighted(pipeline, inside)
        case Rerank():
            for first in neighbours(pipeline.first):
                yield replace(pipeline, first=first)
            for judge in neighbours(pipeline.judge):
                yield replace(pipeline, judge=judge)
            if not pipeline.reads_in_parts:
                yield from (replace(pipeline, weight=w) for w in INTERPOLATION if w != pipeline.weight)
            yield from (replace(pipeline, depth=d) for d in DEPTHS if d != pipeline.depth)
        case _:
            return


def _weighted(fuse: Fuse, inside: bool) -> Iterator[Fuse]:
    """Give a fusion with one other weight, the first stage's being 1, or what it was ``inside`` another fusion."""
    weights = fuse.weights or (1.0,) * len(fuse.stages)
    if weights[0] > 0 and max(weights) / weights[0] <= MOST_WEIGHT:
        unit = weights[0] if inside else 1
        scaled = tuple(_tidy(weight / weights[0] * unit) for weight in weights)
        for index in range(1, len(scaled)):
            others = (_tidy(weight * unit) for weight in WEIGHTS)
            yield from (
                replace(fuse, weights=(*scaled[:index], other, *scaled[index + 1 :]))
                for other in others
                if other != scaled[index] and other <= MOST_WEIGHT
            )


def _tidy(weight: float) -> float:
    """Give a whole number as one, which prints as it is written."""
    return int(weight) if weight == int(weight) else weight


def tune(
    collection: Collection,
    judged: Judged,
    pipeline: Pipeline,
    *,
    measure: Measure = nDCG @ 10,
    seed: int = 0,
    threads: int | None = None,
    steps: Steps | None = None,
) -> Tuning:
    """Tune the weights and depths of a pipeline on judged queries, by cross-validation.

    Raises:
        PipelineError: the pipeline has nothing to tune.
        DataError: there are fewer than 10 judged queries.
    """
    check_tunable(pipeline, judged)
    checked = check_judgements(all_documents(collection), judged)
    count = len(checked.judged.queries)
    fold_of = _folds(checked.judged.queries, seed)
    known = _Values(collection, checked, measure, threads, steps)
    # The last search goes by all queries, the others each leave one fold out.
    masks = [fold_of != fold for fold in range(FOLDS)] + [np.ones(count, bool)]
    found = _climb(known, pipeline, masks)
    original = known(pipeline)
    outside, inside = np.empty(count), []
    for fold in range(FOLDS):
        values = known(found[fold])
        outside[fold_of == fold] = values[fold_of == fold]
        inside.append(float((values - original)[fold_of != fold].mean()))
    gain = differences({"original": original.tolist(), "tuned": outside.tolist()}, "original", seed=seed)
    return Tuning(
        original=pipeline,
        tuned=found[-1],
        measure=str(measure),
        gain=gain["tuned"],
        gain_inside=float(np.mean(inside)),
        folds=tuple(Fold(found[fold], int((fold_of == fold).sum())) for fold in range(FOLDS)),
        tried=len(known),
    )


def check_tunable(pipeline: Pipeline, judged: Judged) -> None:
    """Refuse what can't be tuned, before anything is indexed.

    Raises:
        PipelineError: the pipeline has nothing to tune.
        DataError: there are fewer than 10 judged queries.
    """
    if next(neighbours(pipeline), None) is None:
        raise PipelineError(
            f"{name_of(pipeline)} has neither weights nor a depth to tune", hint="name a fusion: hybrid"
        )
    different = len({_words(query) for query in judged.queries})
    if different < 2 * FOLDS:
        raise DataError(
            f"{different} different judged queries are too few to tune on",
            hint=f"at least {2 * FOLDS} are needed",
        )


def _folds(queries: Sequence[Query], seed: int) -> NDArray[np.int64]:
    """Give each query's fold, ``[Q]``; queries with the same words are in one, or the one would know the other."""
    of_words: dict[str, int] = {}
    groups = [of_words.setdefault(_words(query), len(of_words)) for query in queries]
    fold_of_group = np.random.default_rng(seed).permutation(np.arange(len(of_words)) % FOLDS)
    return fold_of_group[groups]


def _words(query: Query) -> str:
    return " ".join(query.text.lower().split())


class _Values:
    """Know each variant's value for every query, ``[Q]``; variants are run together, each once."""

    def __init__(
        self,
        collection: Collection,
        checked: Checked,
        measure: Measure,
        threads: int | None,
        steps: Steps | None,
    ) -> None:
        self._known: dict[Pipeline, NDArray[np.float64]] = {}
        self._run: Callable[[Sequence[Pipeline]], list[NDArray[np.float64]]] = lambda pipelines: [
            np.array(list(by_query(measure, found[measure], checked.judged.qrels).values()))
            for found in judged_runs(collection, checked, pipelines, [measure], threads=threads, steps=steps)
        ]

    def __len__(self) -> int:
        return len(self._known)

    def __call__(self, pipeline: Pipeline) -> NDArray[np.float64]:
        self.learn([pipeline])
        return self._known[pipeline]

    def learn(self, pipelines: Sequence[Pipeline]) -> None:
        """Run those that are not known yet."""
        missing = [pipeline for pipeline in dict.fromkeys(pipelines) if pipeline not in self._known]
        for start in range(0, len(missing), BATCH):
            part = missing[start : start + BATCH]
            self._known.update(zip(part, self._run(part), strict=True))


def _climb(known: _Values, start: Pipeline, masks: Sequence[NDArray[np.bool_]]) -> list[Pipeline]:
    """Move, for each mask of queries, from ``start`` to better neighbours until none is better."""
    current = [start] * len(masks)
    open_searches = set(range(len(masks)))
    for _ in range(MOVES):
        around = {index: list(neighbours(current[index])) for index in open_searches}
        known.learn([start, *(pipeline for found in around.values() for pipeline in found)])
        for index, found in around.items():
            means = [float(known(pipeline)[masks[index]].mean()) for pipeline in found]
            best = int(np.argmax(means))
            if means[best] > float(known(current[index])[masks[index]].mean()) + LEAST_GAIN:
                current[index] = found[best]
            else:
                open_searches.discard(index)
        if not open_searches:
            break
    return current
