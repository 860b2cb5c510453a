"""Which spans of a document a model reads at once, so that all of a long text is searchable.

A passage is the title and a window of the text that fits the model together. Windows overlap by a fifth and
end, where one is near, at the end of a sentence; at least between two words.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import replace
from typing import Protocol

from shortlist.types import Document, Passage, passage_text

__all__ = ["CountsTokens", "fit_title", "split_passages"]

OVERLAP = 0.2
SENTENCE_SEARCH = 0.4  # how much of a window may be given up to end at a sentence
TITLE_SHARE = 0.25  # of the model's tokens that a title may take from a text that needs them

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


def fit_title(document: Document, tokenizer: CountsTokens) -> tuple[Document, int]:
    """Cut a title that leaves the text too little room, for the model's eyes only.

    Gives the document to make passages of, and how many tokens of its title were cut off.
    """
    budget = tokenizer.max_tokens - tokenizer.overhead
    if len(document.title.encode()) <= budget * TITLE_SHARE:  # a token is at least one byte
        return document, 0
    spans = tokenizer.offsets(document.title)
    room = max(int(budget * TITLE_SHARE), budget - tokenizer.count(document.text))
    if len(spans) <= room:
        return document, 0
    cut = document.title[: spans[room - 1][1]]
    while cut and tokenizer.count(cut) > room:  # a word cut in two can have more tokens than its part of it
        cut = cut[:-1]
    return replace(document, title=cut), len(spans) - room


def split_passages(document: Document, tokenizer: CountsTokens) -> list[Passage]:
    """Cut a document into passages that fit the model with its title; at least one, even of no text.

    The passages cover the whole text. The title must leave room (:func:`fit_title`).
    """
    budget = tokenizer.max_tokens - tokenizer.overhead
    whole = Passage(0, len(document.text))
    content = passage_text(document, whole)
    # A token is at least one byte: most short texts need no look at their tokens.
    if len(content.encode()) <= budget or tokenizer.count(content) <= budget:
        return [whole]
    return list(_windows(document, tokenizer, budget))


def _windows(document: Document, tokenizer: CountsTokens, budget: int) -> Iterator[Passage]:
    text = document.text
    tokens = tokenizer.offsets(text)
    starts = [start for start, _ in tokens]
    window = max(1, budget - tokenizer.count(document.title))
    sentence_ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    begin = first = 0
    # The rest is counted only where it is short: counting it for every window would take quadratic time.
    while (
        len(starts) - first > window
        or tokenizer.count(passage_text(document, Passage(begin, len(text)))) > budget
    ):
        high = starts[first + window] if first + window < len(starts) else len(text)
        near = starts[min(first + int(window * (1 - SENTENCE_SEARCH)), len(starts) - 1)]
        end = _last_boundary(text, max(begin, near), high, sentence_ends)
        end = _fit(document, Passage(begin, max(end, begin + 1)), tokenizer, budget)
        yield Passage(begin, end)
        past = bisect_left(starts, end)
        back = starts[max(0, past - int(window * OVERLAP))] if past < len(starts) else end
        overlapped = _first_boundary(text, back, end, sentence_ends)
        begin = overlapped if begin < overlapped <= end else end
        first = bisect_left(starts, begin)
    yield Passage(begin, len(text))


def _fit(document: Document, passage: Passage, tokenizer: CountsTokens, budget: int) -> int:
    """Give an end at which the passage fits; cutting inside a long word can make more tokens of it."""
    begin, end = passage.start, passage.end
    while end - begin > 1:
        count = tokenizer.count(passage_text(document, Passage(begin, end)))
        if count <= budget:
            break
        end = begin + max(1, min(end - begin - 1, (end - begin) * budget // count))
    return end


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
    """Give the first start of a sentence in ``[low, high)``, else of a word, else ``low``."""
    index = bisect_left(sentence_ends, low)
    if index < len(sentence_ends) and sentence_ends[index] < high:
        position = sentence_ends[index]
    else:
        position = low
        while 0 < position < high and not text[position - 1].isspace():
            position += 1
        if position >= high:
            return low
    while position < high and text[position].isspace():
        position += 1
    return position
