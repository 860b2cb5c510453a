import math
from collections.abc import Mapping
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.formats import Rejected, document_from_mapping
from shortlist.types import Document

PLACE = "articles.jsonl:17"


def reason(record: Mapping[str, Any]) -> str:
    answer = document_from_mapping(record, PLACE)
    assert isinstance(answer, Rejected), answer
    assert answer.place == PLACE
    assert str(answer) == f"{PLACE}: {answer.reason}"
    return answer.reason


def document(record: Mapping[str, Any]) -> Document:
    answer = document_from_mapping(record, PLACE)
    assert isinstance(answer, Document), answer
    return answer


@pytest.mark.parametrize("name", ["_id", "id", "doc_id"])
def test_the_id_stands_under_any_of_three_names(name: str) -> None:
    assert document({name: "a", "text": "A cat."}) == Document("a", "A cat.")


def test_the_first_id_name_wins_and_the_others_are_metadata() -> None:
    assert document({"id": 2, "doc_id": "c", "_id": "a", "text": "t"}) == Document(
        "a", "t", metadata={"id": 2, "doc_id": "c"}
    )


def test_an_integer_id_becomes_its_digits() -> None:
    assert document({"id": -7, "text": "t"}).doc_id == "-7"


@pytest.mark.parametrize("value", [True, 1.0, None, ["a"], {"a": 1}, b"a"])
def test_an_id_of_another_type_is_rejected_by_name(value: object) -> None:
    assert "id is " in reason({"id": value, "text": "t"})
    assert "expected a string or an integer" in reason({"id": value, "text": "t"})


def test_a_record_without_an_id_is_rejected_with_the_names_that_would_do() -> None:
    assert reason({"key": "a", "text": "t"}) == "no id, expected one under `_id`, `id` or `doc_id`"


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("", "id is blank"),
        ("  ", "id is blank"),
        (" a", "id ' a' has spaces around it"),
        ("a\u00a0", "id 'a\\xa0' has spaces around it"),
        ("a\0b", "id has a NUL at character 2"),
        ("a\nb", "id 'a\\nb' has a control character at character 2"),
        ("a\tb", "id 'a\\tb' has a control character at character 2"),
        ("a\u2028b", "id 'a\\u2028b' has a control character at character 2"),
        ("\ufeffa", "id '\\ufeffa' has a control character at character 1"),
        ("a\ud800", "id has a lone surrogate (U+D800) at character 2"),
        ("é" * 257, "id of 514 bytes is more than 512"),
        (2**63, "id is an integer beyond 64 bits; write it as a string"),
    ],
)
def test_an_id_that_files_or_people_would_garble_is_rejected(value: object, expected: str) -> None:
    assert reason({"id": value, "text": "t"}) == expected


def test_an_integer_id_of_thousands_of_digits_is_rejected() -> None:
    assert reason({"id": 10**5000, "text": "t"}) == "id is an integer beyond 64 bits; write it as a string"


def test_an_id_may_have_512_bytes_and_spaces_inside() -> None:
    assert document({"id": "é" * 256, "text": "t"}).doc_id == "é" * 256
    assert document({"id": "a b", "text": "t"}).doc_id == "a b"


@pytest.mark.parametrize("record", [{}, {"text": None}, {"title": None}, {"title": " ", "text": "\n"}])
def test_a_document_with_blank_title_and_text_is_empty(record: dict[str, object]) -> None:
    assert reason({"id": "a", **record}) == "empty document: title and text are blank"


def test_title_or_text_alone_make_a_document() -> None:
    assert document({"id": "a", "title": "A"}) == Document("a", "", "A")
    assert document({"id": "a", "title": "A", "text": None}) == Document("a", "", "A")
    assert document({"id": "a", "title": None, "text": " x "}) == Document("a", " x ")


@pytest.mark.parametrize("name", ["title", "text"])
@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("a\0", "{} has a NUL at character 2"),
        ("\udc80", "{} has a lone surrogate (U+DC80) at character 1"),
        (5, "{} is an int, expected a string"),
        (["a"], "{} is a list, expected a string"),
    ],
)
def test_title_and_text_must_be_text_that_can_be_stored(name: str, value: object, expected: str) -> None:
    assert reason({"id": "a", "title": "A", "text": "t", name: value}) == expected.format(name)


