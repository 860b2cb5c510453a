import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from shortlist import Encoder
from shortlist.models.folders import DEFAULT

OwnFolder = Callable[..., Path]
"""``make(model_json_key=value)``: a copy of the model that comes with shortlist, with that changed."""


@pytest.fixture(scope="session")
def encoders() -> dict[str, Encoder]:
    """The model that comes with shortlist, in both modes."""
    return {"fast": Encoder.load(mode="fast"), "exact": Encoder.load(mode="exact")}


@pytest.fixture
def own_folder(tmp_path: Path) -> OwnFolder:
    def make(**changes: Any) -> Path:
        folder = tmp_path / "model"
        folder.mkdir()
        for path in DEFAULT.iterdir():
            if path.name != "model.json":
                (folder / path.name).symlink_to(path)  # the weights are 24 MB
        values = json.loads((DEFAULT / "model.json").read_text(encoding="utf-8")) | changes
        (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
        return folder

    return make
