import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.collection import Analyzer
from shortlist.collection.analyzer import LANGUAGES
from shortlist.errors import CollectionError

ENGLISH = Analyzer("english")
ASCII = st.text(st.characters(max_codepoint=126))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("The cards weren't working abroad.", ["card", "weren", "work", "abroad"]),
        ("CARD card Card", ["card", "card", "card"]),
        ("ＣＡＲＤ ﬁles ①", ["card", "file", "1"]),
        ("Österreich's Straße", ["österreich", "straße"]),
        ("cafe\u0301", ["café"]),
        ("e-mail_address 3.14 x86-64", ["e", "mail_address", "3", "14", "x86", "64"]),
        ("日本語 текст", ["日本語", "текст"]),
        ("the of and to", []),
        ("?! … 🙂", []),
        ("", []),
    ],
)
def test_a_text_becomes_folded_stemmed_words_without_stop_words(text: str, expected: list[str]) -> None:
    assert ENGLISH.terms(text) == expected


def test_other_languages_are_stemmed_and_keep_all_words() -> None:
    assert Analyzer("german").terms("Die Häuser der Stadt") == ["die", "haus", "der", "stadt"]


def test_a_language_without_a_stemmer_is_refused_and_the_known_ones_are_named() -> None:
    with pytest.raises(CollectionError, match="language 'klingon' has no stemmer") as caught:
        Analyzer("klingon")
    assert all(language in caught.value.hint for language in LANGUAGES)


def test_every_word_says_where_it_stands() -> None:
    text = "The ﬁles of ½ CARDS"
    assert [(term, text[start:end]) for term, start, end in ENGLISH.words(text)] == [
        ("", "The"),
        ("file", "ﬁles"),
        ("", "of"),
        ("1 2", "½"),
        ("card", "CARDS"),
    ]


@given(ASCII)
def test_words_are_the_terms_with_their_places(text: str) -> None:
    assert [term for term, _, _ in ENGLISH.words(text) if term] == ENGLISH.terms(text)


@given(st.text())
def test_words_stand_in_order_and_do_not_overlap(text: str) -> None:
    spans = [(start, end) for _, start, end in ENGLISH.words(text)]
    assert all(start < end for start, end in spans)
    assert all(before[1] <= after[0] for before, after in itertools.pairwise(spans))


@given(ASCII, ASCII)
def test_case_and_what_stands_around_a_text_do_not_change_its_terms(text: str, other: str) -> None:
    assert ENGLISH.terms(text.upper()) == ENGLISH.terms(text.lower()) == ENGLISH.terms(text)
    assert ENGLISH.terms(f"{text}\n{other}") == ENGLISH.terms(text) + ENGLISH.terms(other)
