"""Which pipeline is best here? Judged sources, comparison with statistics and costs, tuning, advice, reports."""

from shortlist.evaluation.advice import Advice, Candidate, Limits, advise
from shortlist.evaluation.comparison import compare
from shortlist.evaluation.judged import Judged, read_judged
from shortlist.evaluation.results import (
    Comparison,
    Costs,
    Difference,
    Disagreement,
    Finding,
    Latency,
    System,
    pareto,
)
from shortlist.evaluation.sources import judged_files, opened
from shortlist.evaluation.tuning import Tuning, tune

__all__ = [
    "Advice",
    "Candidate",
    "Comparison",
    "Costs",
    "Difference",
    "Disagreement",
    "Finding",
    "Judged",
    "Latency",
    "Limits",
    "System",
    "Tuning",
    "advise",
    "compare",
    "judged_files",
    "opened",
    "pareto",
    "read_judged",
    "tune",
]
