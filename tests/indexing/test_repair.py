"""What is derived is made again from the documents; what is lost is said."""

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.collection.array_file import BLOCK
from shortlist.collection.check import find_problems
from shortlist.collection.directory import Directory
from shortlist.collection.generation import commit, read_generation
from shortlist.errors import CollectionBusyError, CollectionDamagedError, CollectionStorageError
from shortlist.indexing import Repair
from shortlist.models import Encoder
from shortlist.types import Document, Hit
from tests.collection.building import flip_byte

# The documents take three blocks, so that damage to one leaves the others readable.
DOCUMENTS = [
    Document(
        f"d{number:03}",
        f"Article {number} tells how a card is used abroad and what it costs. " * 3 + "x" * 40,
        f"Card {number}",
        {"year": 2000 + number % 20, "tag": ["news", f"n{number}"]},
    )
    for number in range(150)
]
QUERIES = [("card abroad", "bm25"), ("how much is it", "dense"), ("payments in Spain", "hybrid+late")]


@pytest.fixture(scope="module")
def sound(tmp_path_factory: pytest.TempPathFactory, encoder: Encoder, store_settings: StoreSettings) -> Path:
    """A large segment with dead documents, a small one, and one more."""
    path = tmp_path_factory.mktemp("repair") / "sound"
    with Collection(Store.create(path, store_settings), encoder, None) as collection:
        collection.add(DOCUMENTS)
        collection.add(
            [replace(DOCUMENTS[7], text="A new text of seven."), Document("small", "A small one.")]
        )
        collection.add([Document("last", "The last one.")])
        collection.delete(["d000", "d149"])
    return path


