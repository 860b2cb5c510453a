"""Retrieve, fuse, rerank: pipelines as values, and the searcher that runs them."""

from shortlist.search.notation import ANY_SIZE, NAMES, name_of, parse, to_text
from shortlist.search.pipeline import (
    BM25,
    TFIDF,
    Cross,
    Dense,
    Fuse,
    MaxSim,
    Pipeline,
    Poly,
    Rerank,
    can_run,
    deepen,
    leaves,
    with_recall,
)
from shortlist.search.query import PreparedQuery
from shortlist.search.searcher import Result, Searcher, default_pipeline

__all__ = [
    "ANY_SIZE",
    "BM25",
    "NAMES",
    "TFIDF",
    "Cross",
    "Dense",
    "Fuse",
    "MaxSim",
    "Pipeline",
    "Poly",
    "PreparedQuery",
    "Rerank",
    "Result",
    "Searcher",
    "can_run",
    "deepen",
    "default_pipeline",
    "leaves",
    "name_of",
    "parse",
    "to_text",
    "with_recall",
]
