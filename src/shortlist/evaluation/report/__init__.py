"""How is a comparison shown? As text on a terminal, JSON, CSV, LaTeX, a page, and pictures for a README."""

from shortlist.evaluation.report.as_csv import queries_to_csv, systems_to_csv
from shortlist.evaluation.report.as_json import from_json, to_json
from shortlist.evaluation.report.as_latex import to_latex
from shortlist.evaluation.report.page import to_html
from shortlist.evaluation.report.pareto_plot import plot_svg
from shortlist.evaluation.report.terminal import to_terminal

__all__ = [
    "from_json",
    "plot_svg",
    "queries_to_csv",
    "systems_to_csv",
    "to_html",
    "to_json",
    "to_latex",
    "to_terminal",
]
