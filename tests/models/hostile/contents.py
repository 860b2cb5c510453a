"""Hostile folders by what their weights, graphs and tokenizers hold."""

from __future__ import annotations

import base64
import json
import pickle
import struct
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from tests.models.hostile import proto
from tests.models.hostile.files import GRAPH, Spoil, checkpoint, content, own
from tests.models.hostile.folders import Hostile, Payload, own_graph, own_tensors, seal
from tests.models.hostile.proto import (
    FLOAT,
    attribute,
    branch,
    encoder,
    external,
    field,
    node,
    raw_tensor,
    tensor,
)
from tests.models.tiny_model import make_tokenizer

Header = dict[str, Any]


def weights(data: bytes) -> Spoil:
    """Give a folder of ours this weights file, with a checksum that fits."""

    def spoil(folder: Path) -> None:
        (folder / "weights.safetensors").write_bytes(data)
        seal(folder)

    return spoil


def header(edit: Callable[[Header], object], more: bytes = b"") -> Spoil:
    """Give it a weights file whose header was changed."""
    sound = save(own_tensors())
    (length,) = struct.unpack("<Q", sound[:8])
    said = json.loads(sound[8 : 8 + length])
    edit(said)
    text = json.dumps(said).encode()
    return weights(struct.pack("<Q", len(text)) + text + sound[8 + length :] + more)


def tensors(**changes: NDArray[Any] | None) -> Spoil:
    """Give it a weights file with other tensors; names have _ for dots, None takes one away."""
    found = own_tensors() | {name.replace("__", "."): value for name, value in changes.items()}
    return weights(save({name: value for name, value in found.items() if value is not None}))


def said(name: str, /, **values: Any) -> Spoil:
    return header(lambda found: found[name].update(values))


def of_length(length: int) -> Spoil:
    return weights(struct.pack("<Q", length) + b"{}" + b"\0" * 100)


LATE, WORD = "late.weight", "embeddings.word.weight"
EMPTY = b'{"a":{"dtype":"F32","shape":[0],"data_offsets":[0,0]},'
TWICE = EMPTY + EMPTY[1:-1] + b"}"
BAD_SCALES = np.full((50, 2), 1 / 40, np.float16)
BAD_SCALES[7, 1] = np.nan
WEIGHTS = [
    own("weights-header-of-2-63", of_length(1 << 63), "a header of 9,223,372,036,854,775,808 bytes"),
    own("weights-header-beyond-the-file", of_length(1000), "a header of 1,000 bytes"),
    own("weights-header-bomb", weights(struct.pack("<Q", 9_000_002) + b"[" + b"[]," * 3_000_000 + b"]"), "values"),
    own("weights-header-list", weights(struct.pack("<Q", 2) + b"[]"), "no object"),
    own("weights-metadata-list", header(lambda found: found.update(__metadata__=[1])), "__metadata__"),
    own("weights-empty", weights(b""), "a header of 0 bytes"),
    own("weights-pickle", lambda folder: weights(pickle.dumps(Payload(folder / "x")))(folder), "a header of"),
    own("weights-overlap", said(LATE, data_offsets=[0, 128]), "begins at"),
    own("weights-hole", header(lambda found: found.pop(LATE)), "begins at"),
    own("weights-trailing-bytes", header(lambda _: None, b"\0" * 64), "its header speaks of"),
    own("weights-shape-lie", said(LATE, shape=[8, 4_000_000_000]), "doesn't take bytes"),
    own("weights-shape-overflow", said(LATE, shape=[1 << 32, 1 << 32, 1 << 32]), "doesn't take bytes"),
    own("weights-shape-negative", said(LATE, shape=[-8, -4]), "whole numbers"),
    own("weights-shape-of-floats", said(LATE, shape=[8.0, 4.0]), "whole numbers"),
    own("weights-shape-of-many", said(LATE, shape=[8, 4] + [1] * 100), "at most 8"),
    own("weights-offsets-backwards", said(LATE, data_offsets=[128, 0]), "doesn't take bytes"),
    own("weights-float8", said(LATE, dtype="F8_E4M3"), "dtype 'F8_E4M3' is not supported"),
    own("weights-dtype-list", said(LATE, dtype=["F32"]), "dtype ['F32'] is not supported"),
    own("weights-unknown-field", said(LATE, location="/etc/passwd"), "expected dtype, shape and data_offsets"),
    own("weights-name-twice", weights(struct.pack("<Q", len(TWICE)) + TWICE), "named twice"),
    own("weights-nan", tensors(embeddings__word__weight__scale=BAD_SCALES), "holds NaN"),
    own("weights-infinite", tensors(late__weight=np.full((8, 4), np.inf, np.float32)), "holds NaN or an infinite"),
    own("weights-scales-missing", tensors(embeddings__word__weight__scale=None), "has no scales"),
    own("weights-matrix-missing", tensors(embeddings__word__weight__i8=None), "has no 'embeddings.word.weight.i8'"),
    own(
        "weights-scales-of-another-shape",
        tensors(embeddings__word__weight__scale=np.ones((50, 1), np.float16)),
        "scales of 'embeddings.word.weight.i8' are [50, 1]",
    ),
    own("weights-missing-in-the-file", tensors(late__weight=None), "asks for weights 'late.weight'"),
    own("weights-of-another-shape", tensors(late__weight=np.ones((8, 5), np.float32)), "asks for weights"),
    own("weights-half-floats", tensors(late__weight=np.ones((8, 4), np.float16)), "is float16, expected float32"),
    own("weights-made-twice", tensors(x__i8=np.ones((4, 4), np.int8), x__scale=np.ones((4, 1), np.float16),
                                      x=np.ones((1,), np.float32)), "is there twice"),
]  # fmt: skip


