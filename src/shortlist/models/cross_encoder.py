"""Score a query and a passage that are read together: ``[CLS] query [SEP] passage [SEP]`` through one transformer.

Shapes: B pairs, K labels. Every pair runs by itself: there is no padding, and a score can't depend on its neighbours
(docs/decisions/0002-no-padding.md).
"""

from __future__ import annotations

import math
import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from shortlist.cores import usable_cores
from shortlist.errors import DataError, ModelError
from shortlist.models.native_transformer import NativeJudge
from shortlist.models.own_folder import Description, Parts, describe, folder_at, open_parts
from shortlist.models.pairs import PairTokens, tokenize_pairs
from shortlist.models.safety import shown
from shortlist.models.score_cache import ScoreCache
from shortlist.models.settings import MAX_TOKENS, integer, text
from shortlist.models.tokenizer import Tokenizer
from shortlist.types import check_text

if TYPE_CHECKING:
    from shortlist.scoring._native import Transformer

__all__ = ["CrossEncoder", "CrossEncoderSettings", "Judged"]

RunsPair = Callable[[PairTokens], NDArray[np.float32]]
"""Gives the scores of one pair, ``[K]``."""


@dataclass(frozen=True)
class CrossEncoderSettings:
    """Describe a cross-encoder.

    ``max_tokens`` counts those of a pair with its special tokens, ``max_query_tokens`` those of the query with its own.
    ``labels`` names what its scores mean, in order: one, if it scores how well a passage answers; or several classes.
    Scores beyond ``score_range`` are brought to its ends: to know the most that a passage can score lets a search stop
    early, and a judge's wildest opinions are seldom its best. ``activation`` is ``identity``, which leaves logits as
    they are, or ``sigmoid``.
    """

    name: str
    max_tokens: int
    max_query_tokens: int
    labels: tuple[str, ...]
    fingerprint: str
    score_range: tuple[float, float] = (-math.inf, math.inf)
    activation: str = "identity"


@dataclass(frozen=True)
class Judged:
    """Hold scores ``[B]``, or of several labels ``[B, K]``, and how many tokens of each pair could not be read."""

    scores: NDArray[np.float64]
    truncated_tokens: tuple[int, ...]


