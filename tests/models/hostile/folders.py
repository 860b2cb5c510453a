"""Make hostile model folders, and count what they manage to execute.

A case takes a sound folder of one kind and spoils it in one place. Every folder also holds baits: modules
and pickles that leave a file behind if anything imports or opens them.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import pickle
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from safetensors.numpy import save

from shortlist import Encoder, ModelError
from tests.models.hostile import proto
from tests.models.tiny_model import make_tokenizer, word_table, write_folder, write_json

GROUP = 4
MODULES = ("modeling_evil", "tokenization_evil", "my_package", "sitecustomize_evil")


@dataclass(frozen=True)
class Hostile:
    """Spoil a sound folder; ``says`` is what the error must contain."""

    name: str
    mode: str
    spoil: Callable[[Path], object]
    says: str

    def write(self, folder: Path, canary: Path) -> Path:
        """Write the folder with its baits."""
        folder.mkdir(parents=True)
        (write_own if self.mode == "fast" else write_folder)(folder)
        bait(folder, canary)
        self.spoil(folder)
        return folder


class Payload:
    """Leave a file behind when unpickled."""

    def __init__(self, canary: Path) -> None:
        self.canary = canary

    def __reduce__(self) -> tuple[Any, ...]:
        return Path.touch, (self.canary,)


def bait(folder: Path, canary: Path) -> None:
    code = f"import pathlib\npathlib.Path({str(canary)!r}).touch()\nclass Evil: pass\nPooling = Evil\n"
    for module in (*MODULES, "__init__", "conftest"):
        (folder / f"{module}.py").write_text(code, encoding="utf-8")
    for name in ("pytorch_model.bin", "model.pkl", "training_args.bin", "head.joblib", "state.pt"):
        (folder / name).write_bytes(pickle.dumps(Payload(canary)))


# -- a folder of our own kind ------------------------------------------------------------------------------


def own_tensors() -> dict[str, NDArray[Any]]:
    steps = np.rint(word_table() * 40).astype(np.int8)
    return {
        "embeddings.word.weight.i8": steps,
        "embeddings.word.weight.scale": np.full((50, 8 // GROUP), 1 / 40, np.float16),
        "embeddings.position.weight": np.zeros((64, 8), np.float32),
        "late.weight": np.eye(8, 4, dtype=np.float32),
    }


def own_graph(*nodes: bytes, initialisers: tuple[bytes, ...] = (), location: str = "bound-at-load") -> bytes:
    n, word = proto.node, "embeddings.word.weight"
    all_nodes = [
        n("Gather", [f"{word}.i8", "input_ids"], "steps"),
        n("Cast", ["steps"], "float", proto.attribute("to", i=1)),
        n("Gather", [f"{word}.scale", "input_ids"], "scales"),
        n("Mul", ["float", "scales"], "grouped"),
        n("Reshape", ["grouped", "shape"], "hidden"),
        n("MatMul", ["hidden", "late.weight"], "late"),
        *nodes,
    ]
    bound = [
        proto.external(f"{word}.i8", proto.INT8, (50, 2, GROUP), location),
        proto.external(f"{word}.scale", proto.FLOAT, (50, 2, 1)),
        proto.external("late.weight", proto.FLOAT, (8, 4)),
        proto.tensor("shape", np.array([0, 0, 8])),
        *initialisers,
    ]
    outputs = [
        proto.value("hidden", proto.FLOAT, "B", "S", 8),
        proto.value("late", proto.FLOAT, "B", "S", 4),
    ]
    return proto.model(proto.graph(all_nodes, bound, [proto.IDS], outputs))


def write_own(folder: Path) -> Path:
    (folder / "weights.safetensors").write_bytes(save(own_tensors()))
    make_tokenizer().save(str(folder / "tokenizer.json"))
    for mode in ("fast", "exact"):
        (folder / f"graph.{mode}.onnx").write_bytes(own_graph())
    settings = {
        "format": 1, "name": "tiny", "dimensions": 8, "token_dimensions": 4, "max_tokens": 32,
        "pooling": "mean", "similarity": "cosine", "prompts": {"query": ""}, "dense_scale": 1 / 127,
        "token_scale": 1 / 127, "group": GROUP, "files": {},
    }  # fmt: skip
    write_json(folder / "model.json", settings)
    seal(folder)
    return folder


def seal(folder: Path) -> None:
    """Write checksums that fit: they come in the folder, so they prove nothing."""
    names = ("weights.safetensors", "tokenizer.json", "graph.fast.onnx", "graph.exact.onnx")
    settings = json.loads((folder / "model.json").read_text(encoding="utf-8"))
    settings["files"] = {n: hashlib.sha256((folder / n).read_bytes()).hexdigest() for n in names}
    write_json(folder / "model.json", settings)


# -- running them --------------------------------------------------------------------------------------------


@contextlib.contextmanager
def inside(folder: Path) -> Iterator[None]:
    """Stand in the folder, with its modules importable: the worst place to load it from."""
    sys.path.insert(0, str(folder))
    try:
        with contextlib.chdir(folder):
            yield
    finally:
        sys.path.remove(str(folder))


def executed(canary: Path) -> bool:
    """Say whether a bait ran, and forget that it did."""
    imported = [sys.modules.pop(name) for name in MODULES if name in sys.modules]
    found = canary.exists()
    canary.unlink(missing_ok=True)
    return found or bool(imported)


def run_hostile(scratch: Path) -> tuple[int, int]:
    """Load every hostile folder; give how many were tried and how many executed something.

    Raises:
        AssertionError: a folder loaded.
    """
    from tests.models.hostile.cases import CASES

    executions = 0
    for number, case in enumerate(CASES):
        folder, canary = scratch / f"{number:03}" / case.name, scratch / "canary"
        case.write(folder, canary)
        with inside(folder):
            try:
                Encoder.load(folder, mode=case.mode)  # type: ignore[arg-type]
            except ModelError:
                pass
            else:
                raise AssertionError(f"{case.name}: a hostile folder loaded")
            finally:
                executions += executed(canary)
    return len(CASES), executions
