"""Texts to token ids, with a count of what does not fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import normalizers

from shortlist.errors import ModelError

__all__ = ["Tokenized", "Tokenizer"]


@dataclass(frozen=True)
class Tokenized:
    """Hold the token ids of one text, special tokens included, and how many tokens were cut off."""

    ids: Sequence[int]
    truncated_tokens: int


class Tokenizer:
    """Wrap a ``tokenizer.json``.

    ``overhead`` is the number of special tokens that surround a text; ``lower_case`` is for models that want
    their texts so although their tokenizer doesn't do it.
    """

    def __init__(self, path: Path, max_tokens: int, *, lower_case: bool = False) -> None:
        try:
            loaded = tokenizers.Tokenizer.from_file(str(path))
        except Exception as error:  # the library raises Exception itself
            raise ModelError(f"{path}: can't be read: {error}") from error
        if lower_case:
            own = [loaded.normalizer] if loaded.normalizer else []
            loaded.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
        loaded.no_padding()
        loaded.no_truncation()
        self._tokenizer = loaded
        self.overhead = loaded.num_special_tokens_to_add(False)
        self.max_tokens = max_tokens

    def __call__(self, texts: Sequence[str]) -> list[Tokenized]:
        """Tokenise texts, each cut to ``max_tokens``; give the ids and what was cut."""
        result = []
        for text, encoding in zip(texts, self._tokenizer.encode_batch(texts), strict=True):
            excess = len(encoding) - self.max_tokens
            ids = encoding.ids if excess <= 0 else self._cutting.encode(text).ids
            result.append(Tokenized(ids, max(0, excess)))
        return result

    @cached_property
    def _cutting(self) -> tokenizers.Tokenizer:
        """The same tokenizer with truncation, which can't be switched while other threads tokenise."""
        cutting = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
        cutting.enable_truncation(self.max_tokens)
        return cutting

    def offsets(self, text: str) -> list[tuple[int, int]]:
        """Give the span of every token of the whole text in code points, without special tokens."""
        spans: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return spans

    def count(self, text: str) -> int:
        """Count the tokens of the whole text, without special tokens."""
        return len(self._tokenizer.encode(text, add_special_tokens=False))
