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

from shortlist.cores import usable_cores
from shortlist.errors import DataError, ModelError
from shortlist.lazy import lazy
from shortlist.models.backbone import Forward
from shortlist.models.folders import DEFAULT, Loaded, load_folder
from shortlist.models.heads import PolyQuery
from shortlist.models.pooling import normalize, pool
from shortlist.models.settings import LateTokens
from shortlist.models.tokenizer import Tokenized
from shortlist.types import check_text
from shortlist.vectors import DenseVectors, TokenVectors

__all__ = ["Encoder", "Mode", "QueryVectors", "Views"]

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


@dataclass(frozen=True, eq=False)
class QueryVectors:
    """Hold what a model makes of a query: ``dense [H]``, ``tokens [Q, D]``, and ``codes [m, H]`` of a poly-encoder.

    Token vectors are as long as each token weighs in late interaction, 1 on the mean over the query. ``poly`` is what
    codes are made of, ``None`` without that head. ``truncated_tokens`` counts what lay beyond the model's limit.
    """

    dense: NDArray[np.float32]
    tokens: NDArray[np.float32]
    poly: PolyQuery | None = None
    truncated_tokens: int = 0

    @lazy
    def codes(self) -> NDArray[np.float32] | None:
        """What a poly-encoder's codes find in the query, made when asked for; ``None`` without that head.

        Raises:
            DataError: that is NaN or infinite.
        """
        return None if self.poly is None else self.poly.codes()

    @property
    def sharpness(self) -> float:
        """What products with codes are multiplied by (scoring/poly.py)."""
        return 1.0 if self.poly is None else self.poly.head.sharpness


NO_EXPANSION = LateTokens()