class CrossEncoder:
    """Score pairs of texts.

    Scores are logits: higher is better, without a bound. They are the same bytes alone, in any batch, and on any
    number of threads.
    """

    def __init__(
        self, description: Description, mode: str, cache: ScoreCache | None = None, *, kernels: bool = True
    ) -> None:
        self.settings = _settings(description)
        self.mode = mode
        self.cache = cache
        head, labels = description.values.get("head"), len(self.settings.labels)

        def fits(transformer: Transformer, stored: Mapping[str, NDArray[Any]]) -> bool:
            return NativeJudge.fits(transformer, stored, head, labels)

        parts = open_parts(description, mode, self.settings.max_tokens, fits=fits if kernels else None)
        self._tokenizer: Tokenizer = parts.tokenizer
        self._graph = parts.graph
        self._run_pair: RunsPair
        if parts.transformer is None:
            self._run_pair, self._runner = self._by_graph(parts), "graph"
        else:
            judge = NativeJudge(parts.transformer, parts.stored, str(head), self._graph.parent)
            self._run_pair, self._runner = (lambda row: judge(row.ids, row.first)), "kernels"
        if self._tokenizer.overhead != 2:
            raise ModelError(
                f"{self._graph.parent}: its tokenizer adds {self._tokenizer.overhead} tokens to a text, expected 2"
            )

    def _by_graph(self, parts: Parts) -> RunsPair:
        """Give what scores a pair by the graph, if it is one of a cross-encoder."""
        assert parts.session is not None
        self._session = parts.session
        try:
            inputs = {node.name for node in self._session.get_inputs()}
            outputs = {node.name: (node.type, node.shape) for node in self._session.get_outputs()}
        except UnicodeDecodeError as error:
            raise ModelError(f"{self._graph}: names its inputs or outputs in no text: {error}") from error
        if inputs != {"input_ids", "token_type_ids"} or list(outputs) != ["score"]:
            raise ModelError(
                f"{self._graph}: takes {shown(sorted(inputs))} and gives {shown(sorted(outputs))},"
                " expected input_ids and token_type_ids, and score"
            )
        kind, shape = outputs["score"]
        if kind != "tensor(float)" or len(shape) != 2 or shape[1] != len(self.settings.labels):
            raise ModelError(
                f"{self._graph}: gives score as {shown(kind)} {shown(shape)}, model.json names"
                f" {len(self.settings.labels)} labels"
            )
        return self._run_graph

    @classmethod
    def load(
        cls,
        folder: str | os.PathLike[str],
        *,
        mode: str = "fast",
        cache: ScoreCache | None = None,
        kernels: bool = True,
    ) -> CrossEncoder:
        """Load a model folder, as ``shortlist train cross-encoder`` writes them.

        Scores that ``cache`` remembers are not computed again. ``kernels`` as in :meth:`Encoder.load`.

        Raises:
            ModelError: the folder is no cross-encoder, is damaged, or needs something that is not supported.
        """
        if mode not in ("fast", "exact"):
            raise ModelError(f"mode {mode!r} is neither 'fast' nor 'exact'")
        path = Path(folder)
        try:
            found = (path / "model.json").is_file()
        except (OSError, ValueError) as error:  # ValueError: a name with a NUL
            raise ModelError(f"{shown(str(path))}: can't be read: {error}") from error
        if not found:
            raise ModelError(
                f"{path}: no model folder of a cross-encoder",
                hint="train one: shortlist train cross-encoder --help",
            )
        return cls(describe(folder_at(path), "cross_encoder"), mode, cache, kernels=kernels)

    def score(self, query: str, texts: Sequence[str], *, threads: int | None = None) -> NDArray[np.float64]:
        """Score texts for one query: ``[B]`` logits, or ``[B, K]`` of several labels.

        Raises:
            DataError: a text is no text, or the model gave NaN.
        """
        return self.score_pairs([(query, text) for text in texts], threads=threads).scores

    def score_pairs(self, pairs: Sequence[tuple[str, str]], *, threads: int | None = None) -> Judged:
        """Score pairs of a query and a text; counts what of each could not be read. ``threads``: default all cores.

        Raises:
            DataError: a text is no text, or the model gave NaN.
        """
        if threads is not None and threads < 1:
            raise DataError(f"threads must be at least 1, not {threads}")
        for query, passage in pairs:
            check_text(query, "a query")
            check_text(passage, "a passage")
        rows = tokenize_pairs(self._tokenizer, pairs, self.settings.max_query_tokens)
        model = f"{self.settings.fingerprint} {self.mode} {self._runner}"
        cache = self.cache
        keys = [] if cache is None else [ScoreCache.key(model, *pair) for pair in pairs]
        known = [None] * len(pairs) if cache is None else cache.get(keys)
        known = [
            value if value is not None and len(value) == len(self.settings.labels) else None
            for value in known
        ]
        missing = [index for index, value in enumerate(known) if value is None]
        result = np.empty((len(rows), len(self.settings.labels)))
        result[missing] = self._run([rows[index] for index in missing], threads)
        for index, value in enumerate(known):
            if value is not None:
                result[index] = value
        if cache is not None and missing:
            cache.put([keys[index] for index in missing], result[missing])
        scores = result[:, 0] if result.shape[1] == 1 else result
        return Judged(scores, tuple(row.truncated_tokens for row in rows))

    @property
    def highest(self) -> float:
        """The most that a pair can score; infinite if nothing is known of it."""
        return min(self.settings.score_range[1], 1.0 if self.settings.activation == "sigmoid" else math.inf)

    def _run_graph(self, row: PairTokens) -> NDArray[np.float32]:
        ids = np.array([row.ids], np.int64)
        types = np.zeros_like(ids)
        types[0, row.first :] = 1
        try:
            (found,) = self._session.run(["score"], {"input_ids": ids, "token_type_ids": types})
        except Exception as error:  # the runtime's exceptions share no base but Exception
            raise ModelError(f"{self._graph}: its graph fails: {error}") from error
        if found.ndim != 2 or len(found) != 1:
            raise ModelError(f"{self._graph}: its graph gives score as {found.shape}")
        scores: NDArray[np.float32] = found[0]
        return scores

    def _run(self, rows: Sequence[PairTokens], threads: int | None) -> NDArray[np.float64]:
        """Run tokenised pairs one by one, ``[B, K]``."""
        shape = (len(self.settings.labels),)

        def run(row: PairTokens) -> NDArray[np.float32]:
            found = self._run_pair(row)
            if found.shape != shape:
                raise ModelError(f"{self._graph}: gives score as {found.shape}, expected {shape}")
            return found

        longest_first = sorted(range(len(rows)), key=lambda index: -len(rows[index].ids))
        ordered = [rows[index] for index in longest_first]
        workers = min(threads or usable_cores(), len(rows))
        result = np.empty((len(rows), *shape))
        if workers <= 1:
            found = list(map(run, ordered))
        else:
            with ThreadPoolExecutor(workers) as pool:
                found = list(pool.map(run, ordered))
        for index, scores in zip(longest_first, found, strict=True):
            result[index] = scores
        if not np.isfinite(result).all():
            raise DataError(f"model {self.settings.name} gave NaN or infinity for a pair")
        if self.settings.activation == "sigmoid":
            result = 1 / (1 + np.exp(-np.clip(result, -700, 700)))
        return np.clip(result, *self.settings.score_range)


