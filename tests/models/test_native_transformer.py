"""The transformer in C++ against the same arithmetic in numpy, and against the graph of the model that comes along."""

import json
import math
import shutil
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from safetensors.numpy import load_file, save

from shortlist import Encoder
from shortlist.errors import ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.heads import HEADS
from shortlist.models.native_transformer import NativeBackbone
from shortlist.models.own_folder import DEFAULT, JUDGES, WEIGHTS
from shortlist.models.score_cache import ScoreCache
from shortlist.scoring.kernels import NUMPY, VARIABLE, native_transformer, transformers
from shortlist.train.export import write_description

Float = NDArray[np.float32]
GROUP = 64

pytestmark = pytest.mark.skipif(
    not transformers(), reason="no kernels that run a transformer on this processor"
)


@pytest.fixture(autouse=True, params=transformers())
def by_each(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    """Run every test with each of the kernels that this machine has for it."""
    monkeypatch.setenv(VARIABLE, request.param)


def random_model(seed: int, hidden: int, inner: int, layers: int, *, types: bool) -> dict[str, NDArray[Any]]:
    random = np.random.default_rng(seed)

    def vector(size: int, around: float = 0.0) -> Float:
        return (around + 0.1 * random.standard_normal(size)).astype(np.float32)

    def matrix(name: str, rows: int, columns: int) -> dict[str, NDArray[Any]]:
        return {
            f"{name}.i8": random.integers(-127, 128, (rows, columns), dtype=np.int8),
            f"{name}.scale": random.uniform(0.5e-3, 1.5e-3, (rows, columns // GROUP)).astype(np.float32),
        }

    tensors = matrix("embeddings.word.weight", 50, hidden)
    tensors["embeddings.position.weight"] = random.standard_normal((70, hidden)).astype(np.float32) * 0.1
    if types:
        tensors["embeddings.type.weight"] = random.standard_normal((2, hidden)).astype(np.float32) * 0.1
    norms = ["embeddings.norm"]
    for number in range(layers):
        layer = f"layer{number}"
        for name, rows, columns in (
            ("attention.qkv", 3 * hidden, hidden), ("attention.output", hidden, hidden),
            ("intermediate", inner, hidden), ("output", hidden, inner),
        ):  # fmt: skip
            tensors |= matrix(f"{layer}.{name}.weight", rows, columns)
            tensors[f"{layer}.{name}.bias"] = vector(rows)
        norms += [f"{layer}.attention.norm", f"{layer}.output.norm"]
    for name in norms:
        tensors[f"{name}.weight"], tensors[f"{name}.bias"] = vector(hidden, 1.0), vector(hidden)
    return tensors


def reference(
    tensors: dict[str, NDArray[Any]], ids: list[int], types: list[int] | None, heads: int, layers: int
) -> Any:
    """Do what the kernels do in float64, activations rounded in the same groups."""

    def wide(name: str) -> Any:
        steps = tensors[f"{name}.i8"].astype(np.float64)
        return (
            steps.reshape(len(steps), -1, GROUP) * tensors[f"{name}.scale"].astype(np.float64)[..., None]
        ).reshape(steps.shape)

    def linear(x: NDArray[np.float64], name: str) -> Any:
        groups = x.reshape(len(x), -1, GROUP)
        size = np.abs(groups).max(axis=2, keepdims=True)
        rounded = np.rint(groups * np.where(size > 0, 127 / np.where(size > 0, size, 1), 0)) * size / 127
        return rounded.reshape(x.shape) @ wide(f"{name}.weight").T + tensors[f"{name}.bias"]

    def norm(x: NDArray[np.float64], name: str) -> Any:
        away = x - x.mean(axis=1, keepdims=True)
        scaled = away / np.sqrt((away**2).mean(axis=1, keepdims=True) + 1e-12)
        return scaled * tensors[f"{name}.weight"] + tensors[f"{name}.bias"]

    x = wide("embeddings.word.weight")[ids] + tensors["embeddings.position.weight"][: len(ids)]
    if "embeddings.type.weight" in tensors:
        x = x + tensors["embeddings.type.weight"][types or [0] * len(ids)]
    x = norm(x, "embeddings.norm")
    for number in range(layers):
        layer = f"layer{number}"
        query, key, value = (
            part.reshape(len(x), heads, -1).transpose(1, 0, 2)
            for part in np.split(linear(x, f"{layer}.attention.qkv"), 3, axis=1)
        )
        products = query @ key.transpose(0, 2, 1) / math.sqrt(query.shape[2])
        weights = np.exp(products - products.max(axis=2, keepdims=True))
        mixed = (weights / weights.sum(axis=2, keepdims=True)) @ value
        mixed = mixed.transpose(1, 0, 2).reshape(x.shape)
        x = norm(x + linear(mixed, f"{layer}.attention.output"), f"{layer}.attention.norm")
        inner = linear(x, f"{layer}.intermediate")
        inner = inner * np.vectorize(lambda one: 0.5 * math.erfc(-one / math.sqrt(2)))(inner)
        x = norm(x + linear(inner, f"{layer}.output"), f"{layer}.output.norm")
    return x


SHAPES = [(64, 64, 4, 1), (128, 192, 2, 2), (384, 512, 12, 2), (192, 64, 12, 3)]
"""Hidden, inner, attention heads, layers."""


@pytest.mark.parametrize("types", [False, True])
@pytest.mark.parametrize("shape", SHAPES, ids=str)
def test_the_vectors_are_those_of_the_arithmetic_written_down(
    shape: tuple[int, int, int, int], types: bool
) -> None:
    hidden, inner, heads, layers = shape
    tensors = random_model(1, hidden, inner, layers, types=types)
    make = native_transformer()
    assert make is not None
    run = make(tensors, layers, heads, 1e-12)
    random = np.random.default_rng(2)
    differences = []
    for length in (1, 2, 5, 6, 7, 16, 31, 33, 49, 70):
        ids = random.integers(0, 50, length, dtype=np.int32)
        kinds = random.integers(0, 2, length, dtype=np.uint8) if types else None
        found = run(ids, np.array([0, length]), kinds)
        expected = reference(tensors, ids.tolist(), None if kinds is None else kinds.tolist(), heads, layers)
        # A number that lies between two steps may be rounded to the other one; the next layer spreads it.
        assert np.abs(found - expected).max() < 0.1
        differences.append(np.abs(found - expected).mean())
    assert np.median(differences) < 1e-4
    assert max(differences) < 0.02


def test_a_text_has_the_same_bytes_alone_and_in_any_company() -> None:
    tensors = random_model(3, 128, 192, 2, types=True)
    make = native_transformer()
    assert make is not None
    run, random = make(tensors, 2, 2, 1e-12), np.random.default_rng(4)
    lengths = [3, 70, 1, 0, 17, 64, 49, 2]
    texts = [random.integers(0, 50, length, dtype=np.int32) for length in lengths]
    types = [random.integers(0, 2, length, dtype=np.uint8) for length in lengths]
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    together = run(np.concatenate(texts), offsets, np.concatenate(types))
    for text, kinds, (begin, end) in zip(texts, types, pairwise(offsets.tolist()), strict=True):
        alone = run(text, np.array([0, len(text)]), kinds)
        assert alone.tobytes() == together[begin:end].tobytes()


def test_a_projection_is_a_product_scaled_to_length_one() -> None:
    make = native_transformer()
    assert make is not None
    run, random = make(random_model(5, 64, 64, 1, types=False), 1, 2, 1e-12), np.random.default_rng(6)
    for count in (0, 1, 5, 6, 13):
        vectors = random.standard_normal((count, 64)).astype(np.float32)
        matrix = random.standard_normal((64, 96)).astype(np.float32)
        product = vectors.astype(np.float64) @ matrix
        expected = product / np.linalg.norm(product, axis=1, keepdims=True)
        assert np.allclose(run.project(vectors, matrix), expected, atol=1e-6)


WRONG: dict[str, Any] = {
    "a tensor is missing": lambda t: t.pop("layer0.output.bias"),
    "a bias is longer": lambda t: t.update({"layer0.output.bias": np.zeros(65, np.float32)}),
    "a matrix is wider": lambda t: t.update({"layer0.output.weight.i8": np.zeros((64, 128), np.int8)}),
    "scales are fewer": lambda t: t.update({"layer0.output.weight.scale": np.ones((63, 1), np.float32)}),
    "scales are doubles": lambda t: t.update({"layer0.output.weight.scale": np.ones((64, 1))}),
    "positions are narrower": lambda t: t.update({"embeddings.position.weight": np.ones((9, 48), np.float32)}),
    "words are narrower": lambda t: t.update({"embeddings.word.weight.i8": np.zeros((50, 48), np.int8)}),
}  # fmt: skip


@pytest.mark.parametrize("what", WRONG)
def test_tensors_that_do_not_fit_are_refused(what: str) -> None:
    tensors = random_model(7, 64, 64, 1, types=False)
    WRONG[what](tensors)
    make = native_transformer()
    assert make is not None
    with pytest.raises(ValueError, match=r"tensor|shape|size|multiple"):
        make(tensors, 1, 2, 1e-12)


@pytest.mark.parametrize(
    ("ids", "offsets", "message"),
    [
        ([1, 50], [0, 2], "doesn't know"),
        ([1, -1], [0, 2], "doesn't know"),
        ([1, 2], [0, 3], "offsets"),
        ([1, 2], [0, 2, 1, 2], "offsets"),
        ([1] * 71, [0, 71], "too many tokens"),
    ],
)
def test_tokens_that_would_read_elsewhere_are_refused(
    ids: list[int], offsets: list[int], message: str
) -> None:
    make = native_transformer()
    assert make is not None
    run = make(random_model(8, 64, 64, 1, types=False), 1, 2, 1e-12)
    with pytest.raises(ValueError, match=message):
        run(np.array(ids, np.int32), np.array(offsets))
    with pytest.raises(ValueError, match="types"):
        run(np.array([1], np.int32), np.array([0, 1]), np.zeros(1, np.uint8))


def test_the_model_that_comes_along_runs_on_it_and_agrees_with_its_graph(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    texts = ["my card isn't working abroad", "The mitochondrion makes most of a cell's energy. " * 30]
    native, exact = Encoder.load(), Encoder.load(mode="exact")
    monkeypatch.setenv(VARIABLE, NUMPY)
    graph = Encoder.load()
    assert isinstance(native._backbone, NativeBackbone)
    assert not isinstance(graph._backbone, NativeBackbone)
    wanted = exact.views(texts)
    for encoder in (native, graph):
        found = encoder.views(texts)
        assert (found.dense.data * wanted.dense.data).sum(axis=1).min() > 0.999
        assert (found.tokens.data * wanted.tokens.data).sum(axis=1).mean() > 0.995


@pytest.mark.parametrize("name", list(JUDGES))
def test_the_judges_that_come_along_run_on_it_and_agree_with_their_graphs(
    monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    query = "Who built the lighthouse?"
    pairs = [
        (query, text)
        for text in ("The lighthouse was built by Anna Berg in 1882.", "Bread needs yeast.", "x " * 400, "")
    ]
    native, exact = CrossEncoder.load(JUDGES[name]), CrossEncoder.load(JUDGES[name], mode="exact")
    monkeypatch.setenv(VARIABLE, NUMPY)
    graph = CrossEncoder.load(JUDGES[name])
    wanted = exact.score_pairs(pairs).scores
    spread = wanted.std()
    assert np.abs(native.score_pairs(pairs).scores - wanted).max() < 0.05 * spread
    assert np.abs(graph.score_pairs(pairs).scores - wanted).max() < 0.2 * spread


def changed(
    source: Path, folder: Path, tensors: str, change: Callable[[dict[str, Any]], object], **said: Any
) -> Path:
    """Copy a model folder with other tensors in a file of it, and other things said of it."""
    shutil.copytree(source, folder)
    found = load_file(folder / tensors)
    change(found)
    (folder / tensors).write_bytes(save(found))
    values = json.loads((folder / "model.json").read_text()) | said
    del values["files"]
    write_description(folder, values)
    return folder


OTHER_HEADS: dict[str, Callable[[dict[str, Any]], object]] = {
    "one dimension": lambda t: t.update({"late.weight": np.ones(384, np.float32)}),
    "other rows": lambda t: t.update({"late.weight": np.ones((320, 128), np.float32)}),
}


@pytest.mark.parametrize("what", OTHER_HEADS)
def test_a_projection_of_another_shape_is_left_to_the_graph_which_refuses_it(
    tmp_path: Path, what: str
) -> None:
    folder = changed(DEFAULT, tmp_path / "model", HEADS, OTHER_HEADS[what])
    with pytest.raises(ModelError, match=r"late\.weight"):
        Encoder.load(folder)


OTHER_JUDGES: dict[str, Callable[[dict[str, Any]], object]] = {
    "a narrower head": lambda t: t.update({"head.weight": np.ones((1, 320), np.float32)}),
    "fewer weights of tokens": lambda t: t.update({"head.query.weight": np.ones((320, 1), np.float32)}),
    "no types": lambda t: t.pop("embeddings.type.weight"),
    "no factor": lambda t: t.pop("head.factor"),
}


@pytest.mark.parametrize("what", OTHER_JUDGES)
def test_a_judge_of_another_shape_is_left_to_the_graph_which_refuses_it(tmp_path: Path, what: str) -> None:
    folder = changed(JUDGES["judge-small"], tmp_path / "judge", WEIGHTS, OTHER_JUDGES[what])
    with pytest.raises(ModelError):
        CrossEncoder.load(folder)


def test_a_judge_that_calls_its_head_otherwise_runs_as_its_graph_is_drawn(tmp_path: Path) -> None:
    folder = changed(JUDGES["judge-small"], tmp_path / "judge", WEIGHTS, lambda _: None, head="cls")
    pairs = [("Who built it?", "Anna Berg built it."), ("Who built it?", "Bread needs yeast.")]
    graph = CrossEncoder.load(JUDGES["judge-small"], kernels=False).score_pairs(pairs).scores
    assert CrossEncoder.load(folder).score_pairs(pairs).scores.tobytes() == graph.tobytes()


SAID: dict[str, Any] = {
    "a list": [6, 12, 1e-12],
    "no layers": {"attention_heads": 12, "epsilon": 1e-12},
    "layers by half": {"layers": 6.5, "attention_heads": 12, "epsilon": 1e-12},
    "an epsilon of none": {"layers": 6, "attention_heads": 12, "epsilon": 0.0},
}


@pytest.mark.parametrize("what", SAID)
def test_a_description_that_is_none_is_refused(tmp_path: Path, what: str) -> None:
    folder = changed(DEFAULT, tmp_path / "model", HEADS, lambda _: None, transformer=SAID[what])
    with pytest.raises(ModelError, match=r"transformer|layers|epsilon"):
        Encoder.load(folder)


def test_a_description_of_another_transformer_is_left_to_the_graph(tmp_path: Path) -> None:
    said = {"layers": 7, "attention_heads": 12, "epsilon": 1e-12}
    folder = changed(DEFAULT, tmp_path / "model", HEADS, lambda _: None, transformer=said)
    assert not isinstance(Encoder.load(folder)._backbone, NativeBackbone)


def test_a_cache_of_scores_does_not_mix_those_of_kernels_and_graph() -> None:
    cache, pairs = ScoreCache(), [("Who built it?", "Anna Berg built it.")]
    path = JUDGES["judge-small"]
    for kernels in (True, False):
        alone = CrossEncoder.load(path, kernels=kernels).score_pairs(pairs).scores
        shared = CrossEncoder.load(path, cache=cache, kernels=kernels).score_pairs(pairs).scores
        assert shared.tobytes() == alone.tobytes()


@pytest.mark.parametrize(("dimensions", "kernels"), [(32, True), (48, False), (128, True), (1, False)])
def test_a_projection_to_another_number_of_dimensions_is_left_to_the_graph(
    dimensions: int, kernels: bool
) -> None:
    """Kernels give 32 dimensions at a time; a model of 48 is as good as any."""
    make = native_transformer()
    assert make is not None
    transformer = make(random_model(9, 64, 64, 1, types=False), 1, 2, 1e-12)
    projection = np.ones((64, dimensions), np.float32)
    assert NativeBackbone.fits(transformer, projection, dimensions) is kernels
    assert NativeBackbone.fits(
        transformer, projection, 0
    )  # it has no token vectors: the projection is another model's
    assert not NativeBackbone.fits(transformer, None, 32)
    assert not NativeBackbone.fits(transformer, np.ones((64, 32), np.float16), 32)
