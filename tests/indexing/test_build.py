"""A first build that is interrupted is gone on with; an open collection in other processes."""

import multiprocessing
import os
import shutil
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import pytest

from shortlist.api import Collection
from shortlist.collection.directory import Directory
from shortlist.errors import (
    CollectionBusyError,
    CollectionError,
    CollectionExistsError,
    CollectionNotFoundError,
    CollectionStorageError,
    DataError,
)
from shortlist.formats import Source
from shortlist.indexing import indexer
from shortlist.models import Encoder, Views
from shortlist.types import Document
from tests.conftest import MakeCollection

FORK = multiprocessing.get_context("fork")
DOCUMENTS = [Document(f"d{number:02}", f"Text {number} about cats.") for number in range(20)]


class Failing:
    """An encoder that raises when it is asked for the third time."""

    def __init__(self, encoder: Encoder, error: BaseException | None = None) -> None:
        self._encoder = encoder
        self._error = error
        self.encoded = 0
        self.calls = 0

    def __getattr__(self, name: str) -> Any:
        return getattr(self._encoder, name)

    def views(self, texts: Sequence[str], **options: Any) -> Views:
        self.calls += 1
        if self._error and self.calls == 3:
            raise self._error
        self.encoded += len(texts)
        return self._encoder.views(texts, **options)


Load = Callable[..., Failing]


