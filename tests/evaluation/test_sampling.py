from __future__ import annotations

from collections import Counter

import pytest
from scipy import stats

from shortlist.errors import DataError
from shortlist.evaluation import sampling
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.sampling import draw_sample, first_words
from shortlist.types import Document
from tests.evaluation.questions import document, judge

DOCUMENTS = [document(f"d{number}", f"text {number}") for number in range(60)]


def about(*relevant: set[str]) -> Judged:
    """One query for each set of relevant documents; one more is judged not relevant for it."""
    return judge(
        {f"q{n}": f"query {n}" for n in range(len(relevant))},
        {f"q{n}": dict.fromkeys(sorted(ids), 1) | {"d59": 0} for n, ids in enumerate(relevant)},
    )


def ids(documents: tuple[Document, ...]) -> set[str]:
    assert len({one.doc_id for one in documents}) == len(documents)
    return {one.doc_id for one in documents}


def test_a_source_that_is_small_enough_is_taken_whole() -> None:
    for size in (60, 61, 1000):
        sample = draw_sample(DOCUMENTS, None, size, 0)
        assert sample.is_whole
        assert sample.total == 60
        assert ids(sample.documents) == {one.doc_id for one in DOCUMENTS}
        assert sample.judged is None
    assert not draw_sample(DOCUMENTS, None, 59, 0).is_whole


def test_the_documents_stand_in_random_order() -> None:
    assert list(draw_sample(DOCUMENTS, None, 60, 0).documents) != DOCUMENTS


def test_all_relevant_documents_of_the_queries_kept_are_in_it() -> None:
    judged = about({"d3"}, {"d40", "d41"}, {"d7", "d3"})
    for seed in range(20):
        sample = draw_sample(iter(DOCUMENTS), judged, 20, seed)
        assert sample.judged == judged
        assert {"d3", "d40", "d41", "d7"} <= ids(sample.documents)
        assert len(sample.documents) == 20


def test_queries_are_left_out_where_their_documents_would_be_more_than_half_of_it() -> None:
    judged = about(*({f"d{n}"} for n in range(40)))
    for seed in range(20):
        sample = draw_sample(DOCUMENTS, judged, 20, seed)
        assert sample.judged is not None
        assert len(sample.judged.queries) == 10
        assert {f"d{query.query_id[1:]}" for query in sample.judged.queries} <= ids(sample.documents)
        assert len(sample.documents) == 20
        assert list(sample.judged.queries) == [q for q in judged.queries if q in sample.judged.queries]
        assert list(sample.judged.qrels.relevance) == [query.query_id for query in sample.judged.queries]


def test_one_query_is_kept_whatever_it_takes() -> None:
    sample = draw_sample(DOCUMENTS, about({f"d{n}" for n in range(30)}), 10, 0)
    assert ids(sample.documents) == {f"d{n}" for n in range(30)}
    assert sample.judged is not None
    assert len(sample.judged.queries) == 1


def test_up_to_so_many_queries_are_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(sampling, "QUERIES", 3)
    drawn = Counter[str]()
    for seed in range(60):
        sample = draw_sample(DOCUMENTS, about(*({f"d{n}"} for n in range(6))), 60, seed)
        assert sample.judged is not None
        assert len(sample.judged.queries) == 3
        drawn.update(query.query_id for query in sample.judged.queries)
    assert stats.chisquare([drawn[f"q{n}"] for n in range(6)]).pvalue > 0.001


@pytest.mark.parametrize("judged", [None, about({"d5"}, {"d50"})])
def test_every_document_is_drawn_with_the_same_probability(judged: Judged | None) -> None:
    drawn = Counter[str]()
    first = Counter[str]()
    for seed in range(1500):
        sample = draw_sample(DOCUMENTS, judged, 12, seed)
        drawn.update(ids(sample.documents))
        first[sample.documents[0].doc_id] += 1
    required = {"d5", "d50"} if judged else set()
    free = [one.doc_id for one in DOCUMENTS if one.doc_id not in required]
    counts = [drawn[doc_id] for doc_id in free]
    # Less than a chi-square's: the draws of one sample exclude each other.
    assert stats.chisquare(counts).pvalue > 0.001
    assert sum(counts) == 1500 * (12 - len(required))
    assert all(drawn[doc_id] == 1500 for doc_id in required)
    # The first quarter of a sample is measured by itself: relevant documents aren't crowded anywhere.
    assert all(first[doc_id] == pytest.approx(1500 / 12, abs=50) for doc_id in required)


def test_the_same_seed_draws_the_same() -> None:
    assert draw_sample(DOCUMENTS, None, 10, 3) == draw_sample(DOCUMENTS, None, 10, 3)
    assert draw_sample(DOCUMENTS, None, 10, 3) != draw_sample(DOCUMENTS, None, 10, 4)


def test_a_source_without_documents_is_refused() -> None:
    with pytest.raises(DataError, match="there is no document"):
        draw_sample([], None, 10, 0)


def test_first_words_are_titles_or_the_beginnings_of_texts() -> None:
    long = " ".join(f"w{number}" for number in range(30))
    found = first_words([document("a", "x", "A  title"), document("b", long), document("c", " ")], 5)
    assert [query.text for query in found] == ["A title", " ".join(long.split()[:12])]
    assert len({query.query_id for query in first_words(DOCUMENTS, 7)}) == 7
