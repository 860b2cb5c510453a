import os
from pathlib import Path

import pytest

from shortlist.errors import DataError
from shortlist.formats import Rejected, open_source
from shortlist.types import Document


@pytest.fixture
def notes(tmp_path: Path) -> Path:
    folder = tmp_path / "notes"
    (folder / "deep" / "er").mkdir(parents=True)
    (folder / ".git").mkdir()
    (folder / "b.md").write_text("# Bears\n\nThey sleep.\n", encoding="utf-8")
    (folder / "deep" / "er" / "a.TXT").write_text("# no title in plain text", encoding="utf-8")
    (folder / "deep" / "c.rst").write_text("Cats\n====\n", encoding="utf-8")
    (folder / "a.markdown").write_text("no heading", encoding="utf-8")
    (folder / "picture.png").write_bytes(b"\x89PNG")
    (folder / ".git" / "x.md").write_text("hidden", encoding="utf-8")
    (folder / ".hidden.md").write_text("hidden", encoding="utf-8")
    return folder


def test_a_folder_gives_its_text_files_in_the_order_of_their_ids(notes: Path) -> None:
    source = open_source(notes)
    expected = [
        Document("a.markdown", "no heading"),
        Document("b.md", "# Bears\n\nThey sleep.\n", "Bears"),
        Document("deep/c.rst", "Cats\n====\n"),
        Document("deep/er/a.TXT", "# no title in plain text"),
    ]
    assert list(source) == expected
    assert list(source) == expected
    assert (source.name, source.expected) == (str(notes), 4)


def test_one_file_is_one_document_named_as_the_file(notes: Path) -> None:
    source = open_source(notes / "b.md")
    assert list(source) == [Document("b.md", "# Bears\n\nThey sleep.\n", "Bears")]
    assert source.expected == 1


def test_bad_files_are_rejected_by_path_and_the_rest_goes_on(tmp_path: Path) -> None:
    (tmp_path / "a.txt").write_bytes(b"caf\xe9")
    (tmp_path / "b.txt").write_bytes(b" \n")
    with (tmp_path / "c.txt").open("wb") as file:
        file.truncate(52_428_800)
    (tmp_path / "d.txt").symlink_to(tmp_path / "nowhere")
    os.mkfifo(tmp_path / "e.txt")
    (tmp_path / "f.txt").write_bytes(b"\xef\xbb\xbfgood")
    (tmp_path / "g.txt").write_bytes(b"a\0")
    assert list(open_source(tmp_path)) == [
        Rejected(f"{tmp_path}/a.txt", "invalid UTF-8 at byte 4 (0xe9)"),
        Rejected(f"{tmp_path}/b.txt", "empty document: title and text are blank"),
        Rejected(f"{tmp_path}/c.txt", "text of 52,428,800 bytes is more than 10,485,760; split it"),
        Rejected(f"{tmp_path}/d.txt", "not a file, or a link to nothing"),
        Rejected(f"{tmp_path}/e.txt", "not a file, or a link to nothing"),
        Document("f.txt", "good"),
        Rejected(f"{tmp_path}/g.txt", "text has a NUL at character 2"),
    ]


def test_a_file_name_that_is_not_utf8_is_rejected_and_can_be_printed(tmp_path: Path) -> None:
    name = os.fsencode(tmp_path) + b"/caf\xe9.txt"
    try:
        Path(os.fsdecode(name)).write_text("x", encoding="utf-8")
    except OSError:
        pytest.skip("this file system takes UTF-8 names only")
    (bad,) = open_source(tmp_path)
    assert isinstance(bad, Rejected)
    assert str(bad).isprintable()
    assert "lone surrogate" in bad.reason


def test_a_file_that_vanishes_between_listing_and_reading_is_rejected(notes: Path) -> None:
    records = iter(open_source(notes))
    next(records)
    (notes / "b.md").unlink()
    assert next(records) == Rejected(f"{notes}/b.md", "not a file, or a link to nothing")


def test_links_to_folders_are_not_followed(notes: Path) -> None:
    (notes / "deep" / "loop").symlink_to(notes)
    assert open_source(notes).expected == 4


def test_a_folder_without_text_raises_and_says_what_would_be_read(tmp_path: Path) -> None:
    (tmp_path / "report.pdf").touch()
    with pytest.raises(DataError, match="neither a BEIR corpus nor a text file") as caught:
        open_source(tmp_path)
    assert ".markdown" in caught.value.hint
    assert "corpus.jsonl" in caught.value.hint
