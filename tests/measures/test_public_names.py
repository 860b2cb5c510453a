import pytest

from shortlist import measures
from shortlist.measures import AP, RR, Judged, Measure, P, R, Success, nDCG, parse_measure

NAMES = [
    "AP",
    "AtThreshold",
    "Interval",
    "Judged",
    "Measure",
    "P",
    "R",
    "RR",
    "Success",
    "average_precision",
    "best_accuracy",
    "best_f1",
    "bootstrap",
    "bootstrap_mean",
    "by_query",
    "holm",
    "mean",
    "nDCG",
    "paired_randomisation",
    "parse_measure",
    "pearson",
    "spearman",
    "trec_order",
]
MEASURES: dict[str, Measure] = {
    "AP": AP, "Judged": Judged, "P": P, "R": R, "RR": RR, "Success": Success, "nDCG": nDCG
}  # fmt: skip


def test_the_public_names_of_measures_are_exactly_these() -> None:
    assert sorted(measures.__all__) == NAMES


@pytest.mark.parametrize("name", sorted(set(NAMES) - set(MEASURES)))
def test_every_public_name_of_measures_is_a_thing_of_that_name(name: str) -> None:
    assert getattr(measures, name).__name__ == name


@pytest.mark.parametrize("name", MEASURES)
def test_every_measure_of_rankings_is_read_by_the_name_it_has_in_python(name: str) -> None:
    measure = getattr(measures, name)
    assert measure is MEASURES[name]
    assert parse_measure(f"{name}@10") == measure @ 10
