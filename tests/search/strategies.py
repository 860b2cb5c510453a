"""Hypothesis strategies for pipelines."""

from hypothesis import strategies as st

from shortlist.search import BM25, TFIDF, Dense, Fuse, MaxSim, Pipeline, Rerank

DEPTHS = st.integers(1, 10**6)
LEAVES: st.SearchStrategy[Pipeline] = st.one_of(
    st.builds(BM25, DEPTHS, st.floats(0, 1e6) | st.integers(0, 5), st.floats(0, 1) | st.integers(0, 1)),
    st.builds(TFIDF, DEPTHS),
    st.builds(Dense, DEPTHS),
    st.builds(MaxSim, DEPTHS),
)
_WEIGHT = st.floats(0, 1e6) | st.integers(0, 9)


def _fuse(stages: list[Pipeline]) -> st.SearchStrategy[Pipeline]:
    weights = st.lists(_WEIGHT, min_size=len(stages), max_size=len(stages)).filter(any).map(tuple)
    return st.builds(
        Fuse,
        st.just(tuple(stages)),
        st.none() | weights,
        st.sampled_from(["scores", "rrf"]),
        st.floats(0, 1e6) | st.integers(0, 100),
    )


def _combine(inner: st.SearchStrategy[Pipeline]) -> st.SearchStrategy[Pipeline]:
    return (
        st.lists(inner, min_size=2, max_size=4).flatmap(_fuse)
        | st.builds(Rerank, inner, inner, DEPTHS, st.floats(0, 1) | st.integers(0, 1))
        | st.builds(lambda one, two: Fuse((BM25(one), Dense(two)), method="adaptive"), DEPTHS, DEPTHS)
    )


PIPELINES: st.SearchStrategy[Pipeline] = st.recursive(LEAVES, _combine, max_leaves=8)
"""Any pipeline of up to eight scorers."""
