import json
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given

from shortlist import PipelineError
from shortlist.search import (
    BM25,
    NAMES,
    TFIDF,
    Dense,
    Fuse,
    MaxSim,
    Pipeline,
    Rerank,
    name_of,
    parse,
    to_text,
)
from tests.search.strategies import PIPELINES


@given(PIPELINES)
def test_what_is_printed_reads_back_as_the_same_value(pipeline: Pipeline) -> None:
    assert parse(str(pipeline)) == pipeline
    assert parse(to_text(pipeline)) == pipeline
    assert parse(name_of(pipeline)) == pipeline


@given(PIPELINES)
def test_white_space_does_not_matter(pipeline: Pipeline) -> None:
    text = str(pipeline)
    assert parse(text.replace(" ", "")) == pipeline
    assert parse(f"  {text.replace(',', ' ,').replace('(', '( ')} \n") == pipeline


@given(PIPELINES)
def test_a_pipeline_survives_a_settings_file(pipeline: Pipeline) -> None:
    assert parse(json.loads(json.dumps(str(pipeline)))) == pipeline


def test_only_settings_that_are_not_defaults_are_printed() -> None:
    assert str(BM25()) == "bm25"
    assert str(BM25(depth=10, b=0.5)) == "bm25(depth=10, b=0.5)"
    assert str(Fuse((BM25(), Dense()), weights=(1, 4))) == "fuse(bm25, dense, weights=[1, 4])"
    assert (
        str(Fuse((TFIDF(), MaxSim()), method="rrf", rrf_k=10))
        == "fuse(tfidf, maxsim, method='rrf', rrf_k=10)"
    )
    assert (
        str(Rerank(BM25(depth=50), Dense(), 20, 0.5)) == "rerank(bm25(depth=50), dense, depth=20, weight=0.5)"
    )


def test_numbers_of_numpy_are_printed_as_numbers() -> None:
    # Weights often come from a search over an np.linspace.
    tuned = Fuse((BM25(k1=np.float64(0.9)), Dense()), weights=(np.float64(0.25), np.float64(0.75)))
    assert str(tuned) == "fuse(bm25(k1=0.9), dense, weights=[0.25, 0.75])"
    assert parse(str(tuned)) == tuned


HYBRID = "fuse(bm25, dense, method='adaptive')"
LATE = f"rerank({HYBRID}, fuse({HYBRID}, maxsim, weights=[1, 2]))"
JUDGE = f"fuse({HYBRID}, maxsim, cross, weights=[1, 2, 0.05])"
SMALL = f"fuse({HYBRID}, maxsim, cross(model='judge-small'), weights=[1, 1, 0.1])"
SHORT_NAMES = {
    "bm25": "bm25",
    "tfidf": "tfidf",
    "dense": "dense",
    "poly": "poly",
    "late": "maxsim",
    "cross": "cross",
    "hybrid": HYBRID,
    "hybrid+poly": f"rerank({HYBRID}, fuse({HYBRID}, poly, weights=[1, 0.25]))",
    "hybrid+late": LATE,
    "hybrid+cross": f"rerank({HYBRID}, {JUDGE}, depth=50)",
    "cascade": f"rerank(rerank({LATE}, {SMALL}, depth=10), {JUDGE}, depth=6)",
}


def test_the_short_names_are_these_and_stand_for_these() -> None:
    assert {name: to_text(value) for name, value in NAMES.items()} == SHORT_NAMES


@pytest.mark.parametrize("name", SHORT_NAMES)
def test_a_short_name_is_read_and_given_back(name: str) -> None:
    assert parse(name) == parse(f" {name}\n") == parse(SHORT_NAMES[name]) == NAMES[name]
    assert name_of(parse(SHORT_NAMES[name])) == name


def test_a_short_name_can_be_part_of_a_longer_pipeline() -> None:
    assert parse("rerank(hybrid, late, depth=50)") == Rerank(NAMES["hybrid"], MaxSim(), depth=50)
    assert parse("rerank(bm25, hybrid+late)") == Rerank(BM25(), NAMES["hybrid+late"])
    assert parse("fuse(hybrid + late, tfidf)") == Fuse((NAMES["hybrid+late"], TFIDF()))


def test_stages_may_be_written_with_empty_brackets() -> None:
    assert parse("fuse(bm25(), dense())") == Fuse((BM25(), Dense()))


