"""Retrieve, fuse, rerank: pipelines as values, and the searcher that runs them."""

from shortlist.search.notation import NAMES, name_of, parse, to_text
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
    deepen,
    leaves,
)
from shortlist.search.query import PreparedQuery
from shortlist.search.searcher import Result, Searcher, default_pipeline

__all__ = [
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
    "deepen",
    "default_pipeline",
    "leaves",
    "name_of",
    "parse",
    "to_text",
]
