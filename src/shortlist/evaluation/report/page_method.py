"""Can the numbers be trusted, and how were they made? The sections of a page on judgements and method."""

from __future__ import annotations

import inspect
import re

from shortlist.errors import MeasureError
from shortlist.evaluation.report.markup import code, fold, foreign, prose
from shortlist.evaluation.report.wording import cut, number, plain
from shortlist.evaluation.results import Comparison, Finding
from shortlist.measures.ranking import parse_measure
from shortlist.measures.statistics import PERMUTATIONS, RESAMPLES

__all__ = ["findings_section", "method_section"]

MOST_EXAMPLES = 20
MOST_LETTERS = 100


def findings_section(comparison: Comparison) -> str:
    """Show what the check of queries and judgements found."""
    if not comparison.findings:
        return "<p>The check of queries and judgements found nothing.</p>"
    found = "".join(_finding(finding) for finding in comparison.findings)
    return f'<ul class="findings">{found}</ul>'


def method_section(comparison: Comparison, command: str) -> str:
    """Say how everything was measured, what the measures are, and how to read intervals and p-values."""
    facts = [
        ("Source", prose(comparison.source)),
        ("Queries", f"{len(comparison.query_ids):,} with judgements"),
        ("Documents", f"{comparison.documents:,}, in {comparison.passages:,} passages"),
        ("Model", f"{prose(comparison.model)}, mode {prose(comparison.mode)}"),
        ("Machine", prose(comparison.machine)),
        ("Version", f"shortlist {prose(comparison.version)}"),
        ("Seed", str(comparison.seed)),
    ]
    if command:
        facts.append(("Command", code(command)))
    if comparison.seconds:
        spent = [f"{prose(what)} {number(seconds)}&nbsp;s" for what, seconds in comparison.seconds.items()]
        facts.append(("Time spent", ", ".join(spent)))
    measures = "".join(f"<dt>{prose(name)}</dt><dd>{_definition(name)}</dd>" for name in comparison.measures)
    return (
        f'<dl class="facts">{"".join(f"<dt>{what}</dt><dd>{value}</dd>" for what, value in facts)}</dl>'
        f"<h3>Measures</h3><dl>{measures}</dl>"
        f"<h3>How to read the numbers</h3>{_reading(comparison)}"
    )


def _finding(finding: Finding) -> str:
    examples = [foreign(cut(plain(each), MOST_LETTERS)) for each in finding.examples[:MOST_EXAMPLES]]
    shown = f" <small>({finding.count:,})</small>"
    markup = f"{code(finding.rule)}{shown} {prose(finding.message)}"
    if examples:
        more = ", …" if finding.count > len(examples) else ""
        markup += fold("Which", f'<p class="ids">{", ".join(examples)}{more}</p>')
    return f"<li>{markup}</li>"


def _definition(name: str) -> str:
    """Give the docstring of a measure, its literals as code."""
    try:
        measure = parse_measure(name)
    except MeasureError:
        return "defined elsewhere"
    words = " ".join((inspect.getdoc(type(measure)) or "").split())
    return re.sub("``(.+?)``", r"<code>\1</code>", prose(words))


def _reading(comparison: Comparison) -> str:
    level = comparison.systems[0].intervals[comparison.measures[0]].level
    compared = len(comparison.systems) - 1
    intervals = (
        f"<b>Intervals</b> say how far a mean would move with other queries of the same kind: the middle {level:.0%} "
        f"of the means of {RESAMPLES:,} samples of the queries, drawn with repetition (bootstrap). They know nothing "
        "of judgements that are wrong or missing."
    )
    chance = (
        "<b>p</b> is the share of random assignments of each query's two values to baseline and pipeline whose "
        f"means lie at least as far apart as those seen ({PERMUTATIONS:,} assignments, or all where there are "
        "fewer). It is small where chance alone would hardly give such a difference; it doesn't say how large "
        "the difference is, nor how probable it is that there is one."
    )
    corrected = (
        "<b>Corrected</b>: of several tests one is small by luck more easily. Holm's correction for the "
        f"{compared} compared keeps one false finding a measure as rare as in a single test ({1 - level:.0%}). "
        "Only differences from the baseline were tested: whether the best is better than the second is not said "
        "here."
    )
    latency = (
        "<b>p50 and p95</b>: half of the searches, and 95 of 100, were at least as fast. A search that has to wait "
        "for others takes longer."
    )
    parts = [intervals, *([chance, corrected] if compared else []), latency]
    return "".join(f"<p>{part}</p>" for part in parts)