@pytest.fixture(autouse=True)
def loaded_once(encoder: Encoder, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(Encoder, "load", lambda *_, **__: encoder)


@pytest.fixture
def collection(sound: Path, tmp_path: Path, encoder: Encoder) -> Iterator[Collection]:
    """A copy that a test may damage."""
    shutil.copytree(sound, tmp_path / "c")
    with Collection(Store(tmp_path / "c"), encoder, None) as made:
        yield made


def repair(collection: Collection, *, drop: bool = False) -> Repair:
    return Collection.repair(collection.store.path, drop=drop)


def segment(collection: Collection, number: int) -> Path:
    return collection._store.path / "segments" / f"{number:08d}.safetensors"


def damage(collection: Collection, section: str, *, at: float = 0.0) -> None:
    """Flip a byte in an array of the large segment, at some part of it."""
    with collection._store.snapshot() as snapshot:
        found = snapshot.segments[0].file.sections[section]
        length = found.dtype.itemsize * len(found) * (found.shape[1] if len(found.shape) > 1 else 1)
        path, start = snapshot.segments[0].file.path, found.start
    flip_byte(path, start + int(at * (length - 1)))


def found(collection: Collection) -> list[list[Hit]]:
    return [list(collection.search(query, 30, pipeline=pipeline).ranking) for query, pipeline in QUERIES]


def documents(collection: Collection) -> list[Document]:
    with collection._store.snapshot() as snapshot:
        return snapshot.documents(snapshot.live.nonzero()[0])


def check_that_all_is_as_before(
    collection: Collection, before: list[list[Hit]], whole: list[Document]
) -> None:
    assert collection.check(deep=True) == []
    assert found(collection) == before
    assert documents(collection) == whole
    assert collection.info().unfinished == ""
    assert repair(collection).segments == 0, "there is nothing left to do"


# Of this segment no part of these lies in a block with documents, ids or their offsets.
DERIVED = [
    "tokens", "token_offsets", "dense", "passages", "words_documents", "words_frequencies", "metadata_terms",
    "metadata_term_offsets", "metadata_posting_offsets", "metadata_documents", "metadata_frequencies",
]  # fmt: skip


@pytest.mark.parametrize("section", [*DERIVED, "seal", "a checksum"])
def test_any_damage_to_what_is_derived_is_mended_and_every_search_is_as_before(
    collection: Collection, section: str
) -> None:
    before, whole = found(collection), documents(collection)
    if section in DERIVED:
        damage(collection, section)
        assert any(f": {section}: " in line for line in collection.check(deep=True))
    else:
        size = segment(collection, 1).stat().st_size
        flip_byte(segment(collection, 1), -1 if section == "seal" else size - 32 - 4 * (size // BLOCK - 5))
        assert collection.check() != [], "opening tells"
    done = repair(collection)
    assert (done.segments, done.documents, done.lost) == (1, 147, [])
    assert collection.info().deleted_documents == 0, "what was dead in the damaged segment is gone"
    check_that_all_is_as_before(collection, before, whole)


def test_several_damaged_segments_are_mended_at_once(collection: Collection) -> None:
    before, whole = found(collection), documents(collection)
    damage(collection, "dense")
    for number in (2, 3):
        flip_byte(segment(collection, number), -1)
    done = repair(collection)
    assert (done.segments, done.documents, done.lost) == (3, 150, [])
    check_that_all_is_as_before(collection, before, whole)


def test_damage_elsewhere_does_not_keep_sound_segments_from_being_left_alone(collection: Collection) -> None:
    others = {number: segment(collection, number).read_bytes() for number in (2, 3)}
    damage(collection, "tokens", at=0.7)
    repair(collection)
    assert {number: segment(collection, number).read_bytes() for number in (2, 3)} == others
    assert not segment(collection, 1).exists()


def test_a_sound_collection_makes_no_generation(collection: Collection) -> None:
    before = collection.info()
    assert repair(collection) == Repair()
    assert repair(collection, drop=True) == Repair()
    assert collection.info() == before


def test_lost_documents_are_named_and_nothing_is_changed_unless_told_to(collection: Collection) -> None:
    whole, generation = documents(collection), collection.info().generation
    damage(collection, "documents", at=0.5)
    with pytest.raises(CollectionDamagedError, match="1 documents can't be read; nothing was") as caught:
        repair(collection)
    assert caught.value.message.endswith("\n  'd075'")
    assert caught.value.hint.endswith("shortlist repair --drop COLLECTION")
    assert collection.info().generation == generation
    assert collection.check(deep=True) != []

    done = repair(collection, drop=True)
    lost = {one.strip("'") for one in done.lost}
    assert lost == {"d075"}, "its neighbours in the same block have checksums of their own"
    assert done.documents == 147 - len(lost)
    left = [document for document in whole if document.doc_id not in lost]
    assert documents(collection) == left
    assert collection.check(deep=True) == []
    assert {hit.doc_id for hit in found(collection)[0]} <= {document.doc_id for document in left}
    assert collection.add(DOCUMENTS).added == len(lost) + 2, "they may come again from their source"


@pytest.mark.parametrize("how", ["missing", "another in its place"])
def test_a_segment_of_which_nothing_can_be_read_is_lost_as_a_whole(collection: Collection, how: str) -> None:
    path = segment(collection, 1)
    if how == "missing":
        path.unlink()
    else:
        path.write_bytes(b"another file" * 3000)
    with pytest.raises(CollectionDamagedError, match="147 documents can't be read"):
        repair(collection)
    done = repair(collection, drop=True)
    assert (len(done.lost), done.documents) == (147, 0)
    assert done.lost[0] == "document 1 of segment 1", "the first one was dead"
    assert sorted(document.doc_id for document in documents(collection)) == ["d007", "last", "small"]
    assert collection.check(deep=True) == []


@pytest.mark.parametrize("how", ["ids", "header", "truncated", "header and truncated", "offsets"])
def test_no_document_is_lost_with_what_leads_to_it(collection: Collection, how: str) -> None:
    path, whole = segment(collection, 1), documents(collection)
    if how == "offsets":
        damage(collection, "document_offsets")
    if how == "ids":
        damage(collection, "ids")
    if "truncated" in how:
        path.write_bytes(path.read_bytes()[:-100])
    if how.startswith("header"):
        flip_byte(path, 100)
    if how == "header and truncated":
        with pytest.raises(CollectionDamagedError, match="147 documents can't be read"):
            repair(collection)
        return
    assert repair(collection).documents == 147
    assert documents(collection) == whole
    assert collection.check(deep=True) == []


def test_the_whole_segment_of_another_collection_is_not_taken_for_a_damaged_one(
    collection: Collection, tmp_path: Path, encoder: Encoder, store_settings: StoreSettings
) -> None:
    with Collection(Store.create(tmp_path / "other", store_settings), encoder, None) as other:
        other.add([Document(f"foreign{number}", "Not ours.") for number in range(2)])
        shutil.copy(segment(other, 1), segment(collection, 2))
    assert any("is not the file that was committed" in line for line in collection.check())
    with pytest.raises(CollectionDamagedError, match="2 documents can't be read"):
        repair(collection)
    repair(collection, drop=True)
    assert not any(document.doc_id.startswith("foreign") for document in documents(collection))
    assert collection.check(deep=True) == []


def test_a_failure_while_repairing_leaves_what_there_was(
    collection: Collection, monkeypatch: pytest.MonkeyPatch
) -> None:
    before, whole = found(collection), documents(collection)
    damage(collection, "tokens")
    with monkeypatch.context() as patch:
        patch.setattr(Directory, "free_bytes", lambda _: 1000)
        with pytest.raises(CollectionStorageError, match="repairing needs about"):
            repair(collection)
    with monkeypatch.context() as patch:
        patch.setattr(Directory, "rename", lambda *_: (_ for _ in ()).throw(KeyboardInterrupt))
        with pytest.raises(KeyboardInterrupt):
            repair(collection)
    assert documents(collection) == whole
    repair(collection)
    check_that_all_is_as_before(collection, before, whole)


def test_a_repair_waits_for_nobody(collection: Collection) -> None:
    with collection._store.writer(), pytest.raises(CollectionBusyError):
        repair(collection)


@pytest.mark.parametrize("name", ["generation.safetensors", "generation-copy.safetensors"])
def test_a_damaged_generation_is_mended_by_its_copy_and_the_copy_by_it(
    collection: Collection, name: str
) -> None:
    before, whole = found(collection), documents(collection)
    flip_byte(collection.store.path / name, -1)
    assert name in find_problems(collection.store.directory, deep=False)[0]
    assert repair(collection) == Repair(generation=True)
    check_that_all_is_as_before(collection, before, whole)


def test_a_generation_that_cannot_be_read_cannot_be_mended_without_its_copy(collection: Collection) -> None:
    for name in ("generation.safetensors", "generation-copy.safetensors"):
        flip_byte(collection.store.path / name, -1)
    with pytest.raises(CollectionDamagedError, match=r"generation-copy\.safetensors"):
        repair(collection, drop=True)


def test_a_repair_of_an_unfinished_build_leaves_it_unfinished(collection: Collection) -> None:
    directory = Directory(Path(collection.info().path))
    commit(directory, replace(read_generation(directory), unfinished="articles.jsonl"))
    damage(collection, "tokens")
    repair(collection)
    assert collection.info().unfinished == "articles.jsonl"
