"""How each leaf of a pipeline scores the documents of a snapshot for one query.

A scorer belongs to one query on one snapshot and remembers what is dear to compute, so that a stage that
scores again, and the hit that reports the score, cost little.
"""

from __future__ import annotations

from collections.abc import Callable

from shortlist.collection import Snapshot
from shortlist.errors import PipelineError
from shortlist.protocols import ScoresDocuments, ScoresPairs
from shortlist.search.pipeline import BM25, TFIDF, Cross, Dense, Leaf, MaxSim, Poly
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.judge import CrossScorer
from shortlist.search.scorers.late import LateScorer
from shortlist.search.scorers.passages import Found, Mask
from shortlist.search.scorers.vectors import DenseScorer, PolyScorer, best_documents
from shortlist.search.scorers.words import BM25Scorer, TfidfScorer

__all__ = [
    "BM25Scorer",
    "CrossScorer",
    "DenseScorer",
    "Found",
    "LateScorer",
    "PolyScorer",
    "TfidfScorer",
    "best_documents",
    "make_scorer",
]


def make_scorer(
    leaf: Leaf,
    snapshot: Snapshot,
    query: PreparedQuery,
    allowed: Mask,
    scales: tuple[float, float],
    judges: Callable[[str], ScoresPairs] | None = None,
    nearest: DenseScorer | None = None,
    threads: int | None = None,
) -> ScoresDocuments:
    """Make the scorer of a leaf; ``scales`` are the int8 steps of pooled and of token vectors.

    ``judges`` gives a cross-encoder by its folder; it reads on ``threads``, and ``nearest`` chooses what of a long
    document.

    Raises:
        PipelineError: the leaf needs the token view and the collection has none.
    """
    match leaf:
        case BM25():
            return BM25Scorer(snapshot, query, allowed, leaf)
        case TFIDF():
            return TfidfScorer(snapshot, query, allowed)
        case Dense(recall=recall):
            return DenseScorer(snapshot, query, scales[0], allowed, None, threads, recall)
        case MaxSim():
            if not all(segment.has_tokens for segment in snapshot.segments):
                raise PipelineError(
                    "this collection has no token vectors, which late interaction reads",
                    hint="index it again without --no-tokens, or use --pipeline hybrid",
                )
            return LateScorer(snapshot, query, scales, allowed, leaf, threads)
        case Poly():
            if query.vectors.poly is None:
                raise PipelineError(
                    "this collection's model has no poly-encoder",
                    hint="index with one that has; shortlist train poly-encoder makes them",
                )
            return PolyScorer(snapshot, query, scales[0], allowed, threads)
        case Cross(model=model):
            assert judges is not None
            nearest = nearest or DenseScorer(snapshot, query, scales[0], allowed)
            return CrossScorer(snapshot, query, leaf, judges(model), nearest, allowed, threads)
