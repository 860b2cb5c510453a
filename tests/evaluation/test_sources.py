from __future__ import annotations

import json
import tempfile
from pathlib import Path

import pytest

from shortlist import Collection, CollectionExistsError, DataError
from shortlist.evaluation.sources import is_collection, opened
from shortlist.protocols import Progress

TEXTS = {"d1": "Foreign use is blocked.", "d2": "It takes five days.", "d3": "Open from nine."}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return write_corpus(tmp_path / "beir", TEXTS)


@pytest.fixture
def temporary(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where temporary folders are made."""
    (tmp_path / "tmp").mkdir()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path / "tmp"))
    return tmp_path / "tmp"


def write_corpus(folder: Path, texts: dict[str, str], *lines: str) -> Path:
    folder.mkdir(exist_ok=True)
    records = [json.dumps({"_id": doc_id, "text": text}) for doc_id, text in texts.items()]
    (folder / "corpus.jsonl").write_text("\n".join([*records, *lines]) + "\n", encoding="utf-8")
    return folder


def ids(collection: Collection) -> set[str]:
    with collection.store.snapshot() as snapshot:
        return set(snapshot.doc_ids(snapshot.live.nonzero()[0]))


def test_a_collection_is_opened_as_it_is(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", token_vectors=False) as made:
        made.add([{"id": "a", "text": "moon"}])
        generation = made.info().generation
    assert is_collection(tmp_path / "c")
    with opened(tmp_path / "c") as (collection, findings):
        assert (ids(collection), findings) == ({"a"}, ())
        assert collection.info().generation == generation
    with (
        pytest.raises(DataError, match="is a collection already"),
        opened(tmp_path / "c", keep=tmp_path / "k"),
    ):
        pass
    assert not (tmp_path / "k").exists()


def test_a_folder_is_indexed_for_the_time_of_the_context(folder: Path, temporary: Path) -> None:
    assert not is_collection(folder)
    steps: list[tuple[str, int]] = []
    done: list[int] = []

    def begin(step: str, total: int) -> Progress:
        steps.append((step, total))
        return done.append

    with opened(folder, token_vectors=False, steps=begin) as (collection, findings):
        assert ids(collection) == set(TEXTS)
        assert Path(collection.info().path).is_relative_to(temporary)
        assert findings == ()
        assert not collection.store.settings.token_dimensions
    assert list(temporary.iterdir()) == []
    assert [step for step, _ in steps] == ["indexing"]
    assert sum(done) == 3


def test_nothing_is_left_after_an_error_inside(folder: Path, temporary: Path) -> None:
    with pytest.raises(ZeroDivisionError), opened(folder, token_vectors=False):
        raise ZeroDivisionError
    assert list(temporary.iterdir()) == []


def test_a_kept_collection_stays_and_is_used_again(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.shortlist"
    with opened(folder, keep=kept, token_vectors=False) as (collection, _):
        generation = collection.info().generation
    with opened(folder, keep=kept, token_vectors=False) as (collection, _):
        assert collection.info().generation == generation
        assert ids(collection) == set(TEXTS)


def test_what_changed_in_the_source_goes_into_the_kept_collection(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.shortlist"
    with opened(folder, keep=kept, token_vectors=False):
        pass
    write_corpus(folder, TEXTS | {"d4": "New.", "d2": "It takes six days."})
    with opened(folder, keep=kept, token_vectors=False) as (collection, _):
        assert ids(collection) == {*TEXTS, "d4"}
        assert "six" in collection.search("days", 1, pipeline="bm25").documents["d2"].text


def test_a_collection_of_other_documents_is_refused_and_left_as_it_is(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "mine.shortlist"
    with Collection.create(kept, token_vectors=False) as mine:
        mine.add([{"id": "d1", "text": "Mine."}, {"id": "my own", "text": "Mine too."}])
    with pytest.raises(CollectionExistsError, match="such as 'my own'"), opened(folder, keep=kept):
        pass
    with Collection.open(kept) as mine:
        assert ids(mine) == {"d1", "my own"}
        assert mine.search("mine", 1, pipeline="bm25").documents.keys() == {"my own"}


def test_a_kept_collection_of_another_mode_is_refused(folder: Path, tmp_path: Path) -> None:
    kept = tmp_path / "kept.shortlist"
    with opened(folder, keep=kept, token_vectors=False):
        pass
    with (
        pytest.raises(CollectionExistsError, match="was indexed in mode fast, not exact"),
        opened(folder, keep=kept, mode="exact"),
    ):
        pass


@pytest.mark.parametrize("what", ["a file", "a folder"])
def test_anything_else_at_the_place_to_keep_is_refused(folder: Path, tmp_path: Path, what: str) -> None:
    kept = tmp_path / "kept"
    if what == "a file":
        kept.write_text("mine", encoding="utf-8")
    else:
        kept.mkdir()
        (kept / "mine.txt").write_text("mine", encoding="utf-8")
    with pytest.raises(CollectionExistsError), opened(folder, keep=kept):
        pass
    assert (kept if what == "a file" else kept / "mine.txt").read_text(encoding="utf-8") == "mine"


def test_bad_documents_and_ids_that_come_twice_are_counted(folder: Path) -> None:
    write_corpus(folder, TEXTS, "no json", '{"_id": "x"}', '{"_id": "d1", "text": "Again."}')
    with opened(folder, token_vectors=False) as (collection, findings):
        assert ids(collection) == set(TEXTS)
        assert {finding.rule: finding.count for finding in findings} == {
            "bad-documents": 2,
            "duplicate-ids": 1,
        }
        assert any("corpus.jsonl:4" in example for example in findings[0].examples)
