"""Reference scoring in numpy: what every faster path must reproduce."""

from shortlist.scoring.dense import MAX_DIMENSIONS, dot_products
from shortlist.scoring.late import maxsim
from shortlist.scoring.lexical import bm25_idf, bm25_weights, tfidf_idf, tfidf_weights
from shortlist.scoring.poly import poly_scores
from shortlist.scoring.selection import at_least_kth

__all__ = [
    "MAX_DIMENSIONS",
    "at_least_kth",
    "bm25_idf",
    "bm25_weights",
    "dot_products",
    "maxsim",
    "poly_scores",
    "tfidf_idf",
    "tfidf_weights",
]
