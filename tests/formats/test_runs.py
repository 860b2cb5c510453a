import gzip
import io
import math
import struct
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.formats import read_run, write_run
from shortlist.types import Hit, Ranking, Run


@pytest.fixture(scope="module")
def run_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("runs") / "bm25.run"


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def test_a_run_is_sorted_by_score_with_ties_by_descending_id_as_trec_eval_does(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.run",
        b"q2 Q0 x 1 5 bm25\nq1 Q0 a 1 1.0 bm25\nq1\tQ0\tb\t9\t2e0\tbm25\n"
        b"\nq1 Q0 c 2 1 bm25\r\nq2 0 y 0 inf bm25\n",
    )
    run = read_run(path)
    assert run.name == "bm25"
    assert [(hit.rank, hit.doc_id, hit.score) for hit in run.rankings["q1"]] == [
        (1, "b", 2.0),
        (2, "c", 1.0),
        (3, "a", 1.0),
    ]
    assert [hit.doc_id for hit in run.rankings["q2"]] == ["y", "x"]
    assert list(run.rankings) == ["q2", "q1"]


def test_only_ascii_white_space_separates_columns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.run", "q Q0 caf\u00e9\u00a0d 1 1 x\n".encode())
    assert read_run(path).rankings["q"][0].doc_id == "caf\u00e9\u00a0d"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        (b"q Q0 d 1 1.5", "5 columns, expected 6"),
        (b"q Q0 d 1 1.5 x y", "7 columns, expected 6"),
        (b"q Q0 d 1.5 1 x", "rank '1.5' is no integer"),
        (b"q Q0 d 1 nan x", "score 'nan' is no number"),
        (b"q Q0 d 1 high x", "score 'high' is no number"),
        (b"q Q0 d 1 1_0 x", "score '1_0' is no number"),
        (b"q Q0 a 1 1 x", "document 'a' stands twice for query 'q'"),
        (b"q Q0 d 1 1 y", "tag 'y' after 'x'"),
        (b"q Q0 \xff 1 1 x", r"invalid UTF-8 at byte 6 \(0xff\)"),
    ],
)
def test_a_malformed_line_raises_with_file_and_line(tmp_path: Path, line: bytes, message: str) -> None:
    path = write(tmp_path / "a.run", b"q Q0 a 1 2 x\n" + line + b"\n")
    with pytest.raises(DataError, match=rf"a\.run:2: {message}"):
        read_run(path)


def test_a_run_is_written_in_six_columns_with_nine_digits(tmp_path: Path) -> None:
    run = Run({"q1": Ranking.of([("a", 1 / 3), ("b", 2.0)]), "q2": Ranking(())}, "bm25")
    expected = "q1 Q0 b 1 2 bm25\nq1 Q0 a 2 0.333333333 bm25\n"
    file = io.StringIO()
    write_run(run, file)
    write_run(run, tmp_path / "a.run")
    write_run(run, str(tmp_path / "a.run.gz"))
    assert file.getvalue() == expected
    assert (tmp_path / "a.run").read_bytes() == expected.encode()
    assert gzip.decompress((tmp_path / "a.run.gz").read_bytes()) == expected.encode()


def test_scores_that_nine_digits_write_alike_are_written_in_full(tmp_path: Path) -> None:
    run = Run({"q": Ranking.of([("a", 1.0 + 1e-12), ("b", 1.0), ("c", 0.5)])})
    write_run(run, tmp_path / "a.run")
    assert read_run(tmp_path / "a.run") == run


def test_an_empty_run_is_an_empty_file(tmp_path: Path) -> None:
    write_run(Run({}), tmp_path / "a.run")
    assert read_run(tmp_path / "a.run") == Run({})


@pytest.mark.parametrize("bad", ["a b", "", "a\t", "\na", "\ufeffa", "\ud800"])
def test_what_would_break_the_columns_is_refused_and_nothing_is_written(tmp_path: Path, bad: str) -> None:
    good = Ranking.of([("d", 1.0)])
    for run, what in [
        (Run({bad: good}), "query id"),
        (Run({"q": Ranking.of([("d", 2.0), (bad, 1.0)])}), "document id"),
        (Run({"q": good}, bad), "run name"),
    ]:
        with pytest.raises(DataError, match=what):
            write_run(run, tmp_path / "a.run")
    assert not (tmp_path / "a.run").exists()


def test_a_score_that_is_nan_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="NaN"):
        write_run(Run({"q": Ranking((Hit(1, "d", math.nan),))}), tmp_path / "a.run")


NAMES = st.text(st.characters(exclude_categories=["Cs"]), min_size=1).filter(
    lambda name: name.encode().split() == [name.encode()] and not name.startswith("\ufeff")
)


def as_float32(value: float) -> float:
    return float(struct.unpack("f", struct.pack("f", value))[0])


def runs(scores: st.SearchStrategy[float]) -> st.SearchStrategy[Run]:
    rankings = st.dictionaries(NAMES, scores, min_size=1).map(lambda found: Ranking.of(found.items()))
    return st.builds(Run, st.dictionaries(NAMES, rankings, min_size=1), NAMES)


@settings(max_examples=50)
@given(runs(st.floats(width=32, allow_nan=False)))
def test_a_run_with_float32_scores_comes_back_as_it_was_written(run_path: Path, run: Run) -> None:
    write_run(run, run_path)
    found = read_run(run_path)
    assert found.name == run.name
    for query_id, ranking in run.rankings.items():
        for hit, expected in zip(found.rankings[query_id], ranking, strict=True):
            assert replace(hit, score=as_float32(hit.score)) == expected


@settings(max_examples=50)
@given(runs(st.floats(allow_nan=False) | st.floats(1.0, 1.0 + 1e-8)))
def test_any_scores_come_back_in_the_same_order(run_path: Path, run: Run) -> None:
    write_run(run, run_path)
    found = read_run(run_path)
    assert list(found.rankings) == list(run.rankings)
    for query_id, ranking in run.rankings.items():
        assert [hit.doc_id for hit in found.rankings[query_id]] == [hit.doc_id for hit in ranking]
        for hit, expected in zip(found.rankings[query_id], ranking, strict=True):
            assert math.isclose(hit.score, expected.score, rel_tol=1e-8, abs_tol=1e-300)
