import math
from collections import Counter

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.scoring import bm25_idf, bm25_weights, tfidf_idf, tfidf_weights

DOCUMENTS = st.lists(st.lists(st.sampled_from("abcde"), max_size=8), min_size=1, max_size=6)


def relative(lengths: list[int], average: float, b: float) -> NDArray[np.float64]:
    return 1 - b + b * np.array(lengths) / average


def test_bm25_gives_the_numbers_that_a_pocket_calculator_gives() -> None:
    # Three documents of 4, 3 and 2 terms; the term stands twice in the first: ln(1 + 2.5/1.5) = ln 2.6667.
    idf = bm25_idf(1, 3)
    assert idf == pytest.approx(0.980829253)
    # 1.2 (1 - .75 + .75 * 4/3) = 1.5, and 2 / (2 + 1.5) = .571428571.
    found = bm25_weights(np.array([2.0]), np.array([1.25]), idf, k1=1.2)
    assert found.tolist() == pytest.approx([0.560473859])


@given(DOCUMENTS, st.lists(st.sampled_from("abcdef"), max_size=4), st.floats(0, 3), st.floats(0, 1))
def test_bm25_equals_the_formula_term_by_term_and_document_by_document(
    documents: list[list[str]], query: list[str], k1: float, b: float
) -> None:
    average = sum(map(len, documents)) / len(documents)
    for term in query:
        having = [document for document in documents if term in document]
        if not having:
            continue
        idf = bm25_idf(len(having), len(documents))
        frequencies = np.array([float(document.count(term)) for document in having])
        lengths = relative([len(document) for document in having], average, b)
        found = bm25_weights(frequencies, lengths, idf, k1=k1)
        for document, weight in zip(having, found.tolist(), strict=True):
            tf, length = document.count(term), len(document)
            expected = math.log(1 + (len(documents) - len(having) + 0.5) / (len(having) + 0.5))
            expected *= tf / (tf + k1 * (1 - b + b * length / average))
            assert weight == pytest.approx(expected, rel=1e-12)


@given(st.integers(1, 10**6), st.integers(0, 10**6))
def test_bm25_never_counts_a_term_against_a_document(documents: int, more: int) -> None:
    assert bm25_idf(documents, documents + more) > 0


@given(st.integers(1, 999), st.integers(1, 999))
def test_a_rarer_term_counts_more(one: int, other: int) -> None:
    rare, common = sorted((one, other))
    assert bm25_idf(rare, 1000) >= bm25_idf(common, 1000)
    assert tfidf_idf(rare, 1000) >= tfidf_idf(common, 1000)
    assert (bm25_idf(rare, 1000) == bm25_idf(common, 1000)) == (rare == common)


@given(st.integers(1, 50), st.integers(1, 50), st.integers(1, 200), st.floats(0.1, 3), st.floats(0, 1))
def test_a_repeated_term_counts_more_but_never_more_than_its_idf(
    frequency: int, more: int, length: int, k1: float, b: float
) -> None:
    frequencies = np.array([frequency, frequency + more], np.float64)
    once, often = bm25_weights(frequencies, relative([length, length], 40.0, b), 2.0, k1=k1)
    assert 0 < once < often < 2.0


def test_without_k1_only_the_presence_of_a_term_counts() -> None:
    found = bm25_weights(np.array([1.0, 9.0]), relative([5, 500], 40.0, 0.75), 2.0, k1=0)
    assert found.tolist() == [2.0, 2.0]


def test_no_documents_have_no_weights_and_nothing_given_is_changed() -> None:
    assert bm25_weights(np.empty(0), np.empty(0), 1.0, k1=1.2).tolist() == []
    frequencies, lengths = np.array([2.0]), np.array([1.25])
    bm25_weights(frequencies, lengths, 1.0, k1=1.2)
    assert (frequencies.tolist(), lengths.tolist()) == ([2.0], [1.25])


def test_tf_idf_gives_the_numbers_that_a_pocket_calculator_gives() -> None:
    assert tfidf_idf(1, 3) == pytest.approx(math.log(2) + 1)
    assert tfidf_weights(np.array([1, 2]), 1.5).tolist() == pytest.approx([1.5, 1.5 * (1 + math.log(2))])


@given(DOCUMENTS)
def test_the_tf_idf_weights_of_a_document_equal_the_formula(documents: list[list[str]]) -> None:
    counts = Counter(term for document in documents for term in set(document))
    for document in documents:
        for term, frequency in Counter(document).items():
            expected = (1 + math.log(frequency)) * (math.log((1 + len(documents)) / (1 + counts[term])) + 1)
            found = tfidf_weights(np.array([frequency]), tfidf_idf(counts[term], len(documents)))
            assert found.tolist() == pytest.approx([expected])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int64, np.float64])
def test_the_type_that_counts_are_stored_in_changes_no_bit(dtype: type[np.generic]) -> None:
    found = tfidf_weights(np.array([1, 2, 3, 200]).astype(dtype), 1.5)
    assert found.dtype == np.float64
    assert found.tolist() == tfidf_weights(np.array([1.0, 2.0, 3.0, 200.0]), 1.5).tolist()
