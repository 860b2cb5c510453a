"""Hostile folders by their files: links, special files, bombs, JSON, and configurations that ask for code."""

from __future__ import annotations

import contextlib
import json
import os
import socket
from collections.abc import Callable
from pathlib import Path
from typing import Any

from tests.models.hostile.folders import Hostile
from tests.models.tiny_model import NEW_TYPES, write_json

Spoil = Callable[[Path], object]
GRAPH = "onnx/model.onnx"


def own(name: str, spoil: Spoil, says: str) -> Hostile:
    return Hostile(f"own-{name}", "fast", spoil, says)


def checkpoint(name: str, spoil: Spoil, says: str) -> Hostile:
    return Hostile(f"checkpoint-{name}", "exact", spoil, says)


def link_out(name: str) -> Spoil:
    """Move a file out of the folder and leave a link to it: what a cache of Hugging Face looks like."""

    def spoil(folder: Path) -> None:
        outside = folder.parent / "outside"
        (folder / name).rename(outside)
        (folder / name).symlink_to(outside)

    return spoil


def link_to(name: str, target: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).symlink_to(target)

    return spoil


def fifo(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        os.mkfifo(folder / name)

    return spoil


def a_socket(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        with contextlib.chdir(folder), socket.socket(socket.AF_UNIX) as bound:
            bound.bind(name)  # the whole path may be longer than a socket's may be

    return spoil


def a_folder(name: str) -> Spoil:
    def spoil(folder: Path) -> None:
        (folder / name).unlink()
        (folder / name).mkdir()

    return spoil


def sparse(name: str, size_bytes: int) -> Spoil:
    return lambda folder: os.truncate(folder / name, size_bytes)


def content(name: str, data: bytes) -> Spoil:
    return lambda folder: (folder / name).write_bytes(data)


def changed(name: str, /, **values: Any) -> Spoil:
    def spoil(folder: Path) -> None:
        path = folder / name
        write_json(path, (json.loads(path.read_text(encoding="utf-8")) if path.exists() else {}) | values)

    return spoil


def replaced(name: str, old: str, new: str) -> Spoil:
    def spoil(folder: Path) -> None:
        text = (folder / name).read_text(encoding="utf-8")
        assert old in text
        (folder / name).write_text(text.replace(old, new, 1), encoding="utf-8")

    return spoil


def without(*names: str) -> Spoil:
    def spoil(folder: Path) -> None:
        for name in names:
            (folder / name).unlink()

    return spoil


def module(kind: object = NEW_TYPES["Pooling"], path: object = "1_Pooling") -> Spoil:
    """Give the folder's modules.json a module like this in place of its pooling."""
    listed = [{"type": NEW_TYPES["Transformer"], "path": ""}, {"type": kind, "path": path}]
    return lambda folder: write_json(folder / "modules.json", listed)


def linked_module(folder: Path) -> None:
    (folder / "1_Pooling").rename(folder.parent / "pooling")
    (folder / "1_Pooling").symlink_to(folder.parent / "pooling")


def linked_graphs(folder: Path) -> None:
    (folder / "onnx").rename(folder.parent / "graphs")
    (folder / "onnx").symlink_to("../graphs")


PLACES = [
    own("link-out-weights", link_out("weights.safetensors"), "leads out of the folder"),
    own("link-out-settings", link_out("model.json"), "leads out of the folder"),
    own("link-to-a-secret", link_to("model.json", "/etc/passwd"), "leads out of the folder"),
    own("link-to-zeros", link_to("weights.safetensors", "/dev/zero"), "leads out of the folder"),
    own("link-to-nothing", link_to("tokenizer.json", "nowhere"), "no tokenizer.json"),
    own("link-to-itself", link_to("tokenizer.json", "tokenizer.json"), "tokenizer.json: can't be read"),
    own("fifo-settings", fifo("model.json"), "expected a regular file"),
    own("fifo-weights", fifo("weights.safetensors"), "expected a regular file"),
    own("socket", a_socket("graph.fast.onnx"), "expected a regular file"),
    own("folder-for-weights", a_folder("weights.safetensors"), "expected a regular file"),
    own("sparse-weights", sparse("weights.safetensors", 1 << 40), "at most"),
    own(
        "sparse-weights-within-the-limit",
        sparse("weights.safetensors", 2_000_000_000),
        "its header speaks of",
    ),
    own("sparse-settings", sparse("model.json", 1 << 33), "at most"),
    own("sparse-graph", sparse("graph.fast.onnx", 1 << 40), "at most"),
    checkpoint("link-out-tokenizer", link_out("tokenizer.json"), "leads out of the folder"),
    checkpoint("link-out-graph", link_out(GRAPH), "leads out of the folder"),
    checkpoint("link-out-of-a-subfolder", linked_graphs, "leads out of the folder"),
    checkpoint("link-out-config", link_out("sentence_bert_config.json"), "leads out of the folder"),
    checkpoint("fifo-config", fifo("config.json"), "expected a regular file"),
    checkpoint("fifo-tokenizer", fifo("tokenizer.json"), "expected a regular file"),
    checkpoint("sparse-tokenizer", sparse("tokenizer.json", 1 << 33), "at most"),
    checkpoint("sparse-graph", sparse(GRAPH, 1 << 40), "at most"),
]

SETTINGS = "model.json"
JSON = [
    own(
        "json-deep", content(SETTINGS, b'{"format":1,"x":' + b"[" * 900 + b"]" * 900 + b"}"), "can't be read"
    ),
    own("json-depth-bomb", content(SETTINGS, b"[" * 1_000_000), "can't be read"),
    own("json-value-bomb", content(SETTINGS, b"[" + b"[]," * 2_000_000 + b"[]]"), "more than 500,000 values"),
    own("json-key-twice", replaced(SETTINGS, '"format": 1', '"format": 1, "format": 1'), "named twice"),
    own("json-nan", changed(SETTINGS, dense_scale=float("nan")), "NaN is no JSON"),
    own("json-infinity", replaced(SETTINGS, '"group": 4', '"group": 1e999'), "group is inf"),
    own("json-number-bomb", replaced(SETTINGS, '"group": 4', f'"group": {"9" * 100_000}'), "can't be read"),
    own("json-utf-16", content(SETTINGS, '{"format": 1}'.encode("utf-16")), "can't be read"),
    own("format-is-true", changed(SETTINGS, format=True), "model format True"),
    own("scale-negative", changed(SETTINGS, token_scale=-1.0), "token_scale is -1.0"),
    own("scale-zero", changed(SETTINGS, dense_scale=0), "dense_scale is 0"),
    own("scale-tiny", changed(SETTINGS, dense_scale=5e-324), "dense_scale is 5e-324"),
    own("scale-text", changed(SETTINGS, dense_scale="0.1"), "dense_scale is '0.1'"),
    own("dimensions-text", changed(SETTINGS, dimensions="8"), "dimensions is '8'"),
    own("dimensions-true", changed(SETTINGS, dimensions=True), "dimensions is True"),
    own("dimensions-huge", changed(SETTINGS, dimensions=10**15), "dimensions is 1000000000000000"),
    own("dimensions-of-another", changed(SETTINGS, dimensions=16), "its graph gives 8 and 4"),
    own("token-dimensions-negative", changed(SETTINGS, token_dimensions=-4), "token_dimensions is -4"),
    own("max-tokens-huge", changed(SETTINGS, max_tokens=10**12), "max_tokens is 1000000000000"),
    own("max-tokens-beyond-positions", changed(SETTINGS, max_tokens=65), "the model has 64 positions"),
    own("max-tokens-below-special-ones", changed(SETTINGS, max_tokens=2), "adds 2 tokens to a text"),
    own("group-zero", changed(SETTINGS, group=0), "group is 0"),
    own("group-that-does-not-divide", changed(SETTINGS, group=3), "expected int8 rows of groups of 3"),
    own("name-list", changed(SETTINGS, name=["a"] * 10_000), "name is ['a'"),
    own("name-half-a-surrogate", changed(SETTINGS, name="\ud800"), "half a surrogate pair"),
    own("pooling-list", changed(SETTINGS, pooling=["mean"]), "pooling is ['mean']"),
    own("pooling-unknown", changed(SETTINGS, pooling="os.system"), "pooling 'os.system' is not supported"),
    own("prompts-list", changed(SETTINGS, prompts=["a"]), "prompts is ['a']"),
    own("prompts-of-numbers", changed(SETTINGS, prompts={"query": 7}), "prompts['query'] is 7"),
    own("prompts-endless", changed(SETTINGS, prompts={"query": "a" * 1_000_000}), "at most 10,000"),
    own("files-path", changed(SETTINGS, files={"../../x": "0"}), "files names '../../x'"),
    own("files-absolute", changed(SETTINGS, files={"/etc/passwd": "0"}), "files names '/etc/passwd'"),
    own("files-list", changed(SETTINGS, files=["weights.safetensors"]), "files is ["),
]

BERT, POOLING = "sentence_bert_config.json", NEW_TYPES["Pooling"]
CODE = [
    own("pickles-alone", without("model.json", "weights.safetensors"), "neither model.json nor modules.json"),
    own("pickles-for-weights", without("weights.safetensors"), "no weights.safetensors"),
    own("auto-map", changed("config.json", auto_map={"AutoModel": "modeling_evil.Evil"}), "auto_map"),
    checkpoint("pickles-for-a-graph", without(GRAPH), "no ONNX graph"),
    checkpoint("auto-map", changed("config.json", auto_map={"AutoModel": "modeling_evil.Evil"}), "auto_map"),
    checkpoint(
        "auto-map-of-a-tokenizer",
        changed("tokenizer_config.json", auto_map={"AutoTokenizer": ["tokenization_evil.Evil", None]}),
        "auto_map",
    ),
    checkpoint(
        "auto-map-nested", changed("config.json", text={"x": [{"auto_map": {"a": "b.C"}}]}), "auto_map"
    ),
    checkpoint(
        "trust-remote-code", changed(BERT, model_args={"trust_remote_code": True}), "trust_remote_code"
    ),
    checkpoint("custom-generate", changed("generation_config.json", custom_generate="x"), "custom_generate"),
    checkpoint("custom-pipelines", changed("config.json", custom_pipelines={"x": {}}), "custom_pipelines"),
    checkpoint("code-of-a-module", changed("1_Pooling/config.json", auto_map={"a": "b.C"}), "auto_map"),
    checkpoint("module-of-its-own", module("my_package.Pooling"), "module 'my_package.Pooling'"),
    checkpoint("module-beside", module("modeling_evil.Evil"), "module 'modeling_evil.Evil'"),
    checkpoint("module-type-list", module([POOLING]), "a module's type is ["),
    checkpoint("module-path-up", module(path="../pooling"), "leads out of the folder"),
    checkpoint("module-path-absolute", module(path="/etc"), "leads out of the folder"),
    checkpoint("module-path-nul", module(path="1_Pooling\0"), "leads out of the folder"),
    checkpoint("module-path-backslash", module(path="..\\pooling"), "leads out of the folder"),
    checkpoint("module-path-number", module(path=1), "a module's path is 1"),
    checkpoint("module-path-endless", module(path="a/" * 100_000), "a module's path is"),
    checkpoint("module-linked-out", linked_module, "leads out of the folder"),
    checkpoint("module-twice", module(NEW_TYPES["Transformer"], ""), "is there twice"),
    checkpoint(
        "module-bomb",
        content("modules.json", json.dumps([{"type": POOLING, "path": ""}] * 50_000).encode()),
        "at most 100 modules",
    ),
    checkpoint("limit-text", changed(BERT, max_seq_length="32"), "max_seq_length is '32'"),
    checkpoint("limit-negative", changed(BERT, max_seq_length=-1), "takes -1 tokens"),
    checkpoint("limit-nested", changed("config.json", max_position_embeddings=[64]), "is [64]"),
    checkpoint(
        "pooling-nested", changed("1_Pooling/config.json", pooling_mode=[["mean"]]), "pooling_mode is"
    ),
    checkpoint(
        "prompts-of-lists",
        changed("config_sentence_transformers.json", prompts={"query": ["x"]}),
        "prompts['query'] is ['x']",
    ),
    checkpoint("config-list", content("config.json", b"[]"), "holds list, expected an object"),
]

CASES = [*PLACES, *JSON, *CODE]
