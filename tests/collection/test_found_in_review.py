"""What a review found before anybody else did: each of these lost, resurrected or misread something."""

import errno
import gc
import os
import threading
from dataclasses import replace
from pathlib import Path

import pytest

from shortlist.collection import Snapshot, Store
from shortlist.collection.directory import Directory, Lock
from shortlist.collection.filters import Compare
from shortlist.errors import (
    CollectionBusyError,
    CollectionError,
    CollectionNotFoundError,
    CollectionStorageError,
    FilterError,
)
from shortlist.indexing import repair
from tests.faults.world import collection, create, documents, encoder, read, state_of

from .building import SETTINGS, flip_byte


class FailingRename(Directory):
    """Refuse the renaming to one name."""

    refused = ""

    def rename(self, old: str, new: str) -> None:
        if new == self.refused:
            raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.path / new))
        super().rename(old, new)


@pytest.mark.parametrize("refused", ["generation.safetensors", "generation-copy.safetensors"])
def test_damage_after_a_compaction_that_failed_costs_nothing(tmp_path: Path, refused: str) -> None:
    with create(tmp_path / "c") as made:
        made.add(documents(range(20)))
        made.add(documents(range(20, 40)))
    directory = FailingRename(tmp_path / "c")
    directory.refused = refused
    with collection(tmp_path / "c", directory) as opened:
        if refused == "generation.safetensors":
            with pytest.raises(CollectionStorageError):
                opened.compact()
        else:
            assert opened.compact(), "the commit has come to be; only its copy is behind"
    flip_byte(tmp_path / "c" / "generation.safetensors", 300)
    assert repair(tmp_path / "c", lambda _: encoder()).generation
    with collection(tmp_path / "c") as opened:
        assert read(opened) == state_of(documents(range(40)))


def test_a_name_that_may_not_be_on_the_disk_keeps_the_old_segments(tmp_path: Path) -> None:
    class NeverSynced(Directory):
        def sync(self, folder: str = "") -> None:
            if not folder:
                raise OSError(errno.EIO, os.strerror(errno.EIO), str(self.path))
            super().sync(folder)

    with create(tmp_path / "c") as made:
        made.add(documents(range(5)))
        made.add(documents(range(5, 10)))
    old = sorted((tmp_path / "c" / "segments").iterdir())
    with (
        collection(tmp_path / "c", NeverSynced(tmp_path / "c")) as opened,
        pytest.raises(CollectionStorageError),
    ):
        opened.compact()
    assert set(old) <= set((tmp_path / "c" / "segments").iterdir())


def test_damage_in_an_old_segment_doesnt_fail_an_add_that_is_done(tmp_path: Path) -> None:
    with create(tmp_path / "c") as made:
        for number in range(7):
            made.add(documents([number]))
        (first, *_) = sorted((tmp_path / "c" / "segments").iterdir())
        flip_byte(first, 16_384 + 3)
        assert made.add(documents([7])).added == 1
        assert made.count() == 8
        assert any(str(first) in line for line in made.check(deep=True))


def test_a_collection_of_other_settings_in_its_place_is_neither_read_nor_written(tmp_path: Path) -> None:
    with create(tmp_path / "c") as opened:
        opened.add(documents(range(3)))
        opened.search("card")
        (tmp_path / "c").rename(tmp_path / "elsewhere")
        Store.create(tmp_path / "c", replace(SETTINGS, token_dimensions=0))
        for act in (
            lambda: opened.search("card"),
            lambda: opened.add(documents([9])),
            lambda: opened.delete(["d1"]),
            opened.compact,
        ):
            with pytest.raises(CollectionNotFoundError, match="another collection has taken the place"):
                act()


def test_snapshots_of_generations_that_nobody_reads_are_forgotten(tmp_path: Path) -> None:
    with create(tmp_path / "c") as opened:
        for number in range(6):
            opened.add(documents([number]))
            opened.search("card", pipeline="bm25")
        gc.collect()
        alive = [one for one in gc.get_objects() if type(one) is Snapshot and one.path == tmp_path / "c"]
        assert len(alive) <= 1


def test_a_lock_on_a_file_that_was_removed_binds_nobody_and_is_not_given(tmp_path: Path) -> None:
    directory = Directory(tmp_path)
    first = directory.lock("writer.lock", "first")
    assert isinstance(first, Lock)
    (tmp_path / "writer.lock").unlink()
    second = directory.lock("writer.lock", "second")
    assert isinstance(second, Lock), "the file that is there now is free"
    first.close()
    assert directory.lock("writer.lock", "third") == "second"
    second.close()


def test_a_writer_of_the_parent_finishes_nothing_in_a_forked_child(tmp_path: Path) -> None:
    with create(tmp_path / "c", unfinished="a source") as opened:
        opened.add(documents([1]))
        with opened.store.writer() as writer:
            child = os.fork()
            if not child:
                try:
                    writer.finish()
                except CollectionError:
                    os._exit(0)
                os._exit(1)
            assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert Store(tmp_path / "c").unfinished == "a source"


def test_a_relation_that_is_none_is_refused() -> None:
    with pytest.raises(FilterError, match="'!=' is no relation"):
        Compare("number", "!=", 3)


def test_a_folder_of_segments_that_an_archive_left_out_is_made_again(tmp_path: Path) -> None:
    create(tmp_path / "c").close()
    (tmp_path / "c" / "segments").rmdir()
    with collection(tmp_path / "c") as opened:
        assert opened.add(documents([1])).added == 1


def test_nothing_is_left_where_the_lock_could_not_be_taken(tmp_path: Path) -> None:
    class Locked(Directory):
        def lock(self, name: str, note: str) -> Lock | str:
            raise OSError(errno.EMFILE, f"{os.strerror(errno.EMFILE)} ({note})", str(self.path / name))

    with pytest.raises(CollectionStorageError):
        Store.create(tmp_path / "c", SETTINGS, directory=Locked(tmp_path / "c"))
    assert not (tmp_path / "c").exists()


def test_names_of_any_length_and_script_fit_into_the_generation(tmp_path: Path) -> None:
    settings = replace(SETTINGS, model="/" + "日" * 1300)
    store = Store.create(tmp_path / "c", settings, unfinished="größe, " * 2000)
    assert Store(tmp_path / "c").settings == store.settings


def test_a_busy_thread_is_named(tmp_path: Path) -> None:
    with create(tmp_path / "c") as opened, opened.store.writer():
        heard: list[str] = []

        def write() -> None:
            try:
                collection(tmp_path / "c").delete(["x"])
            except CollectionBusyError as error:
                heard.append(str(error))

        thread = threading.Thread(target=write)
        thread.start()
        thread.join()
    assert len(heard) == 1
    assert "another thread of this process (MainThread)" in heard[0]
