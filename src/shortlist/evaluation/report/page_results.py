"""Which pipeline is how good, how sure is that, and what does it cost? The sections of a page that say so."""

from __future__ import annotations

from shortlist.evaluation.report import svg
from shortlist.evaluation.report.difference_plot import difference_plot
from shortlist.evaluation.report.markup import cell, code, figure, fold, prose, table
from shortlist.evaluation.report.pareto_plot import pareto_plot
from shortlist.evaluation.report.stage_bars import stage_bars, stage_names
from shortlist.evaluation.report.verdict import best_by_measure, best_first
from shortlist.evaluation.report.wording import (
    NAME_LETTERS,
    counted,
    cut,
    difference,
    number,
    plain,
    probability,
    quality,
    range_of,
    short_names,
    size,
)
from shortlist.evaluation.results import Comparison, Difference, System

__all__ = ["differences_section", "latency_section", "plots_section", "results_section"]

NARROW = 360.0
WIDE = 880.0
HALF = 540.0
SHORT = 150.0  # room for a name, in the picture that has least
NONE = '<span class="none">–</span>'


def results_section(comparison: Comparison) -> str:
    """Show every system with its measures, intervals and costs, best first."""
    best = best_by_measure(comparison)
    head = [
        "Pipeline",
        *(prose(measure) for measure in comparison.measures),
        "p50<small>ms</small>",
        "p95<small>ms</small>",
        "Index<small>a document</small>",
        "Encoding<small>ms a document</small>",
        "Model",
        "Judged<small>of the first ten</small>",
    ]
    shown = short_names([system.name for system in comparison.systems])
    rows = [_row(system, comparison, best, shown[system.name]) for system in best_first(comparison)]
    parts = [
        table(f"Quality and costs on {comparison.source}", head, rows, "results"),
        f'<p class="key">{_key(comparison)}</p>',
    ]
    others = [system for system in best_first(comparison) if plain(system.pipeline) != plain(system.name)]
    if others:
        pairs = "".join(
            f"<dt>{prose(shown[system.name])}</dt><dd>{code(system.pipeline)}</dd>" for system in others
        )
        parts.append(fold("What the pipelines consist of", f"<dl>{pairs}</dl>"))
    if any(label != plain(name) for name, label in svg.labels(comparison, SHORT).items()):
        names = "".join(f"<li>{prose(system.name)}</li>" for system in comparison.systems)
        parts.append(fold("The numbers before names that pictures cut", f"<ol>{names}</ol>"))
    return "".join(parts)


def _key(comparison: Comparison) -> str:
    level = _level(comparison)
    baseline = code(cut(plain(comparison.baseline), NAME_LETTERS))
    signs = (
        "<strong>Bold</strong> is the best of a measure. "
        '<span class="up">▲</span> better, <span class="down">▼</span> worse than the baseline '
        f"{baseline} by more than chance (corrected p &lt; {1 - level:.2g}). "
    )
    return (
        f"{signs if len(comparison.systems) > 1 else ''}Below each mean stands its {level:.0%} interval. "
        "Index bytes are those of the parts that a pipeline reads, the texts among them."
    )


def plots_section(comparison: Comparison) -> str:
    """Show quality against both costs."""
    if len(comparison.systems) == 1:
        return ""
    figures = []
    for against, words in (("latency", "faster"), ("bytes", "smaller")):
        wide, narrow = (
            pareto_plot(comparison, against, width=width, height=height, name=f"{against}-{kind}", kind=kind)
            for width, height, kind in ((HALF, 400.0, "wide"), (NARROW, 360.0, "narrow"))
        )
        caption = (
            f"Left is {words}, up is better. The stepped line is the best {prose(comparison.measures[0])} that a "
            f"cost buys; a hollow point has another that is both better and {words}. Bars: "
            f"{_level(comparison):.0%} intervals."
        )
        figures.append(figure(wide, narrow, caption))
    return f'<div class="pair">{"".join(figures)}</div>'


