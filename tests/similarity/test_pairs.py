"""Files of pairs: three layouts, and every way in which a record can be bad."""

import gzip
import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import DataError
from shortlist.formats import Rejected
from shortlist.similarity import Pair, read_pairs

GRADED = {"sentence1": "A plane takes off.", "sentence2": "A plane is leaving.", "score": 4.5}
PAIR = Pair("A plane takes off.", "A plane is leaving.", 4.5)


def jsonl(path: Path, *records: object) -> Path:
    path.write_text("".join(json.dumps(record) + "\n" for record in records), encoding="utf-8")
    return path


def reasons(path: Path, split: str | None = None) -> list[str]:
    return [str(record) for record in read_pairs(path, split=split) if isinstance(record, Rejected)]


def test_json_lines_give_grades_labels_and_splits(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "p.jsonl",
        {**GRADED, "split": "dev", "entity": "ignored"},
        {**GRADED, "score": None, "label": 1},
        {"sentence1": "a", "sentence2": "b", "label": False},
    )
    assert list(read_pairs(path)) == [
        Pair("A plane takes off.", "A plane is leaving.", 4.5, split="dev"),
        Pair("A plane takes off.", "A plane is leaving.", label=1),
        Pair("a", "b", label=0),
    ]
    (first, *_) = read_pairs(path)
    assert isinstance(first, Pair)
    assert first.place == f"{path}:1"


STS_ROWS = (
    "main-captions\tMSRvid\t2012test\t0001\t4.500\tA plane takes off.\tA plane is leaving.\n"
    'main-news\tMSRpar\t2015\t0002\t1.0\t"No, he said.\tHe said "no".\thttp://a\tlicence\n'
)


