import datetime as dt
import sys

import pytest

from shortlist.errors import DataError, MissingExtraError
from shortlist.formats import Rejected, open_source
from shortlist.types import Document

pa = pytest.importorskip("pyarrow")


def test_columns_of_a_table_are_fields_with_their_types() -> None:
    table = pa.table(
        {
            "id": [1, 2],
            "text": ["A cat.", None],
            "title": [None, "Dogs"],
            "year": [2020, None],
            "tags": [["x"], []],
            "author": [{"name": "Ada"}, None],
        }
    )
    source = open_source(table)
    expected = [
        Document("1", "A cat.", metadata={"year": 2020, "tags": ["x"], "author.name": "Ada"}),
        Document("2", "", "Dogs", {"tags": []}),
    ]
    assert list(source) == expected
    assert list(source) == expected
    assert (source.name, source.expected) == ("table", 2)


def test_rows_keep_their_numbers_over_batches() -> None:
    batches = [pa.record_batch({"id": [str(n)] * 1500, "text": ["x"] * 1499 + [""]}) for n in range(2)]
    places = [r.place for r in open_source(pa.Table.from_batches(batches)) if isinstance(r, Rejected)]
    assert places == ["table:1500", "table:3000"]


def test_a_reader_of_batches_is_read_once_and_refuses_a_second_time() -> None:
    source = open_source(pa.table({"id": ["a"], "text": ["x"]}).to_reader())
    assert list(source) == [Document("a", "x")]
    with pytest.raises(DataError, match="table: this stream has been read already"):
        list(source)


def test_a_pandas_frame_gives_its_columns_and_no_unnamed_index() -> None:
    pd = pytest.importorskip("pandas")
    frame = pd.DataFrame({"id": [1, 2, 3], "text": ["a", "b", "c"], "price": [1.5, None, 2.0]})
    kept = frame[frame.id > 1]
    for table in (kept, pa.Table.from_pandas(kept)):
        assert list(open_source(table)) == [Document("2", "b"), Document("3", "c", metadata={"price": 2.0})]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"key": ["a"], "text": ["x"]}, r"table: no id column \(columns: 'key', 'text'\)"),
        ({"id": ["a"], "body": ["x"]}, "table: no text column"),
    ],
)
def test_a_table_that_no_document_could_come_from_raises(columns: dict[str, list[str]], message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(open_source(pa.table(columns)))


def test_a_table_with_one_column_twice_raises() -> None:
    table = pa.table([pa.array(["a"]), pa.array(["x"]), pa.array(["y"])], names=["id", "text", "text"])
    with pytest.raises(DataError, match="table: column 'text' stands twice"):
        list(open_source(table))


def test_bad_rows_are_rejected_and_the_rest_goes_on() -> None:
    offsets, content = pa.py_buffer(b"\0\0\0\0\1\0\0\0\2\0\0\0\3\0\0\0"), pa.py_buffer(b"x\xffz")
    table = pa.table({"id": ["a", "b", "c"], "text": pa.StringArray.from_buffers(3, offsets, content)})
    first, bad, last = open_source(table)
    assert (first, last) == (Document("a", "x"), Document("c", "z"))
    assert isinstance(bad, Rejected)
    assert bad.place == "table:2"
    assert "a value can't become a Python value" in bad.reason


@pytest.mark.parametrize(
    ("value", "reason"),
    [
        (float("nan"), "metadata 'x' is nan, expected a finite number"),
        (dt.date(2020, 1, 1), "metadata 'x' is a date, expected"),
    ],
)
def test_a_value_that_filters_cannot_compare_is_rejected_by_column(value: object, reason: str) -> None:
    (bad,) = open_source(pa.table({"id": ["a"], "text": ["t"], "x": [value]}))
    assert isinstance(bad, Rejected)
    assert bad.reason.startswith(reason)


def test_a_frame_that_arrow_cannot_hold_raises() -> None:
    pd = pytest.importorskip("pandas")
    with pytest.raises(DataError, match="table: can't be read"):
        list(open_source(pd.DataFrame({"id": ["a", "b"], "text": ["x", "y"], "mixed": [1, "x"]})))


def test_without_pyarrow_the_error_has_the_command_that_installs_it(monkeypatch: pytest.MonkeyPatch) -> None:
    table = pa.table({"id": ["a"], "text": ["x"]})
    monkeypatch.setitem(sys.modules, "pyarrow", None)
    with pytest.raises(MissingExtraError) as caught:
        open_source(table)
    assert caught.value.hint == "pip install pyarrow"
