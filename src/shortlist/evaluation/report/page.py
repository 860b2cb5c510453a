"""How is a comparison read in a browser, offline, and on paper? One file of HTML: no script, nothing from outside."""

from __future__ import annotations

from shortlist.evaluation.report.markup import prose, section
from shortlist.evaluation.report.page_method import findings_section, method_section
from shortlist.evaluation.report.page_queries import disagreements_section, queries_section
from shortlist.evaluation.report.page_results import (
    differences_section,
    latency_section,
    plots_section,
    results_section,
)
from shortlist.evaluation.report.page_style import page_style
from shortlist.evaluation.report.verdict import verdict
from shortlist.evaluation.report.wording import counted
from shortlist.evaluation.results import Comparison

__all__ = ["to_html"]

POLICY = "default-src 'none'; style-src 'unsafe-inline'; img-src data:; base-uri 'none'; form-action 'none'"


def to_html(comparison: Comparison, *, command: str = "") -> str:
    """Write a comparison as a page that needs nothing but itself, in the order in which a reader asks.

    Which is best, and what does it cost? How sure is that? Where does the time go? Can the judgements be trusted?
    On which queries do they differ, and how was it measured? ``command`` is shown there if it is given.

    What comes from data (queries, titles, ids) is escaped, and loses characters that steer the direction of
    writing. Encode the page as UTF-8.
    """
    said = verdict(comparison)
    sections = [
        ("results", "Results", results_section(comparison)),
        ("costs", "Quality against cost", plots_section(comparison)),
        ("differences", "Against the baseline", differences_section(comparison)),
        ("latency", "Where the time goes", latency_section(comparison)),
        ("findings", "The judgements", findings_section(comparison)),
        ("disagreements", "Where they disagree most", disagreements_section(comparison)),
        ("queries", "Query by query", queries_section(comparison)),
        ("method", "How it was measured", method_section(comparison, command)),
    ]
    present = [each for each in sections if each[2]]
    links = "".join(f'<a href="#{anchor}">{heading}</a>' for anchor, heading, _ in present)
    counts = (
        f"{prose(comparison.source)} · {counted(len(comparison.query_ids), 'query', 'queries')} · "
        f"{counted(comparison.documents, 'document', 'documents')} · {prose(comparison.model)}"
    )
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        '<meta name="color-scheme" content="light dark"><meta name="referrer" content="no-referrer">'
        f"<title>{prose(said.headline)}</title><style>{page_style()}</style></head>\n<body><header>"
        f'<p class="source">{counts}</p><h1>{prose(said.headline)}</h1>'
        f'<p class="verdict">{prose(said.sentence)}</p><p class="verdict">{prose(said.front)}</p>'
        f'<nav aria-label="Sections">{links}</nav></header>\n<main>'
        + "\n".join(section(*each) for each in present)
        + f"</main>\n<footer>Made by shortlist {prose(comparison.version)}.</footer></body></html>\n"
    )
