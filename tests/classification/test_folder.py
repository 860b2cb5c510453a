import hashlib
import json
import os
import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from safetensors.numpy import load_file, save_file

from shortlist.classification import Classifier, LabelledTexts, load_head, save_head
from shortlist.errors import DataError, ModelError, ModelMismatchError
from shortlist.measures import Interval
from shortlist.models.folders import DEFAULT
from tests.models.conftest import hard_link

from .test_head import RECORD, head

Change = Callable[[dict[str, Any]], object]


def saved(folder: Path) -> Path:
    save_head(head(), folder)
    return folder


def change_json(folder: Path, change: Change) -> None:
    path = folder / "head.json"
    values = json.loads(path.read_text(encoding="utf-8"))
    change(values)
    path.write_text(json.dumps(values), encoding="utf-8")


def change_weights(folder: Path, **arrays: Any) -> None:
    """Write other weights, and the checksum that fits them."""
    path = folder / "head.safetensors"
    save_file(arrays, path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    change_json(folder, lambda values: values.update(weights_sha256=digest))


@pytest.mark.parametrize(
    "record",
    [RECORD, replace(RECORD, accuracy=Interval(0.9, 0.8, 0.95), calibration_error=0.01, converged=False)],
)
def test_a_head_comes_back_as_it_was(tmp_path: Path, record: Any) -> None:
    one = head(labels=("a b", "é", "日本"), training=record, temperature=0.123456789)
    save_head(one, tmp_path / "deep" / "head")
    found = load_head(tmp_path / "deep" / "head")
    assert (found.labels, found.temperature, found.encoded_by) == (
        one.labels,
        one.temperature,
        one.encoded_by,
    )
    assert found.training == record
    assert found.weights.tobytes() == one.weights.tobytes()
    assert found.bias.tobytes() == one.bias.tobytes()
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["head"]


def test_the_accuracy_is_kept_as_format_1_has_it(tmp_path: Path) -> None:
    save_head(head(training=replace(RECORD, accuracy=Interval(0.9, 0.8, 0.95))), tmp_path / "h")
    training = json.loads((tmp_path / "h" / "head.json").read_text(encoding="utf-8"))["training"]
    assert training["accuracy"] == {"value": 0.9, "low": 0.8, "high": 0.95}


def test_the_weights_are_a_safetensors_file(tmp_path: Path) -> None:
    arrays = load_file(saved(tmp_path / "h") / "head.safetensors")
    np.testing.assert_array_equal(arrays["weights"], head().weights)
    assert arrays["bias"].shape == (3,)


def test_a_classifier_answers_the_same_after_a_round_trip(
    classifier: Classifier, test_texts: LabelledTexts, tmp_path: Path
) -> None:
    classifier.save(tmp_path / "h")
    texts = test_texts.texts[:20]
    assert Classifier.load(tmp_path / "h").predict(texts, k=3) == classifier.predict(texts, k=3)


def test_nothing_is_overwritten(tmp_path: Path) -> None:
    saved(tmp_path / "h")
    with pytest.raises(DataError, match="there is something at this path already"):
        save_head(head(), tmp_path / "h")


def test_a_head_that_could_not_be_written_leaves_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(_: int) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space left"):
        save_head(head(), tmp_path / "h")
    assert list(tmp_path.iterdir()) == []


def test_a_head_of_another_model_is_refused_before_the_model_is_loaded(tmp_path: Path) -> None:
    with pytest.raises(
        ModelMismatchError, match=r"trained on vectors of model \(0{16}\), not of default"
    ) as error:
        Classifier.load(saved(tmp_path / "h"))
    assert "--model FOLDER" in error.value.hint


def test_a_head_reads_with_its_model_where_it_is_now(classifier: Classifier, tmp_path: Path) -> None:
    classifier.save(tmp_path / "h")
    (tmp_path / "model").mkdir()
    for path in DEFAULT.iterdir():
        hard_link(path, tmp_path / "model" / path.name)
    moved = Classifier.load(tmp_path / "h", model=tmp_path / "model")
    assert moved.predict(["what is my balance"])[0].label == "balance"


HOSTILE: dict[str, tuple[Change, str]] = {
    "no format": (lambda v: v.pop("format"), "head format None"),
    "a later format": (lambda v: v.update(format=2), "head format 2, this version reads 1"),
    "format true": (lambda v: v.update(format=True), "head format True"),
    "no labels": (lambda v: v.pop("labels"), "no 'labels'"),
    "labels of another type": (lambda v: v.update(labels="abc"), "labels is 'abc'"),
    "one label": (lambda v: v.update(labels=["a"]), "labels is"),
    "a label that is none": (lambda v: v.update(labels=["a", "b", 3]), "a label is 3"),
    "a long label": (lambda v: v.update(labels=["a", "b", "c" * 600]), "at most 512"),
    "a lone surrogate": (lambda v: v.update(labels=["a", "b", "\ud800"]), "surrogate"),
    "a label twice": (lambda v: v.update(labels=["a", "b", "b"]), "sorted and different"),
    "labels out of order": (lambda v: v.update(labels=["c", "b", "a"]), "sorted and different"),
    "more labels than weights": (
        lambda v: (v["labels"].append("d"), v["training"]["texts"].append(1)),
        "expected {'weights': (4, 2)",
    ),
    "other dimensions": (lambda v: v.update(dimensions=3), "expected {'weights': (3, 3)"),
    "negative dimensions": (lambda v: v.update(dimensions=-1), "dimensions is -1"),
    "temperature 0": (lambda v: v.update(temperature=0), "temperature is 0"),
    "temperature NaN": (lambda v: v.update(temperature=float("nan")), "NaN is no JSON"),
    "temperature a text": (lambda v: v.update(temperature="1"), "temperature is '1'"),
    "a huge temperature": (lambda v: v.update(temperature=10**400), "temperature is 1000"),
    "encoded_by a list": (lambda v: v.update(encoded_by=[]), "encoded_by is []"),
    "another mode": (lambda v: v["encoded_by"].update(mode="slow"), "mode 'slow'"),
    "a mode that can't be hashed": (lambda v: v["encoded_by"].update(mode=[]), "mode []"),
    "no fingerprint": (lambda v: v["encoded_by"].pop("fingerprint"), "no 'fingerprint'"),
    "no training": (lambda v: v.pop("training"), "no 'training'"),
    "counts of other labels": (lambda v: v["training"].update(texts=[1]), "texts is [1]"),
    "a negative count": (lambda v: v["training"].update(texts=[1, 2, -3]), "a count in texts is -3"),
    "accuracy beyond 1": (
        lambda v: v["training"].update(accuracy={"value": 2, "low": 0, "high": 1}),
        "value is 2",
    ),
    "accuracy a number": (lambda v: v["training"].update(accuracy=0.5), "accuracy is 0.5"),
    "converged a number": (lambda v: v["training"].update(converged=1), "converged is 1"),
    "another checksum": (lambda v: v.update(weights_sha256="0" * 64), "its checksum is not the one"),
}


@pytest.mark.parametrize(("change", "message"), HOSTILE.values(), ids=HOSTILE.keys())
def test_a_head_that_lies_is_refused(tmp_path: Path, change: Change, message: str) -> None:
    folder = saved(tmp_path / "h")
    change_json(folder, change)
    with pytest.raises(ModelError) as error:
        load_head(folder)
    assert message in str(error.value)
    assert str(folder) in str(error.value)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"weights": np.full((3, 2), np.nan, np.float32), "bias": np.zeros(3, np.float32)}, "NaN"),
        ({"weights": np.zeros((3, 2), np.float16), "bias": np.zeros(3, np.float32)}, "float16"),
        ({"weights": np.zeros((3, 2)), "bias": np.zeros(3, np.float32)}, "dtype 'F64' is not supported"),
        ({"weights": np.zeros((3, 2), np.float32)}, "expected {'weights': (3, 2), 'bias': (3,)}"),
        (
            {name: np.zeros((3, 2), np.float32) for name in ("weights", "bias", "more")},
            "expected {'weights': (3, 2), 'bias': (3,)}",
        ),
    ],
)
def test_weights_that_do_not_fit_are_refused(tmp_path: Path, arrays: Any, message: str) -> None:
    folder = saved(tmp_path / "h")
    change_weights(folder, **arrays)
    with pytest.raises(ModelError) as error:
        load_head(folder)
    assert message in str(error.value)


