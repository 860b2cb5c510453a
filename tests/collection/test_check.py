import shutil
import sqlite3
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shortlist.collection import SegmentData, Store
from shortlist.collection.check import find_problems
from shortlist.errors import CollectionError

from .building import SETTINGS, add, compact, create, delete, document, flip_byte, segment_data

SEGMENT_FILES = [
    f"{name}.npy"
    for name in (
        "rows", "lengths", "digests", "passages",
        "terms", "term_offsets", "posting_offsets", "documents",
        "frequencies", "dense", "tokens", "token_offsets",
    )
]  # fmt: skip


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Three generations with replaced and deleted documents."""
    path = tmp_path_factory.mktemp("check") / "sound"
    store = create(
        path,
        [document(f"d{number}", f"cats and dogs, {number} of them", year=number) for number in range(40)],
        [document("d3", "another text", tag=["x", "y"]), document("new", "a new text", lang="en")],
    )
    delete(store, "d5", "d6")
    store.close()
    return path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


def problems(path: Path) -> list[str]:
    store = Store(path)
    try:
        return find_problems(path, store.settings)
    finally:
        store.close()


def execute(path: Path, statement: str) -> None:
    with sqlite3.connect(path / "collection.db") as database:
        assert database.execute(statement).rowcount > 0, "the statement has to damage something"
    database.close()


def test_a_sound_collection_has_no_problems(sound: Path) -> None:
    assert problems(sound) == []


def test_an_empty_and_an_emptied_collection_are_sound(tmp_path: Path) -> None:
    store = create(tmp_path / "c")
    assert find_problems(store.path, store.settings) == []
    add(store, document("a"), document("b", "the"))
    delete(store, "a", "b")
    assert find_problems(store.path, store.settings) == []
    compact(store)
    assert find_problems(store.path, store.settings) == []
    store.close()


def test_a_compacted_collection_is_sound_while_somebody_still_reads_the_old_one(path: Path) -> None:
    store = Store(path)
    with store.snapshot():
        compact(store)
        assert find_problems(path, store.settings) == []
    store.close()


def test_checking_changes_nothing(path: Path) -> None:
    problems(path)
    before = {file: file.read_bytes() for file in path.rglob("*") if file.is_file()}
    problems(path)
    assert {file: file.read_bytes() for file in path.rglob("*") if file.is_file()} == before


@pytest.mark.parametrize("name", [*SEGMENT_FILES, "manifest.json"])
@pytest.mark.parametrize("segment", ["00000001", "00000002"])
def test_a_flipped_byte_names_the_file(path: Path, segment: str, name: str) -> None:
    file = path / "segments" / segment / name
    flip_byte(file, file.stat().st_size // 2)
    assert str(file) in problems(path)[0]


@pytest.mark.parametrize("name", [*SEGMENT_FILES, "manifest.json"])
@pytest.mark.parametrize("damage", ["truncated", "missing"])
def test_a_truncated_or_missing_file_is_named(path: Path, name: str, damage: str) -> None:
    file = path / "segments" / "00000002" / name
    if damage == "missing":
        file.unlink()
    else:
        file.write_bytes(file.read_bytes()[:-7])
    (found,) = problems(path)
    assert str(file) in found


def test_a_missing_segment_folder_is_named(path: Path) -> None:
    shutil.rmtree(path / "segments" / "00000001")
    (found,) = problems(path)
    assert str(path / "segments" / "00000001") in found


def test_damage_to_several_files_is_listed_file_by_file(path: Path) -> None:
    for name in ("dense.npy", "tokens.npy"):
        flip_byte(path / "segments" / "00000001" / name, 200)
    flip_byte(path / "segments" / "00000002" / "rows.npy", 130)
    found = problems(path)
    for name in ("00000001/dense.npy", "00000001/tokens.npy", "00000002/rows.npy"):
        assert sum(name in line for line in found) == 1


@pytest.mark.parametrize(
    ("statement", "expected"),
    [
        ("DELETE FROM documents WHERE doc_id = 'd7'", "0 documents are not indexed, 1 indexed ones are gone"),
        (
            "UPDATE documents SET row = 999 WHERE doc_id = 'd7'",
            "1 documents are not indexed, 1 indexed ones are gone",
        ),
        ("DELETE FROM documents WHERE doc_id = 'd7'", "generation 3 counts 39 documents, there are 38"),
        ("UPDATE generations SET live_documents = 7 WHERE generation = 3", "counts 7 documents"),
        ("DELETE FROM segments WHERE segment = 2", "2 documents are not indexed"),
        ("UPDATE segments SET checksum = 'x' WHERE segment = 2", "00000002/manifest.json"),
        ("UPDATE documents SET text = 'changed' WHERE doc_id = 'd7'", "d7"),
        ("UPDATE documents SET title = 'changed' WHERE doc_id = 'd7'", "d7"),
        ("DELETE FROM metadata WHERE field = 'year' AND value = 9", "metadata"),
        ("UPDATE metadata SET value = 10 WHERE field = 'year' AND value = 9", "metadata"),
        ("UPDATE documents SET metadata = '{}' WHERE doc_id = 'd7'", "metadata"),
    ],
)
def test_a_changed_database_is_found_and_what_is_wrong_is_named(
    path: Path, statement: str, expected: str
) -> None:
    execute(path, statement)
    assert any(expected in line for line in problems(path)), problems(path)


def test_a_collection_without_a_generation_is_named(path: Path) -> None:
    execute(path, "DELETE FROM generations WHERE generation >= 0")
    assert any(str(path) in line and "generation" in line for line in problems(path))


def everything(path: Path) -> object:
    """All that a reader gets from the database."""
    store = Store(path)
    try:
        with store.snapshot() as snapshot:
            positions = snapshot.live.nonzero()[0]
            return snapshot.generation, positions.tolist(), snapshot.documents(positions)
    finally:
        store.close()


@pytest.mark.parametrize("bits", [0xFF, 0x01], ids=["all bits", "one bit"])
def test_a_flipped_byte_in_the_database_is_found_or_changes_nothing(
    sound: Path, path: Path, bits: int
) -> None:
    whole, expected = (sound / "collection.db").read_bytes(), everything(sound)
    unnoticed = []
    for at in range(61, len(whole), 499):
        for leftover in path.glob("collection.db-*"):
            leftover.unlink()
        (path / "collection.db").write_bytes(whole)
        flip_byte(path / "collection.db", at, bits)
        try:
            found = problems(path)
        except CollectionError:
            continue
        if not found:
            try:
                unnoticed += [at] if everything(path) != expected else []
            except (CollectionError, sqlite3.Error, ValueError):
                unnoticed.append(at)
    assert unnoticed == []


def longer_text(data: SegmentData) -> SegmentData:
    return replace(data, lengths=data.lengths + np.int32(1))


def without_a_passage(data: SegmentData) -> SegmentData:
    passages = data.passages.copy()
    passages[passages[:, 0] == 1, 0] = 0
    return replace(data, passages=passages)


def wide_vectors(data: SegmentData) -> SegmentData:
    return replace(data, dense=np.zeros((len(data.passages), 5), np.int8), dimensions=5)


def without_tokens(data: SegmentData) -> SegmentData:
    return replace(data, tokens=None, token_offsets=None, token_dimensions=0)


def a_passage_too_many(data: SegmentData) -> SegmentData:
    assert data.token_offsets is not None
    return replace(data, token_offsets=np.append(data.token_offsets, data.token_offsets[-1]))


def descending_rows(data: SegmentData) -> SegmentData:
    return replace(data, rows=data.rows[::-1].copy())


RULES: dict[str, Callable[[SegmentData], SegmentData]] = {
    "the postings add up to it": longer_text,
    "every document has a passage": without_a_passage,
    "one vector a passage": wide_vectors,
    "token vectors as the settings say": without_tokens,
    "token offsets fit the tokens": a_passage_too_many,
    "rows ascend": descending_rows,
}


@pytest.mark.parametrize(("rule", "spoil"), RULES.items(), ids=RULES)
def test_a_segment_whose_views_disagree_is_named_with_the_rule(
    tmp_path: Path, rule: str, spoil: Callable[[Any], Any]
) -> None:
    store = Store.create(tmp_path / "c", SETTINGS)
    documents = [document("a", "cats sleep"), document("b", "dogs bark")]
    with store.writer() as writer:
        writer.add(documents, spoil(segment_data(documents, writer.next_rows(2))))
    found = find_problems(store.path, store.settings)
    store.close()
    assert [line for line in found if "00000001: not true: " in line and rule in line]
