import math
from random import Random

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.types import Document, Hit, Passage, Ranking, check_text

# trec_eval holds scores in float32: small whole numbers, so that equal there is equal here, and ties are many.
SCORES = st.integers(-4, 4).map(float)
IDS = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), min_size=1, max_size=4)
SCORED = st.dictionaries(IDS, SCORES, min_size=1, max_size=12)


def order_of_trec_eval(scored: dict[str, float]) -> list[str]:
    """Ask trec_eval for the rank of every document, as if it alone were relevant."""
    qrels = {str(number): {doc_id: 1} for number, doc_id in enumerate(scored)}
    evaluator = pytrec_eval.RelevanceEvaluator(qrels, {"recip_rank"})
    found = evaluator.evaluate(dict.fromkeys(qrels, scored))
    rank = {doc_id: 1 / found[str(number)]["recip_rank"] for number, doc_id in enumerate(scored)}
    return sorted(scored, key=rank.__getitem__)


@given(SCORED)
def test_a_ranking_has_the_order_of_trec_eval(scored: dict[str, float]) -> None:
    ranking = Ranking.of(scored.items())
    assert [hit.doc_id for hit in ranking] == order_of_trec_eval(scored)
    assert [hit.rank for hit in ranking] == list(range(1, len(scored) + 1))
    assert {hit.doc_id: hit.score for hit in ranking} == scored


@given(SCORED, st.randoms(use_true_random=False))
def test_the_order_in_which_documents_are_given_does_not_matter(
    scored: dict[str, float], random: Random
) -> None:
    pairs = list(scored.items())
    random.shuffle(pairs)
    assert Ranking.of(pairs) == Ranking.of(scored.items())


@given(SCORED, st.integers(0, 13))
def test_the_best_k_are_a_prefix_of_the_whole_ranking(scored: dict[str, float], k: int) -> None:
    assert Ranking.of(scored.items(), k=k).hits == Ranking.of(scored.items()).hits[:k]


def test_scores_may_be_infinite() -> None:
    ranking = Ranking.of([("a", -math.inf), ("b", math.inf), ("c", 0.0)])
    assert [hit.doc_id for hit in ranking] == ["b", "c", "a"]


def test_a_ranking_can_be_made_from_a_generator() -> None:
    assert Ranking.of((doc_id, 1.0) for doc_id in "ab") == Ranking.of([("a", 1.0), ("b", 1.0)])


def test_a_score_that_is_nan_is_refused_with_its_document() -> None:
    with pytest.raises(DataError, match="score of document 'b' is NaN"):
        Ranking.of([("a", 1.0), ("b", math.nan)])


def test_a_document_that_stands_twice_is_refused_by_name() -> None:
    with pytest.raises(DataError, match="document 'b' stands twice"):
        Ranking.of([("a", 1.0), ("b", 1.0), ("c", 3.0), ("b", 2.0)])


def test_stages_and_spans_go_to_the_hits_of_their_documents() -> None:
    ranking = Ranking.of([("a", 1.0), ("b", 2.0)], stages={"a": {"bm25": 7.0}}, spans={"b": Passage(0, 4)})
    assert ranking.hits == (Hit(1, "b", 2.0, {}, Passage(0, 4)), Hit(2, "a", 1.0, {"bm25": 7.0}))


def test_a_ranking_reads_as_a_sequence_of_hits() -> None:
    ranking = Ranking.of([("a", 1.0), ("b", 2.0)])
    assert len(ranking) == 2
    assert ranking[0] is ranking.hits[0]
    assert tuple(ranking) == ranking.hits
    assert not Ranking.of([])


def test_where_a_document_was_read_is_no_part_of_it() -> None:
    assert Document("a", "x", place="a.jsonl:1") == Document("a", "x", place="b.jsonl:2")
    assert "jsonl" not in repr(Document("a", "x", place="a.jsonl:1"))


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_that_can_be_written_as_utf_8_passes_the_check(text: str) -> None:
    assert check_text(text, "the query") is text


@pytest.mark.parametrize(("text", "place"), [("\ud83d", 1), ("ab\udcffc", 3)])
def test_a_lone_surrogate_is_refused_with_what_it_stands_in_and_where(text: str, place: int) -> None:
    with pytest.raises(DataError, match=f"the query is not UTF-8 at character {place}") as caught:
        check_text(text, "the query")
    assert caught.value.hint
