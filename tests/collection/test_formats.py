"""What once was written must open: a collection of every format, made by the version that had it."""

import json
import shutil
import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from shortlist.api import Collection
from shortlist.collection.directory import Directory
from shortlist.errors import (
    CollectionBusyError,
    CollectionDamagedError,
    CollectionFormatError,
    CollectionNotFoundError,
    CollectionStorageError,
    ModelMismatchError,
)
from shortlist.models import Encoder
from shortlist.models.folders import fingerprint
from shortlist.models.own_folder import DEFAULT
from shortlist.types import Document

from .golden.make import CHANGED, RECORDS

GOLDEN = Path(__file__).parent / "golden"
LEFT = ["declined", "order", "hours", "größe", "lost"]
FUSED = "rerank(fuse(bm25, dense, weights=[1, 4]), fuse(bm25, maxsim, dense, weights=[1, 4, 1]))"
SEARCHES = {
    ("stolen credit card", "bm25"): ["order", "declined", "lost"],
    ("stolen credit card", "dense"): ["lost", "order", "declined", "größe", "hours"],
    ("payment in another country refused", "late"): ["declined", "lost", "order", "größe", "hours"],
    ("opening times", FUSED): ["hours", "größe", "lost", "order", "declined"],
}


@pytest.fixture(scope="module")
def model_of_then(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The model that came along when the golden collections were made: the same weights, without heads."""
    folder = tmp_path_factory.mktemp("golden") / "model"
    shutil.copytree(DEFAULT, folder, ignore=shutil.ignore_patterns("heads.safetensors"))
    return Path(shutil.copytree(GOLDEN / "model", folder, dirs_exist_ok=True))


@pytest.fixture(scope="module")
def encoder_of_then(model_of_then: Path) -> Encoder:
    return Encoder.load(model_of_then)


@pytest.fixture(autouse=True)
def loaded_once(encoder: Encoder, encoder_of_then: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        Encoder, "load", lambda folder=None, **_: encoder if folder is None else encoder_of_then
    )


@pytest.fixture
def format_1(tmp_path: Path) -> Path:
    """A copy of the golden collection of format 1."""
    shutil.copytree(GOLDEN / "format-1", tmp_path / "c")
    return tmp_path / "c"


def wanted() -> dict[str, Document]:
    """What the golden collections hold."""
    records = [r for r in RECORDS if r["id"] not in ("old", "order")] + [CHANGED]
    return {
        record["id"]: Document(
            record["id"],
            record["text"],
            record.get("title", ""),
            {name: value for name, value in record.items() if name not in ("id", "text", "title")},
        )
        for record in records
    }


def holds_the_golden_documents(path: Path, model: Path | None = None) -> bool:
    with Collection.open(path, model=model) as collection:
        assert collection.check(deep=True) == []
        for (query, pipeline), doc_ids in SEARCHES.items():
            result = collection.search(query, pipeline=pipeline)
            found_ids = [hit.doc_id for hit in result.ranking]
            if model is None:  # encoded by another model than then: what is best is still best
                assert (found_ids[0], sorted(found_ids)) == (doc_ids[0], sorted(doc_ids)), (query, pipeline)
            else:
                assert found_ids == doc_ids, (query, pipeline)
        found = {hit.doc_id: document for hit, document in collection.search("card", pipeline="dense")}
        assert found == wanted()
        assert {doc_id: d.metadata for doc_id, d in found.items()} == {
            doc_id: d.metadata for doc_id, d in wanted().items()
        }
        assert found["hours"].metadata["open"] is True
        assert collection.count("tag = faq and open = true or width > 85.5 or year < 2021") == 3
        assert collection.info().unfinished == ""
    return True


def test_a_collection_of_format_2_opens_is_sound_and_finds_what_it_found(
    tmp_path: Path, model_of_then: Path
) -> None:
    shutil.copytree(GOLDEN / "format-2", tmp_path / "c")
    assert holds_the_golden_documents(tmp_path / "c", model_of_then)
    with Collection.open(tmp_path / "c", model=model_of_then) as collection:
        assert (collection.info().generation, collection.info().deleted_documents) == (3, 2)
        assert collection.compact()
    assert holds_the_golden_documents(tmp_path / "c", model_of_then)


def test_a_collection_of_format_1_is_refused_with_the_command_that_upgrades_it(format_1: Path) -> None:
    for use in (Collection.open, lambda path: Collection.build(path, [])):
        with pytest.raises(CollectionFormatError, match="collection format 1") as caught:
            use(format_1)
        assert caught.value.hint == f"upgrade it: shortlist upgrade {format_1}"
    assert sorted(files(format_1)) == sorted(files(GOLDEN / "format-1"))


def files(path: Path) -> list[str]:
    return [str(file.relative_to(path)) for file in path.rglob("*") if file.is_file()]


def test_an_upgrade_takes_every_living_document_along_and_leaves_nothing_behind(format_1: Path) -> None:
    report = Collection.upgrade(format_1)
    assert (report.added, report.unchanged, report.commits) == (5, 0, 1)
    assert holds_the_golden_documents(format_1)
    with Collection.open(format_1) as collection:
        assert collection.info().fingerprint == fingerprint(DEFAULT)  # not that of the model of then
    assert sorted(files(format_1)) == [
        "generation-copy.safetensors",
        "generation.safetensors",
        "segments/00000001.safetensors",
        "writer.lock",
    ]
    assert sorted(path.name for path in format_1.iterdir()) == [
        "generation-copy.safetensors",
        "generation.safetensors",
        "segments",
        "writer.lock",
    ]


def test_an_empty_collection_is_upgraded_too(format_1: Path) -> None:
    database = sqlite3.connect(format_1 / "collection.db")
    database.execute("UPDATE documents SET died = 3 WHERE died IS NULL")
    database.commit()
    database.close()
    assert Collection.upgrade(format_1).added == 0
    with Collection.open(format_1) as collection:
        assert (collection.count(), collection.check(deep=True)) == (0, [])


def steps(path: Path) -> Iterator[int]:
    """How many steps of the file system an upgrade takes that change names."""
    count = 0
    with pytest.MonkeyPatch.context() as patch:

        def counted(call: Any) -> Any:
            def step(*arguments: Any) -> Any:
                nonlocal count
                count += 1
                return call(*arguments)

            return step

        for name in STEPS:
            patch.setattr(Directory, name, counted(getattr(Directory, name)))
        Collection.upgrade(path)
    yield from range(count)


STEPS = ("rename", "remove", "remove_folder", "create", "make_folder")


@pytest.mark.parametrize("after", [False, True], ids=["before", "after"])
def test_an_upgrade_that_was_interrupted_at_any_step_can_be_run_again(tmp_path: Path, after: bool) -> None:
    shutil.copytree(GOLDEN / "format-1", tmp_path / "counted")
    for stop in steps(tmp_path / "counted"):
        path = tmp_path / f"stop-{stop}"
        shutil.copytree(GOLDEN / "format-1", path)
        left = stop
        with pytest.MonkeyPatch.context() as patch:

            def interrupted(call: Any) -> Any:
                def step(*arguments: Any) -> Any:
                    nonlocal left
                    left -= 1
                    if left < 0 and not after:
                        raise KeyboardInterrupt
                    result = call(*arguments)
                    if left < 0:
                        raise KeyboardInterrupt
                    return result

                return step

            for name in STEPS:
                patch.setattr(Directory, name, interrupted(getattr(Directory, name)))
            with pytest.raises(KeyboardInterrupt):
                Collection.upgrade(path)
        if (path / "collection.db").exists():
            report = Collection.upgrade(path)
            assert report.added + report.unchanged == 5, stop
        assert holds_the_golden_documents(path), stop
        assert not (path / "upgrade").exists()
        assert "collection.db" not in files(path)


def test_there_is_nothing_to_upgrade_twice(format_1: Path, tmp_path: Path) -> None:
    Collection.upgrade(format_1)
    for path in (format_1, tmp_path, tmp_path / "nowhere"):
        with pytest.raises(CollectionNotFoundError, match=f"{path}: no collection of format 1"):
            Collection.upgrade(path)


def test_an_upgrade_waits_for_nobody_and_changes_nothing_while_another_writes(format_1: Path) -> None:
    lock = Directory(format_1).lock("writer.lock", "process 7 on another")
    assert not isinstance(lock, str)
    with pytest.raises(CollectionBusyError, match="process 7 on another is writing"):
        Collection.upgrade(format_1)
    lock.close()
    assert not (format_1 / "upgrade").exists()
    assert Collection.upgrade(format_1).added == 5


def test_a_full_disk_leaves_the_old_collection_and_the_next_try_goes_on(
    format_1: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(Directory, "free_bytes", lambda _: 100)
        with pytest.raises(CollectionStorageError, match="adding 5 documents needs about"):
            Collection.upgrade(format_1)
    assert (format_1 / "collection.db").is_file()
    assert Collection.upgrade(format_1).added == 5
    assert holds_the_golden_documents(format_1)


@pytest.mark.parametrize(
    ("statement", "error", "problem"),
    [
        ("PRAGMA user_version = 7", CollectionFormatError, "format 7 in SQLite is not known"),
        ("DROP TABLE settings", CollectionDamagedError, "no such table: settings"),
        ("DROP TABLE documents", CollectionDamagedError, "no such table: documents"),
        ("INSERT INTO settings VALUES ('unheard', '1')", CollectionDamagedError, "unheard"),
        ("UPDATE settings SET value = '{'", CollectionDamagedError, "collection.db"),
        ("UPDATE documents SET metadata = '{'", CollectionDamagedError, "collection.db"),
    ],
)
def test_a_database_that_cannot_be_read_is_named(
    format_1: Path, statement: str, error: type[Exception], problem: str
) -> None:
    database = sqlite3.connect(format_1 / "collection.db")
    database.execute(statement)
    database.commit()
    database.close()
    with pytest.raises(error, match=problem):
        Collection.upgrade(format_1)
    assert (format_1 / "collection.db").is_file()


def test_a_database_that_is_none_is_named(format_1: Path) -> None:
    (format_1 / "collection.db").write_bytes(b"no database" * 1000)
    with pytest.raises(CollectionDamagedError, match="file is not a database"):
        Collection.upgrade(format_1)


def test_a_collection_of_another_model_is_not_upgraded_by_the_wrong_one(
    format_1: Path, model_of_then: Path
) -> None:
    database = sqlite3.connect(format_1 / "collection.db")
    database.execute("UPDATE settings SET value = '\"0123456789abcdef\"' WHERE key = 'fingerprint'")
    database.execute("UPDATE settings SET value = ? WHERE key = 'model'", (json.dumps(str(model_of_then)),))
    database.commit()
    database.close()
    with pytest.raises(ModelMismatchError):
        Collection.upgrade(format_1)
    assert (format_1 / "collection.db").is_file()
