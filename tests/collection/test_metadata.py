import operator
import sys

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from shortlist.collection.metadata import keys_of, stretch

INTEGERS = st.integers(-(2**63), 2**63 - 1)
NEAR = st.builds(
    lambda power, sign, step: max(-(2**63), min(2**63 - 1, sign * 2**power + step)),
    st.integers(50, 63),
    st.sampled_from([-1, 1]),
    st.integers(-3, 3),
)
FLOATS = st.floats(allow_nan=False, allow_infinity=False)
NUMBERS = (
    INTEGERS | NEAR | FLOATS | NEAR.map(float) | st.sampled_from([0, 0.0, -0.0, 5e-324, sys.float_info.max])
)
TEXTS = st.text(st.characters(exclude_categories=["Cs"])) | st.sampled_from(
    ["", "a", "ab", "日本", "🙂", "\uffff"]
)
RELATIONS = {"=": operator.eq, "<": operator.lt, "<=": operator.le, ">": operator.gt, ">=": operator.ge}


def key(value: str | float, field: str = "f") -> bytes:
    (only,) = keys_of({field: value})
    return only


@given(NUMBERS, NUMBERS)
@example(2**53, 2**53 + 1)
@example(2**53 + 1, float(2**53))
@example(2**63 - 1, float(2**63))
@example(-(2**53) - 1, float(-(2**53)))
@example(-0.0, 0)
def test_the_bytes_of_numbers_sort_as_the_numbers_do(one: float, other: float) -> None:
    assert (key(one) < key(other)) == (one < other)
    assert (key(one) == key(other)) == (one == other)


@given(TEXTS, TEXTS)
def test_the_bytes_of_texts_sort_as_their_characters_do(one: str, other: str) -> None:
    assert (key(one) < key(other)) == (one < other)
    assert (key(one) == key(other)) == (one == other)


@given(NUMBERS | TEXTS, NUMBERS | TEXTS, st.sampled_from(sorted(RELATIONS)))
def test_a_stretch_holds_just_what_stands_in_the_relation(
    stored: str | float, asked: str | float, relation: str
) -> None:
    first, end = stretch("f", relation, asked)
    alike = isinstance(stored, str) == isinstance(asked, str)
    assert (first <= key(stored) < end) == (alike and RELATIONS[relation](stored, asked))


@given(NUMBERS | TEXTS, TEXTS, TEXTS)
def test_a_field_exists_where_it_is_and_nowhere_else(value: str | float, field: str, other: str) -> None:
    first, end = stretch(field)
    assert first <= key(value, field) < end
    assert (first <= key(value, other) < end) == (field == other)


@pytest.mark.parametrize("relation", sorted(RELATIONS))
def test_nan_stands_in_no_relation(relation: str) -> None:
    first, end = stretch("f", relation, float("nan"))
    assert first == end


@pytest.mark.parametrize("value", [float("inf"), float("-inf")])
def test_infinity_is_beyond_every_number(value: float) -> None:
    first, end = stretch("f", "<", value)
    assert (first <= key(2**63 - 1) < end) == (value > 0)
    assert (first <= key(-sys.float_info.max) < end) == (value > 0)


def test_a_list_has_a_key_for_each_value_and_equal_ones_once() -> None:
    assert keys_of({"f": ["b", "a", "b", 1, 1.0, True], "g": []}) == [key(1), key("a"), key("b")]
    assert key(True) == key(1)
    assert key(False) == key(0)
