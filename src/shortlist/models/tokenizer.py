"""Texts to token ids, with a count of what does not fit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from copy import copy
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import tokenizers
from tokenizers import normalizers
from tokenizers.processors import TemplateProcessing

from shortlist.errors import ModelError
from shortlist.models.safety import TOKENIZER_BYTES, ModelFolder, shown
from shortlist.models.tokenizer_check import check_tokenizer

__all__ = ["Tokenized", "Tokenizer"]

# Cut when a model is loaded: a tokenizer that fails on any text fails there.
_PROBES = ("", "a Cat, 1,024 cafés\n\t— 猫 😀", "x" * 200)


@dataclass(frozen=True)
class Tokenized:
    """Hold the token ids of one text, special tokens included, and how many tokens were cut off."""

    ids: Sequence[int]
    truncated_tokens: int


class Tokenizer:
    """Wrap a ``tokenizer.json``.

    ``overhead`` is the number of special tokens that surround a text; ``lower_case`` is for models that want
    their texts so although their tokenizer doesn't do it. ``data`` is what the file holds, where it was read
    already; a ``trusted`` one is not checked, only read.

    Raises:
        ModelError: the file is no tokenizer, is beyond some bound, or fails on plain texts.
    """

    def __init__(
        self,
        path: Path,
        max_tokens: int,
        *,
        lower_case: bool = False,
        data: bytes | None = None,
        trusted: bool = False,
    ) -> None:
        self._path = path
        data = ModelFolder(path.parent).read(path.name, TOKENIZER_BYTES) if data is None else data
        self._highest_id = -1 if trusted else check_tokenizer(data, path)
        with self._typed("can't be read"):
            loaded = tokenizers.Tokenizer.from_buffer(data)
            if lower_case:
                own = [loaded.normalizer] if loaded.normalizer else []
                loaded.normalizer = normalizers.Sequence([normalizers.Lowercase(), *own])
            loaded.no_padding()
            loaded.no_truncation()
            self.overhead = loaded.num_special_tokens_to_add(False)
            for probe in _PROBES:
                loaded.encode(probe)
        if self.overhead >= max_tokens:
            raise ModelError(f"{path}: adds {self.overhead} tokens to a text, the model takes {max_tokens}")
        self._tokenizer = loaded
        self.max_tokens = max_tokens

    def marked(self, marker: str, max_tokens: int) -> Tokenizer:
        """Give the tokenizer that puts a token behind the first one of every text.

        Raises:
            ModelError: the token isn't known, or a text isn't surrounded by one token before and one behind it.
        """
        if not marker and max_tokens == self.max_tokens:
            return self
        made = copy(self)
        made.max_tokens = max_tokens
        made.__dict__.pop("_cutting", None)
        if marker:
            made._tokenizer = tokenizers.Tokenizer.from_str(self._tokenizer.to_str())
            with self._typed(f"can't mark texts with {shown(marker)}"):
                number = made._tokenizer.token_to_id(marker)
                around = made._tokenizer.encode("")
                if number is None or len(around) != 2:
                    raise ModelError(f"{self._path}: has no token {shown(marker)} to mark a text with")
                # Names of our own: a token's may be part of the template's language.
                ids = {"first": around.ids[0], "marker": number, "last": around.ids[1]}
                tokens = dict(zip(("first", "last"), around.tokens, strict=True)) | {"marker": marker}
                made._tokenizer.post_processor = TemplateProcessing(
                    single="first marker $A last",
                    special_tokens=[
                        {"id": name, "ids": [ids[name]], "tokens": [tokens[name]]} for name in ids
                    ],
                )
            made.overhead += 1
        if made.overhead >= max_tokens:
            raise ModelError(
                f"{self._path}: adds {made.overhead} tokens to a text, the model takes {max_tokens}"
            )
        return made

    def check_rows(self, rows: int | None) -> None:
        """Check that a model whose table has ``rows`` rows knows every id; None where nobody knows how many.

        Raises:
            ModelError: the tokenizer can make an id beyond the table.
        """
        if rows is not None and self._highest_id >= rows:
            raise ModelError(f"{self._path}: makes token id {self._highest_id:,}, the model knows {rows:,}")

    def __call__(self, texts: Sequence[str]) -> list[Tokenized]:
        """Tokenise texts, each cut to ``max_tokens``; give the ids and what was cut."""
        result = []
        with self._typed("fails on a text"):
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
        with self._typed("fails on a text"):
            spans: list[tuple[int, int]] = self._tokenizer.encode(text, add_special_tokens=False).offsets
        return spans

    def count(self, text: str) -> int:
        """Count the tokens of the whole text, without special tokens."""
        with self._typed("fails on a text"):
            return len(self._tokenizer.encode(text, add_special_tokens=False))

    @contextmanager
    def _typed(self, what: str) -> Iterator[None]:
        """Give the library's errors our type: it raises Exception itself, and panics beside all Exceptions."""
        try:
            yield
        except BaseException as error:
            if not isinstance(error, Exception) and type(error).__name__ != "PanicException":
                raise
            raise ModelError(f"{self._path}: {what}: {error}") from error
