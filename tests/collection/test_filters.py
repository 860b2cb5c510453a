import contextlib
import itertools
import operator
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.collection import Filter, Store, as_filter, parse_filter
from shortlist.collection.filters import All, Compare, Exists, In, Not
from shortlist.collection.filters import Any as Either
from shortlist.errors import FilterError
from shortlist.types import Document, MetadataValue

from .building import SETTINGS, add, create, delete, document

RELATIONS: Mapping[str, Callable[[Any, Any], bool]] = {
    "=": operator.eq,
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
# Few names and values, so that fields and filters meet; among them all that could be taken for syntax.
FIELDS = st.sampled_from(
    [
        "lang",
        "year",
        "author.name",
        "to do",
        "and",
        "exists",
        "true",
        "2020",
        'say "x"',
        "it's",
        "(",
        "a\nb",
        "",
    ]
)
BOUNDARIES: list[str | int | float] = [
        "en", "fr", "", "2020", "true", "in", 'say "x"', "it's", "a\\", "tab\t", "日本語", "2020-01-31", "2020-2",
        0, 1, 2020, 2020.0, 2020.5, -1.5, -0.0, 1e300, 5e-324, 2**53, 2**53 + 1, float(2**53), 2**63 - 1, -(2**63),
        True, False,
]  # fmt: skip
VALUES = st.sampled_from(BOUNDARIES)
ANY_VALUE = (
    VALUES
    | st.text(st.characters(exclude_categories=["Cs"]))
    | st.integers(-(2**63), 2**63 - 1)
    | st.floats(allow_nan=False, allow_infinity=False)
)


def filters(fields: st.SearchStrategy[str], values: st.SearchStrategy[Any]) -> st.SearchStrategy[Filter]:
    leaves = (
        st.builds(Compare, fields, st.sampled_from(sorted(RELATIONS)), values)
        | st.builds(In, fields, st.lists(values, min_size=1, max_size=3).map(tuple))
        | st.builds(Exists, fields)
    )

    def combine(inner: st.SearchStrategy[Filter]) -> st.SearchStrategy[Filter]:
        parts = st.lists(inner, min_size=2, max_size=3).map(tuple)
        return st.builds(Not, inner) | st.builds(All, parts) | st.builds(Either, parts)

    return st.recursive(leaves, combine, max_leaves=6)


def lets_through(condition: Filter, metadata: Mapping[str, MetadataValue]) -> bool:
    """Say by definition what the index must say."""
    match condition:
        case Compare(field=field, relation=relation, value=value):
            stored = metadata.get(field, [])
            return any(
                isinstance(one, str) == isinstance(value, str) and RELATIONS[relation](one, value)
                for one in (stored if isinstance(stored, list) else [stored])
            )
        case In(field=field, values=values):
            return any(lets_through(Compare(field, "=", value), metadata) for value in values)
        case Exists(field=field):
            return metadata.get(field, []) != []
        case Not(inner=inner):
            return not lets_through(inner, metadata)
        case All(parts=parts):
            return all(lets_through(part, metadata) for part in parts)
        case Either(parts=parts):
            return any(lets_through(part, metadata) for part in parts)


def found(store: Store, condition: Filter | str | Mapping[str, Any]) -> list[str]:
    with store.snapshot() as snapshot:
        return snapshot.doc_ids(snapshot.allowed(as_filter(condition)).nonzero()[0])


@pytest.fixture(scope="module")
def emptied(tmp_path_factory: pytest.TempPathFactory) -> Store:
    """A collection that tests fill and empty again."""
    return Store.create(tmp_path_factory.mktemp("filters") / "emptied", SETTINGS)


@pytest.fixture(scope="module")
def articles(tmp_path_factory: pytest.TempPathFactory) -> Store:
    documents = [
        document("en2019", lang="en", year=2019, tag=["news", "to do"]),
        document("en2021", lang="en", year=2021, tag="faq", draft=True),
        document("fr2020", lang="fr", year=2020.5, published="2020-06-30"),
        document("bare"),
        document("text", year="2020", draft=False, published="2021-01-01"),
    ]
    return create(tmp_path_factory.mktemp("filters") / "articles", documents)


@given(filters(FIELDS, ANY_VALUE))
def test_the_text_form_reads_back_as_the_same_filter(condition: Filter) -> None:
    assert parse_filter(str(condition)) == condition


METADATA = st.dictionaries(FIELDS.filter(bool), VALUES | st.lists(VALUES, max_size=3), max_size=4)


@settings(max_examples=25)
@given(st.lists(METADATA, min_size=1, max_size=8), st.lists(filters(FIELDS, VALUES), min_size=1, max_size=20))
def test_a_filter_lets_through_what_its_definition_says(
    emptied: Store, metadata: list[dict[str, MetadataValue]], conditions: list[Filter]
) -> None:
    documents = [Document(str(number), "text", metadata=one) for number, one in enumerate(metadata)]
    add(emptied, *documents)
    with emptied.snapshot() as snapshot:
        for condition in conditions:
            expected = [d.doc_id for d in documents if lets_through(condition, d.metadata)]
            assert snapshot.doc_ids(snapshot.allowed(condition).nonzero()[0]) == expected, str(condition)
    delete(emptied, *(d.doc_id for d in documents))


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("lang = en", ["en2019", "en2021"]),
        ('"lang"=="en"', ["en2019", "en2021"]),
        ("lang != 'en'", ["bare", "fr2020", "text"]),
        ("NOT lang = en AND year >= 2020", ["fr2020"]),
        ("not not lang = fr", ["fr2020"]),
        ("year > 2019 and year < 2021", ["fr2020"]),
        ("year = 2019 or year = 2021 and lang = fr", ["en2019"]),
        ("(year = 2019 or year = 2021) and lang = en", ["en2019", "en2021"]),
        ("year = '2020'", ["text"]),
        ("year <= 1e9", ["en2019", "en2021", "fr2020"]),
        ("year in (1e999, 2019)", ["en2019"]),
        ("year < 1e999", ["en2019", "en2021", "fr2020"]),
        ('tag in (faq, "to do")', ["en2019", "en2021"]),
        ("tag in (faq) or tag = news", ["en2019", "en2021"]),
        ("draft = true", ["en2021"]),
        ("draft = FALSE", ["text"]),
        ("exists(draft)", ["en2021", "text"]),
        ("not exists (year)", ["bare"]),
        ("published < 2021-01-01", ["fr2020"]),
        ("published >= '2020-06-30'", ["fr2020", "text"]),
        ("nowhere = 1", []),
    ],
)
def test_the_text_form_says_what_it_seems_to_say(articles: Store, text: str, expected: list[str]) -> None:
    assert sorted(found(articles, text)) == expected


