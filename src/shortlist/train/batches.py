"""Make batches of tokenised texts or pairs: padded, and those of about the same length together."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import torch
from torch import Tensor

__all__ = ["Inputs", "pad", "parts_by_tokens", "run_by_length"]

TOKENS = 4096
"""How many run together, padding included."""


class Inputs(dict[str, Tensor]):
    """Hold what the transformer reads: ``input_ids``, ``attention_mask`` and ``token_type_ids``, each ``[B, S]``."""


def pad(rows: Sequence[tuple[list[int], int]]) -> Inputs:
    """Make one batch of tokenised texts, each with the place where its second segment begins."""
    shape = len(rows), max(len(ids) for ids, _ in rows)
    ids, types, mask = (torch.zeros(shape, dtype=torch.long) for _ in range(3))
    for index, (row, first) in enumerate(rows):
        ids[index, : len(row)] = torch.tensor(row)
        types[index, first : len(row)] = 1
        mask[index, : len(row)] = 1
    return Inputs(input_ids=ids, attention_mask=mask, token_type_ids=types)


def run_by_length(lengths: Sequence[int], run: Callable[[list[int]], Tensor]) -> Tensor:
    """Run texts of about the same length together, so that little is padded; give the results in their own order.

    ``run`` takes the indices of some texts and gives a row for each.
    """
    parts = list(parts_by_tokens(lengths))
    order = torch.tensor([index for part in parts for index in part])
    return torch.cat([run(part) for part in parts])[torch.argsort(order)]


def parts_by_tokens(lengths: Sequence[int], most: int = TOKENS) -> Iterator[list[int]]:
    """Give the indices of texts, the shortest first, in parts of at most so many tokens with padding."""
    part: list[int] = []
    for index in sorted(range(len(lengths)), key=lengths.__getitem__):
        if part and (len(part) + 1) * lengths[index] > most:
            yield part
            part = []
        part.append(index)
    if part:
        yield part
