"""What a comparison found, as values: quality with intervals, significance, latency, storage, disagreements."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from shortlist.measures.statistics import Interval

__all__ = [
    "Comparison",
    "Costs",
    "Difference",
    "Disagreement",
    "Finding",
    "Latency",
    "Shown",
    "System",
    "pareto",
]


@dataclass(frozen=True)
class Finding:
    """Hold what a rule found in queries, judgements and documents, and what was done about it.

    ``rule`` is its name, as in ``self-hits``; ``count`` how many it concerns, ``examples`` some of their ids.
    """

    rule: str
    count: int
    message: str
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Difference:
    """Hold how a system differs from the baseline on one measure, over the same queries.

    ``p`` is of the paired randomisation test, ``p_holm`` corrected for the systems compared. ``wins`` counts the
    queries on which the system is better.
    """

    difference: Interval
    p: float
    p_holm: float
    wins: int
    ties: int
    losses: int

    @property
    def is_significant(self) -> bool:
        """Whether the corrected p-value is below one minus the interval's level."""
        return self.p_holm < 1 - self.difference.level


@dataclass(frozen=True)
class Latency:
    """Hold milliseconds of searches run one at a time, encoding the query included.

    On one thread, if BLAS is told so as the command line does (``OPENBLAS_NUM_THREADS=1``).

    ``stages`` has the p50 and p95 of each step by its name; ``queries`` says how many searches were timed.
    """

    p50_ms: float
    p95_ms: float
    stages: Mapping[str, tuple[float, float]]
    queries: int


@dataclass(frozen=True)
class Costs:
    """Hold what a pipeline needs on disk and to index.

    ``bytes_per_document`` are those of the parts that it reads, by part, texts included; ``encode_ms`` the time
    that one document's vectors take on one thread; ``model_bytes`` the files of
    the model. A pipeline of words alone needs neither.
    """

    bytes_per_document: Mapping[str, float]
    encode_ms: float
    model_bytes: int

    @property
    def total_bytes(self) -> float:
        """Bytes a document, all parts together."""
        return sum(self.bytes_per_document.values())


@dataclass(frozen=True)
class System:
    """Hold one pipeline of a comparison.

    ``values`` has, for each measure, one value a query, in the order of :attr:`Comparison.query_ids`;
    ``differences`` is empty for the baseline.
    """

    name: str
    pipeline: str
    values: Mapping[str, Sequence[float]]
    intervals: Mapping[str, Interval]
    differences: Mapping[str, Difference]
    latency: Latency
    costs: Costs
    judged: float
    """The share of the first ten documents that somebody has judged, on the mean."""


@dataclass(frozen=True)
class Shown:
    """Hold one hit as a report shows it; ``grade`` is ``None`` where nobody judged the document."""

    doc_id: str
    title: str
    grade: int | None


@dataclass(frozen=True)
class Disagreement:
    """Hold a query on which systems differ most: each one's value of the first measure, and its first hits."""

    query_id: str
    text: str
    values: Mapping[str, float]
    hits: Mapping[str, Sequence[Shown]]


@dataclass(frozen=True)
class Comparison:
    """Hold all that comparing pipelines on one source found.

    The first of ``measures`` is the one that plots, disagreements and advice go by. ``seconds`` says where the
    time went: ``checking``, ``ranking``, ``timing``, ``statistics``.
    """

    source: str
    documents: int
    passages: int
    model: str
    mode: str
    query_ids: Sequence[str]
    measures: Sequence[str]
    baseline: str
    systems: Sequence[System]
    findings: Sequence[Finding]
    disagreements: Sequence[Disagreement]
    machine: str
    version: str
    seed: int
    seconds: Mapping[str, float] = field(default_factory=dict)

    def system(self, name: str) -> System:
        """Give a system by its name."""
        return next(system for system in self.systems if system.name == name)


def pareto(points: Iterable[tuple[str, float, float]]) -> list[str]:
    """Give the names of the points ``(name, cost, quality)`` that none beats in both, cheapest first.

    Of points that are equal in both, all are given.

    >>> pareto([("a", 1, 0.5), ("b", 2, 0.4), ("c", 3, 0.6)])
    ['a', 'c']
    """
    found = list(points)
    best = [
        (cost, name)
        for name, cost, quality in found
        if not any(
            other_cost <= cost and other >= quality and (other_cost, other) != (cost, quality)
            for _, other_cost, other in found
        )
    ]
    return [name for _, name in sorted(best)]
