"""On which queries do the pipelines disagree? The sections of a page that show hits and values by query."""

from __future__ import annotations

from collections.abc import Sequence

from shortlist.evaluation.report.markup import cell, code, fold, foreign, prose, table
from shortlist.evaluation.report.verdict import best_first
from shortlist.evaluation.report.wording import cut, plain, quality, short_names
from shortlist.evaluation.results import Comparison, Disagreement, Shown, System

__all__ = ["disagreements_section", "queries_section"]

MOST_QUERIES = 200
MOST_LETTERS = 400
OPEN = 2


def disagreements_section(comparison: Comparison) -> str:
    """Show the queries on which systems differ most, with each one's first hits; the first two are open."""
    if not comparison.disagreements:
        return ""
    ordered = best_first(comparison)
    shown = short_names([system.name for system in comparison.systems])
    found = [
        _disagreement(each, ordered, shown, is_open=place < OPEN)
        for place, each in enumerate(comparison.disagreements)
    ]
    key = (
        f'<p class="key">Values are {prose(comparison.measures[0])}. Beside a hit stands its grade: '
        '<span class="grade relevant">1</span> or more is relevant, <span class="grade">0</span> is judged not '
        'relevant, <span class="grade unjudged">?</span> nobody has judged.</p>'
    )
    return "".join([key, *found])


def queries_section(comparison: Comparison) -> str:
    """Show the values of the first measure by query, those with the largest spread first."""
    measure = comparison.measures[0]
    ordered = best_first(comparison)
    texts = {each.query_id: each.text for each in comparison.disagreements}
    rows = sorted(
        (
            (query_id, values, max(values) - min(values))
            for query_id, *values in zip(
                comparison.query_ids, *(system.values[measure] for system in ordered), strict=True
            )
        ),
        key=lambda row: -row[2],
    )
    shown = short_names([system.name for system in comparison.systems])
    head = ["Query", *(prose(shown[system.name]) for system in ordered), "Spread"]
    lines = [
        [_query(query_id, texts), *_value_cells(values), cell(quality(spread))]
        for query_id, values, spread in rows[:MOST_QUERIES]
    ]
    left = len(rows) - len(lines)
    more = (
        f'<p class="key">These are the {MOST_QUERIES:,} with the largest spread of {len(rows):,}; the CSV of '
        "queries has all, with every measure.</p>"
        if left
        else '<p class="key">The CSV of queries has these numbers unrounded, with every measure.</p>'
    )
    summary = (
        f"{prose(measure)} of {f'the {MOST_QUERIES:,} most different queries' if left else 'every query'}"
    )
    markup = table(f"{measure} by query", head, lines, "queries breaking")
    return fold(summary, more + markup)


def _disagreement(each: Disagreement, ordered: list[System], shown: dict[str, str], *, is_open: bool) -> str:
    values = [each.values[system.name] for system in ordered if system.name in each.values]
    text = cut(plain(each.text), MOST_LETTERS) or each.query_id
    spread = f"{quality(min(values))} to {quality(max(values))}" if values else ""
    summary = f'<span class="query">{foreign(text)}</span> <small>{code(each.query_id)} {spread}</small>'
    columns = "".join(
        f'<div class="hits"><h3>{prose(shown[system.name])} '
        f"<b>{_optional(each.values.get(system.name))}</b></h3>{_hits(each.hits[system.name])}</div>"
        for system in ordered
        if system.name in each.hits
    )
    return fold(summary, f'<div class="columns">{columns}</div>', is_open=is_open)


def _hits(hits: Sequence[Shown]) -> str:
    if not hits:
        return "<p>nothing found</p>"
    return f"<ol>{''.join(f'<li>{_grade(hit.grade)}{_hit(hit)}</li>' for hit in hits)}</ol>"


def _hit(hit: Shown) -> str:
    title = cut(plain(hit.title), MOST_LETTERS // 4)
    if not title or title == plain(hit.doc_id):
        return foreign(cut(plain(hit.doc_id), MOST_LETTERS // 4))
    return f"{foreign(title)} <small>{foreign(cut(plain(hit.doc_id), MOST_LETTERS // 4))}</small>"


def _grade(grade: int | None) -> str:
    if grade is None:
        return '<span class="grade unjudged" role="img" aria-label="not judged">?</span>'
    kind = "grade relevant" if grade >= 1 else "grade"
    return f'<span class="{kind}" role="img" aria-label="grade {grade}">{grade}</span>'


def _query(query_id: str, texts: dict[str, str]) -> str:
    name = code(cut(plain(query_id), MOST_LETTERS // 4))
    return f"{name} {foreign(cut(plain(texts[query_id]), 90))}" if query_id in texts else name


def _value_cells(values: list[float]) -> list[str]:
    highest = max(values)
    is_telling = highest > min(values)
    return [
        cell(f"<strong>{quality(value)}</strong>" if is_telling and value == highest else quality(value))
        for value in values
    ]


def _optional(value: float | None) -> str:
    return "" if value is None else quality(value)
