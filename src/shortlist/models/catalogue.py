"""Which models are there, what are they, and are they whole? Summaries, checks and cards of model folders."""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError, ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.encoder import Encoder, Mode
from shortlist.models.folders import fingerprint
from shortlist.models.own_folder import DEFAULT, FLOAT, JUDGES, folder_at
from shortlist.models.safety import ModelFolder, parse_json, shown
from shortlist.models.settings import MAX_TOKENS, integer

__all__ = ["Summary", "Verified", "bundled", "card", "named", "summarize", "verify"]

CARD = "README.md"
CARD_BYTES = 1 << 20

_PROBES = (
    ("my card isn't working abroad", "International transaction declined: switch on regional usage."),
    ("what turns food into energy in a cell", "Mitochondria make most of a cell's adenosine triphosphate."),
    ("find files by name", "find . -name '*.txt' lists all text files below this folder."),
    ("what is the capital of Norway?", "The cat sleeps."),
    ("a", "In 1815, after the battle, some 40,000 men lay on the field; it rained for two days more."),
)


@dataclass(frozen=True)
class Summary:
    """Describe a model folder.

    ``kind`` is ``encoder`` or ``cross-encoder``; ``views`` names what an encoder gives (``dense``, ``late``, ``poly``),
    or the labels of a cross-encoder. ``size_bytes`` is that of its own files; ``shares`` says whether it takes weights
    from the default model besides.
    """

    name: str
    kind: str
    views: tuple[str, ...]
    max_tokens: int
    size_bytes: int
    shares: bool
    license: str
    fingerprint: str
    path: str


@dataclass(frozen=True)
class Verified:
    """Say that a folder is whole, and how near its two modes are.

    ``agreement`` is the least cosine between the texts' vectors of ``fast`` and ``exact``; of a cross-encoder the
    correlation of its scores. ``None`` where there is one mode only.
    """

    summary: Summary
    modes: tuple[str, ...]
    agreement: float | None


def bundled() -> dict[str, Path]:
    """Give the models that come along, by their names."""
    found = {"default": DEFAULT, **JUDGES}
    return {name: path for name, path in found.items() if (path / "model.json").is_file()}


def named(name: str) -> Path:
    """Give the folder of a model that comes along, or the one at a path."""
    return bundled().get(name, Path(name))


def summarize(path: Path) -> Summary:
    """Read what a folder says of itself, without opening its graphs.

    Raises:
        ModelError: it is no model folder of ours, or damaged.
    """
    _, values = _read(path)
    cross = values.get("architecture") == "cross_encoder"
    try:
        views = tuple(str(label) for label in values["labels"]) if cross else _views(values)
        return Summary(
            name=str(values["name"]),
            kind="cross-encoder" if cross else "encoder",
            views=views,
            max_tokens=integer(values, "max_tokens", path / "model.json", 1, MAX_TOKENS),
            size_bytes=_size_bytes(path, values),
            shares=bool(values.get("shared_weights")),
            license=str(values.get("license", "")),
            fingerprint=fingerprint(path),
            path=str(path),
        )
    except KeyError as error:
        raise ModelError(f"{path / 'model.json'}: no {error}") from None
    except (TypeError, ValueError, OverflowError) as error:
        raise ModelError(f"{path / 'model.json'}: {error}") from None
    except OSError as error:
        raise ModelError(f"{error.filename}: {error.strerror}") from error


def verify(path: Path) -> Verified:
    """Load a folder in every mode, which checks its checksums, and compare the modes; ``fast`` by kernels and by graph.

    Raises:
        ModelError: it is no model, damaged, or gives what is no vector or score.
    """
    try:
        return _verify(path)
    except DataError as error:  # it gives NaN
        raise ModelError(f"{path}: {error}") from error


