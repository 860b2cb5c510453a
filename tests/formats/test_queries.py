import gzip
from pathlib import Path

import pytest

from shortlist.errors import DataError
from shortlist.formats import Rejected, read_queries
from shortlist.types import Query


def test_json_lines_give_queries_and_bad_lines_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "queries.jsonl"
    path.write_bytes(
        b'{"_id": "q1", "text": "what is a cat", "metadata": {"x": [null]}}\n'
        b'{"_id": 2, "text": "dogs?"}\n'
        b"\n"
        b'{"_id": "q3"}\n'
        b'{"_id": "q3", "text": " "}\n'
        b'{"_id": "q3", "text": "\\u0000"}\n'
        b'{"_id": null, "text": "x"}\n'
        b'{"_id": "q1", "text": "again"}\n'
        b"nonsense\n"
    )
    *queries, malformed = read_queries(path)
    assert queries == [
        Query("q1", "what is a cat"),
        Query("2", "dogs?"),
        Rejected(f"{path}:4", "no query, expected `_id` and `text`"),
        Rejected(f"{path}:5", "empty query: text is blank"),
        Rejected(f"{path}:6", "text has a NUL at character 1"),
        Rejected(f"{path}:7", "query id is null, expected a string or an integer"),
        Rejected(f"{path}:8", f"query 'q1' stands at {path}:1 already"),
    ]
    assert isinstance(malformed, Rejected)
    assert "malformed JSON" in malformed.reason


@pytest.mark.parametrize("header", [b"", b"query-id\ttext\n", b"\xef\xbb\xbf_id\ttext\r\n", b"qid\tquery\n"])
def test_a_tsv_file_gives_queries_with_a_header_or_without(tmp_path: Path, header: bytes) -> None:
    path = tmp_path / "queries.tsv"
    path.write_bytes(header + b'q1\t"what" is a cat\r\nq2\tdogs?')
    assert list(read_queries(path)) == [Query("q1", '"what" is a cat'), Query("q2", "dogs?")]


def test_bad_lines_of_a_tsv_file_are_rejected(tmp_path: Path) -> None:
    path = tmp_path / "queries.tsv.gz"
    path.write_bytes(gzip.compress(b"q1\ta\n\nq2 b\nq3\tc\td\n\te\nq4\t\xff\nq5\tf\n"))
    assert list(read_queries(path)) == [
        Query("q1", "a"),
        Rejected(f"{path}:3", "1 columns, expected an id, a tab and a text"),
        Rejected(f"{path}:4", "3 columns, expected an id, a tab and a text"),
        Rejected(f"{path}:5", "query id is blank"),
        Rejected(f"{path}:6", "invalid UTF-8 at byte 4 (0xff)"),
        Query("q5", "f"),
    ]


def test_an_unknown_ending_raises_at_once(tmp_path: Path) -> None:
    (tmp_path / "queries.csv").touch()
    with pytest.raises(DataError, match=r"the ending '\.csv' is of no known kind of queries"):
        read_queries(tmp_path / "queries.csv")


def test_an_array_raises_at_once(tmp_path: Path) -> None:
    (tmp_path / "queries.json").write_bytes(b'[{"_id": "q1", "text": "x"}]')
    with pytest.raises(DataError, match="starts a JSON array"):
        read_queries(tmp_path / "queries.json")
