"""What should be small when a model is good? Losses as functions of scores, in torch.

Shapes: B examples, C candidates of each (the answer first), K labels; scores are logits, without a bound.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torch.nn import functional

__all__ = [
    "binary_cross_entropy",
    "in_batch_contrastive",
    "kl_divergence",
    "label_cross_entropy",
    "margin_mse",
    "mse",
    "softmax_over_candidates",
]


def softmax_over_candidates(scores: Tensor, known: Tensor | None = None) -> Tensor:
    """Give the cross-entropy of choosing the first of ``scores [B, C]``; ``known [B, C]`` is False where none is.

    Source: Nogueira and Cho 2019 score candidates apart; as a softmax over the answer and its negatives: Gao et al.
    2021 (localized contrastive estimation, equation 3).
    """
    if known is not None:
        scores = scores.masked_fill(~known, -torch.inf)
    return -scores.log_softmax(dim=1)[:, 0].mean()


def in_batch_contrastive(similarities: Tensor, same: Tensor, temperature: float) -> Tensor:
    """Give the cross-entropy of finding each query's passage among those of the whole batch.

    ``similarities`` is ``[B, P]``, row ``i``'s answer in column ``i``, columns beyond B being hard negatives. Where
    ``same [B, P]`` is True another column answers the query just as well (the same text twice in a batch): it is no
    negative and is left out. Source: Henderson et al. 2017, equation 6; temperature: Chen et al. 2020.
    """
    rows = torch.arange(len(similarities), device=similarities.device)
    masked = same.clone()
    masked[rows, rows] = False
    return functional.cross_entropy(similarities.masked_fill(masked, -torch.inf) / temperature, rows)


def binary_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Give the binary cross-entropy of ``scores [B]`` against ``labels [B]`` from 0 to 1."""
    return functional.binary_cross_entropy_with_logits(scores, labels)


def label_cross_entropy(scores: Tensor, labels: Tensor) -> Tensor:
    """Give the cross-entropy of ``scores [B, K]`` against the numbers of the labels ``[B]``."""
    return functional.cross_entropy(scores, labels)


def mse(scores: Tensor, targets: Tensor) -> Tensor:
    """Give the mean squared error of the sigmoid of ``scores [B]`` against grades from 0 to 1."""
    return functional.mse_loss(scores.sigmoid(), targets)


def margin_mse(scores: Tensor, teacher: Tensor) -> Tensor:
    """Give the mean squared error of the answer's lead over each negative, ``[B, C]`` both.

    Source: Hofstätter et al. 2020, equation 8.
    """
    return functional.mse_loss(scores[:, :1] - scores[:, 1:], teacher[:, :1] - teacher[:, 1:])


def kl_divergence(scores: Tensor, teacher: Tensor, temperature: float = 1.0) -> Tensor:
    """Give the divergence of the distribution over candidates from the teacher's, ``[B, C]`` both.

    Source: Santhanam et al. 2022 (ColBERTv2), section 3.2; temperature: Hinton et al. 2015.
    """
    own, wanted = (scores / temperature).log_softmax(dim=1), (teacher / temperature).log_softmax(dim=1)
    return functional.kl_div(own, wanted, log_target=True, reduction="batchmean") * temperature**2
