"""Model folders that want to run code, to read elsewhere or to fill the memory; and sound ones beside them."""

from __future__ import annotations

import os
import resource
import shutil
import sys
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save

from shortlist import Encoder, ModelError
from shortlist.models.folders import DEFAULT, fingerprint
from shortlist.models.graph_check import check_graph
from shortlist.models.tokenizer_check import check_tokenizer
from shortlist.models.weights import Form, bind_weights, read_weights
from tests.models.conftest import hard_link
from tests.models.hostile import proto
from tests.models.hostile.cases import CASES
from tests.models.hostile.contents import split, tokenizer
from tests.models.hostile.files import GRAPH, changed, content
from tests.models.hostile.folders import (
    GROUP,
    Hostile,
    executed,
    inside,
    own_graph,
    own_tensors,
    run_hostile,
    write_own,
)
from tests.models.tiny_model import DATA, make_tokenizer, write_folder

MEMORY_BYTES = 64 << 20
SECONDS = 2.0


def peak_bytes(*, reset: bool = False) -> int:
    """Give the most memory that this process had: on Linux since the last reset."""
    if sys.platform != "linux":
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    if reset:
        Path("/proc/self/clear_refs").write_text("5", encoding="ascii")
    lines = Path("/proc/self/status").read_text(encoding="ascii").splitlines()
    return 1024 * next(int(line.split()[1]) for line in lines if line.startswith("VmHWM"))


@pytest.mark.skipif(sys.platform != "linux", reason="only Linux forgets a peak")
def test_the_peak_of_memory_is_seen() -> None:
    before = peak_bytes(reset=True)
    assert np.ones(2 * MEMORY_BYTES, np.uint8).all()
    assert peak_bytes() - before > MEMORY_BYTES


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.name)
def test_a_hostile_folder_is_refused_before_it_does_anything(case: Hostile, tmp_path: Path) -> None:
    folder, canary = tmp_path / "hostile", tmp_path / "canary"
    case.write(folder, canary)
    before, begin = peak_bytes(reset=True), time.monotonic()
    with inside(folder), pytest.raises(ModelError) as caught:
        Encoder.load(folder, mode=case.mode)  # type: ignore[arg-type]
    duration_s, growth_bytes = time.monotonic() - begin, peak_bytes() - before
    assert not executed(canary)
    assert type(caught.value) is ModelError
    assert str(folder) in str(caught.value)
    assert case.says in str(caught.value)
    assert len(str(caught.value)) < 2_000
    assert duration_s < SECONDS
    assert growth_bytes < MEMORY_BYTES


def test_no_hostile_folder_executes_anything(tmp_path: Path) -> None:
    tried, executions = run_hostile(tmp_path)
    assert tried >= 60
    assert executions == 0


def test_names_of_hostile_folders_are_unique() -> None:
    assert len({case.name for case in CASES}) == len(CASES)


def test_a_bait_that_runs_is_seen(tmp_path: Path) -> None:
    folder = CASES[0].write(tmp_path / "hostile", tmp_path / "canary")
    with inside(folder):
        __import__("modeling_evil")
    assert executed(tmp_path / "canary")
    assert not executed(tmp_path / "canary")


@pytest.mark.parametrize(
    "name", ["checkpoint-pickles-for-a-graph", "own-pickles-alone", "own-pickles-for-weights"]
)
def test_a_folder_of_pickles_is_told_that_they_are_not_opened(tmp_path: Path, name: str) -> None:
    case = next(case for case in CASES if case.name == name)
    folder = case.write(tmp_path / "hostile", tmp_path / "canary")
    with pytest.raises(ModelError) as caught:
        Encoder.load(folder, mode=case.mode)  # type: ignore[arg-type]
    assert "pickle" in caught.value.hint
    assert "never opened" in caught.value.hint


def test_a_link_that_leads_out_is_refused_with_the_command_that_copies(tmp_path: Path) -> None:
    case = next(case for case in CASES if case.name == "checkpoint-link-out-graph")
    folder = case.write(tmp_path / "hostile", tmp_path / "canary")
    with pytest.raises(ModelError) as caught:
        Encoder.load(folder, mode="exact")
    assert "cp -rL" in caught.value.hint


# -- bytes that nobody chose ---------------------------------------------------------------------------------


def read_graph(data: bytes) -> None:
    check_graph(data, Path("graph"), own=True)


def read_all_weights(data: bytes) -> None:
    forms: tuple[Form, ...] = ("groups", "columns", "floats")
    for form in forms:
        bind_weights(read_weights(bytearray(data), Path("weights")), Path("weights"), group=GROUP, form=form)


def read_tokenizer(data: bytes) -> None:
    check_tokenizer(data, Path("tokenizer.json"))


READERS = [
    (read_graph, own_graph()),
    (read_graph, (DATA / "transformer.onnx").read_bytes()),
    (read_all_weights, save(own_tensors())),
    (read_tokenizer, make_tokenizer().to_str().encode()),
]


@pytest.mark.parametrize(("read", "sound"), READERS, ids=["our graph", "their graph", "weights", "tokenizer"])
def test_a_file_with_bytes_changed_at_random_is_read_or_refused(
    read: Callable[[bytes], None], sound: bytes
) -> None:
    random, refused = np.random.default_rng(7), 0
    read(sound)
    for _ in range(1_000):
        data = bytearray(sound)
        for at in random.integers(len(data), size=random.integers(1, 6)):
            data[at] = random.integers(256)
        if random.random() < 0.3:
            del data[random.integers(len(data)) :]
        try:
            read(bytes(data))
        except ModelError:
            refused += 1
    assert refused > 300


# -- folders that only fail once they encode -----------------------------------------------------------------


