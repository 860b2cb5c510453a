"""Encode texts: one forward, and from it one vector a text and one vector a token."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError, ModelError
from shortlist.models.backbone import Backbone, Forward
from shortlist.models.cores import usable_cores
from shortlist.models.folders import DEFAULT, load_folder
from shortlist.models.pooling import normalize, pool
from shortlist.models.settings import Settings
from shortlist.models.tokenizer import Tokenized, Tokenizer
from shortlist.types import check_text
from shortlist.vectors import DenseVectors, TokenVectors

__all__ = ["Encoder", "Mode", "Views"]

Mode = Literal["fast", "exact"]


@dataclass(frozen=True, eq=False)
class Views:
    """Hold what one pass over some texts gave, in the order of the texts.

    ``dense`` is ``[B, H]``, ``tokens`` is ragged ``[T, D]``, [CLS] and [SEP] included; both float32.
    ``truncated_tokens`` counts, a text, the tokens beyond the model's limit, which no vector has seen.
    """

    dense: DenseVectors
    tokens: TokenVectors
    truncated_tokens: tuple[int, ...]


class Encoder:
    """Turn texts into vectors.

    ``mode`` says how the int8 weights are used: ``fast`` multiplies int8 by int8 (every group of 64
    activations of a token has its own scale), ``exact`` expands the weights to float32. The vectors of a
    text are the same bytes alone, in any batch, and on any number of threads.

    >>> encoder = Encoder.load()
    >>> encoder.encode(["my card isn't working abroad", "international transaction declined"]).shape
    (2, 384)
    """

    def __init__(self, settings: Settings, tokenizer: Tokenizer, backbone: Backbone, mode: Mode) -> None:
        self.settings = settings
        self.tokenizer = tokenizer
        self.mode = mode
        self._backbone = backbone

    @classmethod
    def load(cls, folder: str | os.PathLike[str] | None = None, *, mode: Mode = "fast") -> Encoder:
        """Load the model that comes with shortlist, or the one in ``folder``.

        ``folder`` is a model folder of shortlist's, or one saved by sentence-transformers with an ONNX
        graph (``exact`` only). Takes about 0.2 s for the default model; never touches the network.

        Raises:
            ModelError: the folder is not a model, is damaged, or needs something that is not supported.
        """
        if mode not in ("fast", "exact"):
            raise ModelError(f"mode {mode!r} is neither 'fast' nor 'exact'")
        return cls(*load_folder(DEFAULT if folder is None else Path(folder), mode), mode)

    def encode(
        self, texts: Sequence[str], *, prompt: str = "document", threads: int | None = None
    ) -> NDArray[np.float32]:
        """Give one vector a text, ``[B, H]`` float32, of length 1 where the model compares by cosine.

        ``prompt`` names the prefix from the model's settings (``query`` or ``document``; most models have
        none). Texts beyond ``settings.max_tokens`` are cut; :meth:`views` counts what was cut.

        Raises:
            DataError: a text is not a string, the prompt is not known, or the model gave NaN.
        """
        result: NDArray[np.float32] = self.views(texts, prompt=prompt, threads=threads).dense.data
        return result

    def views(
        self,
        texts: Sequence[str],
        *,
        prompt: str = "document",
        threads: int | None = None,
        progress: Callable[[int], object] | None = None,
    ) -> Views:
        """Give the vectors of texts and of their tokens from a single pass.

        ``progress`` is called with the number of texts just done. ``threads`` defaults to all cores.

        Raises:
            DataError: a text is not a string, or the model gave NaN for it.
        """
        tokenized = self._tokenize(texts, prompt)
        results: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [_NOTHING] * len(texts)

        def run(batch: list[int]) -> int:
            forward = self._backbone(np.array([tokenized[index].ids for index in batch], dtype=np.int64))
            for index, pooled, tokens in zip(batch, self._pool(forward), self._tokens(forward), strict=True):
                results[index] = pooled, tokens
            return len(batch)

        if threads is not None and threads < 1:
            raise DataError(f"threads must be at least 1, not {threads}")
        batches = _batches(tokenized, self._backbone.batch_tokens)
        workers = min(threads or usable_cores(), len(texts))
        if workers <= 1:
            for count in map(run, batches):
                _ = progress and progress(count)
        else:
            with ThreadPoolExecutor(workers) as pool:
                for count in pool.map(run, batches):
                    _ = progress and progress(count)
        return self._assemble(results, tokenized)

    def _tokenize(self, texts: Sequence[str], prompt: str) -> list[Tokenized]:
        if isinstance(texts, str):
            raise DataError("texts must be a list of texts, not one text")
        for index, text in enumerate(texts):
            if not isinstance(text, str):
                raise DataError(f"text {index} is {type(text).__name__}, expected str")
            check_text(text, f"text {index}")
        if prompt not in ("query", "document", *self.settings.prompts):
            known = ", ".join(sorted({"query", "document", *self.settings.prompts}))
            raise DataError(f"model {self.settings.name} has no prompt {prompt!r}", hint=f"it has: {known}")
        prefix = self.settings.prompts.get(prompt, "")
        return self.tokenizer([prefix + text for text in texts] if prefix else list(texts))

    def _pool(self, forward: Forward) -> NDArray[np.float32]:
        pooled = pool(forward, self.settings.pooling)
        return normalize(pooled) if self.settings.similarity == "cosine" else pooled

    def _tokens(self, forward: Forward) -> NDArray[np.float32]:
        return normalize(forward.hidden) if forward.late is None else forward.late

    def _assemble(
        self,
        results: list[tuple[NDArray[np.float32], NDArray[np.float32]]],
        tokenized: list[Tokenized],
    ) -> Views:
        settings = self.settings
        offsets = np.zeros(len(results) + 1, dtype=np.int64)
        np.cumsum([len(tokens) for _, tokens in results], out=offsets[1:])
        dense = np.empty((len(results), settings.dimensions), np.float32)
        data = np.empty((int(offsets[-1]), settings.token_dimensions), np.float32)
        for index, (pooled, tokens) in enumerate(results):
            dense[index] = pooled
            data[offsets[index] : offsets[index + 1]] = tokens
        try:
            return Views(
                DenseVectors(dense),
                TokenVectors(data, offsets),
                tuple(one.truncated_tokens for one in tokenized),
            )
        except DataError as error:
            raise DataError(f"model {settings.name} gave a bad vector: {error}") from error


_NOTHING = (np.empty(0, np.float32), np.empty((0, 0), np.float32))


def _batches(tokenized: Sequence[Tokenized], batch_tokens: int) -> Iterator[list[int]]:
    """Group texts of the same number of tokens, up to ``batch_tokens`` together, longest first."""
    order = sorted(range(len(tokenized)), key=lambda index: -len(tokenized[index].ids))
    for length, same in groupby(order, key=lambda index: len(tokenized[index].ids)):
        indices = list(same)
        size = max(1, batch_tokens // max(1, length))
        yield from (indices[start : start + size] for start in range(0, len(indices), size))
