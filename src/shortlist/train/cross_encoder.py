"""A cross-encoder to be trained: query and passage through one transformer, a score from what comes out.

Shapes: B pairs, S tokens (the longest pair; others are padded), H dimensions, K labels.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from pathlib import Path

import torch
from torch import Tensor, nn
from transformers import BertModel

from shortlist.errors import DataError, ModelError
from shortlist.models.pairs import tokenize_pairs
from shortlist.models.tokenizer import Tokenizer
from shortlist.train.batches import Inputs, pad, run_by_length
from shortlist.train.examples import Example

__all__ = ["CrossEncoderModel", "PairTokenizer", "candidate_scores", "joint_maxsim", "pair_scores"]


TEMPERATURE = 20.0  # a similarity's part of a logit
SOFTPLUS_IS_1 = math.log(math.e - 1)


class PairTokenizer:
    """Make ``[CLS] query [SEP] passage [SEP]`` of texts: queries are cut to their own limit, then passages to the rest.

    Raises:
        ModelError: the file is no tokenizer, or doesn't surround a text with one token before and one behind it.
    """

    def __init__(self, file: Path, max_tokens: int, max_query_tokens: int) -> None:
        self._tokenizer = Tokenizer(file, max_tokens)
        if self._tokenizer.overhead != 2:
            raise ModelError(f"{file}: adds {self._tokenizer.overhead} tokens to a text, expected 2")
        self.max_query_tokens = max_query_tokens

    def __call__(self, queries: Sequence[str], passages: Sequence[str]) -> Inputs:
        """Tokenise pairs, padded to the longest."""
        return pad(self.rows(queries, passages))

    def rows(self, queries: Sequence[str], passages: Sequence[str]) -> list[tuple[list[int], int]]:
        """Give each pair's ids, and where the passage begins in them."""
        pairs = list(zip(queries, passages, strict=True))
        return [(row.ids, row.first) for row in tokenize_pairs(self._tokenizer, pairs, self.max_query_tokens)]


class CrossEncoderModel(nn.Module):
    """Score pairs.

    ``head`` says how: ``cls`` is a linear layer on [CLS] with ``labels`` outputs (Nogueira and Cho 2019); ``maxsim``
    adds to it the weighted mean over the query's tokens of the best match among the passage's, both as they come out of
    the joint input, times ``scale``. A token counts by ``softplus`` of a linear function of its vector. The linear
    layer starts at zero there and the weights are equal, so that training starts from what the encoder knows.
    """

    def __init__(
        self, backbone: BertModel, head: str, labels: int = 1, *, scale: float = TEMPERATURE
    ) -> None:
        super().__init__()
        if head not in ("cls", "maxsim"):
            raise DataError(f"head must be 'cls' or 'maxsim', not {head!r}")
        if head == "maxsim" and labels != 1:
            raise DataError(f"head 'maxsim' gives one score, not {labels} labels")
        self.backbone = backbone
        self.head = head
        self.linear = nn.Linear(backbone.config.hidden_size, labels)
        if head == "maxsim":
            nn.init.zeros_(self.linear.weight)
            self.scale = nn.Parameter(torch.tensor(float(scale)))
            self.weight = nn.Linear(backbone.config.hidden_size, 1)
            nn.init.zeros_(self.weight.weight)
            nn.init.constant_(self.weight.bias, SOFTPLUS_IS_1)
        nn.init.zeros_(self.linear.bias)

    def head_parameters(self) -> list[nn.Parameter]:
        """Give what is no part of the transformer."""
        if self.head == "cls":
            return list(self.linear.parameters())
        return [*self.linear.parameters(), self.scale, *self.weight.parameters()]

    def load_head(self, tensors: Mapping[str, Tensor], rows: Sequence[int]) -> None:
        """Start from the head of a model folder of this kind, whose ``rows`` score this model's labels."""
        with torch.no_grad():
            self.linear.weight.copy_(tensors["head.weight"][list(rows)])
            self.linear.bias.copy_(tensors["head.bias"][list(rows)])
            if self.head == "maxsim":
                self.scale.copy_(tensors["head.factor"][0])
                self.weight.weight.copy_(tensors["head.query.weight"].T)
                self.weight.bias.copy_(tensors["head.query.bias"])

    def forward(self, pairs: Inputs) -> Tensor:
        """Give the scores, ``[B]``, or of several labels ``[B, K]``."""
        hidden = self.backbone(**pairs).last_hidden_state.float()
        # bfloat16 has three digits, a logit of 20 wants more.
        with torch.autocast(hidden.device.type, enabled=False):
            scores: Tensor = self.linear(hidden[:, 0])
            if self.head == "maxsim":
                weights = nn.functional.softplus(self.weight(hidden))[..., 0]
                scores = scores + self.scale * joint_maxsim(hidden, weights, pairs)[:, None]
        return scores[:, 0] if scores.shape[1] == 1 else scores


def joint_maxsim(hidden: Tensor, weights: Tensor, pairs: Inputs) -> Tensor:
    """Give the mean, under ``weights [B, S]``, over the query's tokens of the best cosine with one of the passage's.

    ``hidden`` is ``[B, S, H]``, the result ``[B]``.
    """
    known, passage = pairs["attention_mask"].bool(), pairs["token_type_ids"].bool()
    longest = int((known & ~passage).sum(dim=1).max())  # the query comes first, and is compared alone
    query = ((known & ~passage) * weights)[:, :longest]
    vectors = nn.functional.normalize(hidden, dim=-1)
    similarity = vectors[:, :longest] @ vectors.transpose(1, 2)
    best = similarity.masked_fill(~passage[:, None, :], -1.0).amax(dim=2)
    return (best * query).sum(dim=1) / query.sum(dim=1)


def candidate_scores(
    model: CrossEncoderModel, tokenizer: PairTokenizer, examples: Sequence[Example]
) -> Tensor:
    """Score every example's passages, ``[B, C]``; all examples must have the same number.

    Pairs of about the same length run together, so that little is padded.
    """
    pairs = [(example.query, passage) for example in examples for passage in example.passages]
    return pair_scores(model, tokenizer, pairs).reshape(len(examples), -1)


def pair_scores(
    model: CrossEncoderModel, tokenizer: PairTokenizer, pairs: Sequence[tuple[str, str]]
) -> Tensor:
    """Score pairs, ``[B]``, or of several labels ``[B, K]``; those of about the same length run together."""
    rows = tokenizer.rows([first for first, _ in pairs], [second for _, second in pairs])
    return run_by_length(
        [len(ids) for ids, _ in rows], lambda part: model(pad([rows[index] for index in part]))
    )