def test_a_mapping_asks_for_all_of_its_fields() -> None:
    assert as_filter({"lang": "en", "tag": ["news", "faq"]}) == All(
        (Compare("lang", "=", "en"), In("tag", ("news", "faq")))
    )
    assert as_filter(None) is None
    condition = Exists("lang")
    assert as_filter(condition) is condition


def test_documents_of_other_generations_never_come_through(tmp_path: Path) -> None:
    store = create(tmp_path / "c", [document("a", year=1), document("b", year=2)], [document("a", year=3)])
    assert found(store, Not(Exists("nowhere"))) == ["b", "a"]
    assert found(store, "year = 1") == []
    with store.snapshot() as earlier:
        add(store, document("c", year=3))
        assert earlier.doc_ids(earlier.allowed(as_filter("year = 3")).nonzero()[0]) == ["a"]
    assert found(store, "year = 3") == ["a", "c"]


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("", "expected a field name at column 1: ''"),
        ("   ", "expected a field name"),
        ("lang", "expected =, !=, <, <=, >, >= or in at column 5"),
        ("lang =", "expected a value at column 7"),
        ("lang = en fr", "expected 'and', 'or' or the end at column 11: 'fr'"),
        ("lang = en and", "expected a field name at column 14"),
        ("(lang = en", "expected ')' at column 11"),
        ("lang ~ en", "expected =, !=, <, <=, >, >= or in at column 6: '~ en'"),
        ("lang ! en", "can't be read at column 5: ' ! en'"),
        ('lang = "en', "can't be read at column 7: ' \"en'"),
        ("tag in ()", "expected a value at column 9"),
        ("tag in (a b)", "expected ')' at column 11"),
        ("exists(", "expected a value at column 8"),
        ("2020 = year", "expected a field name at column 1"),
        ("= 1", "expected a field name at column 1"),
        ('lang = "\\x"', 'the text "\\x" can\'t be read'),
    ],
)
def test_an_error_says_what_was_expected_and_where(text: str, problem: str) -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter(text)
    assert str(caught.value).startswith("filter: ")
    assert problem in str(caught.value)


