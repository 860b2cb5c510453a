import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.formats import Rejected, open_source
from shortlist.types import Document

GOOD = b'{"id": "a", "text": "A cat."}\n'
CAT = Document("a", "A cat.")


@pytest.fixture(scope="module")
def lines_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("jsonl") / "lines.jsonl"


@pytest.mark.parametrize("ending", ["jsonl", "ndjson", "json", "JSONL"])
def test_every_line_is_a_document_and_blank_lines_are_none(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"articles.{ending}"
    path.write_bytes(
        b'{"_id": 1, "title": "Cats", "text": "A cat."}\r\n\n  \n{"id": "b", "text": "x", "y": 2}'
    )
    source = open_source(path)
    expected = [Document("1", "A cat.", "Cats"), Document("b", "x", metadata={"y": 2})]
    assert list(source) == expected
    assert list(source) == expected, "a file can be read again"
    assert (source.name, source.expected) == (str(path), 4)


def test_gzip_files_are_read_and_their_length_is_not_guessed(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD))
    source = open_source(path)
    assert list(source) == [CAT]
    assert source.expected is None


BAD_LINES = [
    (b'{"id": "a", "text": "\xff"}', "invalid UTF-8 at byte 22 (0xff)"),
    (b'{"id": "a", "text": "x}', "malformed JSON at column 21: Unterminated string starting at"),
    (b'{"id": "a"} {"id": "b"}', "malformed JSON at column 13: Extra data"),
    (b"[1, 2]", "a list, expected a JSON object"),
    (b"null", "null, expected a JSON object"),
    (b"17", "an int, expected a JSON object"),
    (b"[" * 100_000, "JSON nests too deep"),
    (b'{"a":' * 100_000, "JSON nests too deep"),
    (
        b'{"id": "a", "text": "x", "m": ' + b'{"m":' * 99 + b"1" + b"}" * 100,
        "metadata nests deeper than 32 mappings",
    ),
    (b'{"id": "a", "text": "x", "n": 1e999}', "metadata 'n' is inf, expected a finite number"),
    (b'{"id": "a", "text": "x", "n": NaN}', "metadata 'n' is nan, expected a finite number"),
    (b'{"id": "a", "text": "\\u0000"}', "text has a NUL at character 1"),
    (b'{"id": "a", "text": "\\ud83d"}', "text has a lone surrogate (U+D83D) at character 1"),
    (b'{"id": "a", "text": "x", "text": "y"}', "key 'text' stands twice in one object"),
    (b"\xef\xbb\xbf" + GOOD, "malformed JSON at column 1"),
]


@pytest.mark.parametrize(("line", "reason"), BAD_LINES, ids=[expected for _, expected in BAD_LINES])
def test_a_bad_line_is_rejected_with_its_place_and_the_rest_goes_on(
    tmp_path: Path, line: bytes, reason: str
) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_bytes(GOOD + line.rstrip() + b"\n" + GOOD)
    first, bad, last = open_source(path)
    assert (first, last) == (CAT, CAT)
    assert isinstance(bad, Rejected)
    assert bad.place == f"{path}:2"
    assert bad.reason.startswith(reason)


def test_a_number_of_thousands_of_digits_is_rejected(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_bytes(b'{"id": "a", "text": "x", "n": ' + b"9" * 100_000 + b"}\n" + GOOD)
    bad, good = open_source(path)
    assert isinstance(bad, Rejected)
    assert "JSON can't be read" in bad.reason
    assert good == CAT


def test_a_byte_order_mark_at_the_start_is_no_part_of_the_first_line(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    path.write_bytes(b"\xef\xbb\xbf" + GOOD)
    assert list(open_source(path)) == [CAT]


def test_a_line_beyond_64_mebibytes_is_rejected_unparsed(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    with path.open("wb") as file:
        file.write(GOOD)
        file.truncate(len(GOOD) + 64 * 1024 * 1024 + 5_000_000)  # a hole of NULs
        file.seek(0, 2)
        file.write(b"\n" + GOOD)
    assert list(open_source(path)) == [
        CAT,
        Rejected(f"{path}:2", "line of more than 67,108,864 bytes; split it"),
        CAT,
    ]


@pytest.mark.parametrize("kept", [-4, -12, 5])
def test_a_truncated_gzip_file_raises_and_is_named(tmp_path: Path, kept: int) -> None:
    path = tmp_path / "articles.jsonl.gz"
    path.write_bytes(gzip.compress(GOOD * 1000)[:kept])
    with pytest.raises(DataError, match=r"articles\.jsonl\.gz: damaged gzip file") as caught:
        list(open_source(path))
    assert caught.value.hint


@pytest.mark.parametrize("content", [GOOD, gzip.compress(GOOD * 1000)[:40] + b"\xff" * 40])
def test_a_file_that_is_no_gzip_file_raises_and_is_named(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "articles.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"articles\.jsonl\.gz: damaged gzip file"):
        list(open_source(path))


@pytest.mark.parametrize("content", [b"[\n" + GOOD + b"]", b'[{"id": "a", "text": "x"}]'])
def test_a_json_file_that_holds_one_array_raises_with_the_way_out(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "articles.json"
    path.write_bytes(content)
    with pytest.raises(DataError, match=r"articles\.json:1: starts a JSON array") as caught:
        open_source(path)
    assert "jq" in caught.value.hint


def test_an_empty_file_has_no_documents(tmp_path: Path) -> None:
    path = tmp_path / "articles.jsonl"
    path.touch()
    source = open_source(path)
    assert list(source) == []
    assert source.expected == 0


WRITABLE = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@given(texts=st.lists(WRITABLE.filter(str.strip)), ascii_only=st.booleans())
def test_any_text_comes_back_as_it_was_written(lines_path: Path, texts: list[str], ascii_only: bool) -> None:
    documents = [Document(str(number), text, text[:5]) for number, text in enumerate(texts)]
    with lines_path.open("w", encoding="utf-8", newline="\n") as file:
        for document in documents:
            record = {"_id": document.doc_id, "title": document.title, "text": document.text}
            file.write(json.dumps(record, ensure_ascii=ascii_only) + "\n")
    assert list(open_source(lines_path)) == documents


@given(st.binary(max_size=200))
def test_no_bytes_make_it_raise(lines_path: Path, content: bytes) -> None:
    lines_path.write_bytes(content + b"\n" + GOOD)
    *_, last = open_source(lines_path)
    assert last == CAT
