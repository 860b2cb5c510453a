"""What a collection has been through must not show: it ranks as one built fresh from what is left."""

import math
import tempfile
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.models import Encoder
from shortlist.types import Document, Hit

# One takes several passages, some are alike, one has no term, one only a title.
TEXTS = [
    ("Card abroad", "Your card works abroad once foreign payments are allowed."),
    ("Card abroad", "Your card works abroad once foreign payments are allowed."),
    ("", "A lost card is blocked at once; call us."),
    ("Opening hours", ""),
    ("", "The of and to"),
    ("Fees", "Payments abroad cost a fee. Cards, cards and more cards cost nothing."),
    ("Manual", " ".join(f"Step {n}: turn the card, then pay abroad or call the bank." for n in range(40))),
]
QUERIES = ["is my card working abroad", "bank opening hours"]
PIPELINES = ["bm25", "tfidf", "dense", "late", "hybrid", "hybrid+late", "fuse(bm25, dense, method='rrf')"]

IDS = st.sampled_from(["a", "b", "c", "d", "e"])
CONTENTS = st.sampled_from(range(len(TEXTS)))
ADD = st.tuples(st.just("add"), st.dictionaries(IDS, CONTENTS, min_size=1, max_size=4))
DELETE = st.tuples(st.just("delete"), st.lists(IDS, min_size=1, max_size=3))
COMPACT = st.tuples(st.just("compact"), st.none())
HISTORIES = st.lists(ADD | DELETE | ADD | COMPACT, min_size=2, max_size=7)


def article(doc_id: str, content: int) -> Document:
    title, text = TEXTS[content]
    return Document(doc_id, text, title, {"even": content % 2 == 0})


@contextmanager
def collection(encoder: Encoder, settings: StoreSettings) -> Iterator[Collection]:
    with tempfile.TemporaryDirectory() as folder:
        made = Collection(Store.create(Path(folder) / "c", settings), encoder, None)
        with made:
            yield made


def hits(made: Collection, query: str, pipeline: str, condition: str | None) -> list[Hit]:
    return list(made.search(query, 10, pipeline=pipeline, condition=condition).ranking)


@pytest.mark.parametrize("condition", [None, "even = true"], ids=["unfiltered", "filtered"])
@settings(max_examples=10)
@given(history=HISTORIES)
# Equal texts rank by id, so a reranker reads the documents of a segment in another order than they lie in.
@example(history=[("add", {"d": 0, "a": 2, "b": 0, "c": 0}), ("add", {"a": 0})])
def test_a_grown_collection_ranks_as_one_built_from_what_is_left(
    encoder: Encoder,
    store_settings: StoreSettings,
    condition: str | None,
    history: list[tuple[str, object]],
) -> None:
    left: dict[str, int] = {}
    with collection(encoder, store_settings) as grown, collection(encoder, store_settings) as fresh:
        for act, what in history:
            if isinstance(what, Mapping):
                grown.add([article(doc_id, content) for doc_id, content in what.items()])
                left |= what
            elif isinstance(what, list):
                assert grown.delete(what) == len(left.keys() & set(what))
                left = {doc_id: content for doc_id, content in left.items() if doc_id not in what}
            else:
                assert act == "compact"
                grown.compact()
            hits(grown, QUERIES[0], "bm25", None)  # an open collection goes on to the newest generation
        fresh.add([article(doc_id, content) for doc_id, content in left.items()])
        assert grown.count() == fresh.count() == len(left)
        assert grown.check() == []
        for query in QUERIES:
            alone = {
                name: {hit.doc_id: hit.score for hit in hits(grown, query, name, condition)}
                for name in ("dense", "late")
            }
            for pipeline in PIPELINES:
                found, expected = (hits(made, query, pipeline, condition) for made in (grown, fresh))
                assert [hit.doc_id for hit in found] == [hit.doc_id for hit in expected], pipeline
                for one, other in zip(found, expected, strict=True):
                    assert math.isclose(one.score, other.score, rel_tol=0, abs_tol=1e-9), (one, other)
                    assert one.span == other.span
                    assert one.stages.keys() == other.stages.keys()
                    for name in alone.keys() & one.stages.keys():
                        assert one.stages[name] == alone[name][one.doc_id], "in any pipeline the same"
