"""A poly-encoder's query side to be trained: m learned codes between one vector and one a token.

Shapes: B queries of up to Q tokens, P passages, m codes, H dimensions.
"""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor, nn
from torch.nn.functional import normalize

__all__ = ["PolyHead", "Variant"]

Variant = Literal["learned", "first"]


class PolyHead(nn.Module):
    """Attend to a query's tokens with ``codes`` learned vectors, and to what they found with each passage's vector.

    ``learned``: code i gives ``y_i``, the query's token vectors weighed by their softmax products with the code
    (equation 4). ``first``: ``y_i`` is the i-th token's vector, and a shorter query has fewer. A passage's one vector
    weighs the ``y_i`` by its softmax products with them (equation 5), and the score is the product of that sum with
    the passage's vector. Passages are precomputed: they are the bi-encoder's vectors.

    Codes start small and the transformation as the identity: every ``y_i`` is the mean of the tokens, and the score
    that of a bi-encoder with mean pooling. Source: Humeau et al. 2020, section 4.4. Deviation: a linear
    transformation of the ``y_i``, as the passages' encoder stays as it is, and scaling them to length 1, as the
    passages are; ``sharpness``, a learned factor of the second attention's products, since a softmax hardly tells
    cosines apart without one.
    """

    def __init__(self, hidden: int, codes: int, variant: Variant = "learned", *, seed: int = 0) -> None:
        super().__init__()
        self.variant = variant
        self.count = codes
        if variant == "learned":
            draw = torch.randn(codes, hidden, generator=torch.Generator().manual_seed(seed), device="cpu")
            self.codes = nn.Parameter(draw * 0.02)
        self.transform = nn.Parameter(torch.eye(hidden))
        self.sharpness = nn.Parameter(torch.tensor(4.0))

    def queries(self, hidden: Tensor, known: Tensor) -> tuple[Tensor, Tensor]:
        """Give ``y [B, m, H]`` of token vectors ``[B, Q, H]``, and which of them there are, ``[B, m]``."""
        if self.variant == "first":
            return normalize(hidden[:, : self.count] @ self.transform, dim=-1), known[:, : self.count]
        products = torch.einsum("mh,bqh->bmq", self.codes, hidden).masked_fill(~known[:, None, :], -torch.inf)
        found = torch.einsum("bmq,bqh->bmh", products.softmax(dim=2), hidden) @ self.transform
        return normalize(found, dim=-1), torch.ones(found.shape[:2], dtype=torch.bool, device=found.device)

    def scores(self, queries: Tensor, known: Tensor, passages: Tensor) -> Tensor:
        """Score passages ``[P, H]`` for all queries: ``[B, P]``."""
        products = torch.einsum("bmh,ph->bpm", queries, passages)
        attention = (self.sharpness * products).masked_fill(~known[:, None, :], -torch.inf).softmax(dim=2)
        return (attention * products).sum(dim=2)
