import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.evaluation.report import plot_svg, to_html
from shortlist.evaluation.report.pareto_plot import pareto_plot
from shortlist.evaluation.report.placing import Box, Point, place_labels
from shortlist.evaluation.report.scales import linear, logarithmic
from tests.evaluation.report.comparisons import ALL, costing, realistic
from tests.evaluation.report.reading import Picture, overlap, pictures

FIGURES = {
    **{
        (name, against): plot_svg(each, against)
        for name, each in ALL.items()
        for against in ("latency", "bytes")
    },
    **{
        (name, f"page {place}"): drawn
        for name, each in ALL.items()
        for place, drawn in enumerate(pictures(to_html(each)))
    },
}
figures = pytest.mark.parametrize("markup", FIGURES.values(), ids=[" ".join(key) for key in FIGURES])


@figures
def test_nothing_is_drawn_outside_of_the_picture(markup: str) -> None:
    picture = Picture(markup)
    slack = 1
    for left, top, right, bottom in picture.areas():
        assert left >= -slack
        assert top >= -slack
        assert right <= picture.width + slack
        assert bottom <= picture.height + slack


@figures
def test_no_text_covers_another(markup: str) -> None:
    texts = [each for each in Picture(markup).texts if each[0]]
    for place, (text, area) in enumerate(texts):
        assert [other for other, box in texts[:place] if overlap(area, box)] == [], text


@pytest.mark.parametrize("name", [name for name in ALL if name != "single"])
def test_every_pipeline_has_a_label_and_no_label_covers_a_point(name: str) -> None:
    for against in ("latency", "bytes"):
        picture = Picture(plot_svg(ALL[name], against))
        labels = [area for _, area in picture.texts[-4 - len(ALL[name].systems) + 1 : -3]]
        assert len(labels) == len(ALL[name].systems)
        for left, top, right, bottom in labels:
            inner = (left + 2, top + 2, right - 2, bottom - 2)
            assert not any(overlap(inner, mark) for mark in picture.marks())


def test_points_on_the_front_are_full_and_dominated_ones_hollow() -> None:
    markup = plot_svg(realistic(), "latency")
    legend = 2
    assert markup.count('<circle class="hollow"') == 2 + legend - 1
    assert markup.count('class="full"') == 4 + legend


def test_a_picture_says_in_words_what_it_shows() -> None:
    picture = Picture(plot_svg(realistic(), "bytes"))
    assert picture.root.attrib["role"] == "img"
    named = picture.root.attrib["aria-labelledby"].split()
    said = {element.attrib.get("id"): element.text for element in picture.root}
    assert said[named[0]] == "nDCG@10 against bytes of index a document"
    assert "tfidf 0.326 at 421 B (dominated)" in (said[named[1]] or "")


def test_a_picture_for_a_readme_has_its_own_ground_in_light_and_dark() -> None:
    markup = plot_svg(realistic())
    assert markup.startswith('<svg xmlns="http://www.w3.org/2000/svg" ')
    assert '<rect class="ground"' in markup
    assert "prefers-color-scheme:dark" in markup


def test_a_cost_that_is_none_is_refused() -> None:
    with pytest.raises(ValueError, match="latency, bytes"):
        plot_svg(realistic(), "price")


positive = st.floats(1e-300, 1e300)


@given(st.lists(st.one_of(st.just(0.0), positive), min_size=1, max_size=6))
@settings(max_examples=60)
def test_any_finite_costs_stay_inside_and_keep_their_labels_apart(costs: list[float]) -> None:
    picture = Picture(pareto_plot(costing(*costs), "bytes", width=360, name="plot"))
    for left, _, right, _ in picture.areas():
        assert left >= -1
        assert right <= 361
    texts = [area for text, area in picture.texts]
    assert not any(overlap(one, other) for place, one in enumerate(texts) for other in texts[:place])


@given(st.lists(st.floats(-1e9, 1e9), min_size=1))
def test_a_linear_scale_has_place_for_its_values_and_ticks(values: list[float]) -> None:
    scale = linear(values, 300, 20)
    assert all(20 - 1e-6 <= scale(value) <= 300 + 1e-6 for value in [*values, *scale.ticks])
    assert 2 <= len(scale.ticks) <= 8


@given(st.lists(positive, min_size=1))
def test_a_logarithmic_scale_keeps_the_order_of_values(values: list[float]) -> None:
    scale = logarithmic(values, 0, 500)
    ordered = sorted(values)
    assert [scale(value) for value in ordered] == sorted(scale(value) for value in ordered)
    assert 1 <= len(scale.ticks) <= 6
    assert all(0 <= scale(value) <= 500 for value in [*values, *scale.ticks, 0.0])


@given(st.lists(st.tuples(st.floats(10, 290), st.floats(10, 390)), min_size=1, max_size=12))
@settings(max_examples=40)
def test_labels_never_cover_each_other_wherever_the_points_are(places: list[tuple[float, float]]) -> None:
    area = Box(0, 0, 300, 400)
    labels = place_labels([Point(x, y, 5, 120, 15) for x, y in places], area)
    assert len(labels) == len(places)
    assert all(area.holds(label) for label in labels)
    assert not any(one.overlaps(other) for place, one in enumerate(labels) for other in labels[:place])
