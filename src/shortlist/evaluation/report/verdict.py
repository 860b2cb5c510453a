"""What does a comparison say in a few sentences? Which pipeline is best, surely or not, and what it costs."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from shortlist.evaluation.report.wording import (
    difference,
    listed,
    number,
    probability,
    quality,
    short_names,
    size,
)
from shortlist.evaluation.results import Comparison, System, pareto

__all__ = ["Verdict", "best_by_measure", "best_first", "front", "verdict"]


@dataclass(frozen=True)
class Verdict:
    """Hold the sentences that stand on top of a report."""

    headline: str
    sentence: str
    front: str


def best_first(comparison: Comparison) -> list[System]:
    """Order the systems by the mean of the first measure, of equals the faster first."""
    measure = comparison.measures[0]
    return sorted(
        comparison.systems, key=lambda system: (-system.intervals[measure].mean, system.latency.p50_ms)
    )


def best_by_measure(comparison: Comparison) -> dict[str, set[str]]:
    """Give for each measure the names of the systems whose mean, as it is printed, is the highest.

    Where all are equal none is best.
    """
    found = {}
    for measure in comparison.measures:
        means = {system.name: round(system.intervals[measure].mean, 3) for system in comparison.systems}
        highest = max(means.values())
        best = {name for name, mean in means.items() if mean == highest}
        found[measure] = best if len(best) < len(means) else set()
    return found


def front(comparison: Comparison, against: str) -> list[str]:
    """Name the systems that none beats in both quality and ``latency`` or ``bytes``, cheapest first."""
    measure = comparison.measures[0]
    return pareto(
        (
            system.name,
            system.latency.p50_ms if against == "latency" else system.costs.total_bytes,
            system.intervals[measure].mean,
        )
        for system in comparison.systems
    )


def verdict(comparison: Comparison) -> Verdict:
    """Say which system is best by the first measure, against the baseline, at what cost."""
    measure = comparison.measures[0]
    ordered = best_first(comparison)
    mean = quality(ordered[0].intervals[measure].mean)
    equals = [system for system in ordered if quality(system.intervals[measure].mean) == mean]
    best, baseline = min(equals, key=lambda one: one.latency.p50_ms), comparison.system(comparison.baseline)
    names = _names(comparison)
    name = names[best.name]
    if len(ordered) == 1:
        headline = f"{name} reaches {mean} {measure}"
        sentence = f"It was measured alone; {_cost(best, None, names)}."
    elif len(equals) > 1:
        headline = f"{listed([names[system.name] for system in equals])} share the best {measure}, {mean}"
        sentence = f"The fastest of them is {name}; {_cost(best, baseline, names)}."
    elif best is baseline:
        headline = f"The baseline, {name}, is best: {measure} {mean}"
        sentence = f"{_worse(comparison, measure)}; {_cost(best, None, names)}."
    else:
        headline = f"{name} is best: {measure} {mean}"
        sentence = f"{_gain(best, baseline, comparison, measure)}; {_cost(best, baseline, names)}."
    return Verdict(headline, sentence, _front(comparison))


def _names(comparison: Comparison) -> dict[str, str]:
    return short_names([system.name for system in comparison.systems])


def _gain(best: System, baseline: System, comparison: Comparison, measure: str) -> str:
    gain = best.differences[measure]
    names = _names(comparison)
    words = f"That is {difference(gain.difference.mean)} against the baseline {names[baseline.name]}"
    if gain.is_significant:
        return f"{words}, more than chance would give ({probability(gain.p_holm)})"
    surer = [
        names[system.name]
        for system in comparison.systems
        if measure in system.differences
        and system.differences[measure].is_significant
        and system.differences[measure].difference.mean > 0
    ]
    also = f", while {listed(surer)} {'is' if len(surer) == 1 else 'are'} surely better" if surer else ""
    return f"{words}, which may be chance ({probability(gain.p_holm)}){also}"


def _worse(comparison: Comparison, measure: str) -> str:
    found = [system.differences[measure] for system in comparison.systems if measure in system.differences]
    worse = sum(each.is_significant and each.difference.mean < 0 for each in found)
    if not worse:
        return "No other pipeline differs from it by more than chance"
    many = f"{worse} of the {len(found)} others" if len(found) > 1 else "The other"
    return f"{many} {'are' if worse > 1 else 'is'} worse by more than chance"


def _cost(system: System, baseline: System | None, names: Mapping[str, str]) -> str:
    """Say what a search and a document cost, beside the baseline where that is another system."""
    time, space = f"{number(system.latency.p50_ms)} ms", size(system.costs.total_bytes)
    if baseline is None or baseline is system:
        return f"a search takes {time} (p50), a document {space} of index"
    return (
        f"a search takes {time} (p50; {names[baseline.name]} {number(baseline.latency.p50_ms)} ms), "
        f"a document {space} of index ({size(baseline.costs.total_bytes)})"
    )


def _front(comparison: Comparison) -> str:
    if len(comparison.systems) == 1:
        return "With one pipeline there is nothing to choose between."
    names = _names(comparison)
    fast, small = front(comparison, "latency"), front(comparison, "bytes")
    if set(fast) == set(small):
        return f"No other is both better and cheaper than {listed([names[name] for name in fast])}."
    return (
        f"No other is both better and faster than {listed([names[name] for name in fast])}; "
        f"both better and smaller than {listed([names[name] for name in small])}."
    )
