import os
from pathlib import Path

import pytest

from shortlist.errors import DataError
from shortlist.formats import open_source, read_corpus, read_qrels, read_queries, read_run
from shortlist.types import Document


def test_a_path_may_be_a_string_or_a_path(tmp_path: Path) -> None:
    path = tmp_path / "a.txt"
    path.write_text("x", encoding="utf-8")
    assert list(open_source(str(path))) == list(open_source(path)) == [Document("a.txt", "x")]


@pytest.mark.parametrize("reader", [open_source, read_corpus, read_queries, read_qrels, read_run])
def test_every_reader_says_at_once_that_a_path_does_not_exist(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(DataError, match=r"nowhere\.jsonl: path doesn't exist") as caught:
        reader(tmp_path / "nowhere.jsonl")
    assert caught.value.hint


@pytest.mark.parametrize("reader", [read_queries, read_qrels, read_run])
def test_a_folder_where_a_file_is_expected_raises(tmp_path: Path, reader: object) -> None:
    assert callable(reader)
    with pytest.raises(DataError, match="is a folder, expected a file"):
        reader(tmp_path)


@pytest.mark.parametrize("name", ["a.pdf", "a", "a.gz", "a.txt.gz", ".jsonl"])
def test_an_unknown_ending_raises_and_lists_the_known_ones(tmp_path: Path, name: str) -> None:
    (tmp_path / name).touch()
    with pytest.raises(DataError, match="is of no known kind of file") as caught:
        open_source(tmp_path / name)
    assert all(ending in caught.value.hint for ending in (".jsonl.gz", ".csv", ".tsv", ".md", ".txt"))


def test_a_string_that_can_be_no_path_raises_as_a_path_would() -> None:
    with pytest.raises(DataError, match="no path has a NUL"):
        open_source("a\0b.jsonl")
    with pytest.raises(DataError, match="can't be opened: File name too long"):
        open_source("What is the " + "long " * 1000 + "answer?")


def test_a_pipe_raises_instead_of_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "a.jsonl")
    with pytest.raises(DataError, match="neither a file nor a folder"):
        open_source(tmp_path / "a.jsonl")
