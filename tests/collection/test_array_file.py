import json
import os
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray
from safetensors.numpy import load_file

from shortlist.collection import array_file
from shortlist.collection.array_file import BLOCK, ArrayFile, ArrayFileWriter
from shortlist.collection.checksums import checksums
from shortlist.collection.directory import Directory, File
from shortlist.errors import CollectionDamagedError, CollectionFormatError
from shortlist.scoring.kernels import NUMPY, VARIABLE

from .building import flip_byte

DTYPES = [np.uint8, np.int8, np.uint16, np.int32, np.uint32, np.int64, np.uint64]
Array = NDArray[Any]


def write(path: Path, arrays: Mapping[str, Array | list[Array]], **about: str) -> bytes:
    """Write arrays, whole or in blocks; give the seal."""
    writer = ArrayFileWriter(Directory(path.parent).create(path.name))
    for name, array in arrays.items():
        if isinstance(array, list):
            assert writer.add(name, array[0].dtype, array[0].shape[1:], array) == sum(map(len, array))
        else:
            writer.add_array(name, array)
    return writer.finish(about)


def opened(path: Path, seal: bytes | None = None, **options: Any) -> ArrayFile:
    return ArrayFile(Directory(path.parent).open(path.name), seal, **options)


@st.composite
def arrays_in_blocks(draw: st.DrawFn) -> list[Array]:
    """Blocks of rows of one array: some empty, some many times as long as a block of the file."""
    dtype = np.dtype(draw(st.sampled_from(DTYPES)))
    row = tuple(draw(st.lists(st.integers(1, 5), max_size=2)))
    counts = draw(
        st.lists(st.sampled_from([0, 1, 2, 7, 100, 5000]) | st.integers(0, 3000), min_size=1, max_size=4)
    )
    random = np.random.default_rng(draw(st.integers(0, 9)))
    return [
        random.integers(0, 256, (count, *row, dtype.itemsize), np.uint8).view(dtype)[..., 0]
        for count in counts
    ]


