from __future__ import annotations

from dataclasses import replace

from shortlist.evaluation.report.verdict import verdict
from shortlist.evaluation.results import Comparison, Latency
from shortlist.measures.statistics import Interval
from tests.evaluation.report.comparisons import MEASURES, realistic


def measured(**systems: tuple[float, float]) -> Comparison:
    """Systems with these means and milliseconds, beside BM25 at 0.46."""
    comparison = realistic()
    shown = [
        replace(
            comparison.system("dense"),
            name=name,
            intervals=dict.fromkeys(MEASURES, Interval(mean, mean - 0.1, mean + 0.1)),
            latency=Latency(p50_ms, 2 * p50_ms, {}, 40),
        )
        for name, (mean, p50_ms) in systems.items()
    ]
    return replace(comparison, systems=(comparison.system("bm25"), *shown))


def test_of_those_that_share_the_best_shown_value_the_fastest_is_named_with_its_cost() -> None:
    said = verdict(measured(slow=(0.61249, 100), quick=(0.61231, 2), worse=(0.6, 1)))
    assert said.headline == "slow and quick share the best nDCG@10, 0.612"
    assert said.sentence.startswith("The fastest of them is quick; a search takes 2.00 ms (p50;")


def test_the_best_alone_is_named_however_slow_it_is() -> None:
    said = verdict(measured(slow=(0.6136, 100), quick=(0.61231, 2)))
    assert said.headline == "slow is best: nDCG@10 0.614"
    assert "a search takes 100 ms" in said.sentence
