import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.collection import Postings, SegmentData, Store, Texts, Views, document_bytes
from shortlist.collection.check import find_problems, segment_is_sound
from shortlist.collection.directory import Directory, File
from shortlist.collection.generation import Generation, SegmentEntry, commit, read_generation
from shortlist.collection.segment_data import write_segment

from .building import SETTINGS, add, compact, create, delete, document, flip_byte, segment_data
from .test_segment import SECTIONS


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
    return path


@pytest.fixture
def path(sound: Path, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    shutil.copytree(sound, tmp_path / "copy")
    return tmp_path / "copy"


def problems(path: Path, *, deep: bool = True) -> list[str]:
    return find_problems(Directory(path), deep=deep)


def segment(path: Path, number: int) -> Path:
    return path / "segments" / f"{number:08d}.safetensors"


@pytest.mark.parametrize("deep", [False, True])
def test_a_sound_collection_has_no_problems(sound: Path, deep: bool) -> None:
    assert problems(sound, deep=deep) == []


def test_an_empty_and_an_emptied_collection_are_sound(tmp_path: Path) -> None:
    store = create(tmp_path / "c")
    assert problems(store.path) == []
    add(store, document("a"), document("b", "the"))
    assert problems(store.path) == []
    delete(store, "a", "b")
    assert problems(store.path) == []


def test_a_compacted_collection_is_sound(path: Path) -> None:
    store = Store(path)
    with store.snapshot():
        compact(store)
        assert problems(path) == []


def test_checking_changes_nothing(path: Path) -> None:
    before = {
        file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()
    }
    problems(path)
    assert before == {
        file: (file.read_bytes(), file.stat().st_mtime_ns) for file in path.rglob("*") if file.is_file()
    }


def test_a_writer_that_removes_files_meanwhile_is_no_damage(path: Path) -> None:
    class Late(Directory):
        """Let a writer in just before the last segment is opened."""

        done = False

        def open(self, name: str) -> File:
            if name == "segments/00000002.safetensors" and not self.done:
                self.done = True
                compact(Store(path))
            return super().open(name)

    assert find_problems(Late(path), deep=True) == []


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("name", SECTIONS)
def test_a_flipped_byte_is_found_by_the_deep_check_and_file_and_section_are_named(
    path: Path, number: int, name: str
) -> None:
    with Store(path).snapshot() as snapshot:
        section = snapshot.segments[number - 1].file.sections[name]
        flip_byte(segment(path, number), section.start)
    assert problems(path, deep=False) == [], "which says so"
    named = f"{segment(path, number)}: {name}: its checksum is not the one it was written with"
    assert named in problems(path)


@pytest.mark.parametrize("deep", [False, True])
@pytest.mark.parametrize(
    "damage",
    [
        lambda file: file.write_bytes(file.read_bytes()[:-7]),
        lambda file: file.write_bytes(b""),
        lambda file: file.unlink(),
        lambda file: flip_byte(file, -1),
        lambda file: flip_byte(file, -40),
        lambda file: flip_byte(file, 40),
        lambda file: shutil.copy(file.with_name("00000001.safetensors"), file),
    ],
    ids=["truncated", "empty", "missing", "seal", "checksums", "header", "another in its place"],
)
def test_what_every_opening_checks_is_found_without_reading_every_byte(
    path: Path, damage: Callable[[Path], object], deep: bool
) -> None:
    damage(segment(path, 2))
    (found,) = problems(path, deep=deep)
    assert str(segment(path, 2)) in found


def test_damage_to_several_files_is_listed_file_by_file(path: Path) -> None:
    for number in (1, 2):
        with Store(path).snapshot() as snapshot:
            start = snapshot.segments[number - 1].file.sections["dense"].start
        flip_byte(segment(path, number), start)
    found = problems(path)
    for number in (1, 2):
        assert any(f"{segment(path, number)}: dense" in line for line in found)
    segment(path, 1).unlink()
    assert any(f"{segment(path, 1)}" in line for line in problems(path))
    assert any(f"{segment(path, 2)}: dense" in line for line in problems(path))


@settings(max_examples=100)
@given(data=st.data())
def test_no_flipped_bit_goes_unnoticed(
    sound: Path, tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "c"
    shutil.copytree(sound, path)
    files = ["generation.safetensors", *(f"segments/0000000{number}.safetensors" for number in (1, 2))]
    file = path / data.draw(st.sampled_from(files))
    flip_byte(file, data.draw(st.integers(0, file.stat().st_size - 1)), 1 << data.draw(st.integers(0, 7)))
    found = problems(path)
    assert found
    assert str(file) in found[0]


@pytest.mark.parametrize("deep", [False, True])
def test_a_damaged_or_missing_generation_is_named(path: Path, deep: bool) -> None:
    file = path / "generation.safetensors"
    flip_byte(file, 17_000 if file.stat().st_size > 17_000 else 16_390)
    (found,) = problems(path, deep=deep)
    assert str(file) in found
    file.unlink()
    (found,) = problems(path, deep=deep)
    assert str(file) in found


def test_a_sound_segment_is_told_from_a_damaged_one(path: Path) -> None:
    directory = Directory(path)
    generation = read_generation(directory)
    flip_byte(segment(path, 2), 16_384)
    assert [segment_is_sound(directory, generation, entry) for entry in generation.segments] == [True, False]
    segment(path, 1).unlink()
    assert not segment_is_sound(directory, generation, generation.segments[0])


def change_entry(path: Path, **changes: Any) -> None:
    """Commit a generation that says something else about its first segment."""
    directory = Directory(path)
    found = read_generation(directory)
    first, *rest = found.segments
    commit(directory, replace(found, segments=(replace(first, **changes), *rest)))


@pytest.mark.parametrize("deep", [False, True])
def test_a_generation_that_counts_other_documents_is_named(path: Path, deep: bool) -> None:
    change_entry(path, documents=39)
    (found,) = problems(path, deep=deep)
    assert f"{segment(path, 1)}: 40 documents, generation 3 says 39" in found


@pytest.mark.parametrize("dead", [[], [5, 6]], ids=["none", "without the replaced one"])
def test_a_document_that_lives_in_two_segments_is_named(path: Path, dead: list[int]) -> None:
    change_entry(path, dead=np.array(dead, np.int32))
    (found,) = problems(path)
    assert found == f"{segment(path, 2)}: not true: no document lives in two segments"


def test_dead_documents_that_are_none_are_named(path: Path) -> None:
    change_entry(path, dead=np.array([3, 40], np.int32))
    assert f"{segment(path, 1)}: not true: dead documents are documents" in problems(path)


def longer_text(data: SegmentData) -> SegmentData:
    return replace(data, lengths=data.lengths + np.int32(1))


def other_metadata(data: SegmentData) -> SegmentData:
    return replace(data, metadata=Postings.build([[b"x"], []]))


def without_a_passage(data: SegmentData) -> SegmentData:
    passages = data.passages.copy()
    passages[passages[:, 0] == 1, 0] = 0
    return replace(data, passages=passages)


def passages_in_disorder(data: SegmentData) -> SegmentData:
    return replace(data, passages=data.passages[::-1].copy())


def passages_beyond_the_text(data: SegmentData) -> SegmentData:
    return replace(data, passages=data.passages + np.array([0, 0, 1], np.int32))


def wide_vectors(data: SegmentData) -> SegmentData:
    views = [Views(np.zeros((1, 5), np.int8), view.tokens, view.counts) for view in data.views]
    return replace(data, views=views, dimensions=5)


def a_vector_too_few(data: SegmentData) -> SegmentData:
    return replace(data, views=list(data.views)[:-1])


def without_tokens(data: SegmentData) -> SegmentData:
    views = [
        Views(view.dense, np.empty((0, 0), np.int8), np.zeros(len(view.dense), np.int64))
        for view in data.views
    ]
    return replace(data, views=views, token_dimensions=0)


def a_token_too_few(data: SegmentData) -> SegmentData:
    """Leave out that the last passage has tokens at all."""
    *views, last = data.views
    return replace(data, views=[*views, Views(last.dense, last.tokens[:0], last.counts[:0])])


def an_id_twice(data: SegmentData) -> SegmentData:
    return replace(data, ids=["a", "a"])


RULES: dict[str, Callable[[SegmentData], SegmentData]] = {
    "the postings of words add up to the lengths": longer_text,
    "the postings of metadata are those of the documents": other_metadata,
    "every document has a passage": without_a_passage,
    "passages are in order": passages_in_disorder,
    "passages lie in their texts": passages_beyond_the_text,
    "one vector a passage": wide_vectors,
    "one vector a passage ": a_vector_too_few,
    "token vectors as the settings say": without_tokens,
    "token offsets fit the tokens": a_token_too_few,
    "every id is found": an_id_twice,
}


@pytest.mark.parametrize(("rule", "spoil"), RULES.items(), ids=RULES)
def test_a_segment_whose_views_disagree_is_named_with_the_rule(
    tmp_path: Path, rule: str, spoil: Callable[[SegmentData], SegmentData]
) -> None:
    store = Store.create(tmp_path / "c", SETTINGS)
    data = spoil(segment_data([document("a", "cats sleep"), document("b", "dogs bark")]))
    seal = write_segment(store.directory, 1, data, {})
    commit(store.directory, Generation(SETTINGS, 1, (SegmentEntry(1, seal, len(data.ids)),)))
    found = problems(store.path)
    assert f"{segment(store.path, 1)}: not true: {rule.strip()}" in found
    assert problems(store.path, deep=False) == []


def test_documents_that_are_no_json_are_named(tmp_path: Path) -> None:
    store = Store.create(tmp_path / "c", SETTINGS)
    data = segment_data([document("a", "cats sleep"), document("b", "dogs bark")])
    with store.writer() as writer:
        writer.add(replace(data, documents=Texts.of([b"{", document_bytes(document("b", "dogs bark"))])))
    (found,) = problems(store.path)
    assert str(segment(store.path, 1)) in found
