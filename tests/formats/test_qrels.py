import gzip
import io
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.formats import read_qrels, write_qrels
from shortlist.types import Qrels


@pytest.fixture(scope="module")
def qrels_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("qrels") / "test.qrels"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


@pytest.mark.parametrize(
    "content",
    [
        b"query-id\tcorpus-id\tscore\nq1\td1\t1\nq1\td2\t0\nq2\td1\t-1\n",
        b"\xef\xbb\xbfQuery-ID\tcorpus-id\tscore\r\nq1\td1\t1\r\nq1\td2\t0\r\nq2\td1\t-1",
        b"q1\td1\t1\nq1\td2\t0\nq2\td1\t-1\n",
        b"q1 d1 1\nq1 d2 0\nq2 d1 -1\n",
        b"q1 0 d1 1\nq1 0 d2 0\n\nq2 0 d1 -1\n",
        b"q1\t0\td1\t1\nq1  Q0 d2   0\nq2 0 d1 -1\nq2 0 d1 -1\n",
    ],
    ids=["BEIR", "BEIR from Windows", "BEIR without header", "spaces", "TREC", "TREC with tabs"],
)
def test_judgements_of_trec_and_beir_are_told_apart_by_their_columns(tmp_path: Path, content: bytes) -> None:
    expected = Qrels({"q1": {"d1": 1, "d2": 0}, "q2": {"d1": -1}})
    assert read_qrels(write(tmp_path / "test.tsv", content)) == expected
    assert read_qrels(write(tmp_path / "test.tsv.gz", gzip.compress(content))) == expected


def test_tabs_leave_spaces_in_ids_alone(tmp_path: Path) -> None:
    path = write(tmp_path / "test.tsv", b"q 1\tthe doc\t1\n")
    assert read_qrels(path) == Qrels({"q 1": {"the doc": 1}})


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"q 0 d", "3 columns, expected 4"),
        (b"q 0 d 1 x", "5 columns, expected 4"),
        (b"q 0 d 1.0", "grade '1.0' is no integer"),
        (b"q 0 d " + b"9" * 30, "grade '9+' is no integer"),
        (b"\t0\td\t1", "an id is empty"),
        (b"q 0 a 2", "document 'a' has grade 2 for query 'q', but 1 in an earlier line"),
        (b"q 0 \xff 1", "invalid UTF-8 at byte 5"),
        (b"query-id\tcorpus-id\tscore", "3 columns, expected 4"),
    ],
)
def test_a_malformed_line_raises_with_file_and_line(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path / "test.qrels", b"q 0 a 1\n" + line + b"\n")
    with pytest.raises(DataError, match=rf"test\.qrels:2: {message}"):
        read_qrels(path)


def test_an_unknown_header_or_format_raises_and_says_what_is_expected(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"test\.tsv:1: grade 'rating' is no integer"):
        read_qrels(write(tmp_path / "test.tsv", b"query\tdocument\trating\n"))
    with pytest.raises(DataError, match=r"test\.tsv:1: 2 columns, expected 3 or 4") as caught:
        read_qrels(write(tmp_path / "test.tsv", b"q d\n"))
    assert "TREC" in caught.value.hint


@pytest.mark.parametrize("content", [b"", b"query-id\tcorpus-id\tscore\n"])
def test_a_file_without_judgements_raises(tmp_path: Path, content: bytes) -> None:
    with pytest.raises(DataError, match="no judgement in it"):
        read_qrels(write(tmp_path / "test.tsv", content))


@pytest.mark.parametrize("bad", ["a b", "", "a\n", "\ud800"])
def test_an_id_that_would_break_the_columns_is_refused(tmp_path: Path, bad: str) -> None:
    for qrels in (Qrels({bad: {"d": 1}}), Qrels({"q": {bad: 1}})):
        with pytest.raises(DataError, match=r"(query|document) id"):
            write_qrels(qrels, tmp_path / "test.qrels")
    assert not (tmp_path / "test.qrels").exists()


def test_judgements_are_written_in_four_columns() -> None:
    file = io.StringIO()
    write_qrels(Qrels({"q1": {"d1": 2, "d2": 0}}), file)
    assert file.getvalue() == "q1 0 d1 2\nq1 0 d2 0\n"


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.encode().split() == [name.encode()] and not name.startswith("\ufeff")
)


@settings(max_examples=50)
@given(
    st.dictionaries(
        NAMES, st.dictionaries(NAMES, st.integers(-9, 9), min_size=1, max_size=4), min_size=1, max_size=4
    )
)
def test_judgements_come_back_as_they_were_written(
    qrels_path: Path, relevance: dict[str, dict[str, int]]
) -> None:
    write_qrels(Qrels(relevance), qrels_path)
    assert read_qrels(qrels_path) == Qrels(relevance)
