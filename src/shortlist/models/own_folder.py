"""What is in a model folder of ours? ``model.json``, weights apart from graphs, a checksum for every file.

A folder may lack tensors that the model which comes with the package has: the table of word embeddings, which is half
of a small model, or all below a new head. It names that model instead, by the checksum of its weights, so that they are
those tensors or none.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnxruntime
from numpy.typing import NDArray

from shortlist.errors import ModelError
from shortlist.models.backbone import open_graph
from shortlist.models.graph_check import GraphFacts
from shortlist.models.heads import HEADS, PROJECTION
from shortlist.models.native_transformer import open_transformer
from shortlist.models.safety import GRAPH_BYTES, TOKENIZER_BYTES, ModelFolder, parse_json, refuse_code, shown
from shortlist.models.settings import MAX_DIMENSIONS, integer, text, texts
from shortlist.models.tokenizer import Tokenizer
from shortlist.models.weights import Form, bind_weights, read_bytes, read_weights

if TYPE_CHECKING:
    from shortlist.scoring._native import Transformer

__all__ = ["DEFAULT", "FLOAT", "JUDGES", "Description", "Parts", "describe", "folder_at", "open_parts"]

DEFAULT = Path(__file__).parent / "default"
JUDGES = {
    "judge": Path(__file__).parent / "judge",
    "judge-small": Path(__file__).parent / "judge-small",
}
"""The cross-encoders that come along, by the names that pipelines use."""


def folder_at(path: Path) -> ModelFolder:
    """Give the folder at a path; those that come along are believed as much as the code is."""
    return ModelFolder(path, trusted=path in (DEFAULT, *JUDGES.values()))


FORMAT = 1
FLOAT = "float32"
"""What ``weights`` in ``model.json`` says of matrices stored as they were trained; it says nothing of int8."""
WEIGHTS = "weights.safetensors"
TOKENIZER = "tokenizer.json"


@dataclass(frozen=True)
class Description:
    """Hold what ``model.json`` says; its ``checksum`` is the identity of the whole folder, as it names all others."""

    folder: ModelFolder
    values: Mapping[str, Any]
    checksum: str

    @property
    def fingerprint(self) -> str:
        """Its identity, short enough to be shown."""
        return self.checksum[:16]

    @property
    def where(self) -> Path:
        """Where it was read."""
        return self.folder.path / "model.json"


@dataclass(frozen=True, eq=False)
class Parts:
    """Hold an open model, and what it was made of: its graph, its tensors as they were stored and as they are bound.

    Either ``session`` runs it or ``transformer``, the kernels', which needs no graph. In mode ``fast`` an encoder's
    stored tensors are changed by binding them.
    """

    tokenizer: Tokenizer
    session: onnxruntime.InferenceSession | None
    transformer: Transformer | None
    graph: Path
    heads: Mapping[str, NDArray[Any]]
    graph_data: bytes
    stored: Mapping[str, NDArray[Any]]
    bound: Mapping[str, NDArray[Any]]


def describe(folder: ModelFolder, architecture: str | None) -> Description:
    """Read ``model.json`` of a folder that should hold a model of this ``architecture``; ``None`` is any.

    Raises:
        ModelError: it is no object, of another format or architecture, or wants code to be run.
    """
    content = folder.read("model.json")
    where = folder.path / "model.json"
    values = parse_json(content, where)
    if not isinstance(values, dict):
        raise ModelError(f"{where}: holds {type(values).__name__}, expected an object")
    if type(values.get("format")) is not int or values["format"] != FORMAT:
        raise ModelError(
            f"{folder.path}: model format {shown(values.get('format'))}, this version reads {FORMAT}",
            hint="upgrade shortlist, or export the model again",
        )
    refuse_code(folder)
    found = values.get("architecture", "bert")  # early folders of encoders name none
    if found != architecture and (architecture is not None or str(found) not in _KINDS):
        kind = _KINDS.get(str(found), shown(found))
        wanted = " or ".join(_KINDS.values()) if architecture is None else _KINDS[architecture]
        raise ModelError(f"{folder.path}: is {kind}, expected {wanted}")
    return Description(folder, values, _digest(content))


_KINDS = {"bert": "an encoder", "cross_encoder": "a cross-encoder"}


def open_parts(
    description: Description,
    mode: str,
    max_tokens: int,
    *,
    fits: Callable[[Transformer, Mapping[str, NDArray[Any]]], bool] | None = None,
) -> Parts:
    """Open graph, weights and tokenizer of a folder, each checked against its checksum.

    In mode ``fast`` kernels in C++ run the transformer in place of the graph if it ``fits``.

    Raises:
        ModelError: a file is missing, damaged, or not what it may be.
    """
    folder, values, where = description.folder, description.values, description.where
    if values.get("weights") == FLOAT and mode != "exact":
        raise ModelError(
            f"{folder.path}: has float32 weights, which run in mode 'exact' only, not {mode!r}",
            hint="pass mode='exact' (--mode exact)",
        )
    graph = f"graph.{mode}.onnx"
    try:
        group = integer(values, "group", where, 1, MAX_DIMENSIONS)
        checksums = texts(values["files"], "files", where, characters=64)
        for name in checksums:
            if name != Path(name).name or "\\" in name or "\0" in name:
                raise ModelError(f"{where}: files names {shown(name)}, which is no file beside it")
        shared = text(values.get("shared_weights", ""), "shared_weights", where, 64)
        names = [name for name in (WEIGHTS, HEADS) if name in checksums or (name == WEIGHTS and not shared)]
        expected = {name: checksums[name] for name in (*names, TOKENIZER, graph)}
    except KeyError as error:
        raise ModelError(f"{where}: no {error}") from None
    graph_data, tokenizer_data = folder.read(graph, GRAPH_BYTES), folder.read(TOKENIZER, TOKENIZER_BYTES)
    weights_data = {name: read_bytes(folder, name) for name in names}
    for name, data in ((graph, graph_data), (TOKENIZER, tokenizer_data)):
        _check_digest(_digest(data), expected[name], folder.path / name)
    with ThreadPoolExecutor(1) as pool:  # a checksum takes as long as a tokenizer
        digests = pool.map(_digest, weights_data.values())
        tokenizer = Tokenizer(
            folder.path / TOKENIZER, max_tokens, data=tokenizer_data, trusted=folder.trusted
        )
        for name, digest in zip(names, digests, strict=True):
            _check_digest(digest, expected[name], folder.path / name)
    tensors = {name: read_weights(data, folder.path / name) for name, data in weights_data.items()}
    heads = tensors.get(HEADS, {})
    own = tensors.get(WEIGHTS, {}) | {name: value for name, value in heads.items() if name == PROJECTION}
    stored: dict[str, NDArray[Any]] = _weights_of_default(shared, where) if shared else {}
    if values.get("weights") == FLOAT:  # its matrices are its own, and aren't rounded
        stored = {name: value for name, value in stored.items() if not name.endswith((".i8", ".scale"))}
    stored |= own
    positions = stored.get("embeddings.position.weight")
    if positions is not None and (positions.ndim != 2 or len(positions) < max_tokens):
        count = len(positions) if positions.ndim == 2 else f"{list(positions.shape)} as"
        raise ModelError(f"{where}: max_tokens is {max_tokens}, the model has {count} positions")
    if mode == "fast" and fits is not None:
        transformer = open_transformer(values, stored, where)
        if transformer is not None and fits(transformer, stored):
            tokenizer.check_rows(len(stored["embeddings.word.weight.i8"]))
            return Parts(tokenizer, None, transformer, folder.path / graph, heads, graph_data, stored, {})
    bound: dict[str, NDArray[Any]] = {}

    def bind(facts: GraphFacts) -> Mapping[str, NDArray[Any]]:
        weights = bind_weights(stored, folder.path / WEIGHTS, group=group, form=_form(facts))
        bound.update({name: value for name, value in weights.items() if name in facts.bound})
        return weights

    session, facts = open_graph(graph_data, folder.path / graph, bind)
    tokenizer.check_rows(facts.rows)
    return Parts(tokenizer, session, None, folder.path / graph, heads, graph_data, stored, bound)


def _form(facts: GraphFacts) -> Form:
    """Tell by the names that a graph asks for how it wants its matrices."""
    kinds = {name.rpartition(".")[2] for name in facts.bound if not name.startswith("embeddings.")}
    return "columns" if "i7" in kinds else "groups" if "q8" in kinds else "floats"


def _weights_of_default(sha256: str, where: Path) -> dict[str, NDArray[Any]]:
    """Give the default model's tensors, if they are the ones meant."""
    data = read_bytes(ModelFolder(DEFAULT, trusted=True), WEIGHTS)
    if _digest(data) != sha256:
        raise ModelError(
            f"{where}: takes weights from another default model than this version's",
            hint="train or convert the model again with this version of shortlist",
        )
    return read_weights(data, DEFAULT / WEIGHTS)


def _digest(data: bytes | bytearray) -> str:
    return hashlib.sha256(data).hexdigest()


def _check_digest(found: str, expected: str, where: Path) -> None:
    if found != expected:
        raise ModelError(f"{where}: damaged: its checksum is not the one in model.json")