def test_an_error_shows_how_a_filter_reads() -> None:
    with pytest.raises(FilterError) as caught:
        parse_filter("lang")
    example = caught.value.hint.removeprefix("a filter reads: ")
    assert str(parse_filter(example)).startswith('(lang = "en")')


@given(st.text(st.sampled_from("abé1-.e \t\n\"'\\()=<>!,") | st.characters(), max_size=30))
def test_no_text_raises_anything_else(text: str) -> None:
    with contextlib.suppress(FilterError):
        parse_filter(text)


@pytest.mark.parametrize("text", ["(" * 5000 + "a = 1", "not (" * 20 + "a = 1" + ")" * 20])
def test_nesting_beyond_the_limit_is_refused(text: str) -> None:
    with pytest.raises(FilterError, match="nested deeper than 20"):
        parse_filter(text)


DEEP = {
    "brackets": "(" * 19 + "lang = fr" + ")" * 19,
    "not": "not (" * 18 + "lang = fr" + ")" * 18,
    "and": "(exists(lang) and " * 19 + "lang = fr" + ")" * 19,
    "or not": "(lang = fr or not (" * 8 + "lang = fr" + "))" * 8,
}


@pytest.mark.parametrize("text", DEEP.values(), ids=DEEP)
def test_nesting_up_to_the_limit_is_searched(articles: Store, text: str) -> None:
    assert found(articles, text) == ["fr2020"]


def test_a_tree_built_in_python_may_nest_deeper_or_is_refused(articles: Store) -> None:
    condition: Filter = Compare("lang", "=", "fr")
    for _ in range(100):
        condition = Not(condition)
    with contextlib.suppress(FilterError):
        assert found(articles, condition) == ["fr2020"]


def test_in_lets_through_what_equality_does_for_every_value(tmp_path: Path) -> None:
    values = [value for value in BOUNDARIES if not isinstance(value, bool)]
    store = create(tmp_path / "c", [document(f"d{n:02}", x=value) for n, value in enumerate(values)])
    for value in values:
        same = found(store, Compare("x", "=", value))
        assert found(store, In("x", (value,))) == found(store, In("x", (value, "no", 7))) == same != []


MANY = {
    "in": "year in (" + ",".join(map(str, range(2000, 40_000))) + ")",
    "or": " or ".join(f"year = {year}" for year in range(2000, 4000)),
    "and": " and ".join([*(f"year != {year}" for year in range(4000)), "exists(year)"]),
}


@pytest.mark.parametrize("text", MANY.values(), ids=MANY)
def test_a_filter_may_have_thousands_of_parts(articles: Store, text: str) -> None:
    expected = ["fr2020", "text"] if text.startswith("year !=") else ["en2019", "en2021"]
    assert sorted(found(articles, text)) == expected


UNSTORABLE = {
    "integer beyond 64 bits": "year < 99999999999999999999",
    "integer of thousands of digits": "year < " + "9" * 5000,
    "lone surrogate as JSON": '"lang" = "\\ud800"',
    "lone surrogate from the command line": "lang = \udcff",
    "lone surrogate in a field": "la\udcffng = en",
}


@pytest.mark.parametrize("text", UNSTORABLE.values(), ids=UNSTORABLE)
def test_a_value_that_no_document_can_have_is_refused_by_name(articles: Store, text: str) -> None:
    with pytest.raises(FilterError):
        found(articles, text)


@pytest.mark.parametrize("condition", [{}, {"tag": []}])
def test_a_filter_of_nothing_is_refused(articles: Store, condition: dict[str, Any]) -> None:
    with pytest.raises(FilterError, match="nothing to combine"):
        found(articles, condition)


def test_brackets_keep_a_tree_apart_from_the_one_that_precedence_would_make() -> None:
    leaves = [Compare("lang", "=", "en"), Compare("lang", "=", "fr"), Compare("year", ">", 2020)]
    for a, b, c in itertools.permutations(leaves):
        for tree in (All((Either((a, b)), c)), Either((a, All((b, c))))):
            assert parse_filter(str(tree)) == tree
        assert parse_filter(f"{a} or {b} and {c}") == Either((a, All((b, c))))
