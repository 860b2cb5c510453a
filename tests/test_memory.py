"""A limit of memory: what fits into it is kept, what doesn't is read for every search or refused."""

import shutil
from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, CollectionError, DataError, Document, ShortlistError
from shortlist.collection import Store, sign_bits
from shortlist.indexing import indexer
from shortlist.memory import PROGRAM_BYTES, as_bytes
from shortlist.search import ANY_SIZE
from shortlist.search.scorers import nearest
from tests.search.corpus import QUERIES, documents


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("memory") / "c"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(sign_bits, "BITS_FROM_PASSAGES", 10)
        with Collection.create(folder) as made:
            made.add(documents())
            made.delete([documents()[3].doc_id])
    return folder


def kept(path: Path) -> int:
    with Store(path).snapshot() as snapshot:
        return sum(segment.kept_bytes for segment in snapshot.segments)


@pytest.mark.parametrize("name", [*ANY_SIZE, "dense(recall=0.9)", "hybrid, rank by rank"])
def test_a_search_finds_the_same_where_vectors_are_read_every_time(
    path: Path, name: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    pipeline = "fuse(bm25, dense, method='rrf')" if "," in name else name
    monkeypatch.setattr("shortlist.collection.segment._VECTORS_AT_ONCE", 7)
    for constant in ("LEAST", "SIGNS_SHARE", "READ_SHARE"):  # so that signs are looked at in so few
        monkeypatch.setattr(nearest, constant, 1)
    with Collection.open(path) as free, Collection.open(path, memory=PROGRAM_BYTES + kept(path)) as limited:
        for query in QUERIES:
            for condition in (None, 'topic = "sky"'):
                results = [
                    one.search(query, 20, pipeline=pipeline, condition=condition) for one in (limited, free)
                ]
                ours, theirs = ([(hit.doc_id, hit.score) for hit, _ in result] for result in results)
                assert ours == theirs
        with limited._searching() as searcher:
            (segment,) = searcher.snapshot.segments
            assert not segment.keeps_vectors
            assert "dense" not in vars(segment)


def test_vectors_are_kept_where_they_fit(path: Path) -> None:
    with Store(path).snapshot() as snapshot:
        vectors = snapshot.segments[0].sizes["dense"]
    with Store(path).snapshot(PROGRAM_BYTES + kept(path) + vectors) as snapshot:
        assert snapshot.segments[0].keeps_vectors
    with Store(path).snapshot(PROGRAM_BYTES + kept(path) + vectors - 1) as snapshot:
        assert not snapshot.segments[0].keeps_vectors


def test_less_than_a_search_needs_is_refused_with_an_estimate(path: Path) -> None:
    with Collection.open(path, memory="50MB") as collection:
        with pytest.raises(
            CollectionError, match=r"needs about 22\d MB of memory, the limit is 50.0 MB"
        ) as error:
            collection.search("salt")
        assert "raise the limit" in error.value.hint
        assert collection.info().documents == len(documents()) - 1  # no search


def test_segments_are_not_joined_in_less_than_it_takes(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", memory="400MB") as collection:
        for number in range(9):
            collection.add([Document(str(number), f"text number {number}")])
        assert collection.info().segments == 9
        with pytest.raises(CollectionError, match="joining segments needs about"):
            collection.compact()
        assert collection.check(deep=True) == []
    with Collection.open(tmp_path / "c", memory="1GB") as collection:
        assert collection.compact()
        assert collection.info().segments == 1


def test_commits_are_as_small_as_the_limit_wants(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(indexer, "LEAST_BYTES", 60)
    monkeypatch.setattr(indexer, "BYTES_AN_ID", 0)
    monkeypatch.setattr(indexer, "BYTES_A_BYTE", 10_000)  # so that the few ids that are there don't count
    room = PROGRAM_BYTES + indexer.ENCODING_BYTES + 100 * indexer.BYTES_A_BYTE + 9_000
    few = [Document(str(number), "x" * 40) for number in range(5)]
    with Collection.create(tmp_path / "c", memory=room) as collection:
        report = collection.add([*few, Document("long", "x" * 101), Document("last", "x" * 100)])
        assert (report.added, report.commits, report.rejected) == (6, 4, 1)
        assert "id 'long' needs about 381 MB of memory" in str(report.problems[0])
        assert collection.info().documents == 6
        with pytest.raises(DataError, match="1 bad of 2 records; nothing was committed"):
            collection.add([Document("other", "é" * 50), Document("umlauts", "é" * 51)], strict=True)
        again = collection.add([Document("0", "y" * 40), Document("0", "x" * 101)])
        assert (again.replaced, again.duplicates, again.rejected) == (1, 0, 1)
        assert collection.info().documents == 6
    monkeypatch.setattr(indexer, "BYTES_AN_ID", 150_000)
    with Collection.create(tmp_path / "e", memory=room) as collection:
        with pytest.raises(CollectionError, match="adding documents needs about 381 MB"):
            collection.add(few)
        assert collection.info().documents == 2  # the ids of more are too many
    with Collection.create(tmp_path / "d", memory=room - 41 * indexer.BYTES_A_BYTE) as collection:
        with pytest.raises(CollectionError, match="adding documents needs about 381 MB of memory") as refused:
            collection.add(few)
        assert "raise the limit" in refused.value.hint
        assert collection.info().documents == 0


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("4GB", 4e9),
        ("500 mb", 5e8),
        ("500M", 5e8),
        ("2g", 2e9),
        ("1.5GiB", 1.5 * 2**30),
        ("123", 123),
        (77, 77),
        (None, None),
    ],
)
def test_limits_are_written_as_people_write_sizes(text: str | int | None, expected: float | None) -> None:
    assert as_bytes(text) == expected


@pytest.mark.parametrize(
    "text", ["", "GB", "-1GB", "4 XB", "4GB!", "0", 0, -5, True, "1e9", "٤GB", "9" * 400, "1" * 20 + "TB"]
)
def test_what_is_no_limit_is_refused(text: str | int, tmp_path: Path) -> None:
    with pytest.raises(ShortlistError, match="limit of memory"):
        Collection.create(tmp_path / "c", memory=text)
    assert not (tmp_path / "c").exists()


def test_a_damaged_vector_is_noticed_where_it_is_read_by_itself(path: Path, tmp_path: Path) -> None:
    copy = tmp_path / "c"
    shutil.copytree(path, copy)
    with Store(copy).snapshot(PROGRAM_BYTES + kept(copy)) as snapshot:
        segment = snapshot.segments[0]
        rows = np.array([3, 5, 40])
        before = segment.dense_rows(rows)
        tokens, _ = segment.token_rows(rows)
        for name, row in (("dense", 5), ("tokens", int(segment.token_offsets[40]))):
            section = segment.file.sections[name]
            at = section.start + row * section.shape[1]
            with segment.file.path.open("r+b") as file:
                file.seek(at)
                byte = file.read(1)
                file.seek(at)
                file.write(bytes([byte[0] ^ 1]))
        for read in (segment.dense_rows, segment.token_rows):
            with pytest.raises(CollectionError, match="checksum"):
                read(rows)
        sound = np.array([3, 6, 30])
        np.testing.assert_array_equal(segment.dense_rows(sound)[0], before[0])
        np.testing.assert_array_equal(
            segment.token_rows(sound)[0][: len(tokens) // 9], tokens[: len(tokens) // 9]
        )
