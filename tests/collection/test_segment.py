import shutil
from collections.abc import Iterator
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from safetensors.numpy import load_file

from shortlist.collection import Postings, Segment, SegmentData, Texts, Views, document_bytes
from shortlist.collection.directory import Directory
from shortlist.collection.segment import id_hashes
from shortlist.collection.segment_data import merge_segments, write_segment
from shortlist.errors import CollectionDamagedError
from shortlist.types import Document

from .building import document, flip_byte, segment_data

DOCUMENTS = [
    document("a", "Cats sleep."),
    document("b", "Dogs bark and bark.", lang="en", tag=["x", "y"]),
    document("c", "the"),
    document("größe", "Cats and dogs.", year=2020),
]
POSTINGS = [field.name for field in fields(Postings)]
SECTIONS = [
    "tokens", "token_offsets", "token_checksums", "dense", "dense_checksums", "passages", "documents",
    "document_offsets", "document_checksums", "ids", "id_offsets",
    "id_hashes", "id_order", "lengths", *(f"{kind}_{name}" for kind in ("words", "metadata") for name in POSTINGS),
]  # fmt: skip


def write(path: Path, data: SegmentData, number: int = 1) -> Segment:
    """Write a segment and open it."""
    directory = Directory(path)
    directory.make_folder("segments")
    return Segment(directory, number, write_segment(directory, number, data, {"segment": str(number)}))


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Segment:
    return write(tmp_path_factory.mktemp("written"), segment_data(DOCUMENTS))


@pytest.fixture
def copy(written: Segment, tmp_path: Path) -> Path:
    """A copy that a test may damage."""
    (tmp_path / "segments").mkdir()
    return Path(shutil.copy(written.file.path, tmp_path / "segments"))


def reopened(copy: Path, written: Segment) -> Segment:
    return Segment(Directory(copy.parent.parent), 1, written.file.seal)


def assert_same(segment: Segment, data: SegmentData) -> None:
    views = list(data.views)
    expected: dict[str, Any] = {
        "lengths": data.lengths,
        "passages": data.passages,
        "dense": np.concatenate([v.dense for v in views]),
        "documents": np.concatenate([np.empty(0, np.uint8), *data.documents.blocks]),
        **{f"words_{name}": getattr(data.words, name) for name in POSTINGS},
        **{f"metadata_{name}": getattr(data.metadata, name) for name in POSTINGS},
    }
    if data.token_dimensions:
        expected["tokens"] = np.concatenate([v.tokens for v in views])
        expected["token_offsets"] = np.cumsum([0, *np.concatenate([v.counts for v in views])])
    for name, wanted in expected.items():
        found = segment.file.sections[name]
        np.testing.assert_array_equal(found[:], wanted, err_msg=name)
        assert found.dtype == wanted.dtype, name
    assert [segment.doc_id(number) for number in range(len(segment))] == list(data.ids)


def test_what_was_written_is_read_back(written: Segment) -> None:
    data = segment_data(DOCUMENTS)
    assert_same(written, data)
    assert [name for name in written.file.sections if not name.startswith(("padding", "header"))] == SECTIONS
    assert [written.document(number) for number in range(4)] == DOCUMENTS
    assert [written.document_bytes(number) for number in range(4)] == list(map(document_bytes, DOCUMENTS))
    assert (len(written), written.passage_count, written.has_tokens) == (4, 8, True)
    assert written.first_passages.tolist() == [0, 2, 4, 6, 8]
    assert written.damaged_sections() == []
    assert sum(written.sizes.values()) == written.file.path.stat().st_size
    assert set(written.sizes) == {*SECTIONS, "frame"}


def test_any_safetensors_reader_reads_it(written: Segment) -> None:
    theirs = load_file(written.file.path)
    for name, section in written.file.sections.items():
        np.testing.assert_array_equal(theirs[name], section[:], err_msg=name)
    assert theirs["dense"].dtype == np.int8


def test_arrays_that_are_kept_can_not_be_written_to(written: Segment) -> None:
    with pytest.raises(ValueError, match="read-only"):
        written.lengths[0] = 7


TEXTS = st.text(st.characters(exclude_categories=["Cs"]))
METADATA = st.dictionaries(
    TEXTS.filter(bool), TEXTS | st.integers(-(2**63), 2**63 - 1) | st.booleans() | st.lists(TEXTS, max_size=3)
)


@settings(max_examples=50)
@given(st.lists(st.builds(Document, TEXTS, TEXTS, TEXTS, METADATA), max_size=5, unique_by=lambda d: d.doc_id))
def test_any_document_comes_back_as_it_was(
    tmp_path_factory: pytest.TempPathFactory, documents: list[Document]
) -> None:
    segment = write(tmp_path_factory.mktemp("any"), segment_data(documents))
    found = [segment.document(number) for number in range(len(segment))]
    assert found == documents
    assert [document_bytes(document) for document in found] == [document_bytes(d) for d in documents]
    doc_ids = [document.doc_id for document in documents]
    assert segment.find(doc_ids, id_hashes(doc_ids)).tolist() == list(range(len(documents)))


