from __future__ import annotations

import random
from pathlib import Path

import pytest
import pytrec_eval
from hypothesis import given
from hypothesis import strategies as st

from shortlist.errors import MeasureError
from shortlist.formats import read_qrels, read_run
from shortlist.measures import (
    AP,
    RR,
    Judged,
    Measure,
    P,
    R,
    Success,
    by_query,
    mean,
    nDCG,
    parse_measure,
    trec_order,
)
from shortlist.types import Qrels, Ranking, Run

TREC_NAMES: dict[Measure, str] = {
    nDCG: "ndcg",
    nDCG @ 1: "ndcg_cut_1",
    nDCG @ 3: "ndcg_cut_3",
    nDCG @ 10: "ndcg_cut_10",
    RR: "recip_rank",
    R @ 5: "recall_5",
    R @ 100: "recall_100",
    P @ 1: "P_1",
    P @ 5: "P_5",
    P @ 100: "P_100",
    AP: "map",
    AP @ 5: "map_cut_5",
    AP @ 100: "map_cut_100",
    Success @ 1: "success_1",
    Success @ 10: "success_10",
}
ASKED = {
    "ndcg", "ndcg_cut.1,3,10", "recip_rank", "recall.5,100", "P.1,5,100", "map", "map_cut.5,100", "success.1,10",
}  # fmt: skip


def by_trec_eval(qrels: Qrels, run: Run, level: int = 1) -> dict[str, dict[str, float]]:
    grades = {query: dict(found) for query, found in qrels.relevance.items()}
    scores = {query: {hit.doc_id: hit.score for hit in found} for query, found in run.rankings.items()}
    found: dict[str, dict[str, float]] = pytrec_eval.RelevanceEvaluator(
        grades, ASKED, relevance_level=level
    ).evaluate(scores)
    return found


def assert_as_trec_eval(qrels: Qrels, run: Run) -> None:
    # trec_eval's nDCG reads beyond its array where a query has negative grades alone, and may not come back.
    possible = {query: grades for query, grades in qrels.relevance.items() if max(grades.values()) >= 0}
    theirs = by_trec_eval(Qrels(possible), run)
    for measure, name in TREC_NAMES.items():
        ours = by_query(measure, trec_order(run), qrels)
        assert list(ours) == list(qrels.relevance)
        for query, value in ours.items():
            # trec_eval -c: a judged query that the run has not counts 0
            assert value == pytest.approx(theirs.get(query, {}).get(name, 0.0), abs=1e-9), (
                query,
                str(measure),
            )


RUN = [("d1", 3.0), ("d2", 2.0), ("d3", 1.0)]
MANY = [(f"d{number}", float(-number)) for number in range(150)]