def differences_section(comparison: Comparison) -> str:
    """Show how far each system lies from the baseline: a picture of the first measure, a table of all."""
    wide, narrow = (
        difference_plot(comparison, width=width, name=f"differences-{kind}", kind=kind)
        for width, kind in ((WIDE, "wide"), (NARROW, "narrow"))
    )
    if not wide:
        return ""
    measure = comparison.measures[0]
    baseline = code(cut(plain(comparison.baseline), NAME_LETTERS))
    queries = counted(len(comparison.query_ids), "query", "queries")
    caption = (
        f"Differences of {prose(measure)} from {baseline}, over the same {queries}, with {_level(comparison):.0%} "
        "intervals. A full point differs by more than chance; a hollow one may not."
    )
    shown = short_names([system.name for system in comparison.systems])
    head = ["Pipeline", "Measure", "Difference", "Interval", "p", "p, corrected", "Wins", "Ties", "Losses"]
    rows = [
        [prose(shown[system.name]), *_difference_cells(name, system.differences[name])]
        for name in comparison.measures
        for system in best_first(comparison)
        if name in system.differences
    ]
    numbers = table(f"Differences from {comparison.baseline}", head, rows, "second-left")
    return figure(wide, narrow, caption) + fold("All measures, with wins, ties and losses", numbers)


def latency_section(comparison: Comparison) -> str:
    """Show which stages a search spends its time in: a picture of the medians, a table with p95."""
    wide, narrow = (
        stage_bars(comparison, width=width, name=f"stages-{kind}", kind=kind)
        for width, kind in ((WIDE, "wide"), (NARROW, "narrow"))
    )
    stages = stage_names(comparison)
    searches = counted(max(system.latency.queries for system in comparison.systems), "search", "searches")
    caption = (
        f"Medians of {searches}, one at a time on one thread, encoding the query included. Medians of stages don't "
        "add up to the median of the whole, which stands at the right; the line ends at its p95."
    )
    shown = short_names([system.name for system in comparison.systems])
    head = ["Pipeline", "Whole", *(prose(stage) for stage in stages)]
    rows = []
    for system in best_first(comparison):
        whole = (system.latency.p50_ms, system.latency.p95_ms)
        steps = [system.latency.stages.get(stage) for stage in stages]
        rows.append([prose(shown[system.name]), *(cell(_pair(step)) for step in (whole, *steps))])
    numbers = table("Milliseconds by stage, p50 / p95", head, rows, "breaking")
    return figure(wide, narrow, caption) + fold("Every stage in numbers, p50 / p95", numbers)


def _row(system: System, comparison: Comparison, best: dict[str, set[str]], shown: str) -> list[str]:
    is_baseline = system.name == comparison.baseline and len(comparison.systems) > 1
    name = prose(shown) + (" <small>baseline</small>" if is_baseline else "")
    return [
        name,
        *(_value(system, measure, system.name in best[measure]) for measure in comparison.measures),
        cell(number(system.latency.p50_ms)),
        cell(number(system.latency.p95_ms)),
        cell(_size(system.costs.total_bytes)),
        cell(number(system.costs.encode_ms) if system.costs.encode_ms else NONE),
        cell(_size(system.costs.model_bytes) if system.costs.model_bytes else NONE),
        cell(f"{system.judged:.0%}"),
    ]


def _value(system: System, measure: str, is_best: bool) -> str:
    interval, found = system.intervals[measure], system.differences.get(measure)
    mean = quality(interval.mean)
    mean = f"<strong>{mean}</strong>" if is_best else mean
    return cell(f"{mean}{_sign(found)}<small>{range_of(interval.low, interval.high)}</small>", "measure")


def _sign(found: Difference | None) -> str:
    if found is None or not found.is_significant:
        return '<span class="sign"></span>'
    if found.difference.mean > 0:
        return '<span class="sign up" role="img" aria-label="better than the baseline">▲</span>'
    return '<span class="sign down" role="img" aria-label="worse than the baseline">▼</span>'


def _difference_cells(measure: str, found: Difference) -> list[str]:
    gap = found.difference
    return [
        cell(prose(measure)),
        cell(difference(gap.mean) + _sign(found)),
        cell(range_of(gap.low, gap.high)),
        cell(_chance(found.p)),
        cell(_chance(found.p_holm)),
        *(cell(f"{count:,}") for count in (found.wins, found.ties, found.losses)),
    ]


def _chance(p: float) -> str:
    return prose(probability(p).removeprefix("p = ").removeprefix("p "))


def _pair(step: tuple[float, float] | None) -> str:
    return NONE if step is None else f"{number(step[0])} / {number(step[1])}"


def _size(count: float) -> str:
    return size(count).replace(" ", "&nbsp;")


def _level(comparison: Comparison) -> float:
    return comparison.systems[0].intervals[comparison.measures[0]].level