@settings(max_examples=50)
@given(
    st.sets(st.integers(0, 99), max_size=40), st.lists(st.integers(0, 99), max_size=20), st.integers(1, 50)
)
def test_ids_are_found_however_their_hashes_collide(
    tmp_path_factory: pytest.TempPathFactory, known: set[int], asked: list[int], buckets: int
) -> None:
    def collide(doc_ids: Any) -> Any:
        return np.array([int(doc_id) % buckets for doc_id in doc_ids], np.uint64)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("shortlist.collection.segment_data.id_hashes", collide)
        doc_ids = [str(number) for number in known]
        documents = [document(doc_id, "x") for doc_id in doc_ids]
        segment = write(tmp_path_factory.mktemp("collide"), segment_data(documents))
    found = segment.find([str(number) for number in asked], collide(asked))
    assert found.tolist() == [doc_ids.index(str(n)) if n in known else -1 for n in asked]


def test_vectors_may_come_in_blocks(tmp_path: Path) -> None:
    data = segment_data(DOCUMENTS)
    views = list(data.views)

    def blocks() -> Iterator[Views]:
        yield Views._make(part[:0] for part in views[0])
        for start in range(0, len(views), 3):
            some = views[start : start + 3]
            yield Views._make(np.concatenate(parts) for parts in zip(*some, strict=True))

    one, other = write(tmp_path / "one", replace(data, views=blocks())), write(tmp_path / "other", data)
    assert_same(one, data)
    assert one.file.seal == other.file.seal


def test_documents_without_terms_make_a_segment_without_vocabulary(tmp_path: Path) -> None:
    data = segment_data([document("a", "the"), document("b", "?!")])
    segment = write(tmp_path, data)
    assert_same(segment, data)
    assert segment.words.find("cat") is None


def test_a_segment_can_leave_the_token_view_out(tmp_path: Path) -> None:
    data = segment_data(DOCUMENTS, with_tokens=False)
    segment = write(tmp_path, data)
    assert_same(segment, data)
    assert not segment.has_tokens
    assert "tokens" not in segment.sizes
    with pytest.raises(CollectionDamagedError, match="holds no tokens"):
        _ = segment.tokens


def test_an_existing_file_is_never_written_over(copy: Path) -> None:
    before = copy.read_bytes()
    with pytest.raises(FileExistsError):
        write_segment(Directory(copy.parent.parent), 1, segment_data(DOCUMENTS), {})
    assert copy.read_bytes() == before


def test_a_segment_that_fails_to_be_written_leaves_nothing(tmp_path: Path) -> None:
    def fail() -> Iterator[Any]:
        yield np.zeros(20, np.uint8)
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        write(
            tmp_path,
            replace(segment_data(DOCUMENTS), documents=Texts(np.array([20]), np.zeros(1, np.uint32), fail())),
        )
    assert list((tmp_path / "segments").iterdir()) == []


@pytest.mark.parametrize("name", SECTIONS)
def test_a_flipped_byte_is_found_and_its_section_named(copy: Path, written: Segment, name: str) -> None:
    section = written.file.sections[name]
    flip_byte(copy, section.start)
    assert name in reopened(copy, written).damaged_sections()


def test_a_missing_file_is_an_error_of_the_system(tmp_path: Path) -> None:
    (tmp_path / "segments").mkdir()
    with pytest.raises(FileNotFoundError, match="00000009"):
        Segment(Directory(tmp_path), 9, None)


def test_the_file_of_another_segment_is_refused(copy: Path, written: Segment, tmp_path: Path) -> None:
    other = write(tmp_path, segment_data(DOCUMENTS), 2)
    assert other.file.seal != written.file.seal, "the number is part of what is sealed"
    shutil.copy(other.file.path, copy)
    with pytest.raises(CollectionDamagedError, match=f"{copy}: is not the file that was committed"):
        reopened(copy, written)


def test_merged_segments_are_the_segment_of_what_lives(tmp_path: Path) -> None:
    parts = [
        write(tmp_path, segment_data(documents), number)
        for number, documents in enumerate([DOCUMENTS, [document("b", "Again."), document("e", "New.")]])
    ]
    live = [np.array([True, False, False, True]), np.array([False, True])]
    segment = write(tmp_path, merge_segments(parts, live), 2)
    assert_same(segment, segment_data([DOCUMENTS[0], DOCUMENTS[3], document("e", "New.")]))


PART = st.lists(
    st.tuples(st.sampled_from(["", "cat", "the dog sleeps"]), st.booleans()), min_size=1, max_size=5
)


@settings(max_examples=25)
@given(st.lists(PART, min_size=1, max_size=3), st.booleans())
def test_merging_is_the_same_as_indexing_what_is_left(
    tmp_path_factory: pytest.TempPathFactory, shape: list[list[tuple[str, bool]]], with_tokens: bool
) -> None:
    path = tmp_path_factory.mktemp("merge")
    named = [
        [(document(f"{p}-{d}", text, part=p), lives) for d, (text, lives) in enumerate(part)]
        for p, part in enumerate(shape)
    ]
    parts = [
        write(path, segment_data([d for d, _ in part], with_tokens=with_tokens), number)
        for number, part in enumerate(named)
    ]
    live = [np.array([lives for _, lives in part]) for part in named]
    left = [d for part in named for d, lives in part if lives]
    if left:
        merged = write(path, merge_segments(parts, live), 9)
        assert_same(merged, segment_data(left, with_tokens=with_tokens))
        assert merged.has_tokens == with_tokens
