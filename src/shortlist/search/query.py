"""One query as the scorers see it: its terms and its vectors, each made when first asked for, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Analyzer
from shortlist.models import Encoder
from shortlist.types import check_text
from shortlist.vectors import quantize, quantize_rows

__all__ = ["PreparedQuery", "prepare"]


class PreparedQuery:
    """Hold a query's text, terms and vectors.

    ``vectors`` is the query's pooled vector ``[H]`` and token vectors ``[Q, D]`` in float32, if they are
    known already; otherwise ``encoder`` is asked for the encoder, which makes them on first use.
    ``truncated_tokens`` counts what the model could not read of the query, once the vectors are known.
    """

    truncated_tokens: int = 0

    def __init__(
        self,
        text: str,
        analyzer: Analyzer,
        encoder: Callable[[], Encoder],
        vectors: tuple[NDArray[np.float32], NDArray[np.float32]] | None = None,
    ) -> None:
        self.text = check_text(text, "the query")
        self.analyzer = analyzer
        self._encoder = encoder
        if vectors is not None:
            self.vectors = vectors

    @cached_property
    def terms(self) -> Counter[str]:
        """How often the query has each term, in the order of their first occurrence."""
        return Counter(self.analyzer.terms(self.text))

    @cached_property
    def vectors(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """The pooled vector ``[H]`` and the token vectors ``[Q, D]``."""
        views = self._encoder().views([self.text], prompt="query", threads=1)
        (self.truncated_tokens,) = views.truncated_tokens
        return views.dense.data[0], views.tokens[0]

    @property
    def is_encoded(self) -> bool:
        """Whether the vectors are known already."""
        return "vectors" in self.__dict__

    @cached_property
    def dense(self) -> tuple[NDArray[np.int8], float]:
        """The pooled vector in int8 and its own scale: it depends on this query alone."""
        values, scales = quantize_rows(self.vectors[0][None])
        return values[0], float(scales[0])

    def tokens(self, scale: float) -> NDArray[np.int8]:
        """Give the token vectors in int8 steps of ``scale``."""
        return quantize(self.vectors[1], scale)


def prepare(
    texts: Sequence[str], analyzer: Analyzer, encoder: Callable[[], Encoder], *, threads: int | None
) -> list[PreparedQuery]:
    """Prepare many queries, encoded together; the vectors are the same as one by one."""
    views = encoder().views(texts, prompt="query", threads=threads)
    return [
        PreparedQuery(text, analyzer, encoder, (dense, tokens))
        for text, dense, tokens in zip(texts, views.dense.data, views.tokens, strict=True)
    ]
