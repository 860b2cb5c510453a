"""What holds for the ranking of every named pipeline."""

from itertools import pairwise

import pytest

from shortlist import Collection
from shortlist.search import NAMES
from tests.search.corpus import QUERIES, documents

every_name = pytest.mark.parametrize("name", NAMES)
every_collection = pytest.mark.parametrize("where", ["fresh", "grown"])
every_query = pytest.mark.parametrize("query", QUERIES)

ALL = {document.doc_id for document in documents()}


@every_query
@every_name
@every_collection
def test_hits_are_live_documents_each_once_in_a_total_order_with_ranks_from_1(
    collections: dict[str, Collection], where: str, name: str, query: str
) -> None:
    ranking = collections[where].search(query, k=1000, pipeline=name).ranking
    assert [hit.rank for hit in ranking] == list(range(1, len(ranking) + 1))
    ids = [hit.doc_id for hit in ranking]
    assert len(set(ids)) == len(ids)
    assert set(ids) <= ALL
    for above, below in pairwise(ranking):
        assert (above.score, above.doc_id) > (below.score, below.doc_id)


@every_query
@every_name
def test_scores_are_plain_finite_floats(collections: dict[str, Collection], name: str, query: str) -> None:
    for hit in collections["fresh"].search(query, k=1000, pipeline=name).ranking:
        for score in (hit.score, *hit.stages.values()):
            assert type(score) is float
            assert abs(score) < 1000


@every_query
@every_name
def test_a_pipeline_finds_every_document_or_those_with_a_word_of_the_query(
    collections: dict[str, Collection], name: str, query: str
) -> None:
    found = {hit.doc_id for hit in collections["fresh"].search(query, k=1000, pipeline=name).ranking}
    with_a_word = {hit.doc_id for hit in collections["fresh"].search(query, k=1000, pipeline="bm25").ranking}
    assert found == (with_a_word if name in ("bm25", "tfidf") else ALL)
