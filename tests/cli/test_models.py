"""List, check and describe models."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import numpy as np
import pytest

from shortlist.cli.main import main
from shortlist.models.catalogue import bundled
from shortlist.models.heads import PolyCodes
from shortlist.models.own_folder import DEFAULT


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    shutil.copytree(DEFAULT, tmp_path / "mine")
    return tmp_path / "mine"


def test_models_that_come_along_are_listed(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "list", str(folder)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "kind", "gives", "tokens", "size", "licence"]
    assert len(lines) == 2 + len(bundled())
    assert "default" in lines[1]
    assert "dense, late" in lines[1]
    assert main(["models", "list", "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found["default"]["kind"] == "encoder"
    assert found["default"]["license"] == "Apache-2.0"
    assert found["default"]["size_bytes"] == sum(
        path.stat().st_size for path in DEFAULT.iterdir() if path.name not in ("README.md", "__init__.py")
    )


def test_models_that_come_along_are_whole(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "verify", "--json"]) == 0
    for record in json.loads(capsys.readouterr().out):
        assert record["modes"] == ["fast", "exact"]
        assert record["agreement"] > 0.995


def test_a_model_whose_codes_overflow_is_refused(
    folder: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(PolyCodes, "__call__", lambda _codes, hidden: hidden * np.float32(np.inf))
    assert main(["models", "verify", str(folder)]) == 3
    assert "the codes of model all-minilm-l6-v2 gave NaN or infinity" in capsys.readouterr().err


def test_a_damaged_model_is_named_and_the_others_are_checked(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    weights = folder / "weights.safetensors"
    data = bytearray(weights.read_bytes())
    data[-1] ^= 1
    weights.write_bytes(data)
    assert main(["models", "verify", str(folder), "default"]) == 3
    captured = capsys.readouterr()
    assert "damaged: its checksum is not the one in model.json" in captured.err
    assert captured.out.startswith("default: whole, runs in 2 modes (fast and exact); they agree to 0.99")
    assert main(["models", "verify", str(folder), "--json"]) == 3
    assert "damaged" in json.loads(capsys.readouterr().out)[0]["error"]


def test_a_card_is_the_folder_s_or_made_of_what_it_says(
    folder: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["models", "card", "default"]) == 0
    assert capsys.readouterr().out == (DEFAULT / "README.md").read_text()
    (folder / "README.md").unlink()
    assert main(["models", "card", str(folder), "--json"]) == 0
    text = json.loads(capsys.readouterr().out)["card"]
    assert text.startswith("# all-minilm-l6-v2\n")
    assert "- **Licence**: Apache-2.0" in text
    assert "encoder, gives dense, late" in text


def test_what_is_no_model_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["models", "card", str(tmp_path)]) == 1
    assert "no model folder of shortlist's" in capsys.readouterr().err
    (tmp_path / "model.json").write_text('{"files": {"../x": ""}}')
    assert main(["models", "list", str(tmp_path)]) == 1
    assert "no file beside it" in capsys.readouterr().err
    (tmp_path / "model.json").write_text('{"files": {}}')
    assert main(["models", "list", str(tmp_path)]) == 1
    assert "no 'token_dimensions'" in capsys.readouterr().err
    (tmp_path / "model.json").write_text("[]")
    assert main(["models", "verify", str(tmp_path)]) == 3
    assert "says nothing of files" in capsys.readouterr().err
