from __future__ import annotations

import gzip
import json
from pathlib import Path

import pytest

from shortlist.errors import DataError
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import judged_files
from tests.evaluation.questions import judge


def folder_with(path: Path, *names: str) -> Path:
    (path / "qrels").mkdir()
    for name in names:
        (path / "qrels" / name).write_text("q1\td1\t1\n", encoding="utf-8")
    return path


def write_queries(path: Path, **texts: str) -> Path:
    lines = [json.dumps({"_id": query_id, "text": text}) for query_id, text in texts.items()]
    path.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
    return path


@pytest.mark.parametrize(
    ("names", "chosen"),
    [
        (["train.tsv", "dev.tsv", "test.tsv", "heldout.tsv", "validation.tsv"], "test.tsv"),
        (["train.tsv", "dev.tsv", "heldout.tsv"], "heldout.tsv"),
        (["train.tsv", "validation.tsv", "dev.tsv"], "dev.tsv"),
        (["train.tsv", "validation.tsv"], "validation.tsv"),
        (["zebra.tsv", "train.tsv"], "train.tsv"),
        (["zebra.tsv", "ape.tsv"], "ape.tsv"),
        (["test.tsv.gz", "dev.tsv"], "test.tsv.gz"),
        (["test.txt", "dev.tsv"], "test.txt"),
        (["test.qrels", "test.txt", "test.tsv", "test.tsv.gz"], "test.tsv"),
        (["test.tsv", "test.v2.tsv"], "test.tsv"),
    ],
)
def test_the_first_split_there_is_is_taken_in_order(tmp_path: Path, names: list[str], chosen: str) -> None:
    assert find_split(folder_with(tmp_path, *names)).name == chosen


@pytest.mark.parametrize("split", ["train", "test", "test.v2"])
def test_a_named_split_is_taken(tmp_path: Path, split: str) -> None:
    folder = folder_with(tmp_path, "train.tsv", "test.tsv", "test.v2.tsv")
    assert find_split(folder, split).name == f"{split}.tsv"


