"""Make batches of tokenised texts: padded, and those of about the same length together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["Pairs", "by_length", "pad"]

_TOKENS = 4096
"""How many run together, padding included."""


class Pairs(dict[str, Tensor]):
    """Hold what the transformer reads: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each ``[B, S]``."""


def pad(rows: Sequence[tuple[list[int], int]]) -> Pairs:
    """Make one batch of tokenised texts, each with the place where its second segment begins."""
    shape = len(rows), max(len(ids) for ids, _ in rows)
    ids, types, mask = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    for index, (row, first) in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        types[index, first : len(row)] = 1
        mask[index, : len(row)] = 1
    return Pairs(input_ids=ids, attention_mask=mask, token_type_ids=types)


def by_length(lengths: Sequence[int], run: Callable[[list[int]], Tensor]) -> Tensor:
    """Run texts of about the same length together, so that little is padded; give the results in their own order.

    ``run`` takes the indices of some texts and gives a row for each.
    """
    order = sorted(range(len(lengths)), key=lengths.__getitem__)
    found = [run(part) for part in _parts(order, lengths)]
    return torch.cat(found)[torch.argsort(torch.tensor(order))]


def _parts(order: Sequence[int], lengths: Sequence[int]) -> Iterator[list[int]]:
    """Cut texts, the shortest first, into parts of at most so many tokens with padding."""
    part: list[int] = []
    for index in order:
        if part and (len(part) + 1) * lengths[index] > _TOKENS:
            yield part
            part = []
        part.append(index)
    yield part
