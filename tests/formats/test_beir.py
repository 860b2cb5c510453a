import gzip
from pathlib import Path

import pytest

from shortlist.errors import DataError
from shortlist.formats import Rejected, open_source, read_corpus
from shortlist.types import Document

CORPUS = b'{"_id": "d1", "title": "Cats", "text": "A cat.", "metadata": {"url": "x"}}\n{"_id": "d2"}\n'


@pytest.mark.parametrize(
    ("name", "content"), [("corpus.jsonl", CORPUS), ("corpus.jsonl.gz", gzip.compress(CORPUS))]
)
def test_a_beir_folder_is_recognised_and_read(tmp_path: Path, name: str, content: bytes) -> None:
    (tmp_path / name).write_bytes(content)
    (tmp_path / "README.md").write_text("# not a document", encoding="utf-8")
    for source in (open_source(tmp_path), read_corpus(tmp_path)):
        assert list(source) == [
            Document("d1", "A cat.", "Cats", {"url": "x"}),
            Rejected(f"{tmp_path}/{name}:2", "empty document: title and text are blank"),
        ]
        assert source.name == str(tmp_path)


def test_a_folder_without_a_corpus_raises(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no corpus\.jsonl in it") as caught:
        read_corpus(tmp_path)
    assert "corpus.jsonl.gz" in caught.value.hint


def test_a_file_where_the_folder_is_expected_raises(tmp_path: Path) -> None:
    (tmp_path / "corpus.jsonl").write_bytes(CORPUS)
    with pytest.raises(DataError, match="is a file, expected a folder"):
        read_corpus(tmp_path / "corpus.jsonl")