@settings(max_examples=60)
@given(st.dictionaries(st.sampled_from("abcdé"), arrays_in_blocks(), max_size=4), st.data())
def test_what_was_written_is_read_back_whole_and_in_slices(
    tmp_path_factory: pytest.TempPathFactory, blocks: dict[str, list[Array]], data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("array_file") / "a.safetensors"
    seal = write(path, blocks, what="a test", empty="")
    arrays = {name: np.concatenate(parts) for name, parts in blocks.items()}
    file = opened(path, seal)
    assert file.about == {"format": "2", "what": "a test", "empty": ""}
    assert list(file.sections) == list(arrays)
    assert file.seal == seal
    assert file.size == path.stat().st_size
    assert file.damaged_sections() == []
    theirs = load_file(path)
    for name, array in arrays.items():
        section = file.sections[name]
        assert (len(section), section.shape, section.dtype) == (len(array), array.shape, array.dtype)
        np.testing.assert_array_equal(np.asarray(section), array)
        np.testing.assert_array_equal(theirs[name], array)
        first, last = (data.draw(st.none() | st.integers(-6000, 6000)) for _ in range(2))
        np.testing.assert_array_equal(section[first:last], array[first:last])
        cuts = sorted(data.draw(st.lists(st.integers(0, len(array)), max_size=12)))
        cuts = cuts[: len(cuts) // 2 * 2]
        starts, ends = np.array(cuts[::2], np.int64), np.array(cuts[1::2], np.int64)
        expected = [array[:0], *(array[first:last] for first, last in zip(starts, ends, strict=True))]
        np.testing.assert_array_equal(section.gather(starts, ends), np.concatenate(expected))
    assert set(theirs) == {*arrays, "checksums", "seal"}
    file.close()
    file.close()


def test_gathering_takes_ranges_in_order_and_verifies_each_block_of_them(path: Path) -> None:
    section = opened(path).sections["middle"]
    with pytest.raises(ValueError, match="ascend"):
        section.gather(np.array([5, 0]), np.array([6, 1]))
    rows_a_block = BLOCK // section[:1].nbytes
    starts = np.array([1, rows_a_block + 1, 2 * rows_a_block + 1])
    flip_byte(path, section.start + section[: rows_a_block + 1].nbytes)
    with pytest.raises(CollectionDamagedError, match="middle"):
        section.gather(starts, starts + 1)
    np.testing.assert_array_equal(
        section.gather(starts[::2], starts[::2] + 1), section.unverified()[starts[::2]]
    )


@pytest.mark.parametrize("by_numpy", ["writing", "reading"])
def test_files_are_the_same_with_kernels_and_without(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, by_numpy: str
) -> None:
    if by_numpy == "writing":
        monkeypatch.setenv(VARIABLE, NUMPY)
    write(tmp_path / "a.safetensors", ARRAYS)
    monkeypatch.undo()
    if by_numpy == "reading":
        monkeypatch.setenv(VARIABLE, NUMPY)
    file = opened(tmp_path / "a.safetensors")
    assert file.damaged_sections() == []
    section = file.sections["middle"]
    starts = np.arange(0, len(section), 7)
    rows = np.asarray(section)[starts]
    sums = checksums(rows.reshape(-1).view(np.uint8), np.arange(len(rows) + 1) * rows[:1].nbytes)
    np.testing.assert_array_equal(section.gather_checked(starts, starts + 1, sums), rows)
    np.testing.assert_array_equal(section.gather(starts, starts + 1), rows)
    sums[-1] ^= 1
    with pytest.raises(CollectionDamagedError, match="middle"):
        section.gather_checked(starts, starts + 1, sums)
    flip_byte(tmp_path / "a.safetensors", section.start)
    with pytest.raises(CollectionDamagedError, match="middle"):
        section.gather(starts, starts + 1)


@pytest.mark.parametrize("rows", [0, 1, 100, 5000, 20_000])
def test_what_was_written_is_read_back_before_the_file_is_whole(tmp_path: Path, rows: int) -> None:
    array = np.random.default_rng(0).integers(-128, 128, (rows, 3), np.int8)
    writer = ArrayFileWriter(Directory(tmp_path).create("a.safetensors"))
    writer.add_array("before", np.arange(5, dtype=np.uint8))
    writer.add_array("a", array)
    for first, last in ((0, rows), (rows // 2, rows), (rows // 3, rows // 2)):
        np.testing.assert_array_equal(writer.read_back("a", first, last), array[first:last])
    if rows >= 20_000:
        flip_byte(tmp_path / "a.safetensors", 2 * BLOCK + 5)
        with pytest.raises(CollectionDamagedError, match="not as it was written"):
            writer.read_back("a", 0, rows)
        os.truncate(tmp_path / "a.safetensors", 0)
        with pytest.raises(CollectionDamagedError, match="shorter"):
            writer.read_back("a", 0, rows)
    writer.finish({})


def test_a_section_gives_neighbouring_rows_only(path: Path) -> None:
    section = opened(path).sections["middle"]
    with pytest.raises(IndexError, match="neighbouring"):
        _ = section[::2]
    assert np.asarray(section, np.float32).dtype == np.float32


def test_a_section_reads_only_the_blocks_it_needs(path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    section = opened(path).sections["middle"]
    read: list[tuple[int, int]] = []
    really_read = File.read

    def listen(self: File, buffer: Any, offset: int) -> int:
        read.append((offset, len(buffer)))
        return really_read(self, buffer, offset)

    monkeypatch.setattr(File, "read", listen)
    np.testing.assert_array_equal(section[9000:9001], ARRAYS["middle"][9000:9001])
    ((offset, count),) = read
    assert offset % BLOCK == 0
    assert count == BLOCK
    assert section[5:5].shape == (0, 2)
    assert len(read) == 1


ARRAYS: dict[str, Array] = {
    "small": np.arange(100, dtype=np.uint8),
    "middle": np.arange(40_000, dtype=np.int32).reshape(-1, 2),
    "empty": np.empty((0, 3), np.int64),
    "last": np.arange(9000, dtype=np.uint64),
}
MIDDLE = BLOCK + 100
LAST = MIDDLE + 160_000


@pytest.fixture
def path(tmp_path: Path) -> Path:
    """A file of 16 blocks: the header's, four arrays (one is empty), the last block shorter."""
    write(tmp_path / "a.safetensors", ARRAYS, what="a test")
    return tmp_path / "a.safetensors"


@pytest.fixture
def seal(path: Path) -> bytes:
    return opened(path).seal


DAMAGED_WHEN_OPENED = {
    "length of the header": 0,
    "length of the header, high byte": 7,
    "name of an array in the header": 120,
    "padding of the header": 5000,
    "end of the header": BLOCK - 1,
    "first checksum": LAST + 72_000,
    "last checksum": -33,
    "seal": -32,
    "end of the seal": -1,
}
DAMAGED_WHEN_READ = {
    "start of the first array": (BLOCK, {"small", "middle"}),  # a block may hold the parts of two arrays
    "end of the first array": (MIDDLE - 1, {"small", "middle"}),
    "inside the second array": (MIDDLE + 3 * BLOCK, {"middle"}),
    "end of the second array": (LAST - 1, {"middle", "last"}),
    "inside the last array": (LAST + 2 * BLOCK, {"last"}),
    "end of the last array": (LAST + 72_000 - 1, {"last"}),
}


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize("at", DAMAGED_WHEN_OPENED.values(), ids=DAMAGED_WHEN_OPENED)
def test_a_flipped_bit_around_the_arrays_is_noticed_when_the_file_is_opened(
    path: Path, at: int, bit: int
) -> None:
    flip_byte(path, at, 1 << bit)
    with pytest.raises(CollectionDamagedError, match=str(path)) as caught:
        opened(path)
    assert "shortlist repair" in caught.value.hint


@pytest.mark.parametrize("bit", range(8))
@pytest.mark.parametrize(("at", "named"), DAMAGED_WHEN_READ.values(), ids=DAMAGED_WHEN_READ)
def test_a_flipped_bit_in_an_array_is_noticed_when_it_is_read_and_the_array_is_named(
    path: Path, seal: bytes, at: int, named: set[str], bit: int
) -> None:
    flip_byte(path, at, 1 << bit)
    file = opened(path, seal)
    assert set(file.damaged_sections()) == named
    for name, section in file.sections.items():
        if name in named:
            with pytest.raises(CollectionDamagedError, match=f"{path}: {name}: its checksum"):
                _ = section[:]
        else:
            np.testing.assert_array_equal(section[:], ARRAYS[name])


@settings(max_examples=200)
@given(st.data())
def test_no_single_flipped_bit_goes_unnoticed(
    tmp_path_factory: pytest.TempPathFactory, data: st.DataObject
) -> None:
    path = tmp_path_factory.mktemp("flip") / "a.safetensors"
    seal = write(path, ARRAYS)
    size = path.stat().st_size
    flip_byte(path, data.draw(st.integers(0, size - 1)), 1 << data.draw(st.integers(0, 7)))
    with pytest.raises(CollectionDamagedError, match=str(path)):
        read_whole(opened(path, seal))


def read_whole(file: ArrayFile) -> None:
    for section in file.sections.values():
        _ = section[:]


def test_a_version_that_damage_made_is_not_taken_for_a_newer_one(path: Path) -> None:
    at = path.read_bytes().index(b'"format": "2"') + len(b'"format": "')
    for bits in (1, 4, 0x0B):
        flip_byte(path, at, bits)
        with pytest.raises(CollectionDamagedError, match="header: its checksum"):
            opened(path)
        flip_byte(path, at, bits)


CUTS = {
    "nothing left": 0,
    "inside the header": 1000,
    "after the header": BLOCK,
    "between blocks": 5 * BLOCK,
    "inside a block": 6 * BLOCK + 77,
    "inside the checksums": -40,
    "the last byte": -1,
}


@pytest.mark.parametrize("cut", CUTS.values(), ids=CUTS)
def test_a_truncated_file_is_named(path: Path, cut: int) -> None:
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(CollectionDamagedError, match=str(path)):
        opened(path)


@pytest.mark.parametrize("more", [1, 32, BLOCK, BLOCK + 4])
@pytest.mark.parametrize("where", ["before", "after"])
def test_a_file_that_has_grown_is_named(path: Path, more: int, where: str) -> None:
    content = path.read_bytes()
    path.write_bytes(content + bytes(more) if where == "after" else bytes(more) + content)
    with pytest.raises(CollectionDamagedError, match=str(path)):
        opened(path)


def test_a_file_that_shrinks_while_it_is_open_is_named(path: Path) -> None:
    file = opened(path)
    os.truncate(path, LAST)
    np.testing.assert_array_equal(file.sections["small"][:], ARRAYS["small"])
    with pytest.raises(CollectionDamagedError, match="last: has become shorter"):
        _ = file.sections["last"][:]


def test_exchanged_blocks_are_noticed(path: Path) -> None:
    content = path.read_bytes()
    blocks = [content[start : start + BLOCK] for start in range(0, len(content), BLOCK)]
    blocks[3], blocks[4] = blocks[4], blocks[3]
    path.write_bytes(b"".join(blocks))
    assert opened(path).damaged_sections() == ["middle"]


def test_another_whole_file_in_its_place_is_noticed_by_its_seal(path: Path, seal: bytes) -> None:
    path.unlink()
    other = write(path, ARRAYS | {"small": np.arange(1, 101, dtype=np.uint8)}, what="a test")
    assert other != seal
    assert opened(path).damaged_sections() == [], "by itself it is whole"
    with pytest.raises(CollectionDamagedError, match="is not the file that was committed, but another one"):
        opened(path, seal)
    with pytest.raises(CollectionDamagedError, match="another one"):
        opened(path, seal, lenient=True)


def test_the_same_content_has_the_same_seal(path: Path, seal: bytes, tmp_path: Path) -> None:
    in_blocks = {name: [array[:7], array[7:7], array[7:]] for name, array in ARRAYS.items()}
    assert write(tmp_path / "b.safetensors", in_blocks, what="a test") == seal
    assert (tmp_path / "b.safetensors").read_bytes() == path.read_bytes()


def test_a_lenient_reader_believes_what_its_own_checksum_confirms(path: Path, seal: bytes) -> None:
    flip_byte(path, -1)
    flip_byte(path, LAST + 2 * BLOCK)
    with pytest.raises(CollectionDamagedError):
        opened(path, seal)
    file = opened(path, seal, lenient=True)
    assert file.damaged_sections() == ["last"]
    np.testing.assert_array_equal(file.sections["last"][-10:], ARRAYS["last"][-10:])


def newer(path: Path, version: object, monkeypatch: pytest.MonkeyPatch) -> None:
    path.unlink(missing_ok=True)
    with monkeypatch.context() as patch:
        patch.setattr(array_file, "FORMAT", version)
        write(path, ARRAYS, made_by="9.9")


@pytest.mark.parametrize("damage", [None, -1, BLOCK + 5], ids=["whole", "seal", "array"])
def test_a_newer_format_is_refused_by_name_even_if_its_file_is_built_otherwise(
    path: Path, monkeypatch: pytest.MonkeyPatch, damage: int | None
) -> None:
    newer(path, 3, monkeypatch)
    if damage is not None:
        flip_byte(path, damage)
    with pytest.raises(
        CollectionFormatError, match=r"format 3, written by shortlist 9\.9; .* up to 2"
    ) as caught:
        opened(path)
    assert "pip install --upgrade" in caught.value.hint


def test_a_newer_format_of_another_length_is_refused_by_name(
    path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    newer(path, 3, monkeypatch)
    path.write_bytes(path.read_bytes()[:-1000])
    with pytest.raises(CollectionFormatError, match="format 3"):
        opened(path)


@pytest.mark.parametrize("version", ["two", None, [1], ""])
def test_a_format_that_is_no_number_is_not_taken_for_a_newer_one(
    path: Path, monkeypatch: pytest.MonkeyPatch, version: object
) -> None:
    newer(path, version, monkeypatch)
    assert opened(path).damaged_sections() == []


def spoiled_headers() -> Iterator[Any]:
    """Headers that a file with right checksums may have, and only a bad program writes."""
    good: dict[str, dict[str, object]] = {"a": {"dtype": "U8", "shape": [8], "data_offsets": [0, 8]}}
    yield "a list", []
    yield "no metadata", {"a": good["a"]}
    yield "metadata of another kind", {"__metadata__": 7, **good}
    yield "no arrays", {"__metadata__": {"format": "2"}}
    changes: dict[str, dict[str, object]] = {
        "unknown dtype": {"dtype": "F8"},
        "no dtype": {"dtype": None},
        "negative shape": {"shape": [-8]},
        "no shape": {"shape": []},
        "shape of words": {"shape": ["8"]},
        "nested shape": {"shape": [[8]]},
        "huge shape": {"shape": [2**62, 2**62]},
        "another place": {"data_offsets": [1, 9]},
        "no place": {"data_offsets": None},
    }
    for what, change in changes.items():
        yield what, {"__metadata__": {"format": "2"}, "a": good["a"] | change}
    yield "an array that is none", {"__metadata__": {"format": "2"}, "a": 5}


def write_with_header(path: Path, header: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Write a file that is whole but for the sense of its header."""
    real = json.dumps
    with monkeypatch.context() as patch:
        patch.setattr(json, "dumps", lambda _, **__: real(header))
        write(path, {"a": np.arange(8, dtype=np.uint8)})


def test_a_newer_format_with_arrays_of_new_kinds_is_refused_by_name(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    array = {"dtype": "F16", "shape": [4], "data_offsets": [0, 8]}
    write_with_header(tmp_path / "a", {"__metadata__": {"format": "3"}, "a": array}, monkeypatch)
    with pytest.raises(CollectionFormatError, match="format 3, written by shortlist a newer version"):
        opened(tmp_path / "a")


@pytest.mark.parametrize("header", [pytest.param(h, id=i) for i, h in spoiled_headers()])
def test_a_header_that_makes_no_sense_is_damage(
    tmp_path: Path, header: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    write_with_header(tmp_path / "a", header, monkeypatch)
    with pytest.raises(CollectionDamagedError, match=str(tmp_path / "a")):
        opened(tmp_path / "a")


def test_rows_of_another_shape_are_refused(tmp_path: Path) -> None:
    writer = ArrayFileWriter(Directory(tmp_path).create("a"))
    with pytest.raises(ValueError, match=r"vectors: rows of shape \(3,\), expected \(4,\)"):
        writer.add("vectors", np.int8, (4,), [np.zeros((2, 3), np.int8)])


def test_a_header_that_does_not_fit_is_refused(tmp_path: Path) -> None:
    writer = ArrayFileWriter(Directory(tmp_path).create("a"))
    with pytest.raises(ValueError, match="16376 fit"):
        writer.finish({"what": "x" * 17_000})


def test_a_write_that_the_system_takes_in_parts_is_whole(
    path: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    some = File.write_some
    monkeypatch.setattr(File, "write_some", lambda self, data, offset: some(self, data[:999], offset))
    write(tmp_path / "b", ARRAYS, what="a test")
    assert (tmp_path / "b").read_bytes() == path.read_bytes()