def test_a_text_beyond_10_mebibytes_is_rejected_with_both_sizes() -> None:
    text = "x" * (10 * 1024 * 1024)
    assert document({"id": "a", "text": text}).text == text
    assert (
        reason({"id": "a", "text": "x" * 52_428_800})
        == "text of 52,428,800 bytes is more than 10,485,760; split it"
    )
    assert reason({"id": "a", "text": text[:-1] + "é"}).startswith("text of 10,485,761 bytes")


def test_metadata_comes_from_its_own_key_and_from_all_others() -> None:
    record = {
        "id": "a",
        "text": "t",
        "metadata": {"year": 2020, "open": True},
        "tags": ["x", 1],
        "score": 0.5,
    }
    assert document(record).metadata == {"year": 2020, "open": True, "tags": ["x", 1], "score": 0.5}


def test_nested_metadata_flattens_with_dots_and_drops_nulls() -> None:
    record = {
        "id": "a",
        "text": "t",
        "author": {"name": {"first": "Ada"}, "age": None},
        "empty": {},
        "x": None,
    }
    assert document(record).metadata == {"author.name.first": "Ada"}


@pytest.mark.parametrize(
    "record",
    [
        {"metadata": {"year": 1}, "year": 2},
        {"a": {"b": 1}, "a.b": 2},
    ],
)
def test_a_metadata_name_that_stands_twice_is_rejected(record: dict[str, object]) -> None:
    assert reason({"id": "a", "text": "t", **record}).endswith("stands twice")


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        (math.nan, "metadata 'x' is nan, expected a finite number"),
        (-math.inf, "metadata 'x' is -inf, expected a finite number"),
        (2**63, "metadata 'x' is an integer beyond 64 bits; write it as a string"),
        (-(2**63) - 1, "metadata 'x' is an integer beyond 64 bits; write it as a string"),
        (b"x", "metadata 'x' is a bytes, expected a string, number or boolean, or a list of these"),
        ([1, None], "an item of metadata 'x' is null, expected"),
        ([[1]], "an item of metadata 'x' is a list, expected"),
        ([{"a": 1}], "an item of metadata 'x' is a dict, expected"),
        ([math.nan], "an item of metadata 'x' is nan, expected"),
        ("a\0", "metadata 'x' has a NUL at character 2"),
        (["\ud800"], "an item of metadata 'x' has a lone surrogate (U+D800) at character 1"),
    ],
)
def test_a_metadata_value_that_filters_cannot_compare_is_rejected_by_name(
    value: object, expected: str
) -> None:
    assert reason({"id": "a", "text": "t", "x": value}).startswith(expected)


@pytest.mark.parametrize(
    ("metadata", "expected"),
    [
        ("2020", "metadata is a str, expected a mapping of names to values"),
        ({1: "x"}, "a metadata name is an int, expected a string"),
        ({"": "x"}, "a metadata name is empty"),
        ({"a": {"": "x"}}, "a metadata name is empty in 'a'"),
        ({"\ud800": "x"}, "a metadata name has a lone surrogate (U+D800) at character 1"),
        ({"a" * 600: "x"}, f"metadata name {'a' * 80!r}... is longer than 512 bytes"),
    ],
)
def test_metadata_names_must_be_text(metadata: object, expected: str) -> None:
    assert reason({"id": "a", "text": "t", "metadata": metadata}) == expected


def test_64_bit_integers_are_kept_exactly() -> None:
    values = [2**63 - 1, -(2**63)]
    assert document({"id": "a", "text": "t", "x": values}).metadata["x"] == values


def test_metadata_that_contains_itself_is_rejected() -> None:
    endless: dict[str, object] = {}
    endless["x"] = endless
    assert reason({"id": "a", "text": "t", "x": endless}) == "metadata nests deeper than 32 mappings"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=50)
@given(st.dictionaries(st.sampled_from(["_id", "id", "title", "text", "metadata", "x", ""]), JSON))
def test_no_mapping_makes_it_raise(record: dict[str, object]) -> None:
    answer = document_from_mapping(record, PLACE)
    if isinstance(answer, Document):
        assert answer.doc_id
        assert (answer.title + answer.text).strip()
        assert (
            document_from_mapping(
                {"id": answer.doc_id, "title": answer.title, "text": answer.text, **answer.metadata}, PLACE
            )
            == answer
        )