def test_a_pattern_that_never_ends_is_an_error_of_the_model(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    tokenizer("pre_tokenizer", to=split("(b+)+$"))(folder)
    encoder = Encoder.load(folder, mode="exact")
    for fails in (encoder.encode, encoder.tokenizer.count, encoder.tokenizer.offsets):
        with pytest.raises(ModelError, match=r"tokenizer\.json: fails on a text"):
            fails(["b" * 60 + "c"] if fails == encoder.encode else "b" * 60 + "c")  # type: ignore[arg-type]


def test_a_graph_that_fails_or_gives_another_shape_than_it_declares_is_an_error_of_the_model(
    tmp_path: Path,
) -> None:
    folder = write_folder(tmp_path / "model")
    squeeze = proto.node("Reshape", ["table", "input_ids"], "last_hidden_state")
    content(GRAPH, proto.model(proto.graph([squeeze], [proto.TABLE], [proto.IDS], [proto.VECTORS])))(folder)
    with pytest.raises(ModelError, match=r"model"):
        Encoder.load(folder, mode="exact").encode(["cat"])


def test_constants_are_not_computed_into_more_than_they_are_while_a_graph_is_opened(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    many = proto.tensor("many", np.array([15_000], np.int64))
    nodes = [
        proto.node("Mul", ["many", "many"], "more"),
        proto.node("ConstantOfShape", ["more"], "big"),
        proto.node("ReduceMax", ["big"], "one", proto.attribute("keepdims", i=0)),
        proto.node("Gather", ["table", "input_ids"], "words"),
        proto.node("Add", ["words", "one"], "last_hidden_state"),
    ]
    body = proto.graph(nodes, [proto.TABLE, many], [proto.IDS], [proto.VECTORS])
    content(GRAPH, proto.model(body))(folder)
    before = peak_bytes(reset=True)
    Encoder.load(folder, mode="exact")
    assert peak_bytes() - before < MEMORY_BYTES


# -- sound folders -------------------------------------------------------------------------------------------


def sound_own(folder: Path) -> Encoder:
    folder.mkdir()
    return Encoder.load(write_own(folder))


def sound_checkpoint(folder: Path) -> Encoder:
    return Encoder.load(write_folder(folder), mode="exact")


def linked_inside(folder: Path) -> Encoder:
    """A folder like one in a cache of Hugging Face, with its blobs inside of what is named."""
    write_folder(folder)
    (folder / "blobs").mkdir()
    for number, path in enumerate([p for p in folder.rglob("*") if p.is_file()]):
        blob = folder / "blobs" / str(number)
        path.rename(blob)
        path.symlink_to(os.path.relpath(blob, path.parent))
    return Encoder.load(folder, mode="exact")


def linked_as_a_whole(folder: Path) -> Encoder:
    folder.symlink_to(write_folder(folder.parent / "real"))
    return Encoder.load(folder, mode="exact")


def with_code_that_nobody_names(folder: Path) -> Encoder:
    write_folder(folder)
    (folder / "modeling_evil.py").write_text("raise SystemExit", encoding="utf-8")
    changed("config.json", auto_map=None, trust_remote_code=False)(folder)
    return Encoder.load(folder, mode="exact")


def with_a_graph_of_ours_written_by_the_runtime(folder: Path) -> Encoder:
    write_folder(folder)
    domains = ["", "ai.onnx.ml", "com.microsoft", "com.microsoft.nchwc", "org.pytorch.aten"]
    content(GRAPH, proto.encoder(opsets=domains))(folder)
    return Encoder.load(folder, mode="exact")


SOUND = [
    sound_own,
    sound_checkpoint,
    linked_inside,
    linked_as_a_whole,
    with_code_that_nobody_names,
    with_a_graph_of_ours_written_by_the_runtime,
]


@pytest.mark.parametrize("make", SOUND, ids=lambda make: make.__name__)
def test_a_sound_folder_loads_and_encodes(tmp_path: Path, make: Callable[[Path], Encoder]) -> None:
    assert np.isfinite(make(tmp_path / "model").encode(["cat", "dog bird"])).all()


def test_a_copy_that_follows_links_loads_where_the_links_did_not(tmp_path: Path) -> None:
    write_folder(tmp_path / "blobs")
    (tmp_path / "snapshot").mkdir()
    for path in (tmp_path / "blobs").iterdir():
        (tmp_path / "snapshot" / path.name).symlink_to(path)
    with pytest.raises(ModelError, match="leads out of the folder"):
        Encoder.load(tmp_path / "snapshot", mode="exact")
    shutil.copytree(tmp_path / "snapshot", tmp_path / "copy")
    Encoder.load(tmp_path / "copy", mode="exact")
    assert fingerprint(tmp_path / "copy") == fingerprint(tmp_path / "blobs")


def test_the_model_that_comes_with_shortlist_loads_from_a_copy(tmp_path: Path) -> None:
    for path in DEFAULT.iterdir():
        hard_link(path, tmp_path / path.name)
    assert Encoder.load(tmp_path, mode="exact").encode(["a card"]).shape == (1, 384)


def test_the_model_that_comes_with_shortlist_may_be_installed_as_links(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "store").mkdir()
    write_own(tmp_path / "store")
    (tmp_path / "default").mkdir()
    for path in (tmp_path / "store").iterdir():
        (tmp_path / "default" / path.name).symlink_to(path)
    with pytest.raises(ModelError, match="leads out of the folder"):
        Encoder.load(tmp_path / "default")
    monkeypatch.setattr("shortlist.models.own_folder.DEFAULT", tmp_path / "default")
    assert Encoder.load(tmp_path / "default").encode(["cat"]).shape == (1, 8)
