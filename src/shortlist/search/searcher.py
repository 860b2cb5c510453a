"""Search a snapshot: one query at a time, or a whole run."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Analyzer, Filter, Snapshot, StoreSettings
from shortlist.errors import PipelineError
from shortlist.models import Encoder
from shortlist.protocols import Progress, ScoresDocuments, ScoresPairs
from shortlist.scoring.adaptive import SPREAD_RANK
from shortlist.search.execution import Execution, timed
from shortlist.search.notation import NAMES, name_of
from shortlist.search.pipeline import Cross, Dense, Leaf, Pipeline, deepen, leaves, with_recall
from shortlist.search.query import PreparedQuery, prepare
from shortlist.search.scorers import DenseScorer, Found, best_documents, make_scorer
from shortlist.types import Document, Hit, Query, Ranking, Run

__all__ = ["Result", "Searcher", "default_pipeline"]

Nearest = tuple[int, Found]
"""How many of the nearest documents were asked for, and which were found."""

QUERIES_AT_ONCE = 32  # share one pass over the vectors


@dataclass(frozen=True)
class Result:
    """Hold what a search found and how.

    ``pipeline`` is what ran (deepened, if ``k`` asked for more than it passes on). ``timings_ms`` has the
    time of every step and the ``total``; ``seen`` how many documents each retriever passed on;
    ``truncated_tokens`` how many tokens of the query the encoder could not read (BM25 reads all),
    ``judge_truncated_tokens`` how many of the pairs that cross-encoders were given, all together.
    """

    query: str
    ranking: Ranking
    documents: Mapping[str, Document]
    pipeline: Pipeline
    timings_ms: Mapping[str, float]
    seen: Mapping[str, int]
    generation: int
    truncated_tokens: int = 0
    judge_truncated_tokens: int = 0

    def __iter__(self) -> Iterator[tuple[Hit, Document]]:
        return ((hit, self.documents[hit.doc_id]) for hit in self.ranking)


def _no_judge(name: str) -> ScoresPairs:
    raise PipelineError(f"this searcher has no judge {name!r}")


class Searcher:
    """Bind pipelines to a snapshot and its encoder, which is asked for when a pipeline needs vectors."""

    def __init__(
        self,
        snapshot: Snapshot,
        settings: StoreSettings,
        analyzer: Analyzer,
        encoder: Callable[[], Encoder],
        judges: Callable[[str], ScoresPairs] = _no_judge,
    ) -> None:
        self.snapshot = snapshot
        self._settings = settings
        self._analyzer = analyzer
        self._encoder = encoder
        self._judges = judges

    def search(
        self,
        query: str | PreparedQuery,
        k: int = 10,
        *,
        pipeline: Pipeline | None = None,
        condition: Filter | None = None,
        threads: int | None = None,
        recall: float | None = None,
    ) -> Result:
        """Find the ``k`` best documents; fewer only where fewer qualify.

        A lexical retriever qualifies documents that share a term with the query, the others all documents
        that ``condition`` lets through. ``recall`` takes the place of that of dense stages.

        Raises:
            PipelineError: ``k`` is below 1, or the pipeline needs a view that the collection lacks.
        """
        begin = time.perf_counter()
        if isinstance(query, str):
            query = PreparedQuery(query, self._analyzer, self._encoder)
        timings_ms: dict[str, float] = {}
        with timed(timings_ms, "filter"):
            allowed = self.snapshot.allowed(condition)
        chosen = deepen(self._chosen(pipeline, recall), _checked(k))
        return self._search(query, k, chosen, allowed, timings_ms, begin, threads)

    def run(
        self,
        queries: Sequence[Query],
        k: int = 1000,
        *,
        pipeline: Pipeline | None = None,
        condition: Filter | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        recall: float | None = None,
    ) -> Run:
        """Rank documents for many queries: the same rankings as one search each, in less time."""
        asked = self._chosen(pipeline, recall)
        chosen = deepen(asked, _checked(k))
        allowed = self.snapshot.allowed(condition)
        rankings: dict[str, Ranking] = {}
        for query, prepared, nearest in self._prepared(queries, leaves(chosen), allowed, threads):
            execution = self._execution(prepared, allowed, nearest, {}, threads)
            rankings[query.query_id] = execution.rank(chosen, k)
            if progress is not None:
                progress(1)
        return Run(rankings, name=_run_name(asked))

    def _chosen(self, pipeline: Pipeline | None, recall: float | None) -> Pipeline:
        chosen = pipeline or default_pipeline(self._settings)
        return chosen if recall is None else with_recall(chosen, recall)

    def run_all(
        self,
        queries: Sequence[Query],
        pipelines: Sequence[Pipeline],
        k: int | Sequence[int] = 1000,
        *,
        condition: Filter | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
        recall: float | None = None,
    ) -> list[Run]:
        """Rank documents for many queries with several pipelines; what they share is computed once a query.

        ``k`` is one for all, or one for each. The rankings are those of :meth:`run`; their hits carry neither the
        stages' scores nor passages.
        """
        asked = [self._chosen(pipeline, recall) for pipeline in pipelines]
        each = [k] * len(pipelines) if isinstance(k, int) else list(k)
        deep = [deepen(pipeline, _checked(most)) for pipeline, most in zip(asked, each, strict=True)]
        needed = tuple(dict.fromkeys(leaf for pipeline in deep for leaf in leaves(pipeline)))
        allowed = self.snapshot.allowed(condition)
        rankings: list[dict[str, Ranking]] = [{} for _ in pipelines]
        for query, prepared, nearest in self._prepared(queries, needed, allowed, threads):
            execution = self._execution(prepared, allowed, nearest, {}, threads)
            for found, pipeline, most in zip(rankings, deep, each, strict=True):
                found[query.query_id] = execution.rank_alone(pipeline, most)
            if progress is not None:
                progress(1)
        return [Run(found, _run_name(p)) for found, p in zip(rankings, asked, strict=True)]

    def _prepared(
        self,
        queries: Sequence[Query],
        needed: Sequence[Leaf],
        allowed: NDArray[np.bool_],
        threads: int | None,
    ) -> Iterator[tuple[Query, PreparedQuery, Nearest | None]]:
        """Encode queries together and compare them with all vectors in one pass, as far as that is needed."""
        needs_vectors = any(leaf.needs_vectors for leaf in needed)
        deepest = max(
            (leaf.depth for leaf in needed if isinstance(leaf, Dense) and leaf.recall == 1), default=0
        )
        most = max(deepest, SPREAD_RANK)
        for start in range(0, len(queries), QUERIES_AT_ONCE):
            part = queries[start : start + QUERIES_AT_ONCE]
            texts = [query.text for query in part]
            if needs_vectors:
                prepared = prepare(texts, self._analyzer, self._encoder, threads=threads)
            else:
                prepared = [PreparedQuery(text, self._analyzer, self._encoder) for text in texts]
            nearest: list[Nearest | None] = [None] * len(part)
            if deepest:
                vectors = np.stack([query.dense[0] for query in prepared])
                found = best_documents(self.snapshot, vectors, most, allowed, threads)
                nearest = [(most, one) for one in found]
            yield from zip(part, prepared, nearest, strict=True)

    def _search(
        self,
        query: PreparedQuery,
        k: int,
        pipeline: Pipeline,
        allowed: NDArray[np.bool_],
        timings_ms: dict[str, float],
        begin: float,
        threads: int | None = None,
    ) -> Result:
        if any(leaf.needs_vectors for leaf in leaves(pipeline)) and not query.is_encoded:
            with timed(timings_ms, "load"):  # takes time in the first search only
                self._encoder()
                for leaf in leaves(pipeline):
                    if isinstance(leaf, Cross):
                        self._judges(leaf.model)
            with timed(timings_ms, "encode"):
                _ = query.vectors
        execution = self._execution(query, allowed, None, timings_ms, threads)
        ranking = execution.rank(pipeline, k)
        with timed(timings_ms, "fetch"):
            ids = [hit.doc_id for hit in ranking]
            documents = dict(zip(ids, self.snapshot.documents(execution.positions(ids)), strict=True))
        timings_ms["total"] = (time.perf_counter() - begin) * 1000
        return Result(
            query.text,
            ranking,
            documents,
            pipeline,
            timings_ms,
            execution.seen,
            self.snapshot.generation.number,
            query.truncated_tokens,
            execution.judge_truncated_tokens,
        )

    def _execution(
        self,
        query: PreparedQuery,
        allowed: NDArray[np.bool_],
        nearest: Nearest | None,
        timings_ms: dict[str, float],
        threads: int | None,
    ) -> Execution:
        scales = self._settings.dense_scale, self._settings.token_scale

        def scorer(leaf: Leaf) -> ScoresDocuments:
            dense = DenseScorer(self.snapshot, query, scales[0], allowed, nearest, threads)
            if isinstance(leaf, Dense) and leaf.recall == 1:
                return dense
            return make_scorer(leaf, self.snapshot, query, allowed, scales, self._judges, dense, threads)

        return Execution(self.snapshot, scorer, timings_ms)


def default_pipeline(settings: StoreSettings) -> Pipeline:
    """Give ``cascade``; ``hybrid+late`` with an encoder of the user's own, whose language the judges may not read.

    Without token vectors it is ``hybrid``.
    """
    if not settings.token_dimensions:
        return NAMES["hybrid"]
    return NAMES["hybrid+late" if settings.model else "cascade"]


def _run_name(pipeline: Pipeline) -> str:
    """Name a run so that the name can stand as one column of a file."""
    return name_of(pipeline).replace(" ", "")


def _checked(k: int) -> int:
    if isinstance(k, bool) or not isinstance(k, int) or k < 1:
        raise PipelineError(f"k must be a whole number from 1, not {k!r}")
    return k