MISTAKES = {
    "bm52": ("there is no stage 'bm52'", "did you mean 'bm25'?"),
    "desne(depth=3)": ("there is no stage 'desne'", "did you mean 'dense'?"),
    "rerank(hybird, dense)": ("there is no stage 'hybird'", "did you mean 'hybrid'?"),
    "xyz": ("there is no stage 'xyz'", "short names: bm25"),
    "bm25(k2=1)": ("bm25 has no setting 'k2'", "it has: depth, k1, b"),
    "fuse(bm25, dense, weigths=[1, 2])": ("fuse has no setting 'weigths'", "weights, method, rrf_k"),
    "fuse(bm25, dense, stages=[bm25, dense])": ("fuse has no setting 'stages'", ""),
    "bm25(**settings)": ("bm25 has no setting", ""),
    "bm25(dense)": ("bm25 takes no stage, 1 given", ""),
    "bm25(10)": ("'10' is not a stage", ""),
    "rerank(bm25)": ("rerank takes the stages first and judge, 1 given", ""),
    "rerank(bm25, dense, tfidf)": ("rerank takes the stages first and judge, 3 given", ""),
    "rerank(first=bm25, judge=dense)": ("rerank takes the stages first and judge, 0 given", ""),
    "fuse(bm25)": ("fuse needs two stages or more", ""),
    "fuse": ("fuse needs two stages or more", ""),
    "fuse(bm25, dense, weights=[1])": ("fuse has 2 stages and 1 weights", ""),
    "fuse(bm25, dense, weights=3)": ("weights must be a list of numbers, as in weights=[1, 4]", ""),
    "fuse(bm25, dense, weights={1, 2})": ("weights must be a list of numbers", ""),
    "fuse(bm25, dense, weights='12')": ("weights must be a list of numbers", ""),
    "fuse(bm25, dense, weights=[[1], 2])": ("a weight must be a number", ""),
    "fuse(bm25, dense, weights=[0, 0])": ("fuse needs a weight above 0", ""),
    "fuse(bm25, dense, method='max')": ("method must be 'scores', 'rrf' or 'adaptive', not 'max'", ""),
    "bm25(depth=0)": ("depth must be a whole number from 1, not 0", ""),
    "bm25(depth=1.5)": ("depth must be a whole number from 1, not 1.5", ""),
    "bm25(k1=-1)": ("k1 must be a number from 0", ""),
    "bm25(k1=1e999)": ("k1 must be a number from 0", ""),
    "bm25(k1=nan)": ("k1=nan is no value", ""),
    "bm25(k1=1, k1=2)": ("bm25 has no setting 'k1'", ""),
    "rerank(bm25, dense, weight=2)": ("weight must be a number from 0 to 1, not 2", ""),
    "": ("pipeline '' can't be read", "short names"),
    "bm25(": ("can't be read", "short names"),
    "bm25; dense": ("can't be read", "short names"),
    "bm25, dense": ("'(bm25, dense)' is not a stage", "short names"),
    "bm25\0": ("can't be read", ""),
    "\ud800": ("can't be read", ""),
    "hybrid+early": ("'hybrid + early' is not a stage", "hybrid+late"),
}


@pytest.mark.parametrize("text", MISTAKES)
def test_a_mistake_is_named_with_what_to_do(text: str) -> None:
    message, hint = MISTAKES[text]
    with pytest.raises(PipelineError) as caught:
        parse(text)
    assert message in caught.value.message
    assert hint in caught.value.hint


@pytest.mark.parametrize("text", ["late(depth=50)", "hybrid(depth=50)"])
def test_a_short_name_with_settings_is_refused_with_better_advice_than_itself(text: str) -> None:
    with pytest.raises(PipelineError) as caught:
        parse(text)
    assert f"did you mean {text.split('(', maxsplit=1)[0]!r}" not in caught.value.hint


CODE = [
    "__import__('os').system({0!r})",
    "bm25(k1=__import__('os').system({0!r}))",
    "bm25(k1=open({0!r}, 'w'))",
    "fuse(bm25, dense, weights=[open({0!r}, 'w') for x in 'a'])",
    "fuse(*[open({0!r}, 'w')])",
    "(lambda: open({0!r}, 'w'))()",
    "(x := open({0!r}, 'w'))",
    "f'{{open({0!r}, \"w\")}}'",
    "bm25.__class__",
    "bm25().__init__.__globals__",
    "[bm25][0]",
    "eval({0!r})",
]


@pytest.mark.parametrize("code", CODE)
def test_code_is_refused_and_does_not_run(tmp_path: Path, code: str) -> None:
    proof = tmp_path / "proof"
    with pytest.raises(PipelineError):
        parse(code.format(str(proof)))
    assert not proof.exists()


BOMBS = {
    "nested stages": "rerank(" * 100 + "bm25" + ", bm25)" * 100,
    "nested brackets": "(" * 10_000 + ")" * 10_000,
    "a short sum": "+".join(["a"] * 900),
    "a long sum": "+".join(["1"] * 100_000),
    "attributes of attributes": "a" + ".a" * 900,
    "calls of calls": "bm25" + "()" * 900,
    "items of items": "a" + "[0]" * 900,
    "minus minus": "-" * 900 + "1",
    "not not": "not " * 900 + "a",
    "lambdas": "lambda: " * 900 + "a",
    "a value of sums": f"bm25(k1={'+'.join(['1'] * 900)})",
    "a value of lists": f"bm25(k1={'[' * 150}{']' * 150})",
    "a number of 5,000 digits": "bm25(depth=" + "9" * 5000 + ")",
    "a hexadecimal number of 5,000 digits": "0x" + "f" * 5000,
    "a setting of 5,000 hexadecimal digits": "bm25(k1=0x" + "f" * 5000 + ")",
    "a depth of 5,000 hexadecimal digits": "bm25(depth=0x" + "f" * 5000 + ")",
}


@pytest.mark.parametrize("bomb", BOMBS)
def test_a_bomb_is_refused_like_any_other_mistake(bomb: str) -> None:
    with pytest.raises(PipelineError):
        parse(BOMBS[bomb])


def test_pipelines_may_nest_as_deep_as_anyone_would_write_them() -> None:
    pipeline: Pipeline = BM25()
    for _ in range(15):
        pipeline = Rerank(pipeline, Dense())
    assert parse(str(pipeline)) == pipeline
