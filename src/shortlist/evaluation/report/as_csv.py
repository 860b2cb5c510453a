"""How does a comparison go into a spreadsheet? One table of systems and measures, one of queries."""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterable, Sequence

from shortlist.evaluation.results import Comparison

__all__ = ["queries_to_csv", "systems_to_csv"]

_SURROGATES = re.compile("[\ud800-\udfff]")

SYSTEM_COLUMNS = (
    "system",
    "pipeline",
    "is_baseline",
    "measure",
    "mean",
    "low",
    "high",
    "level",
    "difference",
    "difference_low",
    "difference_high",
    "p",
    "p_holm",
    "wins",
    "ties",
    "losses",
    "p50_ms",
    "p95_ms",
    "bytes_per_document",
    "encode_ms",
    "model_bytes",
    "judged",
)


def systems_to_csv(comparison: Comparison) -> str:
    """Write one row a system and measure, numbers unrounded; the baseline's differences are empty cells."""
    rows: list[Sequence[object]] = [SYSTEM_COLUMNS]
    for system in comparison.systems:
        for measure in comparison.measures:
            interval, found = system.intervals[measure], system.differences.get(measure)
            against: Sequence[object] = ("",) * 8
            if found is not None:
                gap = found.difference
                against = (gap.mean, gap.low, gap.high, found.p, found.p_holm)
                against = (*against, found.wins, found.ties, found.losses)
            rows.append(
                (
                    system.name,
                    system.pipeline,
                    str(system.name == comparison.baseline).lower(),
                    measure,
                    interval.mean,
                    interval.low,
                    interval.high,
                    interval.level,
                    *against,
                    system.latency.p50_ms,
                    system.latency.p95_ms,
                    system.costs.total_bytes,
                    system.costs.encode_ms,
                    system.costs.model_bytes,
                    system.judged,
                )
            )
    return _csv(rows)


def queries_to_csv(comparison: Comparison) -> str:
    """Write one row a query, in their order; a column is a measure and a system, as in ``nDCG@10 bm25``."""
    pairs = [(measure, system) for measure in comparison.measures for system in comparison.systems]
    columns = [system.values[measure] for measure, system in pairs]
    head = ["query_id", *(f"{measure} {system.name}" for measure, system in pairs)]
    return _csv([head, *zip(comparison.query_ids, *columns, strict=True)])


def _csv(rows: Iterable[Sequence[object]]) -> str:
    """Write rows with a line feed after each; halves of a character, which no file can hold, become U+FFFD."""
    file = io.StringIO()
    csv.writer(file, lineterminator="\n").writerows(rows)
    return _SURROGATES.sub("\ufffd", file.getvalue())
