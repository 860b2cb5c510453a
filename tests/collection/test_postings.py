from collections import Counter
from collections.abc import Sequence
from dataclasses import fields

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.collection import Postings

Texts = list[list[str]]
TERMS = st.sampled_from(["a", "b", "é", "日本", "z" * 40, "abc", "ab"]) | st.text(
    st.characters(exclude_categories=["Cs"]), min_size=1, max_size=3
)
TEXTS = st.lists(st.lists(TERMS, max_size=8), max_size=6)


def counted(postings: Postings) -> dict[str, dict[int, int]]:
    """Read the whole index back, term by term."""
    found = {}
    for index in range(len(postings)):
        term = postings.term(index).decode()
        where = postings.find(term)
        assert where is not None
        found[term] = dict(
            zip(postings.documents[where].tolist(), postings.frequencies[where].tolist(), strict=True)
        )
    return found


def expected(texts: Sequence[Sequence[str]]) -> dict[str, dict[int, int]]:
    found: dict[str, dict[int, int]] = {}
    for number, terms in enumerate(texts):
        for term, count in Counter(terms).items():
            found.setdefault(term, {})[number] = count
    return found


def assert_same(left: Postings, right: Postings) -> None:
    for field in fields(Postings):
        one, other = getattr(left, field.name), getattr(right, field.name)
        np.testing.assert_array_equal(one, other, err_msg=field.name)
        assert one.dtype == other.dtype, field.name


@given(TEXTS)
def test_every_term_knows_its_documents_and_how_often_they_have_it(texts: Texts) -> None:
    assert counted(Postings.build(texts)) == expected(texts)


@given(TEXTS)
def test_terms_are_sorted_by_their_bytes_and_documents_ascend(texts: Texts) -> None:
    postings = Postings.build(texts)
    terms = [postings.term(index) for index in range(len(postings))]
    assert terms == sorted(set(terms))
    for start, end in zip(postings.posting_offsets[:-1], postings.posting_offsets[1:], strict=True):
        assert np.all(np.diff(postings.documents[start:end]) > 0)
        assert start < end, "no term is without a document"


@given(TEXTS, TERMS)
def test_a_term_that_no_document_has_is_not_found(texts: Texts, term: str) -> None:
    found = Postings.build(texts).find(term)
    assert (found is not None) == any(term in terms for terms in texts)


@given(st.lists(st.lists(st.tuples(st.lists(TERMS, max_size=6), st.booleans()), max_size=4), min_size=1))
def test_merged_parts_are_the_index_of_what_is_kept(parts: list[list[tuple[list[str], bool]]]) -> None:
    whole: Texts = []
    renumber = []
    for part in parts:
        numbers = []
        for terms, kept in part:
            numbers.append(len(whole) if kept else -1)
            if kept:
                whole.append(terms)
        renumber.append(np.array(numbers, np.int64))
    indexes = [Postings.build([terms for terms, _ in part]) for part in parts]
    assert_same(Postings.merge(indexes, renumber), Postings.build(whole))


@pytest.mark.parametrize("texts", [[], [[]], [[], []]])
def test_documents_without_a_term_make_an_empty_index(texts: Texts) -> None:
    postings = Postings.build(texts)
    assert len(postings) == 0
    assert postings.find("a") is None
    assert postings.posting_offsets.tolist() == postings.term_offsets.tolist() == [0]


@pytest.mark.parametrize("count", [255, 256, 65_535, 65_536])
def test_a_term_may_stand_any_number_of_times_in_one_document(count: int) -> None:
    postings = Postings.build([["b"], ["a"] * count])
    assert counted(postings) == {"a": {1: count}, "b": {0: 1}}
    merged = Postings.merge([postings, postings], [np.array([0, 1]), np.array([2, 3])])
    assert counted(merged) == {"a": {1: count, 3: count}, "b": {0: 1, 2: 1}}


def test_parts_and_their_numberings_must_be_as_many() -> None:
    with pytest.raises(ValueError, match="zip"):
        Postings.merge([Postings.build([["a"]])], [])