def graph(data: bytes) -> Spoil:
    return content(GRAPH, data)


def our_graph(data: bytes) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / "graph.fast.onnx").write_bytes(data)
        seal(folder)

    return spoil


def outside(location: str) -> bytes:
    return external("extra", FLOAT, (4,), location)


def shape(*dims: int) -> bytes:
    return tensor("shape", np.array(dims, np.int64))


def nested(depth: int) -> bytes:
    inner = branch([node("Identity", ["one"], "inner")])
    for _ in range(depth):
        inner = branch([node("If", ["yes"], "inner", attribute("then_branch", g=inner))])
    return node("If", ["yes"], "chosen", attribute("then_branch", g=inner))


SPARSE = field(1, raw_tensor("sparse", FLOAT, (1,), b"\0" * 4)) + field(3, 1 << 40)
BODY = proto.graph([proto.LOOK_UP], [proto.TABLE], [proto.IDS], [proto.VECTORS])
IN_A_BRANCH = node("If", ["yes"], "chosen", attribute("then_branch", g=branch([], [outside("weights.bin")])))
MEMORY = "*/_ORT_MEM_ADDR_/*"
WORDS = external(f"{WORD}.i8", proto.INT8, (50, 2, 4))
BOUND_BELOW = node("If", ["yes"], "chosen", attribute("then_branch", g=branch([], [WORDS])))
FILL = node("ConstantOfShape", ["shape"], "big")
ATTRIBUTE_OUTSIDE = node("Constant", [], "extra", attribute("value", t=outside("../x")))
FILL_FROM_NODE = (
    node("Constant", [], "made", attribute("value", t=tensor("", np.array([1 << 40])))),
    node("ConstantOfShape", ["made"], "big"),
)
RANGE = tuple(tensor(name, np.array(number)) for name, number in (("from", 0), ("to", 1 << 50), ("by", 1)))
GRAPHS = [
    checkpoint("graph-data-above", graph(encoder(initialisers=[outside("../secret")])), "lies outside of the graph"),
    checkpoint("graph-data-absolute", graph(encoder(initialisers=[outside("/etc/passwd")])), "lies outside of"),
    checkpoint("graph-data-beside", graph(encoder(initialisers=[outside("pytorch_model.bin")])), "lies outside of"),
    checkpoint("graph-data-in-memory", graph(encoder(initialisers=[outside(MEMORY)])), "lies outside of the graph"),
    checkpoint("graph-data-bound", graph(encoder(initialisers=[outside("bound-at-load")])), "lies outside of"),
    checkpoint(
        "graph-data-unmarked",
        graph(encoder(initialisers=[raw_tensor("x", FLOAT, (4,)) + field(13, field(1, "location") + field(2, "x"))])),
        "lies outside of the graph",
    ),
    checkpoint("graph-data-in-an-attribute", graph(encoder(ATTRIBUTE_OUTSIDE)), "lies outside of the graph"),
    checkpoint("graph-data-in-a-branch", graph(encoder(IN_A_BRANCH)), "lies outside of the graph"),
    checkpoint("graph-sparse", graph(encoder(in_graph=[field(15, SPARSE)])), "sparse initialisers"),
    checkpoint("graph-sparse-attribute", graph(encoder(node("Constant", [], "x", field(22, SPARSE)))), "sparse"),
    checkpoint("graph-training", graph(encoder(more=[field(20, b"")])), "training_info"),
    checkpoint("graph-functions", graph(encoder(more=[field(25, field(1, "evil"))])), "functions in a graph"),
    checkpoint("graph-custom-operator", graph(encoder(node("Evil", [], "x", domain="evil"))), "operator 'Evil'"),
    checkpoint("graph-custom-domain", graph(encoder(opsets=["", "evil"])), "operators of 'evil'"),
    checkpoint("graph-aten", graph(encoder(node("ATen", [], "x", domain="org.pytorch.aten"))), "operator 'ATen'"),
    checkpoint("graph-reads-files", graph(encoder(node("EPContext", [], "x", domain="com.microsoft"))), "'EPContext'"),
    checkpoint("graph-loop", graph(encoder(node("Loop", ["", ""], "x"))), "may never end"),
    checkpoint("graph-loop-in-a-branch", graph(encoder(node("If", ["yes"], "x", attribute("then_branch",
        g=branch([node("Scan", [], "inner")]))))), "may never end"),
    checkpoint("graph-random", graph(encoder(node("RandomNormal", [], "x"))), "is random"),
    checkpoint("graph-deep", graph(encoder(nested(40))), "graphs inside graphs"),
    checkpoint("graph-shape-lie", graph(encoder(table=raw_tensor("table", FLOAT, (1 << 36, 8), b"\0" * 64))), "takes"),
    checkpoint("graph-shape-no-data", graph(encoder(table=raw_tensor("table", FLOAT, (1 << 36, 8)))), "takes"),
    checkpoint("graph-shape-negative", graph(encoder(table=raw_tensor("table", FLOAT, (-1, 8), b""))), "negative"),
    checkpoint("graph-shape-overflow", graph(encoder(table=raw_tensor("table", FLOAT, (1 << 32, 1 << 32), b""))),
        "takes"),
    checkpoint("graph-shape-of-many", graph(encoder(table=raw_tensor("table", FLOAT, [1] * 50, b"\0" * 4))), "absurd"),
    checkpoint("graph-data-twice", graph(encoder(table=proto.TABLE + field(4, b"\0" * 1600))), "takes"),
    checkpoint("graph-float8", graph(encoder(table=raw_tensor("table", proto.FLOAT8, (50, 8), b"\0" * 400))),
        "data type 17"),
    checkpoint("graph-texts", graph(encoder(table=raw_tensor("table", proto.STRING, (1,)) + field(6, b"x"))),
        "data type 8"),
    checkpoint("graph-fill-bomb", graph(encoder(FILL, initialisers=[shape(1 << 20, 1 << 20)])), "ConstantOfShape"),
    checkpoint("graph-fill-bomb-from-a-node", graph(encoder(*FILL_FROM_NODE)), "ConstantOfShape"),
    checkpoint("graph-tile-bomb", graph(encoder(node("Tile", ["table", "shape"], "big"),
        initialisers=[shape(1 << 20, 1 << 20)])), "Tile to"),
    checkpoint("graph-expand-bomb", graph(encoder(node("Expand", ["table", "shape"], "big"),
        initialisers=[shape(1 << 20, 50, 8)])), "Expand to"),
    checkpoint("graph-range-bomb", graph(encoder(node("Range", ["from", "to", "by"], "big"), initialisers=RANGE)),
        "Range to"),
    checkpoint("graph-pad-bomb", graph(encoder(node("Pad", ["table", "shape"], "big"),
        initialisers=[shape(0, 0, 1 << 40, 0)])), "Pad to"),
    checkpoint("graph-names-no-text", graph(proto.model(proto.graph([proto.LOOK_UP], [proto.TABLE],
        [field(1, b"\xff") + proto.IDS[11:]], [proto.VECTORS]))), "model.onnx: "),
    checkpoint("graph-graph-twice", graph(proto.model(BODY, field(7, BODY))), "there twice"),
    checkpoint("graph-of-another-wire-type", graph(field(1, 8) + field(7, 1)), "malformed"),
    checkpoint("graph-settings", graph(encoder(more=[field(14, field(1, "ort_config") + field(2, "{}"))])), "settings"),
    checkpoint("graph-in-the-runtimes-format", graph(b"\x08\x00\x00\x00ORTM" + b"\0" * 64), "can't be read"),
    checkpoint("graph-cut-off", graph(encoder()[:-40]), "can't be read"),
    checkpoint("graph-zeros", graph(b"\0" * 10_000), "can't be read"),
    checkpoint("graph-field-bomb", graph(field(7, field(1, b"") * 1_200_000)), "more than 150,000 fields"),
    checkpoint("graph-varint-endless", graph(b"\xff" * 1000), "can't be read"),
    checkpoint("graph-vectors-of-integers", graph(proto.model(proto.graph([node("Identity", ["input_ids"],
        "last_hidden_state")], [], [proto.IDS], [proto.value("last_hidden_state", 7, "B", "S")]))), "floats"),
    own("graph-data-elsewhere", our_graph(own_graph(location="weights.safetensors")), "lies outside of the graph"),
    own("graph-bound-in-a-branch", our_graph(own_graph(BOUND_BELOW)), "lies outside of the graph"),
    own("graph-bound-twice", our_graph(own_graph(initialisers=(WORDS,))), "can't be bound"),
    own("graph-asks-for-more", our_graph(own_graph(initialisers=(external("evil", FLOAT, (1,)),))), "weights 'evil'"),
]  # fmt: skip


