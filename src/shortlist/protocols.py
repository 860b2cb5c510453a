"""Who may act on the data: what the stages of a search ask of each other, in numpy and nothing else.

Shapes: N documents of a snapshot (its positions), P of them, Q query tokens, H and D dimensions.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from shortlist.types import Passage

__all__ = ["EncodesTexts", "JudgedPairs", "Progress", "ScoresDocuments", "ScoresPairs", "Steps"]

Progress = Callable[[int], object]
"""Called with the number of items just done."""

Steps = Callable[[str, int], Progress]
"""Called with a step's name and its number of items when the step begins; gives the step's progress."""


class EncodesTexts(Protocol):
    """Turn texts into one vector each, ``[texts, H]``."""

    def encode(
        self, texts: Sequence[str], *, prompt: str = ..., threads: int | None = ...
    ) -> NDArray[np.float32]:
        """Give one vector a text."""
        ...


class JudgedPairs(Protocol):
    """Hold scores ``[pairs]``, or of several labels ``[pairs, labels]``, and what of each pair was not read."""

    @property
    def scores(self) -> NDArray[np.float64]:
        """Higher is better."""
        ...

    @property
    def truncated_tokens(self) -> Sequence[int]:
        """Count the tokens of each pair that were cut off."""
        ...


class ScoresPairs(Protocol):
    """Score pairs of a query and a text that are read together; none is above ``highest``, which may be infinite."""

    @property
    def highest(self) -> float:
        """The most that a pair can score."""
        ...

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, threads: int | None = ...) -> JudgedPairs:
        """Score each pair."""
        ...


class ScoresDocuments(Protocol):
    """Score documents of a snapshot for one query; higher is better.

    ``absent`` is the score of a document that is no candidate at all (0 for words that don't occur), or
    ``None`` where every document is one. ``closeness`` orders scorers by how closely they read; the closest
    of a pipeline names each hit's passage.
    """

    absent: float | None
    closeness: int

    def best(self, k: int) -> tuple[NDArray[np.int64], NDArray[np.float64]]:
        """Give the positions, ascending, of the ``k`` best candidates and of all that tie with the last; their scores.

        Candidates are those that the search's filter lets through.
        """
        ...

    def score(self, positions: NDArray[np.int64]) -> NDArray[np.float64]:
        """Give the scores of some positions, ``[P]``: the same numbers that :meth:`best` gives them."""
        ...

    def scale(self) -> float:
        """Give what scores are divided by before they are fused; 1 where they are similarities."""
        ...

    def best_passages(self, positions: Sequence[int]) -> list[Passage]:
        """Give the passage of each document that this scorer finds best."""
        ...