def test_a_wrong_name_of_a_split_is_answered_with_the_right_ones(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no judgements for 'tset'") as caught:
        find_split(folder_with(tmp_path, "train.tsv", "test.tsv"), "tset")
    assert caught.value.hint == "there are: test, train"


def test_a_folder_without_judgements_says_where_they_would_be(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no judgements in it") as caught:
        find_split(folder_with(tmp_path))
    assert "qrels/test.tsv" in caught.value.hint


@pytest.mark.parametrize(
    "lines",
    [
        "query-id\tcorpus-id\tscore\nq1\td1\t2\nq2\td2\t0\n",
        "q1\td1\t2\nq2\td2\t0\n",
        "q1 0 d1 2\nq2 0 d2 0\n",
    ],
    ids=["three columns and a header", "three columns", "four columns"],
)
def test_queries_are_kept_in_their_order_with_exactly_their_judgements(tmp_path: Path, lines: str) -> None:
    (tmp_path / "qrels").write_text(lines, encoding="utf-8")
    queries = write_queries(tmp_path / "q.jsonl", q2="second", q1="first", q3="nobody judged me")
    found = read_judged(queries, tmp_path / "qrels")
    assert [query.query_id for query in found.queries] == ["q2", "q1"]
    assert found.qrels.relevance == {"q2": {"d2": 0}, "q1": {"d1": 2}}
    assert found.findings == ()


def test_queries_and_judgements_that_share_no_id_are_refused_with_both_ids(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 2\n", encoding="utf-8")
    with pytest.raises(DataError, match="judges no query of") as caught:
        read_judged(write_queries(tmp_path / "q.jsonl", **{"1": "first"}), tmp_path / "qrels")
    assert "the first query is '1', the first judged one 'q1'" in caught.value.hint


def test_a_file_without_queries_is_refused(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 2\n", encoding="utf-8")
    (tmp_path / "q.jsonl").touch()
    with pytest.raises(DataError, match="judges no query of"):
        read_judged(tmp_path / "q.jsonl", tmp_path / "qrels")


def test_what_can_not_be_read_or_has_no_query_is_counted(tmp_path: Path) -> None:
    (tmp_path / "qrels").write_text("q1 0 d1 2\ngone 0 d1 1\nlost 0 d1 1\n", encoding="utf-8")
    queries = write_queries(tmp_path / "q.jsonl", q1="first", blank=" ")
    with queries.open("a", encoding="utf-8") as file:
        file.write('{"_id": "q1", "text": "again"}\nno json\n')
    found = read_judged(queries, tmp_path / "qrels")
    assert [query.text for query in found.queries] == ["first"]
    counts = {finding.rule: finding.count for finding in found.findings}
    assert counts == {"bad-queries": 3, "judged-without-query": 2}
    assert found.findings[1].examples == ("gone", "lost")
    assert "q.jsonl:2" in found.findings[0].examples[0]


class TestSome:
    JUDGED = judge({f"q{n}": "x" for n in range(20)}, {f"q{n}": {"d": 1} for n in range(20)})

    def test_are_drawn_at_random_in_their_order_by_the_seed(self) -> None:
        drawn = {tuple(query.query_id for query in self.JUDGED.some(5, seed).queries) for seed in range(9)}
        assert len(drawn) > 5
        for one in drawn:
            assert sorted(one, key=lambda query_id: int(query_id[1:])) == list(one)
            assert len(set(one)) == 5
        assert self.JUDGED.some(5, 3) == self.JUDGED.some(5, 3)

    def test_have_exactly_their_judgements(self) -> None:
        some = self.JUDGED.some(5, 0)
        assert list(some.qrels.relevance) == [query.query_id for query in some.queries]

    def test_of_fewer_queries_are_all(self) -> None:
        assert self.JUDGED.some(50, 0) == self.JUDGED


class TestFilesOfASource:
    def test_are_those_of_a_beir_folder(self, tmp_path: Path) -> None:
        folder = folder_with(tmp_path, "train.tsv", "test.tsv")
        write_queries(folder / "queries.jsonl", q1="first")
        found = judged_files(folder, None, None, None)
        assert found is not None
        assert found.name == f"{tmp_path.name} (test)"
        named = judged_files(folder, None, None, "train")
        assert named is not None
        assert named.name == f"{tmp_path.name} (train)"

    def test_may_be_packed(self, tmp_path: Path) -> None:
        folder = folder_with(tmp_path, "test.tsv")
        queries = write_queries(tmp_path / "q.jsonl", q1="first")
        (folder / "queries.jsonl.gz").write_bytes(gzip.compress(queries.read_bytes()))
        assert judged_files(folder, None, None, None) is not None

    def test_may_be_named_beside_it(self, tmp_path: Path) -> None:
        queries = write_queries(tmp_path / "q.jsonl", q1="first")
        (tmp_path / "mine.tsv").write_text("q1\td1\t1\n", encoding="utf-8")
        found = judged_files(tmp_path / "c.shortlist", queries, tmp_path / "mine.tsv", None)
        assert found is not None
        assert found.name == "c.shortlist (mine)"

    def test_are_none_where_nothing_is_judged(self, tmp_path: Path) -> None:
        assert judged_files(tmp_path, None, None, None) is None

    def test_of_a_folder_that_is_called_dot_have_its_name(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        write_queries(folder_with(tmp_path, "test.tsv") / "queries.jsonl", q1="first")
        monkeypatch.chdir(tmp_path)
        found = judged_files(Path(), None, None, None)
        assert found is not None
        assert found.name == f"{tmp_path.name} (test)"

    def test_that_lack_one_half_say_which(self, tmp_path: Path) -> None:
        queries = write_queries(tmp_path / "queries.jsonl", q1="first")
        with pytest.raises(DataError, match="no judgements in it") as caught:
            judged_files(tmp_path, None, None, None)
        assert "--qrels FILE" in caught.value.hint
        queries.unlink()
        (tmp_path / "mine.tsv").write_text("q1\td1\t1\n", encoding="utf-8")
        with pytest.raises(DataError, match="no queries in it") as caught:
            judged_files(tmp_path, None, tmp_path / "mine.tsv", None)
        assert "--queries FILE" in caught.value.hint

    def test_are_not_named_twice(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="judgements are named twice"):
            judged_files(tmp_path, None, tmp_path / "mine.tsv", "test")

    def test_without_queries_have_no_split(self, tmp_path: Path) -> None:
        with pytest.raises(DataError, match="no queries in it"):
            judged_files(tmp_path, None, None, "test")
