"""Near-duplicates in real collections: what counts, in which order, and that a collection's past doesn't show."""

from itertools import combinations

import pytest

from shortlist.errors import DataError, FilterError
from shortlist.similarity import Duplicates
from shortlist.types import Passage
from tests.conftest import MakeCollection

CARD = "A new card takes five working days to arrive."
LOST = "Call us at once if your card was stolen."
LONG = " ".join(f"Step {n}: turn the key, then push the lever to the left." for n in range(60))
RECORDS: list[dict[str, object]] = [
    {"id": "d", "text": CARD, "lang": "en"},
    {"id": "a", "text": CARD, "lang": "en"},
    {"id": "c", "text": "Your new card arrives in five working days.", "lang": "en"},
    {"id": "b", "text": LOST, "lang": "en"},
    {"id": "e", "text": "Opening hours are from nine to five.", "lang": "de"},
    {"id": "f", "text": LONG, "lang": "en"},
    {"id": "g", "text": f"{LONG} {LOST} {LONG}", "lang": "en"},
    {"id": "h", "text": CARD, "lang": "de"},
]


def pairs(found: Duplicates) -> list[tuple[str, str]]:
    return [(pair.first, pair.second) for pair in found.pairs]


def test_the_same_text_has_exactly_one_and_comes_first_by_ids(small_collection: MakeCollection) -> None:
    found = small_collection(RECORDS).duplicates(0.8)
    same = [pair for pair in found.pairs if pair.score == 1]
    assert [(p.first, p.second) for p in same if p.first != "f"] == [("a", "d"), ("a", "h"), ("d", "h")]
    assert {("a", "c"), ("c", "d"), ("c", "h"), ("f", "g")} <= set(pairs(found))
    assert not any("e" in pair for pair in pairs(found))
    scores = [pair.score for pair in found.pairs]
    assert scores == sorted(scores, reverse=True)
    assert (found.pair_count, found.documents) == (len(found.pairs), 8)
    assert found.passages > 8


def test_a_document_is_its_nearest_passage_and_the_pair_names_it(small_collection: MakeCollection) -> None:
    made = small_collection([RECORDS[5], {"id": "part", "text": LONG[:400].rsplit(". ", 1)[0] + "."}])
    (pair,) = made.duplicates(0.8).pairs
    assert (pair.first, pair.second) == ("f", "part")
    assert pair.second_span == Passage(0, len(LONG[:400].rsplit(". ", 1)[0]) + 1)
    assert 0 <= pair.first_span.start < pair.first_span.end <= len(LONG)
    assert pair.first_span != Passage(0, len(LONG))


def test_clusters_are_what_pairs_connect_around_the_center(small_collection: MakeCollection) -> None:
    found = small_collection(RECORDS).duplicates(0.8)
    first, second = found.clusters
    assert [member.doc_id for member in first.members] == ["a", "d", "h", "c"]
    assert first.center == "a"
    assert [member.score for member in first.members[:3]] == [1.0] * 3
    assert first.members[3].score == next(p.score for p in found.pairs if (p.first, p.second) == ("a", "c"))
    assert {member.doc_id for member in second.members} == {"f", "g"}
    assert found.cluster_count == 2


def test_a_limit_cuts_what_is_given_and_not_what_is_counted(small_collection: MakeCollection) -> None:
    made = small_collection(RECORDS)
    whole, cut = made.duplicates(0.8), made.duplicates(0.8, limit=1)
    assert (cut.pairs, cut.clusters) == (whole.pairs[:1], whole.clusters[:1])
    assert (cut.pair_count, cut.cluster_count) == (whole.pair_count, whole.cluster_count)


def test_the_nearest_of_each_leave_pairs_out(small_collection: MakeCollection) -> None:
    made = small_collection(RECORDS)
    found = made.duplicates(-1, top_k=1)
    assert {("a", "d"), ("a", "h"), ("f", "g")} <= set(pairs(found))
    assert ("d", "h") not in pairs(found)
    assert {doc_id for pair in pairs(found) for doc_id in pair} == set("abcdefgh")
    assert made.duplicates(-1, top_k=7).pair_count == len(list(combinations(range(8), 2)))


def test_only_live_documents_that_the_filter_lets_through_are_compared(
    small_collection: MakeCollection,
) -> None:
    made = small_collection(RECORDS)
    made.delete(["d"])
    assert ("a", "h") in pairs(made.duplicates())
    assert not any("d" in pair for pair in pairs(made.duplicates()))
    english = made.duplicates(condition='lang = "en"')
    assert not any("h" in pair for pair in pairs(english))
    assert english.documents == 5
    with pytest.raises(FilterError):
        made.duplicates(condition="lang ==")


def test_the_past_of_a_collection_does_not_show(small_collection: MakeCollection) -> None:
    fresh = small_collection(RECORDS)
    grown = small_collection(RECORDS[:3], name="grown")
    grown.add([{"id": "x", "text": CARD}, {"id": "h", "text": "Something else for now."}])
    grown.add(RECORDS[::-1])
    grown.delete(["x"])
    for top_k in (None, 1):
        ours, theirs = grown.duplicates(0.5, top_k=top_k), fresh.duplicates(0.5, top_k=top_k)
        assert (ours.pairs, ours.clusters) == (theirs.pairs, theirs.clusters)


def test_a_collection_without_documents_has_no_duplicates(small_collection: MakeCollection) -> None:
    found = small_collection().duplicates()
    assert (found.pairs, found.clusters, found.documents) == ((), (), 0)
    assert small_collection(RECORDS, name="some").duplicates(condition='lang = "fr"').pairs == ()
    assert small_collection(RECORDS[:1], name="one").duplicates(-1, top_k=3).pairs == ()


@pytest.mark.parametrize(
    ("words", "problem"),
    [
        ({"threshold": 1.5}, "the threshold is 1.5, expected a cosine"),
        ({"threshold": float("nan")}, "the threshold is nan"),
        ({"top_k": 0}, "top_k must be at least 1, not 0"),
        ({"limit": 0}, "limit must be at least 1, not 0"),
    ],
)
def test_wrong_arguments_are_errors(
    small_collection: MakeCollection, words: dict[str, float], problem: str
) -> None:
    with pytest.raises(DataError, match=problem):
        small_collection(RECORDS[:1]).duplicates(**words)  # type: ignore[arg-type]
