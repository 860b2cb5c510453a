"""Note in a model folder what its model was trained on and how, and write its card."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from shortlist.models.catalogue import CARD, card
from shortlist.train.examples import Example
from shortlist.version import VERSION

__all__ = ["training_record", "write_card"]


def training_record(recipe: Any, base: Path, examples: Sequence[Any], loss: float) -> dict[str, Any]:
    """Give what ``model.json`` says of a training; files are named, folders are nobody's business."""
    tables = {}
    for name in ("examples", "pairs", "model", "schedule"):
        if getattr(recipe, name, None) is not None:
            tables[name] = asdict(getattr(recipe, name))
    for table in tables.values():
        if "files" in table:
            table["files"] = [Path(file).name for file in table["files"]]
    return {
        "version": VERSION,
        "base": base.parent.name if base.name in ("model", "float") else base.name,
        "seed": recipe.schedule.seed,
        "examples": len(examples),
        "sources": dict(Counter(one.source for one in examples if isinstance(one, Example)).most_common()),
        "recipe": tables,
        "loss": loss,
    }


def write_card(folder: Path) -> None:
    """Write the card of a folder that has none yet."""
    if not (folder / CARD).exists():
        (folder / CARD).write_text(card(folder), encoding="utf-8")
