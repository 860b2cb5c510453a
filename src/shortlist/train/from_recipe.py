"""What all trainings by a recipe have in common: where they work, what makes them the same one, how they end."""

from __future__ import annotations

import hashlib
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.formats.paths import refuse_existing
from shortlist.train.base import BASE, BASE_FILES
from shortlist.train.cached import TokenCache
from shortlist.train.checkpoint import Checkpoint
from shortlist.train.existing import HEAD
from shortlist.train.recipe import BiEncoderSettings, HeadSettings, JudgeSettings, Recipe
from shortlist.train.record import write_card

__all__ = ["VECTORS", "Trained", "identity_of", "int8_step", "put_in_place", "stated", "work_folder"]


VECTORS = "vectors"
"""The folder in a cache where passages' vectors lie."""


@dataclass(frozen=True)
class Trained:
    """Say how a training ended: how many examples, how many had too few negatives, the mean loss of the last steps."""

    examples: int
    left_out: int
    loss: float


def work_folder(folder: Path) -> Path:
    """Give where a training keeps what it needs until its model is whole."""
    return folder.with_name(f"{folder.name}.training")


def identity_of(
    settings: JudgeSettings | HeadSettings | BiEncoderSettings, items: Sequence[Any], base: Path
) -> dict[str, Any]:
    """Give what a checkpoint must have been made of to be gone on with."""
    return {
        "model": asdict(settings),
        "examples": hashlib.sha256(repr(items).encode()).hexdigest(),
        "base": [
            hashlib.sha256((base / name).read_bytes()).hexdigest()
            for name in (*BASE_FILES, HEAD)
            if (base / name).exists()
        ],
    }


def stated(recipe: Recipe) -> dict[str, Any]:
    """Give what a recipe says of its model that goes into ``model.json`` as it is."""
    said: Mapping[str, str] = {"license": recipe.license, "origin": recipe.origin}
    return {name: value for name, value in said.items() if value}


def int8_step(values: NDArray[np.float32]) -> float:
    """Give an int8 step that all but one in 100,000 of some vectors' components fit into."""
    return float(np.quantile(np.abs(values), 0.99999)) * 1.05 / 127


def put_in_place(made: Path, folder: Path) -> None:
    """Put a whole model into its place, with its card, and remove what was needed to make it."""
    write_card(made)
    refuse_existing(folder)
    made.rename(folder)
    work = work_folder(folder)
    shutil.rmtree(work / "cache" / VECTORS, ignore_errors=True)
    TokenCache.remove_all(work / "cache")
    shutil.rmtree(work / BASE, ignore_errors=True)
    Checkpoint.remove(work)
