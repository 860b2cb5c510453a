import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shortlist import Encoder
from shortlist.models.folders import DEFAULT

OwnFolder = Callable[..., Path]
"""``make(model_json_key=value)``: a copy of the model that comes with shortlist, with that changed."""


def hard_link(path: Path, target: Path) -> None:
    """Give a file a second name, or copy it to another disk: a symbolic link that leads out is refused."""
    try:
        target.hardlink_to(path)
    except OSError:
        shutil.copyfile(path, target)


@pytest.fixture(scope="session")
def encoders() -> dict[str, Encoder]:
    """The model that comes with shortlist, in both modes; ``graph`` is ``fast`` without kernels."""
    return {
        "fast": Encoder.load(mode="fast"),
        "graph": Encoder.load(mode="fast", kernels=False),
        "exact": Encoder.load(mode="exact"),
    }


@pytest.fixture
def own_folder(tmp_path: Path) -> OwnFolder:
    def make(**changes: Any) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for path in DEFAULT.iterdir():
            if path.name != "model.json":
                hard_link(path, folder / path.name)  # the weights are 24 MB
        values = json.loads((DEFAULT / "model.json").read_text(encoding="utf-8")) | changes
        (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
        return folder

    return make
