"""One query as the scorers see it: its terms and its vectors, each made when first asked for, once."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Analyzer
from shortlist.lazy import lazy
from shortlist.models import Encoder, QueryVectors
from shortlist.types import check_text
from shortlist.vectors import quantize_rows

__all__ = ["PreparedQuery", "prepare"]


class PreparedQuery:
    """Hold a query's text, terms and vectors.

    ``vectors`` are the query's, if they are known already; otherwise ``encoder`` is asked for the encoder, which makes
    them on first use.
    """

    def __init__(
        self,
        text: str,
        analyzer: Analyzer,
        encoder: Callable[[], Encoder],
        vectors: QueryVectors | None = None,
    ) -> None:
        self.text = check_text(text, "the query")
        self.analyzer = analyzer
        self._encoder = encoder
        if vectors is not None:
            self.vectors = vectors

    @lazy
    def terms(self) -> Counter[str]:
        """How often the query has each term, in the order of their first occurrence."""
        return Counter(self.analyzer.terms(self.text))

    @lazy
    def vectors(self) -> QueryVectors:
        """What the model makes of the query."""
        (found,) = self._encoder().queries([self.text], threads=1)
        return found

    @property
    def truncated_tokens(self) -> int:
        """How many tokens the model could not read, once the vectors are known."""
        return self.vectors.truncated_tokens if self.is_encoded else 0

    @property
    def is_encoded(self) -> bool:
        """Whether the vectors are known already."""
        return "vectors" in self.__dict__

    @lazy
    def dense(self) -> tuple[NDArray[np.int8], float]:
        """The pooled vector in int8 and its own scale: it depends on this query alone."""
        values, scales = quantize_rows(self.vectors.dense[None])
        return values[0], float(scales[0])

    @lazy
    def tokens(self) -> tuple[NDArray[np.int8], NDArray[np.float32]]:
        """The token vectors in int8 ``[Q, D]``, and each one's own scale ``[Q]``."""
        return quantize_rows(self.vectors.tokens)

    @lazy
    def codes(self) -> tuple[NDArray[np.int8], NDArray[np.float32]] | None:
        """What a poly-encoder's codes found, in int8 ``[m, H]``, with scales ``[m]``; ``None`` without that head."""
        return None if self.vectors.codes is None else quantize_rows(self.vectors.codes)


def prepare(
    texts: Sequence[str], analyzer: Analyzer, encoder: Callable[[], Encoder], *, threads: int | None
) -> list[PreparedQuery]:
    """Prepare many queries, encoded together; the vectors are the same as one by one."""
    found = encoder().queries(texts, threads=threads)
    return [
        PreparedQuery(text, analyzer, encoder, vectors) for text, vectors in zip(texts, found, strict=True)
    ]
