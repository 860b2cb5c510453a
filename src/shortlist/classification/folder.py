"""How a head is kept in a folder, and what is believed of a folder when it is read back.

::

    head.json           labels, temperature, the encoder's fingerprint, the record of the training
    head.safetensors    weights [L, H] and bias [L], float32

A folder may come from anywhere. It is read as a model folder is (docs/decisions/0006-model-folders.md): regular files
of bounded size, data and no code; what it says is checked before it is used.
"""

from __future__ import annotations

import hashlib
import json
import math
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.classification.calibration import MAX_TEMPERATURE, MIN_TEMPERATURE
from shortlist.classification.head import EncodedBy, Head, TrainingRecord
from shortlist.errors import ModelError
from shortlist.formats.paths import StrPath, refuse_existing
from shortlist.measures import Interval
from shortlist.models.safety import ModelFolder, shown
from shortlist.models.settings import integer, text
from shortlist.models.weights import read_bytes, read_weights

__all__ = ["load_head", "save_head"]

FORMAT = 1
MAX_LABELS = 100_000
MAX_COUNT = 1 << 48

_JSON, _WEIGHTS = "head.json", "head.safetensors"


def save_head(head: Head, path: StrPath) -> None:
    """Write a head into a new folder, which appears as a whole or not at all.

    Raises:
        DataError: there is something at ``path`` already.
        OSError: the disk is full, or the folder can't be written.
    """
    refuse_existing(path)
    target = Path(path)
    weights = _safetensors({"weights": head.weights, "bias": head.bias})
    about = {
        "format": FORMAT,
        "labels": head.labels,
        "dimensions": head.dimensions,
        "temperature": head.temperature,
        "encoded_by": asdict(head.encoded_by),
        "training": _record(head.training),
        "weights_sha256": hashlib.sha256(weights).hexdigest(),
    }
    target.parent.mkdir(parents=True, exist_ok=True)
    made = target.with_name(f".{target.name}-{secrets.token_hex(4)}")
    made.mkdir()
    try:
        _write(made / _WEIGHTS, weights)
        _write(made / _JSON, json.dumps(about, ensure_ascii=False, indent=1).encode() + b"\n")
        made.rename(target)
    except BaseException:
        shutil.rmtree(made, ignore_errors=True)
        raise


def load_head(path: StrPath) -> Head:
    """Read a head from a folder.

    Raises:
        ModelError: there is no such folder, it is no head, is damaged, or says what can't be.
    """
    folder = ModelFolder(Path(path))
    if not folder.path.is_dir():
        raise ModelError(f"{folder.path}: no such folder", hint="shortlist classify train makes one")
    if not folder.has(_JSON):
        raise ModelError(f"{folder.path}: no {_JSON}", hint="is this a head of shortlist classify train?")
    values, where = folder.json(_JSON), folder.path / _JSON
    if type(values.get("format")) is not int or values["format"] != FORMAT:
        raise ModelError(
            f"{folder.path}: head format {shown(values.get('format'))}, this version reads {FORMAT}",
            hint="upgrade shortlist, or train the head again",
        )
    try:
        labels = _labels(values["labels"], where)
        dimensions = integer(values, "dimensions", where, 1, 1 << 16)
        temperature = _number(values, "temperature", where, MIN_TEMPERATURE, MAX_TEMPERATURE)
        encoded_by = _encoded_by(_object(values, "encoded_by", where), where)
        training = _training(_object(values, "training", where), len(labels), where)
        digest = text(values["weights_sha256"], "weights_sha256", where, 64)
    except KeyError as error:
        raise ModelError(f"{where}: no {error}") from None
    data, place = read_bytes(folder, _WEIGHTS), folder.path / _WEIGHTS
    if hashlib.sha256(data).hexdigest() != digest:
        raise ModelError(f"{place}: damaged: its checksum is not the one in {_JSON}")
    stored = read_weights(data, place)
    expected = {"weights": (len(labels), dimensions), "bias": (len(labels),)}
    if {name: value.shape for name, value in stored.items()} != expected:
        found = {name: list(value.shape) for name, value in sorted(stored.items())}
        raise ModelError(f"{place}: holds {shown(found)}, expected {expected}")
    try:
        return Head(stored["weights"], stored["bias"], labels, temperature, encoded_by, training)
    except ModelError as error:
        raise ModelError(f"{folder.path}: {error}", hint=error.hint) from None


