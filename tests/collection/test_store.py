import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any, Self, cast

import numpy as np
import pytest

from shortlist.collection import Snapshot, Store, Writer, as_filter
from shortlist.errors import (
    CollectionBusyError,
    CollectionDamagedError,
    CollectionError,
    CollectionExistsError,
    CollectionNotFoundError,
)
from shortlist.types import Document

from .building import SETTINGS, add, compact, create, delete, document, ids, segment_data


@pytest.fixture
def store(tmp_path: Path) -> Iterator[Store]:
    """Two generations: a, b and c, then b again and d."""
    made = create(
        tmp_path / "c.shortlist",
        [document("a", year=1), document("b", year=2), document("c", year=3)],
        [document("b", "new text of b", year=20), document("d", year=4)],
    )
    yield made
    made.close()


def segment_folders(store: Store) -> list[str]:
    return sorted(path.name for path in (store.path / "segments").iterdir())


def count(store: Store, query: str) -> int:
    with sqlite3.connect(store.path / "collection.db") as database:
        (found,) = database.execute(query).fetchone()
    database.close()
    return int(found)


def seen(snapshot: Snapshot) -> object:
    """All that a reader can see, in values that can be compared."""
    positions: list[int] = snapshot.live.nonzero()[0].tolist()
    return (
        snapshot.generation,
        snapshot.document_count,
        snapshot.average_length,
        snapshot.documents(positions),
        [snapshot.passages(position) for position in positions],
        snapshot.doc_ids(snapshot.allowed(as_filter("year >= 3")).nonzero()[0]),
        [found.tolist() for term in ("text", "new", "d") for found in snapshot.postings(term)],
        [segment.dense.tolist() + segment.tokens.tolist() for segment in snapshot.segments],
    )