# name: (lines of the judgements, {query: [(document, score)]})
QUIRKS: dict[str, tuple[str, dict[str, list[tuple[str, float]]]]] = {
    "plain": ("q 0 d1 1\nq 0 d3 2\n", {"q": RUN}),
    "three columns with a header": ("query-id\tcorpus-id\tscore\nq\td1\t1\nq\td3\t2\n", {"q": RUN}),
    "three columns without a header": ("q\td2\t1\n", {"q": RUN}),
    "three columns and spaces": ("q d2 1\n", {"q": RUN}),
    "four columns and tabs": ("q\t0\td2\t1\n", {"q": RUN}),
    "all scores tie": ("q 0 d1 1\nq 0 d2 2\n", {"q": [("d1", 1.0), ("d2", 1.0), ("d3", 1.0), ("d4", 1.0)]}),
    "ties at the cut": ("q 0 d03 1\n", {"q": [(f"d{n:02}", 1.0) for n in range(20)]}),
    "ties between numbers as text": ("q 0 9 1\nq 0 10 1\n", {"q": [("10", 1.0), ("9", 1.0), ("100", 1.0)]}),
    "ties only in float32": ("q 0 b 1\n", {"q": [("a", 1.00000001), ("b", 1.00000002), ("c", 1.0)]}),
    "ties of ids beyond ASCII": ("q 0 é 1\n", {"q": [("é", 1.0), ("z", 1.0), ("中", 1.0), ("\U0001f600", 1.0)]}),
    "negative scores": ("q 0 d2 1\n", {"q": [("d1", -5.0), ("d2", -1.0)]}),
    "huge and tiny scores": ("q 0 b 1\n", {"q": [("a", 1e30), ("b", 1e-30), ("c", -1e30)]}),
    "a judged query without results": ("q 0 d1 1\np 0 d1 1\n", {"q": RUN}),
    "no query has results": ("q 0 d1 1\n", {}),
    "results of a query nobody judged": ("q 0 d1 1\n", {"q": RUN, "x": RUN}),
    "negative grades": ("q 0 d1 -1\nq 0 d2 1\nq 0 d3 -2\n", {"q": RUN}),
    "only negative grades": ("q 0 d1 -1\nq 0 d2 -2\n", {"q": RUN}),
    "only grade 0": ("q 0 d1 0\nq 0 d2 0\n", {"q": RUN}),
    "high grades": ("q 0 d1 1\nq 0 d2 100\nq 0 d3 7\n", {"q": RUN}),
    "nothing found is judged": ("q 0 x 1\nq 0 y 2\n", {"q": RUN}),
    "more relevant than found": ("".join(f"q 0 r{n} 1\n" for n in range(30)) + "q 0 d2 1\n", {"q": RUN}),
    "more found than any cut": ("q 0 d120 1\nq 0 d4 2\nq 0 d99 1\nq 0 d100 1\n", {"q": MANY}),
    "a judgement repeated": ("q 0 d1 1\nq 0 d1 1\n", {"q": RUN}),
    "blank lines and line ends of Windows": ("\r\nq 0 d1 1\r\n\r\nq 0 d2 0\r\n", {"q": RUN}),
    "grades with a plus sign": ("q 0 d1 +1\nq 0 d2 +2\n", {"q": RUN}),
    "many queries": (
        "".join(f"q{n} 0 d1 {n % 3}\n" for n in range(30)), {f"q{n}": RUN[: n % 4] for n in range(30)},
    ),
}  # fmt: skip


def test_there_are_25_quirks() -> None:
    assert len(QUIRKS) >= 25


@pytest.mark.parametrize("name", QUIRKS)
def test_measures_are_those_of_trec_eval(name: str, tmp_path: Path) -> None:
    lines, rankings = QUIRKS[name]
    (tmp_path / "qrels").write_bytes(lines.encode())
    run = "".join(
        f"{query} Q0 {doc_id} 1 {score!r} tag\n"
        for query, found in rankings.items()
        for doc_id, score in found
    )
    (tmp_path / "run").write_text(run, encoding="utf-8")
    assert_as_trec_eval(read_qrels(tmp_path / "qrels"), read_run(tmp_path / "run"))


@given(st.integers(0, 2**32))
def test_measures_of_random_runs_are_those_of_trec_eval(seed: int) -> None:
    random_ = random.Random(seed)
    documents = [f"d{number}" for number in range(30)]
    qrels = Qrels(
        {
            f"q{number}": {
                d: random_.randint(-1, 3) for d in random_.sample(documents, random_.randint(1, 20))
            }
            for number in range(4)
        }
    )
    rankings = {
        f"q{number}": Ranking.of(
            (d, random_.choice([0.5, 1.0, random_.random()])) for d in random_.sample(documents, random_.randint(0, 30))
        )
        for number in range(1, 5)
    }  # fmt: skip
    assert_as_trec_eval(qrels, Run(rankings))


