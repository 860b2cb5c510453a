"""How do a query and a passage become one sequence? ``[CLS] query [SEP] passage [SEP]``, cut where it is too long."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from shortlist.models.tokenizer import Tokenizer

__all__ = ["PairTokens", "tokenize_pairs"]


@dataclass(frozen=True)
class PairTokens:
    """Hold the ids of a pair, where the passage begins in them, and how many tokens of the two were cut off."""

    ids: list[int]
    first: int
    truncated_tokens: int


def tokenize_pairs(
    tokenizer: Tokenizer, pairs: Sequence[tuple[str, str]], max_query_tokens: int
) -> list[PairTokens]:
    """Join the ids of each pair: a query is cut to its limit, then the passage to what ``tokenizer.max_tokens`` leaves.

    The tokenizer surrounds a text with one token before and one behind it.
    """
    queries = list(dict.fromkeys(query for query, _ in pairs))
    known = dict(zip(queries, tokenizer(queries), strict=True))
    rows = []
    for (query, _), passage in zip(pairs, tokenizer([text for _, text in pairs]), strict=True):
        first, end = list(known[query].ids), list(passage.ids[-1:])
        cut = max(0, len(first) - max_query_tokens)
        if cut:
            first = [*first[: max_query_tokens - 1], *end]
        body = list(passage.ids[1:-1])
        room = tokenizer.max_tokens - len(first) - 1
        cut += known[query].truncated_tokens + passage.truncated_tokens + max(0, len(body) - room)
        rows.append(PairTokens([*first, *body[:room], *end], len(first), cut))
    return rows