def tokenizer(*path: str, to: Any) -> Spoil:
    """Give the folder a tokenizer with one value changed."""
    found = json.loads(make_tokenizer().to_str())
    place = found
    for key in path[:-1]:
        place = place[key]
    place[path[-1]] = to
    return content("tokenizer.json", json.dumps(found).encode())


def added(count: int, first: int = 0) -> list[dict[str, Any]]:
    flags = dict.fromkeys(("single_word", "lstrip", "rstrip", "normalized", "special"), False)
    return [{"id": first + number, "content": f"w{number}", **flags} for number in range(count)]


def split(pattern: str) -> dict[str, Any]:
    return {"type": "Split", "pattern": {"Regex": pattern}, "behavior": "Isolated", "invert": False}


def template(*ids: int, known: bool = True) -> dict[str, Any]:
    special = {"[CLS]": {"id": "[CLS]", "ids": [ids[0]], "tokens": ["[CLS]"]}} if known else {}
    single: list[Any] = [{"SpecialToken": {"id": "[CLS]", "type_id": 0}} for _ in ids]
    single.append({"Sequence": {"id": "A", "type_id": 0}})
    return {"type": "TemplateProcessing", "single": single, "pair": [], "special_tokens": special}


def nested_normalizer(depth: int) -> dict[str, Any]:
    found: dict[str, Any] = {"type": "Lowercase"}
    for _ in range(depth):
        found = {"type": "Sequence", "normalizers": [found]}
    return found