def test_relevance_from_a_higher_grade_on_is_trec_evals_level() -> None:
    qrels = Qrels({"q": {"d1": 1, "d2": 2, "d3": 3, "d9": 2}})
    run = Run({"q": Ranking.of(RUN)})
    theirs = by_trec_eval(qrels, run, level=2)["q"]
    assert by_query(P(rel=2) @ 5, run, qrels)["q"] == theirs["P_5"]
    assert by_query(AP(rel=2), run, qrels)["q"] == pytest.approx(theirs["map"])
    assert by_query(R(rel=2) @ 5, run, qrels)["q"] == pytest.approx(theirs["recall_5"])
    assert by_query(RR(rel=2), run, qrels)["q"] == theirs["recip_rank"]


def test_reciprocal_rank_stops_at_k() -> None:
    ranking = Ranking.of(RUN)
    assert (RR @ 2).of_query(ranking, {"d3": 1}) == 0
    assert (RR @ 3).of_query(ranking, {"d3": 1}) == pytest.approx(1 / 3)


def test_judged_counts_judgements_of_any_grade_among_what_was_found() -> None:
    ranking = Ranking.of(RUN)
    assert (Judged @ 2).of_query(ranking, {"d1": 0, "d3": 1}) == 0.5
    assert (Judged @ 10).of_query(ranking, {"d1": 0, "d3": -1}) == pytest.approx(2 / 3)
    assert (Judged @ 10).of_query(Ranking(()), {"d1": 1}) == 0


@pytest.mark.parametrize(
    ("text", "measure"),
    [
        ("nDCG@10", nDCG @ 10),
        ("ndcg@10", nDCG @ 10),
        ("nDCG", nDCG),
        ("MRR@10", RR @ 10),
        ("rr@10", RR @ 10),
        ("Recall@100", R @ 100),
        ("R@100", R @ 100),
        (" P@5 ", P @ 5),
        ("P(rel=2)@5", P(rel=2) @ 5),
        ("map", AP),
        ("AP(rel=2)@100", AP(rel=2) @ 100),
        ("Success@1", Success @ 1),
        ("Judged@10", Judged @ 10),
    ],
)
def test_a_measure_is_read_from_its_name_and_prints_as_one(text: str, measure: Measure) -> None:
    assert parse_measure(text) == measure
    assert parse_measure(str(measure)) == measure


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("nDCG@0", "k must be a whole number from 1"),
        ("P", "needs a rank to stop at"),
        ("ndgc@10", "there is no measure 'ndgc'"),
        ("nDCG(rel=2)@10", "takes grades as they are"),
        ("P(rel=0)@5", "rel must be"),
        ("nDCG@", "is no measure"),
        ("", "is no measure"),
        ("nDCG@" + "9" * 5000, "'nDCG@9999"),
        ("P(rel=" + "9" * 5000 + ")@5", "is no measure"),
        ("nDCG@1000000000", "is no measure"),
        ("a" * 5000, "there is no measure 'aaaa"),
    ],
)
def test_what_is_no_measure_is_refused_by_name(text: str, said: str) -> None:
    with pytest.raises(MeasureError) as caught:
        parse_measure(text)
    assert said in str(caught.value)
    assert len(str(caught.value)) < 200


def test_k_and_rel_have_at_most_nine_digits_so_that_every_measure_reads_back() -> None:
    assert parse_measure(str(P(rel=999_999_999) @ 999_999_999)) == P(rel=999_999_999) @ 999_999_999
    for make in (lambda: nDCG @ 1_000_000_000, lambda: nDCG @ 10**5000, lambda: P(rel=10**9)):
        with pytest.raises(MeasureError, match="must be at most 999,999,999"):
            make()


def test_a_near_miss_is_answered_with_the_right_name() -> None:
    with pytest.raises(MeasureError) as caught:
        parse_measure("ndgc@10")
    assert "did you mean nDCG?" in caught.value.hint


def test_the_mean_counts_queries_without_results() -> None:
    qrels = Qrels({"q": {"d1": 1}, "p": {"d1": 1}})
    assert mean(by_query(RR, Run({"q": Ranking.of(RUN)}), qrels)) == 0.5