def _labels(value: Any, where: Path) -> tuple[str, ...]:
    if not isinstance(value, list) or not 2 <= len(value) <= MAX_LABELS:
        raise ModelError(f"{where}: labels is {shown(value)}, expected a list of 2 to {MAX_LABELS:,} texts")
    return tuple(text(label, "a label", where, 512) for label in value)


def _encoded_by(values: Mapping[str, Any], where: Path) -> EncodedBy:
    mode = values["mode"]
    if mode not in ("fast", "exact"):
        raise ModelError(f"{where}: mode {shown(mode)} is neither 'fast' nor 'exact'")
    return EncodedBy(
        text(values["model"], "model", where, 255),
        text(values["fingerprint"], "fingerprint", where, 64),
        mode,
    )


def _training(values: Mapping[str, Any], labels: int, where: Path) -> TrainingRecord:
    counts = values["texts"]
    if not isinstance(counts, list) or len(counts) != labels:
        raise ModelError(f"{where}: texts is {shown(counts)}, expected a list of {labels:,} counts")
    accuracy, calibration_error = values["accuracy"], values["calibration_error"]
    if accuracy is not None:
        bounds = _object(values, "accuracy", where)
        accuracy = Interval(*(_number(bounds, key, where, 0, 1) for key in ("value", "low", "high")))
    if calibration_error is not None:
        calibration_error = _number(values, "calibration_error", where, 0, 1)
    if type(values["converged"]) is not bool:
        raise ModelError(f"{where}: converged is {shown(values['converged'])}, expected true or false")
    return TrainingRecord(
        texts=tuple(
            integer({"a count in texts": one}, "a count in texts", where, 1, MAX_COUNT) for one in counts
        ),
        seed=integer(values, "seed", where, 0, MAX_COUNT),
        folds=integer(values, "folds", where, 0, 100),
        regularization=_number(values, "regularization", where, 0, 1e12),
        accuracy=accuracy,
        calibration_error=calibration_error,
        converged=values["converged"],
        truncated_texts=integer(values, "truncated_texts", where, 0, MAX_COUNT),
    )


def _record(training: TrainingRecord) -> dict[str, Any]:
    """Describe a training as format 1 does, in which the estimate is the ``value`` and all intervals are of 95 %."""
    found = training.accuracy
    accuracy = found and {"value": found.mean, "low": found.low, "high": found.high}
    return asdict(training) | {"accuracy": accuracy}


def _object(values: Mapping[str, Any], key: str, where: Path) -> Mapping[str, Any]:
    value = values[key]
    if not isinstance(value, dict):
        raise ModelError(f"{where}: {key} is {shown(value)}, expected an object")
    return value


def _number(values: Mapping[str, Any], key: str, where: Path, low: float, high: float) -> float:
    value = values[key]
    if type(value) not in (int, float) or not low <= value <= high or not math.isfinite(value):
        raise ModelError(f"{where}: {key} is {shown(value)}, expected a number from {low:g} to {high:g}")
    return float(value)


def _safetensors(arrays: Mapping[str, NDArray[np.float32]]) -> bytes:
    """Lay float32 arrays out as a safetensors file.

    Source: https://github.com/huggingface/safetensors, section "Format".
    """
    header: dict[str, object] = {}
    parts, end = [], 0
    for name, array in arrays.items():
        data = np.ascontiguousarray(array, "<f4").tobytes()
        header[name] = {"dtype": "F32", "shape": array.shape, "data_offsets": [end, end + len(data)]}
        end += len(data)
        parts.append(data)
    described = json.dumps(header).encode()
    described = described.ljust(-(-len(described) // 8) * 8)
    return b"".join([len(described).to_bytes(8, "little"), described, *parts])


def _write(path: Path, data: bytes) -> None:
    with path.open("wb") as file:
        file.write(data)
        file.flush()
        os.fsync(file.fileno())
