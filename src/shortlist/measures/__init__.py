"""What is measured, and whether a difference is more than chance: quality of rankings, of scored pairs."""

from shortlist.measures.pairs import (
    AtThreshold,
    average_precision,
    best_accuracy,
    best_f1,
    pearson,
    spearman,
)
from shortlist.measures.ranking import (
    AP,
    RR,
    Judged,
    Measure,
    P,
    R,
    Success,
    by_query,
    mean,
    nDCG,
    parse_measure,
    trec_order,
)
from shortlist.measures.statistics import Interval, bootstrap, bootstrap_mean, holm, paired_randomisation

__all__ = [
    "AP",
    "RR",
    "AtThreshold",
    "Interval",
    "Judged",
    "Measure",
    "P",
    "R",
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
