"""Which spans of a document a model reads at once, so that all of a long text is searchable.

A passage is the title and a window of the text that fits the model together. Windows overlap by a fifth and
end, where one is near, at the end of a sentence; at least between two words.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from typing import Protocol

from shortlist.types import Document, Passage

__all__ = ["CountsTokens", "passage_text", "split_passages"]

OVERLAP = 0.2
SENTENCE_SEARCH = 0.4  # how much of a window may be given up to end at a sentence
TITLE_SHARE = 0.25  # of a window that a title may take in a document of several passages

_SENTENCE_END = re.compile(r"(?:[.!?…]['\")\]]*(?=\s)|[。！？]|\n{2,})")


class CountsTokens(Protocol):
    """Say where a model's tokens lie in a text, and how many fit."""

    max_tokens: int
    overhead: int

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Give the span of every token."""
        ...

    def count(self, text: str) -> int:
        """Count the tokens."""
        ...


def passage_text(document: Document, passage: Passage) -> str:
    """Give what the model reads for a passage: the title, then the span of the text."""
    span = document.text[passage.start : passage.end]
    return f"{document.title} {span}" if document.title else span


def split_passages(document: Document, tokenizer: CountsTokens) -> list[Passage]:
    """Cut a document into passages that fit the model with its title; at least one, even of no text.

    The passages cover the whole text. Only a title of more tokens than fit is cut, by the encoder, which
    counts what it cut.
    """
    text = document.text
    budget = tokenizer.max_tokens - tokenizer.overhead
    title_tokens = tokenizer.count(document.title) if document.title else 0
    # A token is at least one character: most short texts need no look at their tokens.
    if len(text) + title_tokens <= budget:
        return [Passage(0, len(text))]
    tokens = tokenizer.offsets(text)
    if len(tokens) + title_tokens <= budget:
        return [Passage(0, len(text))]
    window = budget - min(title_tokens, int(budget * TITLE_SHARE))
    sentence_ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    return list(_windows(text, tokens, window, sentence_ends))


def _windows(
    text: str, tokens: list[tuple[int, int]], window: int, sentence_ends: list[int]
) -> list[Passage]:
    starts = [start for start, _ in tokens]
    passages, first, begin = [], 0, 0
    while first + window < len(tokens):
        end = _last_boundary(
            text,
            tokens[first + int(window * (1 - SENTENCE_SEARCH))][0],
            tokens[first + window][0],
            sentence_ends,
        )
        passages.append(Passage(begin, end))
        past = bisect_left(starts, end)  # the first token after this passage
        back = max(first + 1, past - int(window * OVERLAP))
        begin = _first_boundary(text, tokens[back][0], end, sentence_ends)
        first = max(bisect_left(starts, begin), first + 1)
    passages.append(Passage(begin, len(text)))
    return passages


def _last_boundary(text: str, low: int, high: int, sentence_ends: list[int]) -> int:
    """Give the last end of a sentence in ``(low, high]``, else of a word, else ``high``."""
    index = bisect_right(sentence_ends, high)
    if index and sentence_ends[index - 1] > low:
        return sentence_ends[index - 1]
    position = high
    while position > low and not text[position - 1].isspace():
        position -= 1
    return position if position > low else high


def _first_boundary(text: str, low: int, high: int, sentence_ends: list[int]) -> int:
    """Give the first start of a sentence in ``[low, high)``, else of a word, else ``high``."""
    index = bisect_left(sentence_ends, low)
    position = sentence_ends[index] if index < len(sentence_ends) and sentence_ends[index] < high else low
    while 0 < position < high and not text[position - 1].isspace():
        position += 1
    while position < high and text[position].isspace():
        position += 1
    return position
