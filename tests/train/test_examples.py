from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist import DataError
from shortlist.train.examples import Example, read_examples, write_examples

TEXT = st.text(st.characters(exclude_categories=["Cs"]))


@st.composite
def examples(draw: st.DrawFn) -> Example:
    negatives = draw(st.lists(TEXT, max_size=4))
    count = 1 + len(negatives)
    number = st.floats(-1e6, 1e6).map(lambda value: round(value, 6))
    scores = draw(st.just([]) | st.lists(number, min_size=count, max_size=count))
    return Example(draw(TEXT), draw(TEXT), tuple(negatives), tuple(scores), draw(TEXT))


@given(st.lists(examples(), max_size=5))
def test_what_was_written_is_read(tmp_path_factory: pytest.TempPathFactory, made: list[Example]) -> None:
    path = tmp_path_factory.mktemp("examples") / "examples.jsonl"
    assert write_examples(path, made) == len(made)
    assert list(read_examples(path)) == made


def test_the_layout_of_plain_pairs_is_read(tmp_path: Path) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text('{"query": "q", "passage": "p", "source": "mine"}\n\n{"query": "r", "passage": "s"}\n')
    assert list(read_examples(path)) == [Example("q", "p", source="mine"), Example("r", "s")]


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "holds list, expected an object"),
        ('{"query": "q"}', "passage is None, expected a text"),
        ('{"query": 1, "passage": "p"}', "query is 1"),
        ('{"query": "q", "passage": "p", "negative": ["x"]}', "has 'negative', which is not known"),
        ('{"query": "q", "passage": "p", "negatives": "x"}', "negatives are no list of texts"),
        ('{"query": "q", "passage": "p", "source": null}', "source is None, expected a text"),
        ('{"query": "\\ud800", "passage": "p"}', "query is not UTF-8"),
        (
            '{"query": "q", "passage": "p", "scores": [1' + "0" * 400 + "]}",
            "scores are no list of finite numbers",
        ),
        ('{"query": "q", "passage": "p", "scores": [NaN]}', "scores are no list of finite numbers"),
        (
            '{"query": "q", "passage": "p", "scores": [1, 2]}',
            "2 scores for a passage and 0 negatives, expected 1",
        ),
    ],
)
def test_a_bad_line_is_named(tmp_path: Path, line: str, message: str) -> None:
    path = tmp_path / "pairs.jsonl"
    path.write_text(json.dumps({"query": "q", "passage": "p"}) + "\n" + line + "\n")
    with pytest.raises(DataError) as caught:
        list(read_examples(path))
    assert f"{path}:2: {message}" in str(caught.value)


def test_a_file_that_is_not_there_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="can't be read"):
        list(read_examples(tmp_path / "none.jsonl"))


def test_an_interrupted_writing_leaves_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "examples.jsonl"
    write_examples(path, [Example("q", "p")])

    def failing() -> object:
        yield Example("a", "b")
        raise RuntimeError

    with pytest.raises(RuntimeError):
        write_examples(path, failing())  # type: ignore[arg-type]
    assert list(read_examples(path)) == [Example("q", "p")]
