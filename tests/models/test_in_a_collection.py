"""A collection that is encoded by a model folder instead of the model that comes with shortlist."""

import re
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, DataError, Encoder, ModelError, ModelMismatchError, Query
from shortlist.search import NAMES, Result, can_run
from tests.models.tiny_model import new_pooling, write_folder

DOCUMENTS = {
    "pets": "cat dog bird fish",
    "bank": "card bank loan money fee",
    "kitchen": "bread dough oven flour yeast",
    "sky": "star moon sun planet orbit",
    "weather": "rain snow wind cloud storm",
    "garden": "leaf root seed flower soil",
    "computer": "port file disk kernel shell",
    "health": "doctor nurse pill fever",
    "mixed": "cat card bread star rain leaf port doctor",
}
RUNNABLE = [name for name, value in NAMES.items() if can_run(value, has_tokens=True, has_codes=False)]
QUERIES = ["loan money", "moon", "cat and dog", "nothing known here"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_folder(tmp_path_factory.mktemp("model") / "tiny", prompts={"query": "query "})


@pytest.fixture(scope="module")
def path(tmp_path_factory: pytest.TempPathFactory, folder: Path) -> Path:
    path = tmp_path_factory.mktemp("collection") / "small"
    with Collection.create(path, model=folder, mode="exact") as made:
        made.add([{"id": doc_id, "text": text} for doc_id, text in DOCUMENTS.items()])
    return path


@pytest.fixture
def collection(path: Path) -> Iterator[Collection]:
    """The collection as a later process opens it."""
    with Collection.open(path) as opened:
        yield opened


def search_with(path: Path, model: Path | None) -> Result:
    with Collection.open(path, model=model) as opened:
        return opened.search("loan money")


def test_the_collection_knows_its_model_when_it_is_opened_again(collection: Collection, folder: Path) -> None:
    info = collection.info()
    assert (info.model, info.mode) == (str(folder), "exact")
    assert info.fingerprint == Encoder.load(folder, mode="exact").settings.fingerprint
    assert collection.check() == []


@pytest.mark.parametrize("query", QUERIES)
def test_dense_scores_are_the_quantised_cosines_of_the_model(
    collection: Collection, folder: Path, query: str
) -> None:
    encoder = Encoder.load(folder, mode="exact")
    vectors = np.rint(encoder.encode(list(DOCUMENTS.values())).astype(np.float64) * 127) / 127
    asked = encoder.encode([query], prompt="query")[0].astype(np.float64)
    step = np.abs(asked).max() / 127
    expected = vectors @ (np.rint(asked / step) * step)
    hits = collection.search(query, k=20, pipeline="dense").ranking
    found = {hit.doc_id: hit.score for hit in hits}
    assert found == pytest.approx(dict(zip(DOCUMENTS, expected.tolist(), strict=True)), abs=1e-6)


@pytest.mark.parametrize("query", QUERIES)
def test_late_scores_are_maxsim_over_the_token_vectors_of_the_model(
    collection: Collection, folder: Path, query: str
) -> None:
    encoder = Encoder.load(folder, mode="exact")
    asked = encoder.queries([query])[0].tokens.astype(np.float64)
    steps = np.abs(asked).max(axis=1, keepdims=True) / 127
    asked = np.rint(asked / steps) * steps
    expected = {}
    for doc_id, text in DOCUMENTS.items():
        tokens = np.rint(encoder.views([text]).tokens[0].astype(np.float64) * 127) / 127
        expected[doc_id] = (asked @ tokens.T).max(axis=1).mean()
    hits = collection.search(query, k=20, pipeline="late").ranking
    assert {hit.doc_id: hit.score for hit in hits} == pytest.approx(expected, abs=1e-6)


@pytest.mark.parametrize("name", RUNNABLE)
@pytest.mark.parametrize("doc_id", ["pets", "bank", "kitchen", "computer", "health"])
def test_every_named_pipeline_finds_a_document_by_its_own_words(
    collection: Collection, name: str, doc_id: str
) -> None:
    result = collection.search(DOCUMENTS[doc_id], k=20, pipeline=name)
    assert result.ranking[0].doc_id == doc_id
    assert len(result.ranking) == (2 if name in ("bm25", "tfidf") else len(DOCUMENTS))


@pytest.mark.parametrize("name", RUNNABLE)
def test_a_run_is_the_same_as_one_search_each(collection: Collection, name: str) -> None:
    run = collection.run([Query(text, text) for text in QUERIES], 20, pipeline=name)
    for text in QUERIES:
        assert run.rankings[text] == collection.search(text, 20, pipeline=name).ranking


def test_a_collection_of_a_model_that_compares_by_dot_scores_by_dot(tmp_path: Path) -> None:
    # Components of such vectors go beyond 1: the int8 steps must reach as far, or long vectors lose most.
    folder = write_folder(tmp_path / "dot", normalize=False, similarity="dot", pooling=new_pooling("cls"))
    encoder = Encoder.load(folder, mode="exact")
    vectors = encoder.encode(list(DOCUMENTS.values()))
    assert np.abs(vectors).max() > 2, "this test is about vectors beyond 1"
    expected = dict(zip(DOCUMENTS, (vectors @ encoder.encode(["moon"])[0]).tolist(), strict=True))
    largest = max(map(abs, expected.values()))
    with Collection.create(tmp_path / "small", model=folder, mode="exact") as collection:
        collection.add([{"id": doc_id, "text": text} for doc_id, text in DOCUMENTS.items()])
        hits = collection.search("moon", k=20, pipeline="dense").ranking
    assert {hit.doc_id: hit.score for hit in hits} == pytest.approx(expected, abs=0.05 * largest)


def test_a_model_of_more_dimensions_than_int8_sums_hold_exactly_is_refused_at_once(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "wide", graph="wide")
    assert Encoder.load(folder, mode="exact").encode(["cat"]).shape == (1, 1104)
    with pytest.raises(ModelError, match="1104"):
        Collection.create(tmp_path / "small", model=folder, mode="exact")


def test_a_model_that_moved_can_be_named(path: Path, folder: Path, tmp_path: Path) -> None:
    moved = folder.rename(tmp_path / "moved")
    try:
        with pytest.raises(ModelError, match=re.escape(str(folder))):
            search_with(path, None)
        assert search_with(path, moved).ranking[0].doc_id == "bank"
        with Collection.open(path) as opened:  # words need no model
            assert opened.search("loan money", pipeline="bm25").ranking[0].doc_id == "bank"
    finally:
        moved.rename(folder)


def test_another_model_is_refused_and_both_are_named(path: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", pooling=new_pooling("cls"))
    with pytest.raises(
        ModelMismatchError, match=r"encoded by tiny \(\w{16}\), not by other \(\w{16}\)"
    ) as caught:
        search_with(path, other)
    assert "--model" in caught.value.hint


def test_a_collection_of_the_model_that_comes_along_refuses_another(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "small") as made:
        made.add([{"id": "a", "text": "a card"}])
    # That the other one can't run in the collection's mode is beside the point.
    with pytest.raises(ModelMismatchError, match=r"all-minilm-l6-v2.*other"):
        search_with(tmp_path / "small", write_folder(tmp_path / "other"))


def test_checking_a_collection_says_that_the_model_at_hand_is_another(path: Path, tmp_path: Path) -> None:
    other = write_folder(tmp_path / "other", pooling=new_pooling("cls"))
    with pytest.raises(ModelMismatchError, match="encoded by tiny"):
        Collection.open(path, model=other)
    folder = write_folder(tmp_path / "changing")
    with Collection.create(tmp_path / "small", model=folder, mode="exact") as made:
        write_folder(folder, pooling=new_pooling("cls"))
        (problem,) = made.check()
    assert problem.startswith("encoded by changing")


def test_a_model_that_changed_in_its_place_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "changing")
    with Collection.create(tmp_path / "small", model=folder, mode="exact") as made:
        made.add([{"id": "a", "text": "cat"}])
    write_folder(folder, pooling=new_pooling("cls"))
    with pytest.raises(ModelMismatchError, match="encoded by changing"):
        search_with(tmp_path / "small", None)


def test_nothing_is_committed_when_the_model_gives_nan(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "words", graph="words")
    with Collection.create(tmp_path / "small", model=folder, mode="exact") as made:
        with pytest.raises(DataError, match="model words gave a bad vector"):
            made.add([{"id": "a", "text": "cat"}, {"id": "b", "text": "cough"}])
        assert made.count() == 0
        assert made.check() == []


def test_a_folder_that_can_not_be_used_leaves_no_collection_behind(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "broken", graph=None)
    with pytest.raises(ModelError, match="no ONNX graph"):
        Collection.create(tmp_path / "small", model=folder, mode="exact")
    assert not (tmp_path / "small").exists()