def _verify(path: Path) -> Verified:
    summary = summarize(path)
    modes: tuple[Mode, ...] = ("exact",) if _read(path)[1].get("weights") == FLOAT else ("fast", "exact")
    # What runs elsewhere than here must be as good: the graph where kernels run.
    ways: list[tuple[Mode, bool]] = [("fast", True), ("fast", False), ("exact", False)]
    ways = [(mode, kernels) for mode, kernels in ways if mode in modes]
    if summary.kind == "cross-encoder":
        judges = [CrossEncoder.load(path, mode=mode, kernels=kernels) for mode, kernels in ways]
        scores = [judge.score_pairs(_PROBES).scores.ravel() for judge in judges]
        agreement = min(_correlation(one, scores[-1]) for one in scores)
    else:
        texts = list(itertools.chain.from_iterable(_PROBES))
        encoders = [Encoder.load(path, mode=mode, kernels=kernels) for mode, kernels in ways]
        vectors = [encoder.encode(texts) for encoder in encoders]
        unit = [value / np.linalg.norm(value, axis=1, keepdims=True) for value in vectors]
        agreement = min(float((one * unit[-1]).sum(axis=1).min()) for one in unit)
        for query in encoders[-1].queries(texts[:2]):
            _ = query.codes  # made when asked for, and refused if they are NaN
    return Verified(summary, modes, agreement if len(modes) > 1 else None)


def _correlation(left: NDArray[np.float64], right: NDArray[np.float64]) -> float:
    """Give the correlation of two modes' scores; 1 if they are all the same in both."""
    if np.ptp(left) == 0 or np.ptp(right) == 0:
        return float(np.array_equal(left, right))
    return float(np.corrcoef(left, right)[0, 1])


def card(path: Path) -> str:
    """Give the card in a folder, or one made of what the folder says of itself.

    Raises:
        ModelError: it is no model folder of ours.
    """
    folder, values = _read(path)
    if folder.has(CARD):
        return folder.read(CARD, CARD_BYTES).decode("utf-8", "replace")
    return "\n".join(_card(summarize(path), values)) + "\n"


def _card(summary: Summary, values: Mapping[str, Any]) -> Iterator[str]:
    yield f"# {summary.name}"
    yield ""
    views = ", ".join(summary.views)
    what = f"gives {views}" if summary.kind == "encoder" else f"scores pairs: {views}"
    yield f"- **Model**: {summary.kind}, {what}; reads {summary.max_tokens} tokens; {summary.size_bytes / 1e6:.1f} MB"
    if summary.shares:
        yield "- **Shares** weights with the model that comes with shortlist"
    yield f"- **Licence**: {summary.license or 'not stated'}"
    if values.get("origin"):
        yield f"- **Origin**: {values['origin']}"
    yield from _training(values.get("training"))
    yield "- **Figures**: measure it where it will be used: `shortlist compare`"


def _training(record: object) -> Iterator[str]:
    """Tell what is said of a training, as far as anything is; whoever made the folder may have written anything."""
    if not isinstance(record, dict):
        return
    by, base, seed = (record.get(name) for name in ("version", "base", "seed"))
    yield f"- **Trained** by shortlist {by} from {base}, seed {seed}"
    sources = record.get("sources")
    listed = (
        ", ".join(f"{name or 'unnamed'} {n}" for name, n in sources.items())
        if isinstance(sources, dict)
        else ""
    )
    yield f"- **Data**: {record.get('examples')} examples{f' ({listed})' if listed else ''}"
    recipe = record.get("recipe")
    for table, settings in sorted(recipe.items()) if isinstance(recipe, dict) else ():
        if isinstance(settings, dict):
            yield f"- **{table}**: " + ", ".join(f"{name} = {value!r}" for name, value in settings.items())
    yield f"- **Loss** at the end: {record.get('loss')}"


def _size_bytes(path: Path, values: Mapping[str, Any]) -> int:
    own = sum(int((path / name).stat().st_size) for name in [*values["files"], "model.json"])
    inner = values.get("query_encoder")
    if isinstance(inner, str) and inner and (path / inner / "model.json").is_file():
        own += summarize(path / inner).size_bytes
    return own


def _views(values: Mapping[str, Any]) -> tuple[str, ...]:
    heads = values.get("heads", [])
    late = ("late",) if values["token_dimensions"] else ()
    return ("dense", *late, *(("poly",) if "poly" in heads else ()))


def _read(path: Path) -> tuple[ModelFolder, dict[str, Any]]:
    folder = folder_at(path)
    if not path.is_dir() or not folder.has("model.json"):
        raise ModelError(f"{path}: no model folder of shortlist's", hint="shortlist models convert makes one")
    values = parse_json(folder.read("model.json"), path / "model.json")
    if not isinstance(values, dict) or not isinstance(values.get("files"), dict):
        raise ModelError(f"{path / 'model.json'}: says nothing of files")
    for name in values["files"]:
        if name != Path(name).name:
            raise ModelError(f"{path / 'model.json'}: files names {shown(name)}, which is no file beside it")
    return folder, values
