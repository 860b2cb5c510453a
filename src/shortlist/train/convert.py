"""Turn a checkpoint of another project into a model folder, and see how near its scores are to the original's."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError, ModelError
from shortlist.formats.paths import refuse_existing
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.encoder import Encoder
from shortlist.models.own_folder import FLOAT
from shortlist.models.safety import shown
from shortlist.train.bert_graph import GROUP, Shape
from shortlist.train.export import INT8, EncoderDescription, write_cross_encoder, write_encoder
from shortlist.train.foreign import ForeignModel, read_foreign
from shortlist.train.record import write_card

__all__ = ["PROBES", "Agreement", "Converted", "convert", "fetch"]

Scores = NDArray[np.float64]

PROBES = (
    (
        "my card isn't working abroad",
        "International transaction declined: switch on regional usage and try again.",
    ),
    ("my card isn't working abroad", "Bake the bread for forty minutes, then let it cool."),
    (
        "what turns food into energy in a cell",
        "Mitochondria make most of a cell's adenosine triphosphate (ATP).",
    ),
    ("find files by name", "find . -name '*.txt' lists all text files below this folder."),
    ("what is the capital of Norway?", "The cat sleeps."),
    ("a", "In 1815, after the battle, some 40,000 men lay on the field; it rained for two days more."),
)
"""Pairs of texts that are scored by both: short ones, so that no cut is compared."""

HUB = "hub:"
_TOLERANCE = 1e-3
"""How far a conversion that keeps all weights may be from the original, times the spread of its scores."""

_SCALE_ROOM = 1.5
"""How much larger than on the probes a component of a vector may be before int8 storage clips it."""


@dataclass(frozen=True)
class Agreement:
    """Say how far scores are from the original's: the largest difference, and the spread of the original's."""

    mode: str
    difference: float
    spread: float


@dataclass(frozen=True)
class Converted:
    """Say what was converted, and how near each of its modes is to the original."""

    kind: str
    layout: str
    agreements: tuple[Agreement, ...]


def convert(
    source: Path,
    folder: Path,
    *,
    weights: str = INT8,
    name: str = "",
    licence: str = "",
    original: Callable[[ForeignModel], Scores] | None = None,
) -> Converted:
    """Write the model folder of a checkpoint (foreign.py says which are known), and compare the two.

    ``weights`` are rounded to ``int8``, or kept as ``float32``. ``original`` scores :data:`PROBES` as the checkpoint's
    own project does; by default sentence-transformers, which reads all known layouts.

    Raises:
        DataError: there is something at ``folder``, or ``weights`` is neither.
        ModelError: the checkpoint can't be converted.
    """
    refuse_existing(folder)
    if weights not in (INT8, FLOAT):
        raise DataError(f"weights must be {INT8!r} or {FLOAT!r}, not {weights!r}")
    checkpoint = read_foreign(source)
    expected = (original or score_original)(checkpoint)
    details = {"origin": f"{checkpoint.layout}: {source.resolve().name}"}
    if licence:
        details["license"] = licence
    modes = ("exact",) if weights == FLOAT else ("exact", "fast")
    write = _write_cross if checkpoint.kind == "cross-encoder" else _write_encoder
    # Beside its place and not in the system's temporary folder: it is renamed into its place when it is whole.
    with tempfile.TemporaryDirectory(dir=folder.resolve().parent, prefix=f".{folder.name}.") as temporary:
        made = Path(temporary) / folder.name
        write(checkpoint, made, weights, name or source.resolve().name, details)
        spread = float(np.ptp(expected))
        agreements = tuple(
            Agreement(mode, float(np.abs(_scores(checkpoint, made, mode) - expected).max()), spread)
            for mode in modes
        )
        if weights == FLOAT and not agreements[0].difference < _TOLERANCE * max(1.0, spread):
            raise ModelError(
                f"{source}: its scores can't be had again: they differ by up to {agreements[0].difference:.2g}",
                hint="it holds something that shortlist doesn't know; please report it",
            )
        write_card(made)
        refuse_existing(folder)
        made.rename(folder)
    return Converted(checkpoint.kind, checkpoint.layout, agreements)


@contextmanager
def fetch(source: str) -> Iterator[Path]:
    """Lend the folder of a model: a path, or ``hub:NAME`` for one on the Hugging Face hub, which is downloaded.

    Nothing else of shortlist's asks the network. Pickles and code are not downloaded.

    Raises:
        ModelError: the hub has no such model, or can't be reached.
    """
    if not source.startswith(HUB):
        yield Path(source)
        return
    import huggingface_hub

    name = source.removeprefix(HUB)
    with tempfile.TemporaryDirectory(prefix="shortlist-") as temporary:
        try:
            huggingface_hub.snapshot_download(
                name,
                local_dir=Path(temporary) / Path(name).name,  # files, where its cache has links
                allow_patterns=["*.json", "*.safetensors", "artifact.metadata"],
            )
        except Exception as error:  # the library's exceptions are of many kinds
            raise ModelError(
                f"{name}: can't be had from the hub: {type(error).__name__}: {error}",
                hint="check its spelling, or download it elsewhere and name the folder",
            ) from error
        yield Path(temporary) / Path(name).name


def score_original(checkpoint: ForeignModel) -> Scores:
    """Score the probes by sentence-transformers, in float32 on the CPU.

    Cosine or dot product of the texts' vectors, MaxSim's sum, or what a cross-encoder predicts (``[B]`` or ``[B, K]``).
    """
    import sentence_transformers as library
    import torch

    texts = [list(column) for column in zip(*PROBES, strict=True)]
    path = str(checkpoint.folder)
    # Not a word to the network, and float32 whatever the weights are stored in.
    options: Any = {"device": "cpu", "local_files_only": True, "model_kwargs": {"dtype": torch.float32}}
    model: Any
    if checkpoint.kind == "cross-encoder":
        model = library.CrossEncoder(path, **options)
        return np.asarray(model.predict(list(PROBES)), np.float64)
    if checkpoint.kind == "bi-encoder":
        model = library.SentenceTransformer(path, **options)
        queries, passages = model.encode_query(texts[0]), model.encode_document(texts[1])
        if checkpoint.similarity == "cosine":
            queries, passages = (
                part / np.linalg.norm(part, axis=1, keepdims=True) for part in (queries, passages)
            )
        return _dots(queries, passages)
    model = library.MultiVectorEncoder(path, **options)
    pairs = zip(model.encode_query(texts[0]), model.encode_document(texts[1]), strict=True)
    return np.array([_maxsim(np.asarray(query), np.asarray(passage)) for query, passage in pairs])


def _dots(left: NDArray[Any], right: NDArray[Any]) -> Scores:
    found: Scores = np.einsum("bh,bh->b", left.astype(np.float64), right.astype(np.float64))
    return found


def _maxsim(query: NDArray[Any], passage: NDArray[Any]) -> float:
    return float((query.astype(np.float64) @ passage.astype(np.float64).T).max(axis=1).sum())


def _scores(checkpoint: ForeignModel, folder: Path, mode: Any) -> Scores:
    """Score the probes by the folder, in the units of :func:`score_original`."""
    if checkpoint.kind == "cross-encoder":
        return CrossEncoder.load(folder, mode=mode).score_pairs(PROBES).scores
    encoder = Encoder.load(folder, mode=mode)
    queries = encoder.queries([query for query, _ in PROBES])
    passages = encoder.views([passage for _, passage in PROBES])
    if checkpoint.kind == "bi-encoder":
        vectors = np.stack([query.dense for query in queries]).astype(np.float64)
        return _dots(vectors, passages.dense.data)
    pairs = zip(queries, passages.tokens, strict=True)
    return np.array([_maxsim(query.tokens, passage) for query, passage in pairs])


def _shape(checkpoint: ForeignModel) -> Shape:
    config = checkpoint.config
    shape = Shape(
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        vocabulary=len(checkpoint.tensors["embeddings.word_embeddings.weight"]),
        positions=len(checkpoint.tensors["embeddings.position_embeddings.weight"]),
        epsilon=config.get("layer_norm_eps", 1e-12),
    )
    for what in ("hidden", "intermediate"):
        if getattr(shape, what) % GROUP:
            raise ModelError(
                f"{checkpoint.folder}: {what} size {getattr(shape, what)} is no multiple of {GROUP}"
            )
    return shape


def _write_encoder(
    checkpoint: ForeignModel, folder: Path, weights: str, name: str, details: dict[str, Any]
) -> None:
    late = checkpoint.late
    heads: dict[str, NDArray[np.float32]] = {}
    if checkpoint.projection is not None:
        heads["late.weight"] = checkpoint.projection
    if late is not None:
        details = details | {
            "late": {
                "query_marker": late.query_marker,
                "document_marker": late.document_marker,
                "query_tokens": min(late.query_tokens, checkpoint.max_tokens),
                "expansion": {
                    "token": late.expansion_token,
                    "length": min(late.expansion_length, checkpoint.max_tokens),
                    "attend": late.attend,
                },
                "skip": list(late.skip),
            }
        }

    def write(dense_scale: float) -> None:
        description = EncoderDescription(
            name=name,
            max_tokens=checkpoint.max_tokens,
            pooling=checkpoint.pooling,
            similarity=checkpoint.similarity,
            dense_scale=dense_scale,
            token_scale=1 / 127,
            prompts=checkpoint.prompts,
            details=details,
        )
        write_encoder(
            checkpoint.tensors, _shape(checkpoint), checkpoint.tokenizer, folder, description,
            heads=heads, weights=weights, masked=late is not None and not late.attend,
        )  # fmt: skip

    write(1 / 127)  # any vector of length 1 fits
    texts = [text for pair in PROBES for text in pair]
    vectors = Encoder.load(folder, mode="exact").encode(texts)
    largest = float(np.abs(vectors).max())
    if not np.isfinite(largest) or not largest:
        raise ModelError(f"{checkpoint.folder}: gives vectors that are none: {shown(largest)}")
    write(min(_SCALE_ROOM * largest, 1.0 if checkpoint.similarity == "cosine" else np.inf) / 127)


def _write_cross(
    checkpoint: ForeignModel, folder: Path, weights: str, name: str, details: dict[str, Any]
) -> None:
    assert checkpoint.classifier is not None
    weight, bias = checkpoint.classifier
    values: dict[str, Any] = {
        "name": name,
        "labels": list(checkpoint.labels),
        "max_tokens": checkpoint.max_tokens,
        "max_query_tokens": max(4, checkpoint.max_tokens // 3),
        **details,
    }
    if checkpoint.activation == "sigmoid":
        values["activation"] = "sigmoid"
    write_cross_encoder(
        checkpoint.tensors, _shape(checkpoint), checkpoint.tokenizer, folder,
        head="pooler", heads={"head.weight": weight, "head.bias": bias}, values=values, weights=weights,
    )  # fmt: skip
