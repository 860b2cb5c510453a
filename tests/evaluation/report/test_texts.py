import csv
import io
import json
import re
from dataclasses import replace

import pytest

from shortlist.errors import DataError
from shortlist.evaluation.report import (
    from_json,
    queries_to_csv,
    systems_to_csv,
    to_json,
    to_latex,
    to_terminal,
)
from shortlist.evaluation.report.wording import columns
from shortlist.evaluation.results import Comparison
from tests.evaluation.report.comparisons import ALL, many, realistic, single

every = pytest.mark.parametrize("comparison", ALL.values(), ids=ALL)


@every
def test_json_gives_back_the_same_comparison(comparison: Comparison) -> None:
    written = to_json(comparison)
    assert written.isascii()
    assert from_json(written) == comparison


def _without_a_field() -> str:
    record = json.loads(to_json(single()))
    del record["systems"][0]["latency"]["p50_ms"]
    return json.dumps(record)


def _with_a_text_for_a_number() -> str:
    return to_json(single()).replace('"documents": 6825', '"documents": "many"')


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "no JSON"),
        ("[1]", "no comparison of format 1"),
        ('{"format": "shortlist comparison", "format_version": 2}', "no comparison of format 1"),
        (_without_a_field(), r"comparison.systems\[0\].latency: .* p50_ms"),
        (_with_a_text_for_a_number(), "comparison.documents: 'many'"),
    ],
)
def test_json_that_is_something_else_is_refused_with_its_place(text: str, message: str) -> None:
    with pytest.raises(DataError, match=message):
        from_json(text)


def test_a_number_that_is_not_finite_is_no_json() -> None:
    comparison = replace(single(), seconds={"indexing": float("nan")})
    with pytest.raises(DataError, match="can't be written as JSON"):
        to_json(comparison)


def whole(text: str) -> str:
    return re.sub("[\ud800-\udfff]", "\ufffd", text)


@every
def test_the_table_of_systems_reads_back(comparison: Comparison) -> None:
    rows = list(csv.DictReader(io.StringIO(systems_to_csv(comparison), newline="")))
    assert [(row["system"], row["measure"]) for row in rows] == [
        (whole(system.name), measure) for system in comparison.systems for measure in comparison.measures
    ]
    for row in rows:
        system = next(each for each in comparison.systems if whole(each.name) == row["system"])
        assert float(row["mean"]) == system.intervals[row["measure"]].mean
        assert float(row["bytes_per_document"]) == system.costs.total_bytes
        found = system.differences.get(row["measure"])
        assert row["p_holm"] == ("" if found is None else str(found.p_holm))


@every
def test_the_table_of_queries_reads_back(comparison: Comparison) -> None:
    head, *rows = list(csv.reader(io.StringIO(queries_to_csv(comparison), newline="")))
    assert [row[0] for row in rows] == [whole(query_id) for query_id in comparison.query_ids]
    for measure in comparison.measures:
        for system in comparison.systems:
            place = head.index(whole(f"{measure} {system.name}"))
            assert [float(row[place]) for row in rows] == list(system.values[measure])


@every
def test_latex_escapes_what_means_something_to_it(comparison: Comparison) -> None:
    table = to_latex(comparison)
    body = re.sub(r"\\[\\a-zA-Z]+|\\[{}$&%#_]", "", table)
    assert body.count("{") == body.count("}")
    assert not re.search(r"[#~_](?! )(?!\{)", re.sub("~[kMGT]?B", "", body))
    rows = table.split(r"\midrule")[1].split(r"\bottomrule")[0].strip().splitlines()
    ampersands = {len(re.findall(r"(?<!\\)&", row)) for row in rows}
    assert ampersands == {len(comparison.measures) + 4}
    assert len(rows) == len(comparison.systems)
    assert all(row.endswith(r" \\") for row in rows)
    assert r"\input" not in table


def test_latex_marks_the_best_and_what_is_more_than_chance() -> None:
    table = to_latex(realistic())
    assert r"\textbf{0.526}$^{\dagger}$ & 0.473--0.577" in table
    assert "40 queries, 6,825 documents. Best values in bold." in table


@every
@pytest.mark.parametrize("width", [80, 100])
def test_a_terminal_of_that_width_breaks_no_line(comparison: Comparison, width: int) -> None:
    text = to_terminal(comparison, width=width)
    assert max(columns(line) for line in text.splitlines()) <= width
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\ud800-\udfff]", text)


def test_eight_pipelines_and_four_measures_fit_into_one_table() -> None:
    text = to_terminal(many(8))
    rows = re.findall(r"^pipeline \d  +(.*)$", text.split("* best")[0], re.MULTILINE)
    assert len(rows) == 8
    assert all(len(re.findall(r"0\.\d{3}", row)) == 4 for row in rows)


def test_a_terminal_shows_signs_costs_and_findings() -> None:
    text = to_terminal(realistic())
    assert re.search(r"hybrid\+late +0\.526\*▲ +.*10\.1 +18\.1 +6\.89 kB\n", text)
    assert "* best   ▲ ▼ better, worse than bm25 by more than chance (p < 0.05" in text
    assert re.search(r"tfidf +−0\.052 +−0\.091 to −0\.007 +0\.054 +11 / 0 / 29\n", text)
    assert "self-hits (3): queries that are the text of a document" in text
    assert "hybrid = fuse(bm25, dense, weights=[1, 4])" in text