@pytest.mark.parametrize("name", ["sts-dev.csv", "sts-dev.tsv"], ids=["as it is handed out", "tsv"])
def test_the_sts_benchmark_is_read_without_quoting(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_text(STS_ROWS, encoding="utf-8")
    assert list(read_pairs(tmp_path / name)) == [PAIR, Pair('"No, he said.', 'He said "no".', 1.0)]


def test_tables_with_a_header_find_their_columns_by_name(tmp_path: Path) -> None:
    tabs = tmp_path / "t.tsv"
    tabs.write_text("index\tsentence2\tsentence1\tscore\n1\tA plane is leaving.\tA plane takes off.\t4.5\n\n")
    assert list(read_pairs(tabs)) == [PAIR]
    commas = tmp_path / "c.csv.gz"
    commas.write_bytes(
        gzip.compress(b'sentence1,sentence2,label,split\n"a, b","say ""c""",1,dev\nd,e,,dev\n')
    )
    assert list(read_pairs(commas)) == [
        Pair("a, b", 'say "c"', label=1, split="dev"),
        Pair("d", "e", split="dev"),
    ]


def test_only_the_pairs_of_a_split_are_given_and_looked_at(tmp_path: Path) -> None:
    path = jsonl(
        tmp_path / "p.jsonl", {**GRADED, "split": "dev"}, {"sentence1": "", "split": "train"}, GRADED
    )
    assert list(read_pairs(path, split="dev")) == [Pair(PAIR.sentence1, PAIR.sentence2, 4.5, split="dev")]
    with pytest.raises(DataError, match="no pair of split 'test'") as caught:
        list(read_pairs(path, split="test"))
    assert caught.value.hint == "it has dev, train"
    (tmp_path / "t.csv").write_text(STS_ROWS)
    with pytest.raises(DataError, match="no pair of split 'dev'") as caught:
        list(read_pairs(tmp_path / "t.csv", split="dev"))
    assert "the file has no splits" in caught.value.hint


@pytest.mark.parametrize(
    ("record", "reason"),
    [
        ({"sentence1": "a"}, "no sentence2, expected `sentence1` and `sentence2`"),
        ({"sentence1": "a", "sentence2": " "}, "empty pair: sentence2 is blank"),
        ({"sentence1": 7, "sentence2": "b"}, "sentence1 is an int, expected a string"),
        ({**GRADED, "score": "high"}, "score is 'high', expected a number"),
        ({**GRADED, "score": float("nan")}, "score is nan, expected a finite number"),
        ({**GRADED, "score": True}, "score is a bool, expected a number"),
        ({**GRADED, "score": 10**400}, "score is an integer beyond all floats"),
        ({**GRADED, "label": 3.2}, "label is 3.2, expected 0 or 1; a grade goes under `score`"),
        ({**GRADED, "label": [1]}, "label is a list, expected a number"),
        ({**GRADED, "split": 3}, "split is an int, expected a string"),
        ({**GRADED, "sentence1": "\ud800"}, "sentence1 has a lone surrogate (U+D800) at character 1"),
        ([1], "a list, expected a JSON object"),
    ],
)
def test_a_bad_record_is_named_with_its_place_and_the_rest_is_read(
    tmp_path: Path, record: object, reason: str
) -> None:
    path = jsonl(tmp_path / "p.jsonl", GRADED, record, GRADED)
    assert reasons(path) == [f"{path}:2: {reason}"]
    assert [found for found in read_pairs(path) if isinstance(found, Pair)] == [PAIR, PAIR]


def test_bad_rows_of_tables_are_named_with_their_places(tmp_path: Path) -> None:
    path = tmp_path / "p.tsv"
    path.write_bytes(STS_ROWS.encode() + b"a\tb\nx\tx\tx\tx\thigh\ta\tb\nx\tx\tx\tx\t1\ta\t\xff\n")
    assert reasons(path) == [
        f"{path}:3: 2 fields, expected 7",
        f"{path}:4: score is 'high', expected a number",
        f"{path}:5: invalid UTF-8 at byte 13 (0xff)",
    ]
    commas = tmp_path / "p.csv"
    commas.write_bytes(b"sentence1,sentence2,score\na,\xff,1\na,b\na,,1\n")
    assert reasons(commas) == [
        f"{commas}:2: invalid UTF-8 in column 'sentence2' (0xff)",
        f"{commas}:3: 2 fields, expected 3",
        f"{commas}:4: empty pair: sentence2 is blank",
    ]


@pytest.mark.parametrize(
    ("name", "content", "problem"),
    [
        ("p.txt", b"a\tb\n", "the ending '.txt' is of no known kind of pairs"),
        ("p.json", b"[]", "starts a JSON array"),
        ("p.tsv", b"a\tb\n", "p.tsv:1: neither a header nor a row of the STS benchmark"),
        ("p.csv", b"question1,question2\na,b\n", "p.csv:1: neither a header"),
        ("p.tsv", b"sentence1\tsentence2\tscore\tscore\n", "column 'score' stands twice"),
        ("p.tsv", b"\xff\t\n", "expected a header or a pair"),
        ("p.jsonl.gz", b"\x1f\x8b\x08 no more", "damaged gzip file"),
    ],
)
def test_a_file_that_holds_no_pairs_is_an_error(
    tmp_path: Path, name: str, content: bytes, problem: str
) -> None:
    (tmp_path / name).write_bytes(content)
    with pytest.raises(DataError, match=problem):
        list(read_pairs(tmp_path / name))


def test_an_empty_file_has_no_pairs(tmp_path: Path) -> None:
    for name in ("p.jsonl", "p.tsv", "p.csv"):
        (tmp_path / name).write_bytes(b"\n")
        assert list(read_pairs(tmp_path / name)) == []


WORDS = st.text(st.characters(codec="utf-8", exclude_categories=["Cc"]), min_size=1).filter(str.strip)


@given(pairs=st.lists(st.tuples(WORDS, WORDS, st.floats(-5, 5)), min_size=1, max_size=5))
def test_what_the_sts_layout_holds_comes_back(
    tmp_path_factory: pytest.TempPathFactory, pairs: list[tuple[str, str, float]]
) -> None:
    path = tmp_path_factory.mktemp("sts") / "p.tsv"
    rows = (f"g\tf\ty\t{n}\t{score!r}\t{a}\t{b}\n" for n, (a, b, score) in enumerate(pairs))
    path.write_text("".join(rows), encoding="utf-8", newline="")
    assert list(read_pairs(path)) == [Pair(a, b, score) for a, b, score in pairs]
