from collections.abc import Iterator
from typing import Any

import pytest

from shortlist.errors import DataError
from shortlist.formats import Rejected, open_source
from shortlist.types import Document


def test_a_list_of_documents_and_mappings_can_be_read_again() -> None:
    source = open_source([Document("a", "x", "T", {"y": 1}), {"id": "b", "text": "z"}])
    expected = [Document("a", "x", "T", {"y": 1}), Document("b", "z")]
    assert list(source) == expected
    assert list(source) == expected
    assert (source.name, source.expected) == ("records", 2)


def test_bad_records_are_rejected_by_number_and_the_rest_goes_on() -> None:
    odd: Any = {"y": {1}}
    records: list[Any] = [
        {"id": "a"},
        "b",
        None,
        Document("c ", "x"),
        Document("d", "x", metadata=odd),
    ]
    assert list(open_source([*records, {"id": "e", "text": "x"}])) == [
        Rejected("records:1", "empty document: title and text are blank"),
        Rejected("records:2", "a str, expected a Document or a mapping of names to values"),
        Rejected("records:3", "null, expected a Document or a mapping of names to values"),
        Rejected("records:4", "_id 'c ' has spaces around it"),
        Rejected(
            "records:5",
            "metadata 'y' is a set, expected a string, number or boolean, or a list of these",
        ),
        Document("e", "x"),
    ]


def test_a_generator_is_read_lazily_once_and_refuses_a_second_time() -> None:
    taken: list[int] = []

    def records() -> Iterator[dict[str, object]]:
        for number in range(3):
            taken.append(number)
            yield {"id": number, "text": "x"}

    source = open_source(records())
    assert source.expected is None
    assert taken == []
    found = iter(source)
    assert next(found) == Document("0", "x")
    assert taken == [0]
    assert [record.doc_id for record in found if isinstance(record, Document)] == ["1", "2"]
    with pytest.raises(DataError, match="records: this stream has been read already") as caught:
        iter(source)
    assert "list" in caught.value.hint


def test_an_error_of_the_generator_itself_is_not_swallowed() -> None:
    def records() -> Iterator[Document]:
        yield Document("a", "x")
        raise ConnectionError("the database went away")

    with pytest.raises(ConnectionError):
        list(open_source(records()))


@pytest.mark.parametrize("value", [{"id": "a", "text": "x"}, Document("a", "x"), b"a.jsonl", 17, None])
def test_what_is_no_source_raises_and_says_what_would_be(value: Any) -> None:
    with pytest.raises(DataError, match="no source of documents") as caught:
        open_source(value)
    assert "list" in caught.value.hint