def _settings(description: Description) -> CrossEncoderSettings:
    where, values = description.where, description.values
    try:
        labels = values["labels"]
        if not isinstance(labels, list) or not 1 <= len(labels) <= 1000:
            raise ModelError(f"{where}: labels is {shown(labels)}, expected a list of 1 to 1,000 names")
        settings = CrossEncoderSettings(
            name=text(values["name"], "name", where, 200),
            max_tokens=integer(values, "max_tokens", where, 8, MAX_TOKENS),
            max_query_tokens=integer(values, "max_query_tokens", where, 3, MAX_TOKENS),
            labels=tuple(text(label, "a label", where, 200) for label in labels),
            fingerprint=description.fingerprint,
            score_range=_score_range(values.get("score_range"), where),
            activation=text(values.get("activation", "identity"), "activation", where, 20),
        )
    except KeyError as error:
        raise ModelError(f"{where}: no {error}") from None
    if len(settings.labels) > 1 and values.get("score_range") is not None:
        raise ModelError(
            f"{where}: has a score_range, and {len(settings.labels)} labels, of which it would hide which is best"
        )
    if settings.activation not in ("identity", "sigmoid"):
        raise ModelError(f"{where}: activation is {settings.activation!r}, expected identity or sigmoid")
    if settings.max_query_tokens > settings.max_tokens - 2:
        raise ModelError(
            f"{where}: max_query_tokens is {settings.max_query_tokens}, max_tokens {settings.max_tokens} leaves no room"
        )
    return settings


def _score_range(value: object, where: Path) -> tuple[float, float]:
    """Give two finite numbers, the lower one first; none mean no range."""
    if value is None:
        return -math.inf, math.inf
    fits = isinstance(value, list) and len(value) == 2 and all(type(one) in (int, float) for one in value)
    if not fits or not -1e9 < value[0] < value[1] < 1e9:  # type: ignore[index]
        raise ModelError(f"{where}: score_range is {shown(value)}, expected two numbers, the lower one first")
    return float(value[0]), float(value[1])  # type: ignore[index]
