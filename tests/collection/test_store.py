import multiprocessing
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.collection import Snapshot, Store, Views, Writer, as_filter
from shortlist.collection import generation as generations
from shortlist.collection import store as stores
from shortlist.collection.array_file import ArrayFileWriter
from shortlist.collection.directory import Directory, File
from shortlist.collection.generation import SegmentEntry
from shortlist.collection.store import MERGE_AT
from shortlist.errors import (
    CollectionBusyError,
    CollectionDamagedError,
    CollectionError,
    CollectionExistsError,
    CollectionFormatError,
    CollectionNotFoundError,
    CollectionStorageError,
)
from shortlist.types import Document

from .building import SETTINGS, add, compact, create, delete, document, ids, segment_data


@pytest.fixture
def store(tmp_path: Path) -> Store:
    """Two generations: a, b and c, then b again and d."""
    return create(
        tmp_path / "c.shortlist",
        [document("a", year=1), document("b", year=2), document("c", year=3)],
        [document("b", "new text of b", year=20), document("d", year=4)],
    )


WRITES: list[Callable[[Writer], object]] = [
    lambda writer: writer.add(segment_data([document("b")])),
    lambda writer: writer.delete(["a"]),
    lambda writer: writer.compact(),
]


def segment_files(store: Store) -> list[str]:
    return sorted(path.name for path in (store.path / "segments").iterdir())


FIRST_TWO = ["00000001.safetensors", "00000002.safetensors"]


def found(store: Store, *doc_ids: str) -> dict[str, Document]:
    with store.snapshot() as snapshot:
        positions = snapshot.find(doc_ids)
        return dict(zip(positions, snapshot.documents(list(positions.values())), strict=True))


def postings(snapshot: Snapshot, term: str) -> list[tuple[int, int]]:
    """The live positions that have a term, and how often."""
    found = snapshot.segment_postings(term)
    pairs = [
        (snapshot.starts[number] + document, count)
        for number, (documents, counts) in found
        for document, count in zip(documents.tolist(), counts.tolist(), strict=True)
    ]
    live = [(position, count) for position, count in pairs if snapshot.live[position]]
    assert snapshot.count_live(found) == len(live)
    return live


def seen(snapshot: Snapshot) -> object:
    """All that a reader can see, in values that can be compared."""
    positions: list[int] = snapshot.live.nonzero()[0].tolist()
    return (
        snapshot.generation.number,
        snapshot.document_count,
        snapshot.average_length,
        snapshot.documents(positions),
        snapshot.find(["a", "b", "c", "d", "e"]),
        [snapshot.passages(position) for position in positions],
        snapshot.doc_ids(snapshot.allowed(as_filter("year >= 3")).nonzero()[0]),
        [postings(snapshot, term) for term in ("text", "new", "d")],
        [segment.dense.tolist() + segment.tokens[:].tolist() for segment in snapshot.segments],
    )


