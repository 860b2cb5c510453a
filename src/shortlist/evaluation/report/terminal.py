"""How does a comparison read on a terminal? Plain text in columns; signs, never colour, carry the meaning."""

from __future__ import annotations

import textwrap
from collections.abc import Sequence

from shortlist.evaluation.report.verdict import best_by_measure, best_first, verdict
from shortlist.evaluation.report.wording import (
    NAME_LETTERS,
    columns,
    counted,
    cut,
    difference,
    finding_text,
    number,
    plain,
    probability,
    quality,
    range_of,
    short_names,
    size,
)
from shortlist.evaluation.results import Comparison, System

__all__ = ["to_terminal"]

MOST_MEASURES = 4
GAP = "  "


def to_terminal(comparison: Comparison, *, width: int = 100) -> str:
    """Write a comparison as text of at most ``width`` columns (80 or more), without colour, best system first.

    Eight systems and four measures fit into 100 columns; of more measures there are further tables.
    """
    said = verdict(comparison)
    parts = [
        _wrapped(f"{said.headline}. {said.sentence} {said.front}", width),
        *_main_tables(comparison, width),
        _legend(comparison, width),
        _against_baseline(comparison, width),
        _pipelines(comparison, width),
        _findings(comparison, width),
        _wrapped(_source(comparison), width),
    ]
    return "\n\n".join(part for part in parts if part) + "\n"


def _main_tables(comparison: Comparison, width: int) -> list[str]:
    """Draw one table of at most four measures after the other; costs stand in the first."""
    best = best_by_measure(comparison)
    systems = best_first(comparison)
    names = short_names([system.name for system in comparison.systems])
    at_once = MOST_MEASURES if width >= 100 else MOST_MEASURES - 1
    tables = []
    for start in range(0, len(comparison.measures), at_once):
        measures = comparison.measures[start : start + at_once]
        with_costs = start == 0
        head = ["", *measures, *(["p50 ms", "p95 ms", "bytes/doc"] if with_costs else [])]
        rows = []
        for system in systems:
            values = [_value(system, measure, system.name in best[measure]) for measure in measures]
            costs = [
                number(system.latency.p50_ms),
                number(system.latency.p95_ms),
                size(system.costs.total_bytes),
            ]
            rows.append([names[system.name], *values, *(costs if with_costs else [])])
        tables.append(_table(head, rows, width))
    return tables


def _value(system: System, measure: str, is_best: bool) -> str:
    """Write a mean with its two signs, each in a column of its own so that digits stand below digits."""
    found = system.differences.get(measure)
    sign = " "
    if found is not None and found.is_significant:
        sign = "▲" if found.difference.mean > 0 else "▼"
    return f"{quality(system.intervals[measure].mean)}{'*' if is_best else ' '}{sign}"


def _legend(comparison: Comparison, width: int) -> str:
    if len(comparison.systems) == 1:
        return ""
    level = comparison.systems[0].intervals[comparison.measures[0]].level
    baseline = cut(plain(comparison.baseline), NAME_LETTERS)
    return _wrapped(
        f"* best   ▲ ▼ better, worse than {baseline} by more than chance (p < {1 - level:.2g}, "
        "paired randomisation test, Holm's correction)",
        width,
    )


def _against_baseline(comparison: Comparison, width: int) -> str:
    measure = comparison.measures[0]
    names = short_names([system.name for system in comparison.systems])
    rows = [
        [
            names[system.name],
            difference(found.difference.mean),
            range_of(found.difference.low, found.difference.high),
            probability(found.p_holm).removeprefix("p ").removeprefix("= "),
            f"{found.wins:,} / {found.ties:,} / {found.losses:,}",
        ]
        for system in best_first(comparison)
        if (found := system.differences.get(measure)) is not None
    ]
    if not rows:
        return ""
    level = comparison.systems[0].intervals[measure].level
    head = ["", "difference", f"{level:.0%} interval", "p", "wins / ties / losses"]
    title = _wrapped(f"{plain(measure)} against {cut(plain(comparison.baseline), NAME_LETTERS)}", width)
    return f"{title}\n{_table(head, rows, width)}"


def _pipelines(comparison: Comparison, width: int) -> str:
    """Write out names that were cut, and the pipelines that go by another name."""
    names = short_names([system.name for system in comparison.systems])
    lines = []
    for system in best_first(comparison):
        written = dict.fromkeys([names[system.name], plain(system.name), plain(system.pipeline)])
        if len(written) > 1:
            lines.append(_wrapped(" = ".join(written), width))
    return "\n".join(lines)


def _findings(comparison: Comparison, width: int) -> str:
    lines = [_wrapped(finding_text(finding), width) for finding in comparison.findings]
    return "\n".join(["Findings", *lines]) if lines else ""


def _source(comparison: Comparison) -> str:
    counts = (
        counted(len(comparison.query_ids), "query", "queries"),
        counted(comparison.documents, "document", "documents"),
        counted(comparison.passages, "passage", "passages"),
    )
    return (
        f"{plain(comparison.source)}: {', '.join(counts)}; model {plain(comparison.model)} "
        f"({plain(comparison.mode)}), seed {comparison.seed}, shortlist {plain(comparison.version)}, "
        f"{plain(comparison.machine)}"
    )


def _wrapped(text: str, width: int) -> str:
    return "\n".join(_lines(text, width, indent="  "))


def _lines(text: str, width: int, indent: str = "") -> list[str]:
    """Break a text into lines of at most ``width`` columns; wide letters count two."""
    half = width // 2 if columns(text) > len(text) else width
    return textwrap.wrap(text, half, subsequent_indent=indent, break_on_hyphens=False) or [""]


def _table(head: Sequence[str], rows: Sequence[Sequence[str]], width: int) -> str:
    """Set the first column left, broken into lines where it is too long, the others right."""
    cells = [head, *rows]
    widths = [max(columns(row[place]) for row in cells) for place in range(len(head))]
    widths[0] = min(widths[0], max(8, width - sum(widths[1:]) - len(GAP) * (len(head) - 1)))
    lines = []
    for row in rows:
        first, *rest = _lines(row[0], widths[0])
        lines += [_line([first, *row[1:]], widths), *rest]
    rule = "─" * (sum(widths) + len(GAP) * (len(head) - 1))
    return "\n".join([_line(head, widths), rule, *lines])


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first = row[0] + " " * (widths[0] - columns(row[0]))
    others = [" " * (width - columns(cell)) + cell for cell, width in zip(row[1:], widths[1:], strict=True)]
    return GAP.join([first, *others]).rstrip()