class TestCreating:
    def test_a_new_collection_is_empty_and_remembers_its_settings(self, tmp_path: Path) -> None:
        settings = replace(SETTINGS, language="german", dense_scale=0.1 + 0.2, model="/models/größe")
        Store.create(tmp_path / "deep" / "er" / "c", settings).close()
        store = Store(tmp_path / "deep" / "er" / "c")
        assert store.settings == settings
        assert ids(store) == []
        with store.snapshot() as snapshot:
            assert (snapshot.generation, snapshot.document_count, snapshot.average_length) == (0, 0, 0.0)
        store.close()

    def test_an_empty_folder_may_become_a_collection(self, tmp_path: Path) -> None:
        Store.create(tmp_path, SETTINGS).close()
        assert sorted(path.name for path in tmp_path.iterdir() if path.suffix != ".lock") == [
            "collection.db",
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
        store.close()
        assert (tmp_path / "collection.db").is_file()

    def test_what_a_crash_in_creating_has_left_is_not_in_the_way(self, tmp_path: Path) -> None:
        (tmp_path / "c" / "segments").mkdir(parents=True)
        (tmp_path / "c" / "collection.db.new").write_bytes(b"half a database")
        store = create(tmp_path / "c", [document("a")])
        assert ids(store) == ["a"]
        store.close()


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

    def test_a_format_of_another_version_is_refused(self, store: Store) -> None:
        with sqlite3.connect(store.path / "collection.db") as database:
            database.execute("PRAGMA user_version = 99")
        database.close()
        with pytest.raises(CollectionError, match="collection format 99") as caught:
            Store(store.path)
        assert "upgrade" in caught.value.hint

    @pytest.mark.parametrize("content", [b"", b"not a database" * 100])
    def test_a_database_that_is_none_is_refused_by_name(self, tmp_path: Path, content: bytes) -> None:
        (tmp_path / "collection.db").write_bytes(content)
        with pytest.raises(CollectionError, match=str(tmp_path)):
            Store(tmp_path)

    @pytest.mark.parametrize(
        "statement",
        [
            "DELETE FROM settings WHERE key = 'language'",
            "UPDATE settings SET value = '{' WHERE key = 'language'",
            "INSERT INTO settings VALUES ('unheard', '1')",
            "DROP TABLE settings",
        ],
    )
    def test_settings_that_are_damaged_are_an_error_of_ours(self, store: Store, statement: str) -> None:
        with sqlite3.connect(store.path / "collection.db") as database:
            database.execute(statement)
        database.close()
        with pytest.raises(CollectionError, match=str(store.path)):
            Store(store.path)


class TestAdding:
    def test_a_known_id_is_replaced_and_counted(self, store: Store) -> None:
        assert add(store, document("a", "other"), document("e")) == 1
        assert ids(store) == ["a", "b", "c", "d", "e"]
        assert store.live_documents(["a", "zz"]) == {"a": document("a", "other")}

    def test_a_document_comes_back_as_it_was_added(self, store: Store) -> None:
        odd = Document(
            "ïd 'x'",
            "text\twith\r\nall 日本語 🙂",
            'title "x"',
            {"s": "", "f": 0.1, "l": ["a", 1], "b": True},
        )
        add(store, odd)
        assert store.live_documents([odd.doc_id]) == {odd.doc_id: odd}
        with store.snapshot() as snapshot:
            assert snapshot.documents([len(snapshot.rows) - 1]) == [odd]

    def test_every_commit_is_one_generation_with_one_segment(self, store: Store) -> None:
        with store.snapshot() as snapshot:
            assert (snapshot.generation, len(snapshot.segments)) == (2, 2)
            assert snapshot.document_count == 4
            assert len(snapshot.rows) == 5, "the first b is dead, but still in its segment"
        assert segment_folders(store) == ["00000001", "00000002"]

    @pytest.mark.parametrize(
        ("documents", "rows"), [(["x", "x"], 2), (["x"], 2), (["x", "y"], 1)], ids=["twice", "more", "fewer"]
    )
    def test_a_commit_needs_one_row_a_document_and_every_id_once(
        self, store: Store, documents: list[str], rows: int
    ) -> None:
        data = segment_data([document(str(number)) for number in range(rows)], range(100, 100 + rows))
        with store.writer() as writer, pytest.raises(CollectionError, match="one row a document"):
            writer.add([document(doc_id) for doc_id in documents], data)
        assert segment_folders(store) == ["00000001", "00000002"]

    def test_rows_are_never_used_again(self, store: Store) -> None:
        with store.snapshot() as snapshot:
            used = set(snapshot.rows.tolist())
        delete(store, "a", "b", "c", "d")
        compact(store)
        assert count(store, "SELECT count(*) FROM documents") == 0
        add(store, document("a"))
        with store.snapshot() as snapshot:
            assert snapshot.rows.tolist() == [max(used) + 1]

    def test_ids_by_the_thousand_are_found_and_deleted(self, tmp_path: Path) -> None:
        many = [document(f"d{number}") for number in range(1203)]
        store = create(tmp_path / "c", many)
        assert len(store.live_documents(d.doc_id for d in many)) == 1203
        assert delete(store, *(d.doc_id for d in many[3:])) == 1200
        assert ids(store) == ["d0", "d1", "d2"]
        store.close()


class TestFailing:
    """Whatever goes wrong in a commit, the collection is what it was, and the next commit works."""

    @pytest.fixture(autouse=True)
    def nothing_changes(self, store: Store) -> Iterator[None]:
        with store.snapshot() as before:
            yield
            with store.snapshot() as after:
                assert seen(after) == seen(before)
        assert segment_folders(store) == ["00000001", "00000002"]
        add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]

    def test_a_document_that_the_database_refuses_leaves_nothing(self, store: Store) -> None:
        bad = Document("b", cast("str", None))
        with store.writer() as writer, pytest.raises((TypeError, sqlite3.IntegrityError)):
            writer.add([document("x"), bad], segment_data([document("x")] * 2, writer.next_rows(2)))

    def test_a_metadata_value_that_the_database_refuses_leaves_nothing(self, store: Store) -> None:
        bad = document("b", nested=[{"x": 1}])
        with store.writer() as writer, pytest.raises(sqlite3.Error):
            writer.add([bad], segment_data([bad], writer.next_rows(1)))

    def test_vectors_that_fail_to_come_leave_nothing(self, store: Store) -> None:
        def fail() -> Iterator[Any]:
            yield np.zeros((1, SETTINGS.dimensions), np.int8)
            raise OSError("disk on fire")

        with store.writer() as writer:
            data = replace(segment_data([document("b")], writer.next_rows(1)), dense=fail())
            with pytest.raises(OSError, match="disk on fire"):
                writer.add([document("b")], data)

    def test_an_interruption_before_the_commit_leaves_nothing(
        self, store: Store, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupt(*_: object) -> None:
            raise KeyboardInterrupt

        with monkeypatch.context() as patch, store.writer() as writer:
            patch.setattr(writer, "_generation", interrupt)
            with pytest.raises(KeyboardInterrupt):
                writer.delete(["a"])
            with pytest.raises(KeyboardInterrupt):
                writer.compact()


class InterruptedAfterCommit:
    """A connection on which Ctrl-C arrives just after a commit."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection

    def __getattr__(self, name: str) -> Any:
        return getattr(self._connection, name)

    def __enter__(self) -> Self:
        self._connection.__enter__()
        return self

    def __exit__(self, *error: Any) -> None:
        self._connection.__exit__(*error)
        raise KeyboardInterrupt


def test_an_interruption_after_the_commit_keeps_what_was_committed(store: Store) -> None:
    connection = sqlite3.connect(store.path / "collection.db")
    writer = Writer(store.path, cast("sqlite3.Connection", InterruptedAfterCommit(connection)))
    with pytest.raises(KeyboardInterrupt):
        writer.add([document("e")], segment_data([document("e")], writer.next_rows(1)))
    connection.close()
    assert ids(store) == ["a", "b", "c", "d", "e"]


class TestDeleting:
    def test_deleted_documents_are_gone_and_counted_once(self, store: Store) -> None:
        assert delete(store, "a", "c", "a", "nowhere") == 2
        assert ids(store) == ["b", "d"]
        assert store.live_documents(["a", "b"]).keys() == {"b"}

    def test_a_delete_writes_no_segment(self, store: Store) -> None:
        files = {path: path.read_bytes() for path in (store.path / "segments").rglob("*.*")}
        delete(store, "a")
        assert {path: path.read_bytes() for path in (store.path / "segments").rglob("*.*")} == files

    @pytest.mark.parametrize("doc_ids", [[], ["nowhere"]])
    def test_a_delete_of_nothing_makes_no_generation(self, store: Store, doc_ids: list[str]) -> None:
        assert delete(store, *doc_ids) == 0
        with store.snapshot() as snapshot:
            assert snapshot.generation == 2

    def test_a_deleted_id_may_come_back(self, store: Store) -> None:
        delete(store, "a")
        assert add(store, document("a", "again")) == 0
        assert store.live_documents(["a"]) == {"a": document("a", "again")}


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
                assert (old.generation, new.generation) == (2, 3)
                assert (old.document_count, new.document_count) == (4, 3)

    def test_closing_twice_is_fine(self, store: Store) -> None:
        snapshot = store.snapshot()
        snapshot.close()
        snapshot.close()

    def test_a_document_row_that_is_missing_is_damage(self, store: Store) -> None:
        with sqlite3.connect(store.path / "collection.db") as database:
            database.execute("DELETE FROM documents WHERE doc_id = 'a'")
        database.close()
        with store.snapshot() as snapshot, pytest.raises(CollectionDamagedError, match="row 0 is missing"):
            snapshot.documents([0])


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
        second = Store(store.path)
        with store.writer(), pytest.raises(CollectionBusyError), second.writer():
            pass
        second.close()

    def test_a_writer_that_fails_lets_go(self, store: Store) -> None:
        with pytest.raises(RuntimeError, match="mine"), store.writer():
            raise RuntimeError("mine")
        add(store, document("e"))


class TestLeftovers:
    def test_a_folder_that_no_generation_names_is_removed_by_the_next_writer(self, store: Store) -> None:
        shutil.copytree(store.path / "segments" / "00000001", store.path / "segments" / "00000003")
        assert ids(store) == ["a", "b", "c", "d"], "readers don't mind"
        with store.writer():
            assert segment_folders(store) == ["00000001", "00000002"]
        add(store, document("e"))
        assert segment_folders(store) == ["00000001", "00000002", "00000003"]

    def test_a_file_beside_the_segments_does_not_stop_the_writer(self, store: Store) -> None:
        (store.path / "segments" / ".DS_Store").touch()  # as the macOS Finder leaves it
        add(store, document("e"))
        assert ids(store) == ["a", "b", "c", "d", "e"]


class TestCompacting:
    def test_one_segment_without_dead_documents_is_left(self, store: Store) -> None:
        delete(store, "a")
        with store.snapshot() as snapshot:
            before = snapshot.documents(snapshot.live.nonzero()[0])
            rows = snapshot.rows[snapshot.live].tolist()
        assert compact(store)
        with store.snapshot() as snapshot:
            assert len(snapshot.segments) == 1
            assert snapshot.all_live
            assert snapshot.rows.tolist() == rows, "rows stay what they are"
            assert snapshot.documents(range(3)) == before
        assert segment_folders(store) == ["00000004"]

    def test_dead_documents_and_their_metadata_are_purged(self, store: Store) -> None:
        delete(store, "a")
        assert count(store, "SELECT count(*) FROM documents") == 5
        compact(store)
        assert count(store, "SELECT count(*) FROM documents") == 3
        assert count(store, "SELECT count(*) FROM metadata") == 3
        assert count(store, "SELECT count(*) FROM segments") == 1

    def test_old_segments_stay_while_somebody_reads_and_go_with_the_next_writer(self, store: Store) -> None:
        with store.snapshot():
            assert compact(store)
            assert segment_folders(store) == ["00000001", "00000002", "00000003"]
            with store.writer():
                assert segment_folders(store) == ["00000001", "00000002", "00000003"]
        with store.writer():
            assert segment_folders(store) == ["00000003"]
        assert count(store, "SELECT count(*) FROM documents") == 4

    def test_a_dead_document_that_a_living_segment_mentions_is_not_purged(self, store: Store) -> None:
        with store.snapshot():
            compact(store)
            delete(store, "a")
        with store.writer():
            assert segment_folders(store) == ["00000003"], "old segments go"
        assert count(store, "SELECT count(*) FROM documents") == 4, "a stays, dead"
        assert ids(store) == ["b", "c", "d"]

    def test_there_is_nothing_to_do_twice(self, store: Store) -> None:
        assert compact(store)
        assert not compact(store)
        with store.snapshot() as snapshot:
            assert snapshot.generation == 3

    def test_an_empty_collection_has_nothing_to_compact(self, tmp_path: Path) -> None:
        store = create(tmp_path / "c")
        assert not compact(store)
        store.close()

    def test_a_collection_of_dead_documents_becomes_empty(self, store: Store) -> None:
        delete(store, "a", "b", "c", "d")
        assert compact(store)
        assert segment_folders(store) == []
        assert ids(store) == []
        assert not compact(store)
        add(store, document("a"))
        assert ids(store) == ["a"]
