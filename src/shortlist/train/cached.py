"""What does a frozen encoder give for many texts? Token vectors on disk, so that heads learn from them again and again.

A head on top of an encoder that stays as it is (a projection for late interaction, poly-encoder codes) learns in
minutes, as the transformer runs once a text instead of once a step.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from tokenizers import Tokenizer
from torch import Tensor
from transformers import BertModel

from shortlist.errors import DataError
from shortlist.protocols import Progress
from shortlist.train.batches import pad, parts_by_tokens
from shortlist.train.device import bfloat16_helps, training_device
from shortlist.train.memory import kept_memory

__all__ = ["Expansion", "TokenCache"]

BATCH_TOKENS = 4096
FILES = DONE, TOKENS, OFFSETS, OWN = "cache.json", "tokens.npy", "offsets.npy", "own.npy"


@dataclass(frozen=True)
class Expansion:
    """Say with which token (its id) texts are filled up, and to how many; no other token attends to it.

    Source: Khattab and Zaharia 2020, section 3.2 (query augmentation).
    """

    token: int
    length: int


@dataclass(frozen=True, eq=False)
class TokenCache:
    """Hold the last layer's vectors of every token of some texts: ``data [T, H]`` float16, ``offsets [texts + 1]``.

    ``own [texts]`` counts each text's own tokens; what it was filled up with stands behind them.
    """

    data: NDArray[np.float16]
    offsets: NDArray[np.int64]
    own: NDArray[np.int64]

    def __len__(self) -> int:
        return len(self.offsets) - 1

    def length(self, index: int) -> int:
        """Give how many tokens a text has."""
        return int(self.offsets[index + 1] - self.offsets[index])

    def padded(self, indices: Sequence[int]) -> tuple[Tensor, Tensor]:
        """Give the vectors of some texts, ``[B, S, H]`` float32, zeros behind them, and where they are, ``[B, S]``."""
        spans = [(int(self.offsets[index]), int(self.offsets[index + 1])) for index in indices]
        longest = max(end - begin for begin, end in spans)
        data = torch.zeros(len(spans), longest, self.data.shape[1])
        known = torch.zeros(len(spans), longest, dtype=torch.bool)
        for row, (begin, end) in enumerate(spans):
            data[row, : end - begin] = torch.from_numpy(self.data[begin:end].astype(np.float32))
            known[row, : end - begin] = True
        return data, known

    def pooled(self, count: int | None = None) -> NDArray[np.float32]:
        """Give the mean token vector of the first ``count`` texts, or all, scaled to length 1: ``[texts, H]``."""
        offsets = self.offsets if count is None else self.offsets[: count + 1]
        found = np.empty((len(offsets) - 1, self.data.shape[1]), np.float32)
        for row, (begin, end) in enumerate(pairwise(offsets.tolist())):
            found[row] = self.data[begin:end].astype(np.float32).mean(axis=0)
        found /= np.linalg.norm(found, axis=1, keepdims=True)
        return found

    def sample(self, count: int, seed: int) -> NDArray[np.float32]:
        """Give the vectors of ``count`` of the texts' own tokens, drawn at random, or of all if there are fewer."""
        total = int(self.own.sum())
        chosen = np.sort(np.random.default_rng(seed).choice(total, min(count, total), replace=False))
        firsts = np.cumsum(self.own) - self.own
        rows = np.arange(total) + np.repeat(self.offsets[:-1] - firsts, self.own)
        found: NDArray[np.float32] = self.data[rows[chosen]].astype(np.float32)
        return found

    @staticmethod
    def remove_all(folder: Path) -> None:
        """Remove what :meth:`of` made in the folders of a folder, and these if nothing else is in them."""
        for place in (folder / "queries", folder / "passages", folder):
            for name in FILES:
                (place / name).unlink(missing_ok=True)
            if place.is_dir() and not any(place.iterdir()):
                place.rmdir()

    @classmethod
    def of(
        cls,
        texts: Sequence[str],
        backbone: BertModel,
        tokenizer: Tokenizer,
        folder: Path,
        *,
        max_tokens: int = 256,
        expansion: Expansion | None = None,
        progress: Progress | None = None,
    ) -> TokenCache:
        """Run ``backbone`` over the texts, or open what an earlier call made of the same ones in ``folder``.

        Takes ``2 * H`` bytes a token on disk. Texts are cut to ``max_tokens``; the tokenizer is changed to do so. With
        an ``expansion`` shorter ones are filled up, and what filled them has vectors too.

        Raises:
            DataError: ``folder`` holds the vectors of other texts, or of another encoder.
        """
        filled = [] if expansion is None else [expansion.token, expansion.length]
        made_of = [list(texts), max_tokens, tokenizer.to_str(), *filled]
        digest = hashlib.sha256(json.dumps(made_of).encode())
        for value in backbone.state_dict().values():
            digest.update(value.detach().cpu().contiguous().numpy().tobytes())
        identity = digest.hexdigest()
        done = folder / DONE
        if done.exists():
            if json.loads(done.read_text(encoding="utf-8"))["texts"] != identity:
                raise DataError(
                    f"{folder}: vectors of other texts, filled up otherwise or of another encoder",
                    hint="choose another folder, or remove it",
                )
        else:
            folder.mkdir(parents=True, exist_ok=True)
            _encode(texts, backbone, tokenizer, folder, max_tokens, expansion, progress)
            done.write_text(json.dumps({"texts": identity}), encoding="utf-8")
        return cls(np.load(folder / TOKENS, mmap_mode="r"), np.load(folder / OFFSETS), np.load(folder / OWN))


@kept_memory()
def _encode(
    texts: Sequence[str],
    backbone: BertModel,
    tokenizer: Tokenizer,
    folder: Path,
    max_tokens: int,
    expansion: Expansion | None,
    progress: Callable[[int], object] | None,
) -> None:
    tokenizer.no_padding()
    tokenizer.enable_truncation(max_tokens)
    rows = [encoding.ids for encoding in tokenizer.encode_batch(list(texts))]
    own = [len(row) for row in rows]
    np.save(folder / OWN, np.array(own, np.int64))
    if expansion is not None:
        rows = [row + [expansion.token] * (expansion.length - len(row)) for row in rows]
    offsets = np.concatenate([[0], np.cumsum([len(row) for row in rows])]).astype(np.int64)
    np.save(folder / OFFSETS, offsets)
    shape = int(offsets[-1]), backbone.config.hidden_size
    data = np.lib.format.open_memmap(folder / TOKENS, "w+", np.float16, shape)
    lengths = [len(row) for row in rows]
    backbone.train(False).to(training_device())
    bfloat16 = torch.autocast(training_device().type, torch.bfloat16, enabled=bfloat16_helps())
    with torch.inference_mode(), bfloat16:
        for part in parts_by_tokens(lengths, BATCH_TOKENS):
            inputs = pad([(rows[index], lengths[index]) for index in part])
            for row, index in enumerate(part):
                inputs["attention_mask"][row, own[index] :] = 0
            hidden = backbone(**inputs).last_hidden_state.half().cpu().numpy()
            for row, index in enumerate(part):
                data[offsets[index] : offsets[index + 1]] = hidden[row, : lengths[index]]
            if progress is not None:
                progress(len(part))
    data.flush()
