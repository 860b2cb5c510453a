"""Score by reading query and passage together: a judge."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.collection import Snapshot
from shortlist.errors import PipelineError
from shortlist.protocols import ScoresPairs
from shortlist.search.pipeline import Cross
from shortlist.search.query import PreparedQuery
from shortlist.search.scorers.passages import Found, Positions, Scores, best_of
from shortlist.search.scorers.vectors import DenseScorer
from shortlist.types import Passage, passage_text

__all__ = ["CrossScorer"]

_PAIR_MS = 8  # that a judge of six layers takes to read a passage, on one core


class CrossScorer:
    """Score by reading query and passage together; every document is a candidate, as far as the budget goes.

    ``truncated_tokens`` counts, over all pairs so far, what the judge could not read.
    """

    absent: float | None = None
    closeness = 3
    truncated_tokens: int = 0

    def __init__(
        self,
        snapshot: Snapshot,
        query: PreparedQuery,
        kind: Cross,
        judge: ScoresPairs,
        nearest: DenseScorer,
        allowed: NDArray[np.bool_],
        threads: int | None = None,
    ) -> None:
        self._snapshot = snapshot
        self._query = query
        self._kind = kind
        self._judge = judge
        self._nearest = nearest
        self._allowed = allowed
        self._threads = threads
        self._known: dict[int, tuple[float, Passage]] = {}

    @property
    def highest(self) -> float:
        """The most that any document can score; infinite if the model knows no bound."""
        return self._judge.highest

    def best(self, k: int) -> Found:
        """Give the ``k`` best of all that are allowed and all that tie with the last.

        Raises:
            PipelineError: there are more than the budget.
        """
        allowed = np.flatnonzero(self._allowed)
        if len(allowed) > self._kind.budget:
            raise PipelineError(
                f"{len(allowed):,} documents are more than {self._kind} reads: its budget is {self._kind.budget:,},"
                f" at some {_PAIR_MS} ms each {len(allowed) * _PAIR_MS / 1000:,.0f} s a query",
                hint="let it read what another stage found, as rerank(hybrid, cross) does; or raise the budget",
            )
        best, scores = best_of(self.score(allowed), k)
        return allowed[best], scores

    def score(self, positions: Positions) -> Scores:
        """Give the scores of some positions; reads those not read before."""
        missing = [position for position in dict.fromkeys(positions.tolist()) if position not in self._known]
        if missing:
            pairs: list[tuple[int, Passage, str]] = []
            nearest = self._nearest.nearest_passages(missing, self._kind.passages)
            for position, document, passages in zip(
                missing, self._snapshot.documents(missing), nearest, strict=True
            ):
                pairs += [(position, passage, passage_text(document, passage)) for passage in passages]
            judged = self._judge.score_pairs(
                [(self._query.text, text) for _, _, text in pairs], threads=self._threads
            )
            scores = judged.scores
            self.truncated_tokens += sum(judged.truncated_tokens)
            if scores.ndim != 1:
                raise PipelineError(
                    f"{self._kind} gives {scores.shape[1]} labels, a judge gives one score",
                    hint="a classifier of pairs is no reranker",
                )
            for (position, passage, _), score in zip(pairs, scores.tolist(), strict=True):
                if position not in self._known or score > self._known[position][0]:
                    self._known[position] = score, passage
        return np.array([self._known[position][0] for position in positions.tolist()])

    def scale(self) -> float:
        """Give 1: a logit is taken as it is."""
        return 1.0

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that scored best, or of one that was not read the nearest to the query."""
        unread = [position for position in positions if position not in self._known]
        nearest = dict(zip(unread, self._nearest.best_passages(unread), strict=True))
        return [
            nearest[position] if position in nearest else self._known[position][1] for position in positions
        ]

    def has_read(self, positions: Positions) -> NDArray[np.bool_]:
        """Say which of some positions have a score by now."""
        return np.array([position in self._known for position in positions.tolist()], np.bool_)
