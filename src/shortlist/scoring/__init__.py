"""The arithmetic of search: a reference in numpy, and in front of it kernels in C++ that give the same bits."""

from shortlist.scoring.bits import sign_bits
from shortlist.scoring.codes import CODE_BITS, TokenCodes, decode_tokens, encode_tokens
from shortlist.scoring.dense import MAX_DIMENSIONS
from shortlist.scoring.fast import (
    best_bm25,
    best_listed,
    best_products,
    bit_distances,
    dot_products,
    maxsim,
    nearest,
    rows_within,
)
from shortlist.scoring.lexical import bm25_idf, bm25_weights, tfidf_idf, tfidf_weights
from shortlist.scoring.poly import poly_scores
from shortlist.scoring.selection import at_least_kth

__all__ = [
    "CODE_BITS",
    "MAX_DIMENSIONS",
    "TokenCodes",
    "at_least_kth",
    "best_bm25",
    "best_listed",
    "best_products",
    "bit_distances",
    "bm25_idf",
    "bm25_weights",
    "decode_tokens",
    "dot_products",
    "encode_tokens",
    "maxsim",
    "nearest",
    "poly_scores",
    "rows_within",
    "sign_bits",
    "tfidf_idf",
    "tfidf_weights",
]
