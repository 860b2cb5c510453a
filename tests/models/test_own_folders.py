"""Folders of shortlist's own kind: what is checked before anything is believed."""

import json
from pathlib import Path

import numpy as np
import pytest

from shortlist import Encoder, ModelError
from shortlist.models.folders import DEFAULT, fingerprint
from tests.models.conftest import OwnFolder, hard_link

FILES = ["weights.safetensors", "tokenizer.json", "graph.fast.onnx"]


def test_a_copy_of_the_model_gives_the_same_vectors_and_has_the_same_fingerprint(tmp_path: Path) -> None:
    for path in DEFAULT.iterdir():
        hard_link(path, tmp_path / path.name)
    copy = Encoder.load(tmp_path)
    assert copy.encode(["a card"]).tobytes() == Encoder.load().encode(["a card"]).tobytes()
    assert copy.settings.fingerprint == fingerprint(DEFAULT)


@pytest.mark.parametrize("name", FILES)
def test_a_file_with_one_bit_turned_is_refused_by_name(own_folder: OwnFolder, name: str) -> None:
    folder = own_folder()
    content = bytearray((folder / name).read_bytes())
    content[len(content) // 2] ^= 1
    (folder / name).unlink()
    (folder / name).write_bytes(content)
    with pytest.raises(ModelError, match=rf"{name}: damaged: its checksum"):
        Encoder.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_was_cut_off_is_refused_by_name(own_folder: OwnFolder, name: str) -> None:
    folder = own_folder()
    (folder / name).unlink()
    (folder / name).write_bytes((DEFAULT / name).read_bytes()[:1000])
    message = "can't be read: a header of" if name.startswith("weights") else "damaged"
    with pytest.raises(ModelError, match=rf"{name}: {message}"):
        Encoder.load(folder)


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_is_missing_is_named(own_folder: OwnFolder, name: str) -> None:
    folder = own_folder()
    (folder / name).unlink()
    with pytest.raises(ModelError, match=rf"model: no {name}"):
        Encoder.load(folder)


def test_a_mode_needs_only_its_own_graph(own_folder: OwnFolder) -> None:
    folder = own_folder()
    (folder / "graph.exact.onnx").unlink()
    assert Encoder.load(folder, mode="fast").encode(["a"]).shape == (1, 384)


@pytest.mark.parametrize("version", [0, 2, "1", None])
def test_another_version_of_the_format_is_refused_with_what_to_do(
    own_folder: OwnFolder, version: object
) -> None:
    with pytest.raises(ModelError, match=rf"model format {version!r}, this version reads 1") as caught:
        Encoder.load(own_folder(format=version))
    assert "upgrade" in caught.value.hint


@pytest.mark.parametrize("key", ["files", "dimensions", "max_tokens", "dense_scale", "group", "prompts"])
def test_a_setting_that_is_missing_is_named(own_folder: OwnFolder, key: str) -> None:
    folder = own_folder()
    values = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    del values[key]
    (folder / "model.json").write_text(json.dumps(values), encoding="utf-8")
    with pytest.raises(ModelError, match=rf"model\.json: no '{key}'"):
        Encoder.load(folder)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"similarity": "euclidean"}, "similarity 'euclidean' is neither 'cosine' nor 'dot'"),
        ({"pooling": "lasttoken"}, "pooling 'lasttoken' is not supported"),
    ],
)
def test_a_setting_of_an_unknown_value_is_refused(
    own_folder: OwnFolder, changes: dict[str, object], message: str
) -> None:
    with pytest.raises(ModelError, match=message):
        Encoder.load(own_folder(**changes))


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"{", r"model\.json: can't be read"),
        (b"\xff", r"model\.json: can't be read"),
        (b"[" * 100_000, r"model\.json: can't be read"),
        (b"[1]", r"model\.json: holds list, expected an object"),
    ],
)
def test_a_model_json_that_is_no_object_is_refused(tmp_path: Path, content: bytes, message: str) -> None:
    (tmp_path / "model.json").write_bytes(content)
    with pytest.raises(ModelError, match=message):
        Encoder.load(tmp_path)


def test_a_folder_that_does_not_exist_and_one_that_is_no_model_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="nowhere: no such model folder"):
        Encoder.load(tmp_path / "nowhere")
    with pytest.raises(ModelError, match=r"neither model\.json nor modules\.json") as caught:
        Encoder.load(tmp_path)
    assert "ONNX" in caught.value.hint
    file = tmp_path / "file"
    file.touch()
    with pytest.raises(ModelError, match="file: no such model folder"):
        Encoder.load(str(file))


def test_prompts_of_the_model_are_put_before_texts(own_folder: OwnFolder) -> None:
    prompted = Encoder.load(own_folder(prompts={"query": "search for: ", "document": "text: "}))
    plain = Encoder.load()
    assert np.array_equal(prompted.encode(["card"], prompt="query"), plain.encode(["search for: card"]))
    assert np.array_equal(prompted.encode(["card"]), plain.encode(["text: card"]))


def test_every_setting_counts_in_the_fingerprint(own_folder: OwnFolder) -> None:
    assert fingerprint(own_folder(max_tokens=128)) != fingerprint(DEFAULT)