def test_damage_is_noticed(tmp_path: Path) -> None:
    path = saved(tmp_path / "h") / "head.safetensors"
    data = bytearray(path.read_bytes())
    data[-1] ^= 1
    path.write_bytes(data)
    with pytest.raises(ModelError, match=r"head\.safetensors: damaged"):
        load_head(tmp_path / "h")


def test_pickles_links_and_other_things_are_not_opened(tmp_path: Path) -> None:
    folder = saved(tmp_path / "h")
    weights = folder / "head.safetensors"
    weights.write_bytes(pickle.dumps({"weights": [1]}))
    with pytest.raises(ModelError, match=r"head\.safetensors"):
        load_head(folder)
    weights.unlink()
    with pytest.raises(ModelError, match=r"no head\.safetensors"):
        load_head(folder)
    weights.symlink_to("/dev/zero")
    with pytest.raises(ModelError, match="a link that leads out of the folder"):
        load_head(folder)
    weights.unlink()
    os.mkfifo(weights)
    with pytest.raises(ModelError, match="FIFO"):
        load_head(folder)


def test_what_is_no_head_is_named(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="no such folder"):
        load_head(tmp_path / "nothing")
    with pytest.raises(ModelError, match=r"no head\.json"):
        load_head(tmp_path)
    (tmp_path / "head.json").write_text("[1]")
    with pytest.raises(ModelError, match="expected an object"):
        load_head(tmp_path)
