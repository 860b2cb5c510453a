import gzip
import json
from collections.abc import Sequence
from pathlib import Path

import pytest

from shortlist.classification import LabelledText, load_labelled, read_labelled, read_texts
from shortlist.errors import DataError
from shortlist.formats import Rejected


def write(path: Path, content: bytes) -> Path:
    path.write_bytes(content)
    return path


def lines(path: Path, records: Sequence[object]) -> Path:
    return write(path, b"".join(json.dumps(record).encode() + b"\n" for record in records))


def test_json_lines_give_texts_and_bad_lines_are_rejected_with_their_places(tmp_path: Path) -> None:
    path = write(
        tmp_path / "a.jsonl",
        b'{"text": "hello", "label": "greet", "extra": [1]}\n'
        b'{"text": "fly", "intent": "flight", "split": "test"}\n'
        b"\n"
        b'{"text": "rain", "topic": 7}\n'
        b'{"text": "x"}\n'
        b'{"label": "x"}\n'
        b'{"text": "  ", "label": "x"}\n'
        b'{"text": "x", "label": null}\n'
        b'{"text": "x", "label": " "}\n'
        b'{"text": "x", "label": "y", "split": 3}\n'
        b'{"text": 5, "label": "y"}\n'
        b"{\n",
    )
    *found, malformed = read_labelled(path)
    assert found == [
        LabelledText("hello", "greet"),
        LabelledText("fly", "flight", "test"),
        LabelledText("rain", "7"),
        Rejected(f"{path}:5", "no label, expected one under `label`, `intent` or `topic`"),
        Rejected(f"{path}:6", "no `text`"),
        Rejected(f"{path}:7", "empty text"),
        Rejected(f"{path}:8", "label is null, expected a string or an integer"),
        Rejected(f"{path}:9", "label is blank"),
        Rejected(f"{path}:10", "split is an int, expected a string"),
        Rejected(f"{path}:11", "text is an int, expected a string"),
    ]
    assert isinstance(malformed, Rejected)
    assert "malformed JSON" in malformed.reason
    assert [one.place for one in found[:3]] == [f"{path}:1", f"{path}:2", f"{path}:4"]


@pytest.mark.parametrize(("name", "separator"), [("a.csv", ","), ("a.tsv.gz", "\t")])
def test_tables_give_texts(tmp_path: Path, name: str, separator: str) -> None:
    rows = ["topic|text|split", "sport|a goal|train", 'food|"bread, fresh"|test', "food|"]
    content = "\n".join(row.replace("|", separator) for row in rows).encode()
    path = write(tmp_path / name, gzip.compress(content) if name.endswith("gz") else content)
    assert list(read_labelled(path)) == [
        LabelledText("a goal", "sport", "train"),
        LabelledText("bread, fresh", "food", "test"),
        Rejected(f"{path}:4", "2 fields, expected 3 as in the header"),
    ]


def test_another_column_can_be_named_and_the_first_known_one_counts(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "x", "label": "a", "intent": "b", "mood": "c"}])
    assert [one.label for one in read_labelled(path) if isinstance(one, LabelledText)] == ["a"]
    assert [one.label for one in read_labelled(path, label="mood") if isinstance(one, LabelledText)] == ["c"]
    (rejected,) = read_labelled(path, label="weather")
    assert isinstance(rejected, Rejected)
    assert rejected.reason == "no label, expected one under `weather`"


@pytest.mark.parametrize(
    ("header", "message"),
    [
        (b"text,mood\n", r"a\.csv:1: no label column, expected .* or `topic` \(columns: 'text', 'mood'\)"),
        (b"body,label\n", r"a\.csv:1: no column `text`"),
        (b"text,label,text\n", r"a\.csv:1: column 'text' stands twice"),
        (b"", r"a\.csv: empty, expected a header"),
    ],
)  # fmt: skip
def test_a_table_without_the_columns_is_refused(tmp_path: Path, header: bytes, message: str) -> None:
    with pytest.raises(DataError, match=message):
        list(read_labelled(write(tmp_path / "a.csv", header)))


def test_an_unknown_ending_or_path_is_refused(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"the ending '\.txt' is of no known kind of texts"):
        read_labelled(write(tmp_path / "a.txt", b"x"))
    with pytest.raises(DataError, match="path doesn't exist"):
        read_labelled(tmp_path / "b.jsonl")


SPLITS = [
    {"text": "a", "label": "x", "split": "train"},
    {"text": "b", "label": "y", "split": "test"},
    {"text": "c", "label": "y", "split": "train"},
]


def test_a_split_is_chosen_and_the_others_are_counted(tmp_path: Path) -> None:
    found = load_labelled(lines(tmp_path / "a.jsonl", SPLITS), split="train")
    assert (found.texts, found.labels, found.left_out) == (("a", "c"), ("x", "y"), 1)


def test_a_file_of_several_splits_asks_for_one(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"several splits \('train' 2, 'test' 1\)") as error:
        load_labelled(lines(tmp_path / "a.jsonl", SPLITS))
    assert "--split train" in error.value.hint


def test_a_split_that_is_not_there_is_named_with_those_that_are(tmp_path: Path) -> None:
    with pytest.raises(DataError, match=r"no text of split 'tset' \(splits: 'train' 2, 'test' 1\)"):
        load_labelled(lines(tmp_path / "a.jsonl", SPLITS), split="tset")


def test_a_file_without_splits_is_read_whole_and_an_empty_one_is_refused(tmp_path: Path) -> None:
    assert len(load_labelled(lines(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}]))) == 1
    with pytest.raises(DataError, match="no labelled text in it, 0 bad records"):
        load_labelled(write(tmp_path / "b.jsonl", b""))
    with pytest.raises(DataError, match=r"1 bad records; the first: .*b\.jsonl:1: no `text`"):
        load_labelled(lines(tmp_path / "b.jsonl", [{"label": "x"}]))


def test_strict_refuses_a_bad_record_and_otherwise_it_is_kept_aside(tmp_path: Path) -> None:
    path = lines(tmp_path / "a.jsonl", [{"text": "a", "label": "x"}, {"text": "b"}])
    assert [one.place for one in load_labelled(path).rejected] == [f"{path}:2"]
    with pytest.raises(DataError, match=r"1 bad of 2 records\n  .*a\.jsonl:2: no label"):
        load_labelled(path, strict=True)


def test_texts_without_labels_are_read_from_records_and_lines(tmp_path: Path) -> None:
    plain = write(tmp_path / "a.txt", b"one\r\n\n two\n\xff\n")
    assert list(read_texts(plain)) == [
        (f"{plain}:1", "one"),
        (f"{plain}:3", " two"),
        Rejected(f"{plain}:4", "invalid UTF-8 at byte 1 (0xff)"),
    ]
    table = write(tmp_path / "a.csv", b"text,n\nhello,1\n,2\n")
    assert list(read_texts(table)) == [(f"{table}:2", "hello"), Rejected(f"{table}:3", "empty text")]
