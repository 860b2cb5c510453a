import re
from dataclasses import replace
from itertools import pairwise

import pytest

from shortlist.evaluation.report import to_html
from shortlist.evaluation.report.palette import DARK, LIGHT, Palette, contrast, ink_on
from tests.evaluation.report.comparisons import ALL, HOSTILE, equal, realistic, single
from tests.evaluation.report.reading import Page

PAGES = {name: to_html(comparison, command=HOSTILE) for name, comparison in ALL.items()}
pages = pytest.mark.parametrize("markup", PAGES.values(), ids=PAGES)


@pages
def test_every_element_is_closed_where_it_should_be(markup: str) -> None:
    page = Page(markup)
    assert page.tags.count("h1") == 1
    headings = [int(tag[1]) for tag in page.tags if re.fullmatch("h[1-6]", tag)]
    assert all(after - before <= 1 for before, after in pairwise(headings))


@pages
def test_a_page_names_nothing_outside_of_itself_and_runs_nothing(markup: str) -> None:
    page = Page(markup)
    assert not {"script", "link", "img", "image", "iframe", "object", "embed", "base", "form"} & set(
        page.tags
    )
    for tag, name, value in page.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "action", "data", "xlink:href")
        assert name != "href" or value.startswith("#")
        assert name != "style"
    style = markup.split("<style>")[1].split("</style>")[0]
    assert "url(" not in style
    assert "@import" not in style


def test_a_page_of_harmless_texts_holds_no_address_at_all() -> None:
    markup = to_html(realistic())
    assert not re.search(r"http(?!-equiv)|//|url\(|javascript", markup)
    assert "default-src 'none'; style-src 'unsafe-inline'; img-src data:" in markup


def test_hostile_texts_are_shown_as_they_are_without_what_steers_a_reader() -> None:
    markup = PAGES["hostile"]
    shown = "</title><script>alert(1)</script>\"'><img src=x onerror=alert(1)> gnp.exe [31m"
    assert shown in "".join(Page(markup).texts)
    assert not re.search("[\x00-\x09\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2028\u2029\ud800-\udfff\uffff]", markup)
    markup.encode()


@pages
def test_ids_are_unique_and_links_lead_to_them(markup: str) -> None:
    attributes = Page(markup).attributes
    ids = [value for _, name, value in attributes if name == "id"]
    assert len(ids) == len(set(ids))
    named = {value[1:] for _, name, value in attributes if name == "href"}
    named |= {each for _, name, value in attributes if name == "aria-labelledby" for each in value.split()}
    assert named <= set(ids)


def test_the_verdict_says_which_is_best_how_surely_and_at_what_cost() -> None:
    text = "".join(Page(to_html(realistic())).texts)
    assert "hybrid+late is best: nDCG@10 0.526" in text
    assert "+0.148 against the baseline bm25, more than chance would give (p = 0.002)" in text
    assert "a search takes 10.1 ms (p50; bm25 3.07 ms)" in text
    assert "No other is both better and cheaper than bm25, dense, hybrid and hybrid+late." in text


def test_equal_pipelines_share_the_first_place() -> None:
    text = "".join(Page(to_html(equal())).texts)
    assert "share the best nDCG@10, 0.500" in text


def test_a_baseline_that_is_best_is_called_so() -> None:
    comparison = realistic()
    text = "".join(Page(to_html(replace(comparison, systems=comparison.systems[:2]))).texts)
    assert "The baseline, bm25, is best: nDCG@10 0.379" in text
    assert "No other pipeline differs from it by more than chance" in text


def test_one_pipeline_alone_has_no_plots_and_no_differences() -> None:
    markup = to_html(single())
    assert 'id="costs"' not in markup
    assert 'id="differences"' not in markup
    assert "The check of queries and judgements found nothing." in markup


def test_of_many_queries_those_that_differ_most_are_shown_and_the_rest_is_said_to_be_elsewhere() -> None:
    markup = to_html(realistic(1000))
    table = markup.split('<table class="queries')[1].split("</table>")[0]
    assert table.count("<tr>") == 201
    spreads = [float(each) for each in re.findall(r"<td>([\d.]+)</td></tr>", table)]
    assert spreads == sorted(spreads, reverse=True)
    assert "200 with the largest spread of 1,000; the CSV of queries has all" in markup


def test_measures_are_defined_in_the_words_of_their_docstrings() -> None:
    text = "".join(Page(to_html(realistic())).texts)
    assert "Järvelin and Kekäläinen 2002" in text
    assert "as in trec_eval's ndcg_cut" in text


def test_a_measure_that_nobody_knows_is_shown_all_the_same() -> None:
    comparison = realistic()
    systems = [
        replace(
            system,
            values={"fun": system.values["nDCG@10"]},
            intervals={"fun": system.intervals["nDCG@10"]},
            differences={"fun": gap} if (gap := system.differences.get("nDCG@10")) else {},
        )
        for system in comparison.systems
    ]
    markup = to_html(replace(comparison, measures=("fun",), systems=systems))
    assert "<dt>fun</dt><dd>defined elsewhere</dd>" in markup


@pytest.mark.parametrize("palette", [LIGHT, DARK], ids=["light", "dark"])
def test_colours_can_be_told_from_what_is_behind_them(palette: Palette) -> None:
    for ground in (palette.paper, palette.raised):
        for ink in (palette.ink, palette.muted, palette.accent, palette.down):
            assert contrast(ink, ground) >= 4.5, (ink, ground)
    for fill in palette.stages:
        assert contrast(fill, palette.paper) >= 3, fill
        assert contrast(ink_on(fill), fill) >= 4.5, fill
