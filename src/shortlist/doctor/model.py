"""Whether a model is whole, loads, runs, and gives about the same in both of its modes."""

from __future__ import annotations

import json
import statistics
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from shortlist.doctor.privacy import without_names
from shortlist.doctor.problem import Problem
from shortlist.errors import DataError, ModelError
from shortlist.models import Encoder
from shortlist.models.folders import DEFAULT

__all__ = ["ModelHealth", "examine_model"]

AGREEMENT = 0.95  # what int8 arithmetic costs is far less; wrong arithmetic gives anything
_SENTENCE = "My card isn't working abroad, and I need to pay the hotel before noon."
_REINSTALL = "install shortlist again: pip install --force-reinstall shortlist"
_TIMES = 5


@dataclass(frozen=True)
class ModelHealth:
    """Describe a model folder of ours; None is what could not be found out.

    ``loads``: every file has its checksum, and both modes could be loaded. ``encode_ms`` is the time for one
    sentence in mode ``fast`` on one thread, ``cosine`` that between its vectors of both modes.
    """

    name: str
    fingerprint: str
    loads: bool
    load_ms: float | None
    encode_ms: float | None
    cosine: float | None
    problems: tuple[Problem, ...]


def examine_model(folder: Path = DEFAULT) -> ModelHealth:
    """Load a model of ours in both modes, which compares every file with its checksum, and encode a sentence."""
    begin = time.perf_counter()
    try:
        fast = Encoder.load(folder, mode="fast")
        load_ms = 1e3 * (time.perf_counter() - begin)
        exact = Encoder.load(folder, mode="exact")
    except ModelError as error:
        problem = Problem.of(error, _REINSTALL)
        return ModelHealth(_name(folder), "", False, None, None, None, (problem,))
    about = fast.settings
    encode_ms = cosine = None
    problems = []
    try:
        encode_ms = _encode_ms(fast)
        left, right = fast.encode([_SENTENCE], threads=1)[0], exact.encode([_SENTENCE], threads=1)[0]
        cosine = float(left @ right / (np.linalg.norm(left) * np.linalg.norm(right)))
        if not cosine >= AGREEMENT:
            problems.append(
                Problem(
                    f"model {about.name}: its modes fast and exact disagree: cosine {cosine:.4f}",
                    "report this; until then, index with --mode exact",
                )
            )
    except DataError as error:
        problems.append(Problem.of(error, "report this; until then, index with --mode exact"))
    except Exception as error:  # the runtime's exceptions share no base but Exception
        problems.append(Problem(without_names(f"model {about.name}: can't encode: {error}"), _REINSTALL))
    return ModelHealth(
        name=about.name,
        fingerprint=about.fingerprint,
        loads=True,
        load_ms=round(load_ms, 1),
        encode_ms=None if encode_ms is None else round(encode_ms, 2),
        cosine=None if cosine is None or not np.isfinite(cosine) else round(cosine, 6),
        problems=tuple(problems),
    )


def _encode_ms(encoder: Encoder) -> float:
    encoder.encode([_SENTENCE], threads=1)  # the first run sets up memory
    taken = []
    for _ in range(_TIMES):
        begin = time.perf_counter()
        encoder.encode([_SENTENCE], threads=1)
        taken.append(1e3 * (time.perf_counter() - begin))
    return statistics.median(taken)


def _name(folder: Path) -> str:
    """Give the name that a damaged model still has, or that of its folder."""
    try:
        return str(json.loads((folder / "model.json").read_text(encoding="utf-8"))["name"])
    except (OSError, ValueError, KeyError, TypeError):
        return folder.name