class TestCreating:
    def test_a_new_collection_is_empty_and_remembers_its_settings(self, tmp_path: Path) -> None:
        settings = replace(SETTINGS, language="german", dense_scale=0.1 + 0.2, model="/models/größe")
        Store.create(tmp_path / "deep" / "er" / "c", settings)
        store = Store(tmp_path / "deep" / "er" / "c")
        assert store.settings == settings
        assert ids(store) == []
        with store.snapshot() as snapshot:
            assert (snapshot.generation.number, snapshot.document_count, snapshot.average_length) == (
                0,
                0,
                0.0,
            )

    def test_an_empty_folder_may_become_a_collection(self, tmp_path: Path) -> None:
        Store.create(tmp_path, SETTINGS)
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [
            "generation-copy.safetensors",
            "generation.safetensors",
            "segments",
        ]

    def test_a_collection_is_never_created_over_another(self, store: Store) -> None:
        with pytest.raises(CollectionExistsError, match="is a collection already") as caught:
            Store.create(store.path, SETTINGS)
        assert "shortlist add" in caught.value.hint
        assert ids(store) == ["a", "b", "c", "d"]

    def test_a_file_or_a_folder_with_something_in_it_is_refused(self, tmp_path: Path) -> None:
        (tmp_path / "notes").mkdir()
        (tmp_path / "notes" / "a.txt").touch()
        for path, problem in (
            (tmp_path / "notes", "is not empty"),
            (tmp_path / "notes" / "a.txt", "is a file"),
        ):
            with pytest.raises(CollectionExistsError, match=problem) as caught:
                Store.create(path, SETTINGS)
            assert caught.value.hint
        assert [path.name for path in (tmp_path / "notes").iterdir()] == ["a.txt"]

    def test_what_is_not_ours_is_never_removed(self, tmp_path: Path) -> None:
        (tmp_path / "video" / "segments").mkdir(parents=True)
        (tmp_path / "video" / "segments" / "00000001.ts").write_bytes(b"precious")
        with pytest.raises(CollectionExistsError, match="is not empty"):
            Store.create(tmp_path / "video", SETTINGS)
        assert (tmp_path / "video" / "segments" / "00000001.ts").read_bytes() == b"precious"

    def test_the_working_folder_may_become_a_collection(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.chdir(tmp_path)
        store = create(Path(), [document("a")])
        assert ids(store) == ["a"]
        assert (tmp_path / "generation.safetensors").is_file()

    def test_a_failure_in_creating_leaves_nothing(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "empty").mkdir()
        with monkeypatch.context() as patch:
            patch.setattr(Directory, "rename", refuse)
            for path in (tmp_path / "deep" / "c", tmp_path / "empty"):
                with pytest.raises(CollectionStorageError, match="creating failed: No space left") as caught:
                    Store.create(path, SETTINGS)
                assert "free some space" in caught.value.hint
        assert not (tmp_path / "deep" / "c").exists()
        assert list((tmp_path / "empty").iterdir()) == []
        assert ids(create(tmp_path / "empty", [document("a")])) == ["a"]

    def test_a_first_build_is_unfinished_until_it_says_that_it_is_not(self, tmp_path: Path) -> None:
        store = Store.create(tmp_path / "c", SETTINGS, unfinished="articles.jsonl")
        assert store.unfinished == "articles.jsonl"
        add(store, document("a"))
        assert Store(store.path).unfinished == "articles.jsonl", "a commit alone finishes nothing"
        with store.writer() as writer:
            writer.finish()
            writer.finish()
        assert Store(store.path).unfinished == ""
        assert ids(store) == ["a"]

    def test_only_a_collection_without_commits_is_discarded(self, tmp_path: Path) -> None:
        store = create(tmp_path / "c")
        store.discard_if_empty()
        assert not (tmp_path / "c").exists()
        store = create(tmp_path / "c", [document("a")])
        delete(store, "a")
        store.discard_if_empty()
        assert ids(store) == []

    def test_what_a_crash_in_creating_has_left_is_not_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "c" / "segments").mkdir(parents=True)
        (tmp_path / "c" / "generation.new").write_bytes(b"half a generation")
        store = create(tmp_path / "c", [document("a")])
        assert ids(store) == ["a"]


