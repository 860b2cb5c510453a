"""A late-interaction head to be trained: one vector a token, from an encoder that stays as it is or learns with it.

Shapes: B queries of up to Q tokens, P passages of up to S tokens, H dimensions of the encoder, D of the head.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn
from torch.nn import functional

__all__ = ["LateHead", "maxsim"]

_WIDTH = 64  # passages compared at a time, to bound memory


class LateHead(nn.Module):
    """Project token vectors to ``dimensions`` and scale them to length 1; weigh the query's tokens.

    A query's token counts by ``softplus`` of a linear function of its vector, over the mean of these: content words
    more than the rest. It starts as equal weights. Source: Khattab and Zaharia 2020, section 3.2. Deviation: the
    weights.
    """

    def __init__(self, hidden: int, dimensions: int, projection: Tensor | None = None) -> None:
        super().__init__()
        self.projection = nn.Parameter(torch.empty(hidden, dimensions))
        if projection is None:
            nn.init.xavier_uniform_(self.projection)
        else:
            self.projection.data.copy_(projection)
        self.weight = nn.Linear(hidden, 1)
        nn.init.zeros_(self.weight.weight)
        nn.init.constant_(self.weight.bias, 0.5413)  # softplus of it is 1

    def passages(self, hidden: Tensor) -> Tensor:
        """Give the token vectors of passages, ``[P, S, D]`` of ``[P, S, H]``."""
        return functional.normalize(hidden @ self.projection, dim=-1)

    def queries(self, hidden: Tensor, known: Tensor) -> Tensor:
        """Give the weighted token vectors of queries, ``[B, Q, D]`` of ``[B, Q, H]``, zero where none is ``known``."""
        weights = functional.softplus(self.weight(hidden))[..., 0] * known
        weights = weights / weights.sum(dim=1, keepdim=True) * known.sum(dim=1, keepdim=True)
        return functional.normalize(hidden @ self.projection, dim=-1) * weights[..., None]


def maxsim(queries: Tensor, queries_known: Tensor, passages: Tensor, passages_known: Tensor) -> Tensor:
    """Give, ``[B, P]``, the mean over a query's tokens of the best match among a passage's.

    Source: Khattab and Zaharia 2020, equation 3. Deviation: the mean instead of the sum, as in scoring/late.py.
    """
    counts = queries_known.sum(dim=1, keepdim=True)
    parts = []
    for start in range(0, len(passages), _WIDTH):
        some, known = passages[start : start + _WIDTH], passages_known[start : start + _WIDTH]
        similarity = torch.einsum("bqd,psd->bpqs", queries, some)
        best = similarity.masked_fill(~known[None, :, None, :], -torch.inf).amax(dim=3)
        parts.append(best.sum(dim=2))  # a query's unknown tokens are zero, and so is their best match
    return torch.cat(parts, dim=1) / counts
