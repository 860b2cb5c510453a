import contextlib
import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from shortlist.collection import Postings, Segment, SegmentData
from shortlist.collection.segment import merge_segments, write_segment
from shortlist.errors import CollectionDamagedError

from .building import document, flip_byte, segment_data

DOCUMENTS = [
    document("a", "Cats sleep."),
    document("b", "Dogs bark and bark."),
    document("c", "the"),
    document("d", "Cats and dogs."),
]
FILES = (
    "rows", "lengths",
    "digests", "passages", "terms", "term_offsets", "posting_offsets", "documents", "frequencies",
    "dense", "tokens", "token_offsets",
)  # fmt: skip


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, str]:
    folder = tmp_path_factory.mktemp("segments") / "00000001"
    return folder, write_segment(folder, segment_data(DOCUMENTS, [3, 4, 7, 9]))


@pytest.fixture
def segment(written: tuple[Path, str], tmp_path: Path) -> tuple[Path, str]:
    """A copy that a test may damage."""
    shutil.copytree(written[0], tmp_path / "00000001")
    return tmp_path / "00000001", written[1]


def arrays(segment: Segment | SegmentData) -> dict[str, Any]:
    names = ("rows", "lengths", "digests", "passages", "dense", "tokens", "token_offsets")
    postings = {name: getattr(segment.postings, name) for name in FILES[4:9]}
    return {**{name: getattr(segment, name) for name in names}, **postings}


def assert_same(segment: Segment, data: SegmentData) -> None:
    for (name, found), wanted in zip(arrays(segment).items(), arrays(data).values(), strict=True):
        np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert found.dtype == wanted.dtype, name


def test_what_was_written_is_read_back(written: tuple[Path, str]) -> None:
    segment = Segment(*written)
    assert_same(segment, segment_data(DOCUMENTS, [3, 4, 7, 9]))
    assert segment.has_tokens
    assert segment.first_passages.tolist() == [0, 2, 4, 6, 8]
    assert list(segment.damaged_files()) == []
    assert segment.sizes == {
        path.name: path.stat().st_size for path in segment.folder.iterdir() if path.name != "manifest.json"
    }
    assert set(segment.sizes) == {f"{name}.npy" for name in FILES}


def test_numpy_reads_every_file_by_itself(written: tuple[Path, str]) -> None:
    data = arrays(segment_data(DOCUMENTS, [3, 4, 7, 9]))
    for name in FILES:
        np.testing.assert_array_equal(np.load(written[0] / f"{name}.npy", allow_pickle=False), data[name])


def test_vectors_may_come_in_blocks(tmp_path: Path) -> None:
    data = segment_data(DOCUMENTS, range(4))
    assert isinstance(data.dense, np.ndarray)
    assert isinstance(data.tokens, np.ndarray)

    def blocks(array: Any) -> Iterator[Any]:
        yield array[:0]
        yield from (array[start : start + 3] for start in range(0, len(array), 3))

    in_blocks = replace(data, dense=blocks(data.dense), tokens=blocks(data.tokens))
    assert_same(Segment(tmp_path / "1", write_segment(tmp_path / "1", in_blocks)), data)


def test_documents_without_terms_make_a_segment_without_vocabulary(tmp_path: Path) -> None:
    data = segment_data([document("a", "the"), document("b", "?!")], [0, 1])
    segment = Segment(tmp_path / "1", write_segment(tmp_path / "1", data))
    assert_same(segment, data)
    assert segment.postings.find("cat") is None


def test_a_segment_can_leave_the_token_view_out(tmp_path: Path) -> None:
    data = segment_data(DOCUMENTS, range(4), with_tokens=False)
    segment = Segment(tmp_path / "1", write_segment(tmp_path / "1", data))
    assert not segment.has_tokens
    assert "tokens.npy" not in segment.sizes
    np.testing.assert_array_equal(segment.dense, data.dense)


def test_an_existing_folder_is_never_written_into(segment: tuple[Path, str]) -> None:
    before = {path: path.read_bytes() for path in segment[0].iterdir()}
    with pytest.raises(FileExistsError):
        write_segment(segment[0], segment_data(DOCUMENTS, range(4)))
    assert {path: path.read_bytes() for path in segment[0].iterdir()} == before


@pytest.mark.parametrize("name", [*(f"{name}.npy" for name in FILES), "manifest.json"])
@pytest.mark.parametrize("damage", ["missing", "truncated", "longer"])
def test_a_file_of_another_size_is_named_when_the_segment_is_opened(
    segment: tuple[Path, str], name: str, damage: str
) -> None:
    path = segment[0] / name
    content = path.read_bytes()
    path.unlink()
    if damage != "missing":
        path.write_bytes(content[:-1] if damage == "truncated" else content + b"\0")
    with pytest.raises(CollectionDamagedError, match=name) as caught:
        Segment(*segment)
    assert caught.value.hint


@pytest.mark.parametrize("name", FILES)
def test_a_flipped_byte_is_found_and_its_file_named(segment: tuple[Path, str], name: str) -> None:
    path = segment[0] / f"{name}.npy"
    flip_byte(path, path.stat().st_size - 1)
    assert list(Segment(*segment).damaged_files()) == [f"{name}.npy"]


def test_a_flipped_byte_in_the_manifest_is_found_when_the_segment_is_opened(
    segment: tuple[Path, str],
) -> None:
    flip_byte(segment[0] / "manifest.json", 20)
    with pytest.raises(CollectionDamagedError, match=r"manifest\.json: is not the one that was committed"):
        Segment(*segment)


def test_a_missing_folder_is_named(tmp_path: Path) -> None:
    with pytest.raises(CollectionDamagedError, match="00000009"):
        Segment(tmp_path / "00000009", "")


@pytest.mark.parametrize("at", range(0, 128, 3))
def test_a_damaged_array_header_is_an_error_of_ours_or_gives_an_array(
    segment: tuple[Path, str], at: int
) -> None:
    flip_byte(segment[0] / "rows.npy", at)
    with contextlib.suppress(CollectionDamagedError):
        assert isinstance(Segment(*segment).rows, np.ndarray)


def test_merged_segments_are_the_segment_of_what_lives(tmp_path: Path) -> None:
    parts = [
        Segment(tmp_path / str(n), write_segment(tmp_path / str(n), segment_data(documents, rows)))
        for n, (documents, rows) in enumerate([(DOCUMENTS, [3, 4, 7, 9]), (DOCUMENTS[:2], [11, 12])])
    ]
    live = [np.array([True, False, False, True]), np.array([False, True])]
    merged = tmp_path / "merged"
    segment = Segment(merged, write_segment(merged, merge_segments(parts, live)))
    assert_same(segment, segment_data([DOCUMENTS[0], DOCUMENTS[3], DOCUMENTS[1]], [3, 9, 12]))


def test_merging_keeps_the_token_view_out_where_it_was_left_out(tmp_path: Path) -> None:
    data = segment_data(DOCUMENTS, range(4), with_tokens=False)
    part = Segment(tmp_path / "1", write_segment(tmp_path / "1", data))
    merged = merge_segments([part], [np.array([True, True, False, True])])
    segment = Segment(tmp_path / "2", write_segment(tmp_path / "2", merged))
    assert not segment.has_tokens
    assert segment.rows.tolist() == [0, 1, 3]
    assert isinstance(segment.postings, Postings)