class TestOpening:
    def test_a_path_without_a_collection_says_what_is_there_and_how_to_create_one(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "a.txt").touch()
        for path, problem in (
            (tmp_path / "nowhere", "does not exist"),
            (tmp_path, "is not a collection"),
            (tmp_path / "a.txt", "is not a collection"),
        ):
            with pytest.raises(CollectionNotFoundError, match=problem) as caught:
                Store(path)
            assert "shortlist index" in caught.value.hint
            assert isinstance(caught.value, FileNotFoundError)

    def test_a_collection_of_the_format_before_is_refused_with_the_command_that_upgrades_it(
        self, tmp_path: Path
    ) -> None:
        (tmp_path / "collection.db").touch()
        with pytest.raises(CollectionFormatError, match="collection format 1") as caught:
            Store(tmp_path)
        assert caught.value.hint == f"upgrade it: shortlist upgrade {tmp_path}"
        with pytest.raises(CollectionExistsError, match="is a collection already"):
            Store.create(tmp_path, SETTINGS)

    @pytest.mark.parametrize("content", [b"", b"\0" * 100, b"not a generation" * 5000])
    def test_a_generation_that_is_none_is_refused_by_name(self, store: Store, content: bytes) -> None:
        path = store.path / "generation.safetensors"
        path.write_bytes(content)
        for use in (lambda: Store(store.path), store.snapshot, lambda: add(store, document("e"))):
            with pytest.raises(CollectionDamagedError, match=str(path)):
                use()

    @pytest.mark.parametrize(
        "change",
        [
            lambda about: {k: v for k, v in about.items() if k != "generation"},
            lambda about: {**about, "generation": "many"},
            lambda about: {**about, "settings": "{"},
            lambda about: {**about, "settings": "[]"},
            lambda about: {**about, "settings": '{"language": "english"}'},
        ],
        ids=["no number", "bad number", "no JSON", "a list", "half of them"],
    )
    def test_settings_that_make_no_sense_are_damage(
        self,
        store: Store,
        change: Callable[[dict[str, str]], dict[str, str]],
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        finish = ArrayFileWriter.finish
        with monkeypatch.context() as patch:
            patch.setattr(ArrayFileWriter, "finish", lambda self, about: finish(self, change(about)))
            delete(store, "a")
        with pytest.raises(CollectionDamagedError, match=r"generation\.safetensors"):
            Store(store.path)


class TestAdding:
    def test_a_known_id_is_replaced_and_counted(self, store: Store) -> None:
        assert add(store, document("a", "other"), document("e")) == 1
        assert ids(store) == ["a", "b", "c", "d", "e"]
        assert found(store, "a", "zz") == {"a": document("a", "other")}

    def test_a_document_comes_back_as_it_was_added(self, store: Store) -> None:
        odd = Document(
            "ïd 'x'",
            "text\twith\r\nall 日本語 🙂",
            'title "x"',
            {"s": "", "f": 0.1, "l": ["a", 1], "b": True},
        )
        add(store, odd)
        assert found(store, odd.doc_id) == {odd.doc_id: odd}
        with store.snapshot() as snapshot:
            assert snapshot.documents([snapshot.size - 1]) == [odd]
            assert snapshot.documents([snapshot.size - 1])[0].metadata["b"] is True

    def test_every_commit_is_one_generation_with_one_segment(self, store: Store) -> None:
        with store.snapshot() as snapshot:
            assert (snapshot.generation.number, len(snapshot.segments)) == (2, 2)
            assert snapshot.document_count == 4
            assert snapshot.size == 5, "the first b is dead, but still in its segment"
        assert segment_files(store) == FIRST_TWO

    def test_a_commit_needs_every_id_once(self, store: Store) -> None:
        with store.writer() as writer, pytest.raises(CollectionError, match="every document once"):
            writer.add(segment_data([document("x"), document("y"), document("x")]))
        assert segment_files(store) == FIRST_TWO

    def test_the_number_of_a_segment_is_never_used_again(self, store: Store) -> None:
        delete(store, "a", "b", "c", "d")
        assert segment_files(store) == [], "a segment of dead documents is not needed"
        add(store, document("a"))
        assert segment_files(store) == ["00000004.safetensors"]

    def test_a_segment_whose_documents_are_all_replaced_goes(self, store: Store) -> None:
        add(store, document("b", "newer"), document("d", "newer"))
        assert segment_files(store) == ["00000001.safetensors", "00000003.safetensors"]

    def test_ids_of_the_same_hash_are_told_apart(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def collide(doc_ids: Any) -> Any:
            return np.array([len(doc_id) for doc_id in doc_ids], np.uint64)

        for module in ("segment_data", "snapshot", "check"):
            monkeypatch.setattr(f"shortlist.collection.{module}.id_hashes", collide)
        store = create(tmp_path / "c", [document(doc_id) for doc_id in ("aa", "b", "cc", "dd", "eee")])
        assert found(store, "dd", "aa", "zz", "zzz", "b") == {x: document(x) for x in ("dd", "aa", "b")}
        assert add(store, document("cc", "new"), document("ff")) == 1
        assert delete(store, "dd", "xx") == 1
        assert ids(store) == ["aa", "b", "cc", "eee", "ff"]
        compact(store)
        assert found(store, "cc", "dd") == {"cc": document("cc", "new")}

    def test_ids_by_the_thousand_are_found_and_deleted(self, tmp_path: Path) -> None:
        many = [document(f"d{number}") for number in range(1203)]
        store = create(tmp_path / "c", many)
        assert len(found(store, *(d.doc_id for d in many))) == 1203
        assert delete(store, *(d.doc_id for d in many[3:])) == 1200
        assert ids(store) == ["d0", "d1", "d2"]


class TestFailing:
    """Whatever goes wrong in a commit, the collection is what it was, and the next commit works."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, store: Store) -> Iterator[None]:
        with store.snapshot() as before:
            yield
            with store.snapshot() as after:
                assert seen(after) == seen(before)
        assert segment_files(store) == FIRST_TWO
        add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]

    def test_a_text_that_is_not_utf8_leaves_nothing(self, store: Store) -> None:
        data = replace(segment_data([document("x")]), ids=["\udcff"])
        with store.writer() as writer, pytest.raises(UnicodeEncodeError):
            writer.add(data)

    def test_vectors_that_fail_to_come_leave_nothing(self, store: Store) -> None:
        def fail() -> Iterator[Views]:
            yield from list(segment_data([document("b")]).views)[:1]
            raise ValueError("model on fire")

        with store.writer() as writer, pytest.raises(ValueError, match="model on fire"):
            writer.add(replace(segment_data([document("b")]), views=fail()))

    @pytest.mark.parametrize("call", ["create", "rename", "write"])
    @pytest.mark.parametrize(
        "write",
        [lambda store: add(store, document("b", "x")), lambda store: delete(store, "a"), compact],
        ids=["add", "delete", "compact"],
    )
    def test_a_full_disk_leaves_nothing_and_says_so(
        self, store: Store, monkeypatch: pytest.MonkeyPatch, call: str, write: Callable[[Store], object]
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(File if call == "write" else Directory, call, refuse)
            with pytest.raises(CollectionStorageError, match="failed: No space left on device") as caught:
                write(store)
        assert caught.value.errno == 28
        assert isinstance(caught.value, OSError)
        assert "free some space" in caught.value.hint
        assert not (store.path / "generation.new").exists()

    def test_an_interruption_before_the_commit_leaves_nothing(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, store.writer() as writer:
            patch.setattr(generations, "commit", interrupt)
            for write in WRITES:
                with pytest.raises(KeyboardInterrupt):
                    write(writer)

    def test_a_disk_without_room_for_the_joined_segment_is_said_before_anything_is_written(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        with monkeypatch.context() as patch:
            patch.setattr(Directory, "free_bytes", lambda _: 10)
            with pytest.raises(CollectionStorageError, match=r"compacting needs about 0\.\d MB, 0\.0 MB are"):
                compact(store)


def refuse(*_: object) -> None:
    raise OSError(28, os.strerror(28))


def test_an_interruption_after_the_commit_keeps_what_was_committed(
    store: Store, monkeypatch: pytest.MonkeyPatch
) -> None:
    commit = generations.commit

    def interrupt(directory: Directory, generation: Any) -> None:
        commit(directory, generation)
        raise KeyboardInterrupt

    with monkeypatch.context() as patch:
        patch.setattr(generations, "commit", interrupt)
        with pytest.raises(KeyboardInterrupt):
            add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]
        with pytest.raises(KeyboardInterrupt):
            compact(store)
    assert ids(store) == ["a", "b", "c", "d", "e"]
    with store.snapshot() as snapshot:
        assert len(snapshot.segments) == len(segment_files(store)) == 1


class TestDeleting:
    def test_deleted_documents_are_gone_and_counted_once(self, store: Store) -> None:
        assert delete(store, "a", "c", "a", "nowhere") == 2
        assert ids(store) == ["b", "d"]
        assert found(store, "a", "b").keys() == {"b"}

    def test_a_delete_writes_no_segment(self, store: Store) -> None:
        files = {path: path.read_bytes() for path in (store.path / "segments").iterdir()}
        delete(store, "a")
        assert {path: path.read_bytes() for path in (store.path / "segments").iterdir()} == files

    @pytest.mark.parametrize("doc_ids", [[], ["nowhere"]])
    def test_a_delete_of_nothing_makes_no_generation(self, store: Store, doc_ids: list[str]) -> None:
        assert delete(store, *doc_ids) == 0
        with store.snapshot() as snapshot:
            assert snapshot.generation.number == 2

    def test_a_deleted_id_may_come_back(self, store: Store) -> None:
        delete(store, "a")
        assert add(store, document("a", "again")) == 0
        assert found(store, "a") == {"a": document("a", "again")}


class TestReading:
    @pytest.mark.parametrize(
        "write",
        [
            lambda store: add(store, document("a", "new d", year=9), document("e", year=9)),
            lambda store: delete(store, "a", "d"),
            compact,
            lambda store: (delete(store, "a"), compact(store), add(store, document("a", "d", year=5))),
            lambda store: (delete(store, "a", "b", "c", "d"), compact(store), compact(store)),
        ],
        ids=["add", "delete", "compact", "delete, compact, add", "delete all, compact"],
    )
    def test_a_reader_keeps_its_generation_whatever_is_committed(
        self, store: Store, write: Callable[[Store], object]
    ) -> None:
        with store.snapshot() as fresh:
            expected = seen(fresh)
        with store.snapshot() as early, store.snapshot() as late:
            assert early.is_newest()
            before = seen(early)
            write(store)
            assert not early.is_newest()
            # One had read everything before, the other reads its first byte now.
            assert seen(early) == seen(late) == before == expected

    def test_a_new_reader_sees_the_newest_generation(self, store: Store) -> None:
        with store.snapshot() as old:
            delete(store, "a")
            with store.snapshot() as new:
                assert (old.generation.number, new.generation.number) == (2, 3)
                assert (old.document_count, new.document_count) == (4, 3)

    def test_closing_twice_is_fine(self, store: Store) -> None:
        snapshot = store.snapshot()
        snapshot.close()
        snapshot.close()

    def test_a_segment_that_is_missing_or_another_is_named(self, store: Store) -> None:
        first, second = (store.path / "segments" / name for name in FIRST_TWO)
        whole = first.read_bytes()
        shutil.copy(second, first)
        with pytest.raises(CollectionDamagedError, match=f"{first}: is not the file that was committed"):
            store.snapshot()
        first.unlink()
        with pytest.raises(CollectionDamagedError, match=f"{first}: is missing") as caught:
            store.snapshot()
        assert "shortlist repair" in caught.value.hint
        first.write_bytes(whole)
        assert ids(store) == ["a", "b", "c", "d"]

    def test_a_reader_that_meets_a_writer_opens_the_generation_after(self, store: Store) -> None:
        class Late(Directory):
            """Let a writer in before a segment is opened, twice."""

            left = 2

            def open(self, name: str) -> File:
                if name.startswith("segments/") and self.left:
                    self.left -= 1
                    add(store, document("b", f"another {self.left}"))
                    compact(store)
                return super().open(name)

        with Snapshot(Late(store.path)) as snapshot:
            assert snapshot.is_newest()
            assert snapshot.generation.number == 6
        assert ids(store) == ["a", "b", "c", "d"]

    @pytest.mark.parametrize("what", ["removed", "moved"])
    def test_a_collection_that_goes_away_under_a_reader_says_so(self, store: Store, what: str) -> None:
        with store.snapshot() as snapshot:
            expected = seen(snapshot)
            if what == "removed":
                shutil.rmtree(store.path)
            else:
                store.path.rename(store.path.with_name("elsewhere"))
            assert seen(snapshot) == expected, "what is open can still be read"
            with pytest.raises(CollectionNotFoundError, match=f"{store.path}: the collection was moved"):
                snapshot.is_newest()
        with pytest.raises(CollectionNotFoundError, match="was moved or removed"):
            store.snapshot()
        with pytest.raises(CollectionNotFoundError, match="was moved or removed"):
            add(store, document("e"))

    def test_a_collection_that_another_takes_the_place_of_is_no_longer_the_newest(self, store: Store) -> None:
        with store.snapshot() as snapshot:
            expected = seen(snapshot)
            store.path.rename(store.path.with_name("elsewhere"))
            create(store.path, [document("x")], [document("y")])
            assert not snapshot.is_newest()
            assert seen(snapshot) == expected
        assert ids(store) == ["x", "y"]

    def test_reading_opens_nothing_for_writing(self, store: Store, monkeypatch: pytest.MonkeyPatch) -> None:
        really_open = os.open

        def read_only(path: Any, flags: int, *rest: Any) -> int:
            if flags & (os.O_WRONLY | os.O_RDWR | os.O_CREAT | os.O_TRUNC):
                raise OSError(30, os.strerror(30), str(path))
            return really_open(path, flags, *rest)

        with monkeypatch.context() as patch:
            patch.setattr(os, "open", read_only)
            with Store(store.path).snapshot() as snapshot:
                assert snapshot.is_newest()
                assert len(snapshot.doc_ids(snapshot.allowed(as_filter("year > 1")).nonzero()[0])) == 3
            with pytest.raises(
                CollectionStorageError, match="locking failed: Read-only file system"
            ) as caught:
                add(store, document("e"))
            assert "can be searched, not changed" in caught.value.hint
            with pytest.raises(CollectionStorageError):
                Store.create(store.path.with_name("new"), SETTINGS)


HOLD = """
import sys
from pathlib import Path
from shortlist.collection import Store
with Store(Path(sys.argv[1])).writer():
    print("holding", flush=True)
    sys.stdin.read()
"""


@pytest.fixture
def other_writer(store: Store) -> Iterator[subprocess.Popen[str]]:
    """Another process that is writing."""
    with subprocess.Popen(
        [sys.executable, "-c", HOLD, str(store.path)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "holding\n"
        yield process
        process.kill()


class TestWritingOneByOne:
    def test_a_second_writer_is_told_which_process_holds_the_first(
        self, store: Store, other_writer: subprocess.Popen[str]
    ) -> None:
        with pytest.raises(
            CollectionBusyError, match=rf"process {other_writer.pid} on \S+ is writing"
        ) as caught:
            add(store, document("e"))
        assert caught.value.hint
        assert isinstance(caught.value, BlockingIOError)
        assert ids(store) == ["a", "b", "c", "d"], "readers are not held up"

    def test_a_writer_that_is_killed_holds_nobody_up(
        self, store: Store, other_writer: subprocess.Popen[str]
    ) -> None:
        other_writer.kill()
        other_writer.wait()
        add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]

    def test_a_second_writer_of_the_same_process_is_refused_as_well(self, store: Store) -> None:
        with (
            store.writer(),
            pytest.raises(CollectionBusyError, match=r"another thread of this process \(MainThread\)"),
            Store(store.path).writer(),
        ):
            pass

    def test_a_writer_that_fails_lets_go(self, store: Store) -> None:
        with pytest.raises(RuntimeError, match="mine"), store.writer():
            raise RuntimeError("mine")
        add(store, document("e"))


FORK = multiprocessing.get_context("fork")


def in_a_fork(work: Callable[[], object]) -> None:
    """Run something in a child made by fork and check that it came to its end."""
    child = FORK.Process(target=work)
    child.start()
    child.join(60)
    assert child.exitcode == 0


class TestForking:
    def test_a_writer_is_refused_in_a_child(self, store: Store) -> None:
        with store.writer() as writer:

            def child() -> None:
                for write in WRITES:
                    with pytest.raises(CollectionError, match="forked"):
                        write(writer)

            in_a_fork(child)
        assert ids(store) == ["a", "b", "c", "d"]

    def test_a_child_does_not_hold_its_parents_lock(self, store: Store) -> None:
        begun, done = FORK.Event(), FORK.Event()

        def child() -> None:
            begun.set()
            assert done.wait(60)

        with store.writer():
            process = FORK.Process(target=child)
            process.start()
            assert begun.wait(60)

            def second() -> None:
                with pytest.raises(CollectionBusyError):
                    add(store, document("x"))

            in_a_fork(second)
        add(store, document("e"))
        done.set()
        process.join(60)
        assert process.exitcode == 0

    def test_a_reader_goes_on_in_a_child_and_in_its_parent(self, store: Store) -> None:
        with store.snapshot() as snapshot:

            def child() -> None:
                with snapshot:
                    assert snapshot.documents([0]) == [document("a", year=1)]

            in_a_fork(child)
            assert snapshot.documents([1, 4]) == [document("b", year=2), document("d", year=4)]


class TestLeftovers:
    def test_files_that_no_generation_names_are_removed_by_the_next_writer(self, store: Store) -> None:
        folder = store.path / "segments"
        shutil.copy(folder / FIRST_TWO[0], folder / "00000007.safetensors")
        (store.path / "generation.new").write_bytes(b"half of one")
        assert ids(store) == ["a", "b", "c", "d"], "readers don't mind"
        with store.writer():
            assert segment_files(store) == FIRST_TWO
            assert not (store.path / "generation.new").exists()
        add(store, document("e"))
        assert segment_files(store) == [*FIRST_TWO, "00000003.safetensors"]

    def test_a_file_beside_the_segments_does_not_stop_the_writer(self, store: Store) -> None:
        (store.path / "segments" / ".DS_Store").touch()  # as the macOS Finder leaves it
        add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]


class TestCompacting:
    def test_one_segment_without_dead_documents_is_left(self, store: Store) -> None:
        delete(store, "a")
        with store.snapshot() as snapshot:
            before = snapshot.documents(snapshot.live.nonzero()[0])
            assert not snapshot.all_live
        assert compact(store)
        with store.snapshot() as snapshot:
            assert len(snapshot.segments) == 1
            assert snapshot.all_live
            assert snapshot.documents(range(3)) == before
            assert snapshot.doc_ids(snapshot.allowed(as_filter("year >= 3")).nonzero()[0]) == ["c", "b", "d"]
        assert segment_files(store) == ["00000004.safetensors"]

    def test_old_segments_go_at_once_and_stay_readable_for_who_has_them_open(self, store: Store) -> None:
        with store.snapshot() as snapshot:
            before = seen(snapshot)
            assert compact(store)
            assert segment_files(store) == ["00000003.safetensors"]
            assert seen(snapshot) == before

    def test_there_is_nothing_to_do_twice(self, store: Store) -> None:
        assert compact(store)
        assert not compact(store)
        with store.snapshot() as snapshot:
            assert snapshot.generation.number == 3

    def test_an_empty_collection_has_nothing_to_compact(self, tmp_path: Path) -> None:
        assert not compact(create(tmp_path / "c"))

    def test_a_collection_of_dead_documents_becomes_empty(self, store: Store) -> None:
        delete(store, "a", "b", "c", "d")
        assert segment_files(store) == []
        assert ids(store) == []
        assert not compact(store)
        add(store, document("a"))
        assert ids(store) == ["a"]


class TestMerging:
    def test_segments_of_about_one_size_are_joined_by_the_commit_that_makes_them_enough(
        self, tmp_path: Path
    ) -> None:
        store = create(tmp_path / "c", [document("d0"), document("first")])
        for number in range(1, MERGE_AT - 1):
            add(store, document(f"d{number}"))
        assert len(segment_files(store)) == MERGE_AT - 1
        add(store, document("d0", "changed"))
        with store.snapshot() as snapshot:
            assert len(snapshot.segments) == 1 == len(segment_files(store))
            assert (snapshot.size, snapshot.document_count) == (MERGE_AT, MERGE_AT)
        assert found(store, "d0") == {"d0": document("d0", "changed")}

    def test_a_large_segment_is_left_alone_by_small_ones(self, tmp_path: Path) -> None:
        store = create(tmp_path / "c", [document(f"many{number}") for number in range(30)])
        for number in range(MERGE_AT):
            add(store, document(f"d{number}"))
        with store.snapshot() as snapshot:
            assert [len(segment) for segment in snapshot.segments] == [30, MERGE_AT]

    @pytest.mark.parametrize("error", [OSError(28, "No space left"), MemoryError()], ids=["disk", "memory"])
    def test_a_merge_that_fails_does_not_fail_the_commit_before_it(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, error: Exception
    ) -> None:
        def fail(*_: object, **__: object) -> None:
            raise error

        store = create(tmp_path / "c", *([document(f"d{number}")] for number in range(MERGE_AT - 1)))
        with monkeypatch.context() as patch:
            patch.setattr(stores, "merge_segments", fail)
            assert add(store, document("last")) == 0
        assert len(ids(store)) == MERGE_AT == len(segment_files(store))
        add(store, document("after"))
        assert len(segment_files(store)) == 1, "the next commit tries again"
        assert len(ids(store)) == MERGE_AT + 1

    @given(st.lists(st.integers(1, 700), max_size=300))
    def test_the_newest_of_about_one_size_are_chosen_and_no_more_than_needed_stay(
        self, sizes: list[int]
    ) -> None:
        entries: list[SegmentEntry] = []
        for size in sizes:
            entries, _ = simulated(entries, size)
            for power in range(5):
                low = MERGE_AT**power
                assert (
                    sum(low <= entry.documents < low * MERGE_AT for entry in newest(entries, low)) < MERGE_AT
                )

    def test_thousands_of_single_documents_make_few_segments_and_are_copied_few_times(self) -> None:
        entries: list[SegmentEntry] = []
        copied, count = 0, 5000
        for _ in range(count):
            entries, moved = simulated(entries, 1)
            copied += moved
            assert len(entries) <= 5 * MERGE_AT
        assert sum(entry.documents for entry in entries) == count
        assert copied <= 5 * count, "once for each power of 8"


def newest(entries: list[SegmentEntry], low: int) -> list[SegmentEntry]:
    """The segments after the last that is larger than those from ``low`` on."""
    larger = [at for at, entry in enumerate(entries) if entry.documents >= low * MERGE_AT]
    return entries[larger[-1] + 1 if larger else 0 :]


def simulated(entries: list[SegmentEntry], documents: int) -> tuple[list[SegmentEntry], int]:
    """Commit a segment as a writer does, without any file; give how many documents a merge copied."""
    entries = [*entries, SegmentEntry(0, b"", documents)]
    chosen = stores._run_to_merge(entries)
    moved = sum(entry.documents for entry in entries[chosen])
    if len(entries[chosen]) > 1:
        entries[chosen] = [SegmentEntry(0, b"", moved)]
        return entries, moved
    return entries, 0