@pytest.fixture(autouse=True)
def load(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> Load:
    """Say which encoder is loaded from now on."""
    monkeypatch.setattr(indexer, "DOCUMENTS_A_COMMIT", 4)

    def make(error: BaseException | None = None) -> Failing:
        made = Failing(encoder, error)
        monkeypatch.setattr(Encoder, "load", lambda *_, **__: made)
        return made

    make()
    return make


def source(name: str = "articles.jsonl", documents: Sequence[Document] = DOCUMENTS) -> Source:
    return Source(name, len(documents), lambda: iter(documents))


class TestBuilding:
    def test_a_build_is_a_collection_with_all_documents(self, tmp_path: Path) -> None:
        collection, report = Collection.build(tmp_path / "c", source())
        with collection:
            assert (report.added, report.commits, collection.count()) == (20, 5, 20)
            assert collection.info().unfinished == ""
            assert collection.check(deep=True) == []

    @pytest.mark.parametrize(
        "error", [KeyboardInterrupt(), DataError("a bad vector"), OSError(5, "I/O error")]
    )
    def test_a_build_that_fails_half_way_is_gone_on_with_and_repeats_no_commit(
        self, tmp_path: Path, load: Load, error: BaseException
    ) -> None:
        first = load(error)
        with pytest.raises((type(error), CollectionStorageError)):
            Collection.build(tmp_path / "c", source())
        with Collection.open(tmp_path / "c") as collection:
            assert collection.info().unfinished == "articles.jsonl"
            assert collection.count() == first.encoded == 8
            assert len(collection.search("cats").ranking) == 8
        second = load()
        collection, report = Collection.build(tmp_path / "c", source())
        with collection:
            assert (report.added, report.unchanged, second.encoded) == (12, 8, 12)
            assert (collection.count(), collection.info().unfinished) == (20, "")
        with pytest.raises(CollectionExistsError, match="is a collection already"):
            Collection.build(tmp_path / "c", source())

    @pytest.mark.parametrize(
        "change",
        [
            lambda path: Collection.build(path, source("other.jsonl")),
            lambda path: Collection.build(path, source(), language="german"),
            lambda path: Collection.build(path, source(), mode="exact"),
            lambda path: Collection.build(path, source(), token_vectors=False),
        ],
        ids=["source", "language", "mode", "tokens"],
    )
    def test_another_source_or_other_options_are_refused(
        self, tmp_path: Path, load: Load, change: Callable[[Path], object]
    ) -> None:
        load(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            Collection.build(tmp_path / "c", source())
        load()
        with pytest.raises(CollectionExistsError, match=r"from articles\.jsonl, was interrupted") as caught:
            change(tmp_path / "c")
        assert "with the same options" in caught.value.hint
        with Collection.open(tmp_path / "c") as collection:
            assert collection.count() == 8

    def test_a_source_with_a_very_long_name_is_known_again(self, tmp_path: Path, load: Load) -> None:
        name = ", ".join(f"articles-{number}.jsonl" for number in range(200))
        load(KeyboardInterrupt())
        with pytest.raises(KeyboardInterrupt):
            Collection.build(tmp_path / "c", source(name))
        load()
        collection, report = Collection.build(tmp_path / "c", source(name))
        with collection:
            assert report.unchanged == 8

    def test_a_build_that_fails_before_its_first_commit_leaves_nothing(self, tmp_path: Path) -> None:
        def fail() -> Iterator[Document]:
            yield DOCUMENTS[0]
            raise DataError("damaged")

        for strict in (False, True):
            with pytest.raises(DataError, match="damaged"):
                Collection.build(tmp_path / "c", Source("a", None, fail), strict=strict)
            assert not (tmp_path / "c").exists()

    def test_what_is_there_already_is_not_touched(
        self, tmp_path: Path, small_collection: MakeCollection
    ) -> None:
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "a.txt").write_text("x")
        for path, problem in (
            (tmp_path / "notes", "is not empty"),
            (tmp_path / "notes" / "a.txt", "is a file"),
        ):
            with pytest.raises(CollectionExistsError, match=problem) as caught:
                Collection.build(path, source())
            assert caught.value.hint == "choose another path"
        small_collection(DOCUMENTS[:2], name="other")
        with pytest.raises(CollectionExistsError, match="is a collection already"):
            Collection.build(tmp_path / "other", source())


def in_a_fork(work: Callable[[], object]) -> None:
    """Run something in a child made by fork and check that it came to its end."""
    child = FORK.Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0


class TestSharing:
    def test_an_open_collection_is_searched_and_written_in_a_forked_child(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection(DOCUMENTS[:5])
        before = collection.search("cats", pipeline="bm25").ranking
        with collection._lock:  # as if another thread were at it

            def child() -> None:
                assert collection.search("cats", pipeline="bm25").ranking == before
                assert collection.delete(["d00"]) == 1
                assert len(collection.search("cats", pipeline="bm25").ranking) == 4
                collection.close()

            in_a_fork(child)
        assert len(collection.search("cats", pipeline="bm25").ranking) == 4
        assert collection.delete(["d01"]) == 1

    def test_a_snapshot_that_a_child_closes_stays_open_in_its_parent(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection(DOCUMENTS[:5])
        with collection._searching() as searcher:
            in_a_fork(collection.close)
            assert len(searcher.search("cats", 10, pipeline=None).ranking) == 5

    def test_a_child_does_not_hold_the_lock_of_its_parents_build(
        self, small_collection: MakeCollection
    ) -> None:
        collection = small_collection(DOCUMENTS[:2])
        done = FORK.Event()
        with collection._store.writer():
            child = FORK.Process(target=done.wait, args=(60,))
            child.start()
            with pytest.raises(CollectionBusyError):
                collection.delete(["d00"])
        assert collection.delete(["d00"]) == 1, "the child still runs"
        done.set()
        child.join(60)

    @pytest.mark.parametrize("what", ["removed", "moved"])
    def test_a_collection_that_goes_away_is_said_and_found_again_when_it_is_back(
        self, small_collection: MakeCollection, tmp_path: Path, what: str
    ) -> None:
        collection = small_collection(DOCUMENTS[:5])
        assert len(collection.search("cats", pipeline="bm25").ranking) == 5
        shutil.copytree(tmp_path / "small", tmp_path / "copy")
        if what == "removed":
            shutil.rmtree(tmp_path / "small")
        else:
            (tmp_path / "small").rename(tmp_path / "elsewhere")
        for use in (
            lambda: collection.search("cats", pipeline="bm25"),
            collection.count,
            collection.info,
            lambda: collection.add(DOCUMENTS[:1]),
            lambda: collection.delete(["d00"]),
            collection.compact,
        ):
            with pytest.raises(CollectionNotFoundError, match=str(tmp_path / "small")):
                use()
        assert collection.check() != []
        (tmp_path / "copy").rename(tmp_path / "small")
        assert len(collection.search("cats", pipeline="bm25").ranking) == 5

    def test_a_collection_that_is_replaced_is_searched_as_it_is_now(
        self, small_collection: MakeCollection, tmp_path: Path
    ) -> None:
        collection = small_collection(DOCUMENTS[:5])
        small_collection([Document("new", "Cats again.")], name="other")
        assert len(collection.search("cats", pipeline="bm25").ranking) == 5
        (tmp_path / "small").rename(tmp_path / "old")
        (tmp_path / "other").rename(tmp_path / "small")
        assert [hit.doc_id for hit in collection.search("cats", pipeline="bm25").ranking] == ["new"]

    def test_a_collection_on_a_read_only_disk_can_be_searched_and_not_changed(
        self, small_collection: MakeCollection, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        small_collection(DOCUMENTS[:5])
        really_open = os.open

        def read_only(path: Any, flags: int, *rest: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                raise OSError(30, os.strerror(30), str(path))
            return really_open(path, flags, *rest)

        with monkeypatch.context() as patch, Collection.open(tmp_path / "small") as collection:
            patch.setattr(os, "open", read_only)
            for name in ("rename", "remove", "make_folder", "create"):
                patch.setattr(Directory, name, lambda *_: pytest.fail("a reader changed something"))
            assert len(collection.search("cats").ranking) == 5
            assert collection.count("not exists(x)") == collection.info().documents == 5
            assert collection.check(deep=True) == []
            for use in (
                lambda: collection.add(DOCUMENTS),
                lambda: collection.delete(["d00"]),
                collection.compact,
            ):
                with pytest.raises(CollectionStorageError, match="Read-only file system") as caught:
                    use()
                assert "can be searched, not changed" in caught.value.hint

    @pytest.mark.skipif(os.geteuid() == 0, reason="root may write everywhere")
    def test_a_collection_in_a_folder_without_write_permission_can_be_searched(
        self, small_collection: MakeCollection, tmp_path: Path
    ) -> None:
        small_collection(DOCUMENTS[:5])
        files = [*(tmp_path / "small").rglob("*"), tmp_path / "small"]
        for file in files:
            file.chmod(0o555 if file.is_dir() else 0o444)
        try:
            with Collection.open(tmp_path / "small") as collection:
                assert len(collection.search("cats").ranking) == 5
                with pytest.raises(CollectionError, match="Permission denied"):
                    collection.delete(["d00"])
        finally:
            for file in files:
                file.chmod(0o755)