class Encoder:
    """Turn texts into vectors.

    ``mode`` says how the int8 weights are used: ``fast`` multiplies int8 by int8 (every group of 64
    activations of a token has its own scale), ``exact`` expands the weights to float32. The vectors of a
    text are the same bytes alone, in any batch, and on any number of threads.

    >>> encoder = Encoder.load()
    >>> encoder.encode(["my card isn't working abroad", "international transaction declined"]).shape
    (2, 384)
    """

    def __init__(self, loaded: Loaded, mode: Mode, queries: Encoder | None = None) -> None:
        self.settings = loaded.settings
        self.heads = loaded.heads
        self.mode = mode
        self._backbone = loaded.backbone
        self._queries = queries
        late = loaded.settings.late or LateTokens()
        self._late = late
        self.tokenizer = loaded.tokenizer.marked(late.document_marker, loaded.settings.max_tokens)
        self._query_tokenizer = loaded.tokenizer.marked(
            late.query_marker, late.query_tokens or loaded.settings.max_tokens
        )

    @classmethod
    def load(
        cls, folder: str | os.PathLike[str] | None = None, *, mode: Mode = "fast", kernels: bool = True
    ) -> Encoder:
        """Load the model that comes with shortlist, or the one in ``folder``.

        ``folder`` is a model folder of shortlist's, or one saved by sentence-transformers with an ONNX
        graph (``exact`` only). Takes about 0.2 s for the default model; never touches the network. Without ``kernels``
        mode ``fast`` runs on ONNX Runtime, as it does on processors that the kernels aren't for.

        Raises:
            ModelError: the folder is not a model, is damaged, or needs something that is not supported.
        """
        if mode not in ("fast", "exact"):
            raise ModelError(f"mode {mode!r} is neither 'fast' nor 'exact'")
        loaded = load_folder(DEFAULT if folder is None else Path(folder), mode, kernels=kernels)
        queries = None if loaded.queries is None else cls(loaded.queries, mode)
        return cls(loaded, mode, queries)

    @property
    def has_codes(self) -> bool:
        """Whether queries get a poly-encoder's codes."""
        return (self if self._queries is None else self._queries).heads.poly is not None

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
        if prompt == "query" and self._queries is not None:
            return self._queries.views(texts, prompt=prompt, threads=threads, progress=progress)
        tokenized = self._tokenize(texts, prompt)
        results: list[tuple[NDArray[np.float32], NDArray[np.float32]]] = [_NOTHING] * len(texts)

        def keep(batch: list[int], forward: Forward) -> None:
            for index, pooled, tokens in zip(batch, self._pool(forward), self._tokens(forward), strict=True):
                results[index] = pooled, self._counted(tokens, tokenized[index].ids, prompt)

        self._run(tokenized, keep, threads, progress)
        return self._assemble(results, tokenized)

    def queries(self, texts: Sequence[str], *, threads: int | None = None) -> list[QueryVectors]:
        """Give all that pipelines compare with documents, of queries: with the prompt and the heads for them.

        Raises:
            DataError: a text is not a string, or the model gave NaN for it.
        """
        if self._queries is not None:
            return self._queries.queries(texts, threads=threads)
        tokenized = self._tokenize(texts, "query")
        results: list[QueryVectors | None] = [None] * len(texts)
        weigh, poly = self.heads.token_weights, self.heads.poly

        def keep(batch: list[int], forward: Forward) -> None:
            real = [len(tokenized[index].ids) for index in batch]
            if (
                self._late.expansion_length
            ):  # what was filled in is no part of the text's one vector, nor seen by codes
                rows = [forward.row(row, length) for row, length in enumerate(real)]
                dense = np.concatenate([self._pool(row) for row in rows])
            else:
                dense = self._pool(forward)
            found = zip(batch, real, dense, self._tokens(forward), forward.hidden, strict=True)
            for index, length, pooled, tokens, hidden in found:
                results[index] = QueryVectors(
                    pooled,
                    tokens if weigh is None else tokens * weigh(hidden)[:, None],
                    None if poly is None else PolyQuery(poly, hidden[:length].copy(), self.settings.name),
                    tokenized[index].truncated_tokens,
                )

        self._run(tokenized, keep, threads, None, self._late)
        known = [one for one in results if one is not None]
        for one in known:
            if not (np.isfinite(one.dense).all() and np.isfinite(one.tokens).all()):
                raise DataError(f"model {self.settings.name} gave NaN or infinity for a query")
        return known

    def _run(
        self,
        tokenized: Sequence[Tokenized],
        keep: Callable[[list[int], Forward], None],
        threads: int | None,
        progress: Callable[[int], object] | None,
        expansion: LateTokens = NO_EXPANSION,
    ) -> None:
        """Run all texts, those of one length together, and hand on what comes out."""

        def run(batch: list[int]) -> int:
            ids = np.array([tokenized[index].ids for index in batch], dtype=np.int64)
            keep(batch, self._backbone(*_expanded(ids, expansion)))
            return len(batch)

        if threads is not None and threads < 1:
            raise DataError(f"threads must be at least 1, not {threads}")
        batches = _batches(tokenized, self._backbone.batch_tokens, expansion.expansion_length)
        workers = min(threads or usable_cores(), len(tokenized))
        if workers <= 1:
            for count in map(run, batches):
                _ = progress and progress(count)
        else:
            with ThreadPoolExecutor(workers) as pool:
                for count in pool.map(run, batches):
                    _ = progress and progress(count)

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
        tokenizer = self._query_tokenizer if prompt == "query" else self.tokenizer
        return tokenizer([prefix + text for text in texts] if prefix else list(texts))

    def _counted(self, tokens: NDArray[np.float32], ids: Sequence[int], prompt: str) -> NDArray[np.float32]:
        """Leave out the vectors of a document's tokens that don't count; the first always does."""
        if not self._late.skip or prompt == "query":
            return tokens
        kept = ~np.isin(ids, self._late.skip)
        kept[0] = True
        return tokens[kept]

    def _pool(self, forward: Forward) -> NDArray[np.float32]:
        pooled = pool(forward, self.settings.pooling)
        return normalize(pooled) if self.settings.similarity == "cosine" else pooled

    def _tokens(self, forward: Forward) -> NDArray[np.float32]:
        if not self.settings.token_dimensions:
            return forward.hidden[..., :0]
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


def _expanded(ids: NDArray[np.int64], late: LateTokens) -> tuple[NDArray[np.int64], NDArray[np.int64] | None]:
    """Fill queries up with the model's own token; give ids and mask, which is needed if nobody attends to it."""
    missing = late.expansion_length - ids.shape[1]
    if missing <= 0:
        return ids, None
    filled = np.pad(ids, ((0, 0), (0, missing)), constant_values=late.expansion_token)
    if late.attend:
        return filled, None
    mask = np.zeros_like(filled)
    mask[:, : ids.shape[1]] = 1
    return filled, mask


_NOTHING = (np.empty(0, np.float32), np.empty((0, 0), np.float32))


def _batches(tokenized: Sequence[Tokenized], batch_tokens: int, filled: int) -> Iterator[list[int]]:
    """Group texts of the same number of tokens, up to ``batch_tokens`` together, longest first.

    Shorter ones will be ``filled`` up to that many tokens.
    """
    order = sorted(range(len(tokenized)), key=lambda index: -len(tokenized[index].ids))
    for length, same in groupby(order, key=lambda index: len(tokenized[index].ids)):
        indices = list(same)
        size = max(1, batch_tokens // max(1, length, filled))
        yield from (indices[start : start + size] for start in range(0, len(indices), size))
