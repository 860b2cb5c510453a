"""Compare the queries of a batch with all of its passages: the columns, and who answers whom.

Shapes: B queries, P passages of a batch, C passages of each example.
"""

from __future__ import annotations

from collections.abc import Collection, Hashable, Sequence
from typing import TypeVar

import torch
from torch import Tensor

__all__ = ["columns_of", "own_scores"]

T = TypeVar("T", bound=Hashable)


def columns_of(candidates: Sequence[Sequence[T]], answers: Sequence[Collection[T]]) -> tuple[list[T], Tensor]:
    """Give the passages of a batch, every example's answer first, and which of them answer which query, ``[B, P]``.

    ``candidates`` are each example's passages, its answer first; ``answers`` all that are known to answer its query. A
    negative that is another's answer has one column.
    """
    columns = [passages[0] for passages in candidates]
    first = set(columns)
    columns += dict.fromkeys(one for passages in candidates for one in passages[1:] if one not in first)
    return columns, torch.tensor([[column in known for column in columns] for known in answers])


def own_scores(found: Tensor, columns: Sequence[T], candidates: Sequence[Sequence[T]]) -> Tensor:
    """Give the scores of each example's own passages, ``[B, C]`` of ``[B, P]``."""
    places = {column: place for place, column in reversed(list(enumerate(columns)))}
    return found.gather(1, torch.tensor([[places[one] for one in passages] for passages in candidates]))