GROW = [{"type": "Replace", "pattern": {"String": "a"}, "content": "aaaa"}] * 20
PANIC = base64.b64encode(b"\0\0\0\0").decode()
BPE = {"type": "BPE", "vocab": {"a": 0}, "merges": []}
TOO_LONG = {"type": "Sequence", "pretokenizers": [{"type": "WhitespaceSplit"}] * 50_000}


def tokens(name: str, spoil: Spoil, says: str) -> Hostile:
    return checkpoint(f"tokenizer-{name}", spoil, says)


TOKENIZERS = [
    tokens("list", content("tokenizer.json", b"[]"), "expected an object with a model"),
    tokens("value-bomb", content("tokenizer.json", b"[" + b"[]," * 5_000_000 + b"[]]"), "values"),
    tokens("key-twice", content("tokenizer.json", b'{"model": {}, "model": {}}'), "named twice"),
    tokens("model-unknown", tokenizer("model", "type", to="Evil"), "can't be read"),
    tokens("vocabulary-missing", tokenizer("model", "vocab", to=None), "has no vocab"),
    tokens("id-beyond-the-table", tokenizer("model", "vocab", "cat", to=50), "makes token id 50, the model knows 50"),
    tokens("id-negative", tokenizer("model", "vocab", "cat", to=-1), "token id -1"),
    tokens("id-text", tokenizer("model", "vocab", "cat", to="1"), "token id '1'"),
    tokens("id-true", tokenizer("model", "vocab", "cat", to=True), "token id True"),
    tokens("id-huge", tokenizer("model", "vocab", "cat", to=1 << 40), "token id 1099511627776"),
    tokens("added-id-beyond", tokenizer("added_tokens", to=added(1, 4_000)), "makes token id 4,000"),
    tokens("special-id-beyond", tokenizer("post_processor", to=template(9_999)), "makes token id 9,999"),
    tokens("added-bomb", tokenizer("added_tokens", to=added(30_000)), "at most 20,000"),
    tokens("added-endless", tokenizer("added_tokens", to=[{"id": 1, "content": "x" * 100_000}]), "no content of"),
    tokens("added-confused", tokenizer("added_tokens", to={"id": 1}), "expected a list"),
    tokens("scores-infinite", tokenizer("model", to={"type": "Unigram", "unk_id": 0, "vocab": [["a", 1e999]]}),
        "Infinity is no JSON"),
    tokens("scores-confused", tokenizer("model", to={"type": "Unigram", "vocab": [["a", "b"]]}), "no finite number"),
    tokens("pieces-confused", tokenizer("model", to={"type": "Unigram", "vocab": [[1, 2, 3]]}), "expected pairs"),
    tokens("unknown-piece-beyond", tokenizer("model", to={"type": "Unigram", "unk_id": 5, "vocab": [["a", 0.0]]}),
        "can't be read"),
    tokens("pattern-endless", tokenizer("pre_tokenizer", to=split("a|" * 100_000)), "is too large"),
    tokens("pattern-repeats", tokenizer("pre_tokenizer", to=split("(((a{1000}){1000}){1000})")), "is too large"),
    tokens("pattern-malformed", tokenizer("pre_tokenizer", to=split("(((")), "can't be read"),
    tokens("stage-bomb", tokenizer("pre_tokenizer", to=TOO_LONG), "more than 2,000 values"),
    tokens("stage-deep", tokenizer("normalizer", to=nested_normalizer(60)), "nested deeper"),
    tokens("text-explodes", tokenizer("normalizer", to={"type": "Sequence", "normalizers": GROW}), "characters of one"),
    tokens("prefix-endless", tokenizer("normalizer", to={"type": "Prepend", "prepend": "x" * 5_000}), "is a text of"),
    tokens("panic-in-a-normalizer",
        tokenizer("normalizer", to={"type": "Precompiled", "precompiled_charsmap": PANIC}), "can't be read"),
    tokens("panic-in-a-prefix", tokenizer("model", to=BPE | {"vocab": {"a": 0, "b": 1}, "merges": [["a", "b"]],
        "continuing_subword_prefix": "xyz"}), "can't be read"),
    tokens("panic-in-a-template", tokenizer("post_processor", to=template(2, known=False)), "can't be read"),
    tokens("length-zero", tokenizer("pre_tokenizer", to={"type": "FixedLength", "length": 0}), "length is 0"),
    tokens("dropout", tokenizer("model", to=BPE | {"dropout": 0.5}), "dropout"),
    tokens("unknown-word-missing", tokenizer("model", "unk_token", to="[nope]"), "can't be read"),
    tokens("template-longer-than-the-limit", tokenizer("post_processor", to=template(*[2] * 40)), "adds 40 tokens"),
    tokens("padding-huge", tokenizer("padding", "strategy", to={"Fixed": 1 << 50}), "padding"),
    tokens("truncation-negative", tokenizer("truncation", "max_length", to=-1), "truncation"),
]  # fmt: skip

CASES = [*WEIGHTS, *GRAPHS, *TOKENIZERS]
