import csv
import gzip
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.formats import Rejected, open_source
from shortlist.types import Document


def write(path: Path, content: bytes | str) -> Path:
    path.write_bytes(content if isinstance(content, bytes) else content.encode())
    return path


@pytest.fixture(scope="module")
def table_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("csv") / "table.csv"


def test_columns_are_fields_and_values_stay_strings(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,title,text,year\n1,Cats,"A ""cat"",\nand more",2020\n2,,x,\n')
    source = open_source(path)
    expected = [
        Document("1", 'A "cat",\nand more', "Cats", {"year": "2020"}),
        Document("2", "x"),
    ]
    assert list(source) == expected
    assert list(source) == expected
    assert (source.name, source.expected) == (str(path), 3)


def test_tabs_separate_a_tsv_file_and_gzip_files_are_read(tmp_path: Path) -> None:
    path = write(tmp_path / "a.tsv.gz", gzip.compress(b"doc_id\ttext\na\tA cat, a mat\n"))
    source = open_source(path)
    assert list(source) == [Document("a", "A cat, a mat")]
    assert source.expected is None


def test_a_byte_order_mark_and_windows_line_ends_are_tolerated(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", b"\xef\xbb\xbfid,text\r\na,x\r\n\r\nb,y\r\n")
    assert list(open_source(path)) == [Document("a", "x"), Document("b", "y")]


BAD_HEADERS = [
    (b"key,text", r"a\.csv:1: no id column \(columns: 'key', 'text'\)"),
    (b"id;text", r"a\.csv:1: no id column \(columns: 'id;text'\)"),
    (b"id,body", r"a\.csv:1: no text column \(columns: 'id', 'body'\)"),
    (b"id,text,text", r"a\.csv:1: column 'text' stands twice"),
    (b",id,text", r"a\.csv:1: column 1 has no name"),
    (b"id,text,\xe9t\xe9", r"a\.csv:1: invalid UTF-8 in column '.udce9t.udce9' \(0xe9\)"),
    (b'id,"text', r"a\.csv:1: malformed row: unexpected end of data"),
    (b"", r"a\.csv: empty, expected a header"),
    (b"\n\n", r"a\.csv: empty, expected a header"),
    (b",".join(b"%d" % number for number in range(30)), r"'19', \.\.\.\)"),
]


@pytest.mark.parametrize(("header", "message"), BAD_HEADERS, ids=[expected for _, expected in BAD_HEADERS])
def test_a_header_that_no_document_could_come_from_raises_at_once(
    tmp_path: Path, header: bytes, message: str
) -> None:
    path = write(tmp_path / "a.csv", header)
    with pytest.raises(DataError, match=message) as caught:
        open_source(path)
    assert caught.value.hint


BAD_ROWS = [
    (b"b", "1 fields, expected 2 as in the header"),
    (b"b,x,y", "3 fields, expected 2 as in the header"),
    (b"b,caf\xe9", "invalid UTF-8 in column 'text' (0xe9)"),
    (b"b,x\0y", "text has a NUL at character 2"),
    (b",x", "id is blank"),
    (b"b,", "empty document: title and text are blank"),
    (b'b,"x"y', "malformed row: ',' expected after '\"'; it is left out up to line 3"),
]


@pytest.mark.parametrize(("row", "reason"), BAD_ROWS, ids=[expected for _, expected in BAD_ROWS])
def test_a_bad_row_is_rejected_with_its_line_and_the_rest_goes_on(
    tmp_path: Path, row: bytes, reason: str
) -> None:
    path = write(tmp_path / "a.csv", b'id,text\na,"x"\n' + row + b"\nc,z\n")
    assert list(open_source(path)) == [Document("a", "x"), Rejected(f"{path}:3", reason), Document("c", "z")]


def test_the_line_of_a_row_is_where_it_starts(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text\na,"x\ny\nz"\nb\n')
    assert list(open_source(path)) == [
        Document("a", "x\ny\nz"),
        Rejected(f"{path}:5", "1 fields, expected 2 as in the header"),
    ]


def test_a_quote_that_never_closes_is_rejected_with_the_lines_it_swallows(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", 'id,text\na,x\nb,"y\nc,z\nd,z\n')
    assert list(open_source(path)) == [
        Document("a", "x"),
        Rejected(f"{path}:3", "malformed row: unexpected end of data; it is left out up to line 5"),
    ]


def test_long_texts_are_read_and_too_long_ones_rejected_by_size(tmp_path: Path) -> None:
    text = "x" * 1_000_000  # the csv module refuses more than 131,072 by itself
    path = write(tmp_path / "a.csv", f"id,text\na,{text}\nb,{text * 11}\nc,y\n")
    assert list(open_source(path)) == [
        Document("a", text),
        Rejected(f"{path}:3", "text of 11,000,000 bytes is more than 10,485,760; split it"),
        Document("c", "y"),
    ]


def test_a_line_beyond_64_mebibytes_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "a.csv"
    with path.open("wb") as file:
        file.write(b"id,text\n")
        file.truncate(65 * 1024 * 1024)
        file.seek(0, 2)
        file.write(b"\na,x\n")
    assert list(open_source(path)) == [
        Rejected(f"{path}:2", "line of more than 67,108,864 bytes; split it"),
        Document("a", "x"),
    ]


def test_a_column_named_metadata_is_rejected_row_by_row(tmp_path: Path) -> None:
    path = write(tmp_path / "a.csv", "id,text,metadata\na,x,y\n")
    (bad,) = open_source(path)
    assert bad == Rejected(f"{path}:2", "metadata is a str, expected a mapping of names to values")


@given(st.lists(st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0")).filter(str.strip)))
def test_any_text_comes_back_as_the_csv_module_wrote_it(table_path: Path, texts: list[str]) -> None:
    with table_path.open("w", encoding="utf-8", newline="") as file:
        csv.writer(file).writerows([["id", "text"], *enumerate(texts)])
    assert list(open_source(table_path)) == [Document(str(i), text) for i, text in enumerate(texts)]


@given(st.binary(max_size=200))
def test_no_bytes_behind_the_header_make_it_raise(table_path: Path, content: bytes) -> None:
    table_path.write_bytes(b"id,text\na,x\n" + content)
    first, *_ = open_source(table_path)
    assert first == Document("a", "x")
