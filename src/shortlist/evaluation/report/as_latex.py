"""How does a comparison go into a paper? A booktabs table with the caption that says what was done."""

from __future__ import annotations

from shortlist.evaluation.report.verdict import best_by_measure
from shortlist.evaluation.report.wording import counted, number, plain, quality, size
from shortlist.evaluation.results import Comparison, System
from shortlist.measures.statistics import PERMUTATIONS, RESAMPLES

__all__ = ["to_latex"]

_ESCAPES = {
    "\\": r"\textbackslash{}",
    "{": r"\{",
    "}": r"\}",
    "$": r"\$",
    "&": r"\&",
    "%": r"\%",
    "#": r"\#",
    "_": r"\_",
    "~": r"\textasciitilde{}",
    "^": r"\textasciicircum{}",
    "<": r"\textless{}",
    ">": r"\textgreater{}",
    "|": r"\textbar{}",
    "[": "{[}",
    "]": "{]}",
    '"': r"\textquotedbl{}",
    "-": "{-}",
    "'": r"\textquotesingle{}",
    "`": r"\textasciigrave{}",
}


def to_latex(comparison: Comparison) -> str:
    r"""Write a ``table`` for ``\usepackage{booktabs}`` and ``\usepackage[T1]{fontenc}``, systems in their order.

    The best value of a measure is bold; a dagger marks what is better than the baseline by more than chance, a
    double dagger what is worse. Letters beyond ASCII stay as they are: XeLaTeX and LuaLaTeX set them all.
    """
    best = best_by_measure(comparison)
    heads = [_escaped(measure) for measure in comparison.measures]
    level = f"{comparison.systems[0].intervals[comparison.measures[0]].level:.0%}".replace("%", r"\%")
    columns = "l" + "r" * (len(heads) + 4)
    lines = [
        r"\begin{table}",
        r"  \centering",
        rf"  \caption{{{_caption(comparison)}}}",
        r"  \label{tab:comparison}",
        rf"  \begin{{tabular}}{{{columns}}}",
        r"    \toprule",
        rf"    & {heads[0]} & {level} interval & "
        + "".join(f"{head} & " for head in heads[1:])
        + r"p50 ms & p95 ms & index/doc \\",
        r"    \midrule",
        *(f"    {_row(system, comparison, best)}" for system in comparison.systems),
        r"    \bottomrule",
        r"  \end{tabular}",
        r"\end{table}",
    ]
    return "\n".join(lines) + "\n"


def _row(system: System, comparison: Comparison, best: dict[str, set[str]]) -> str:
    first = system.intervals[comparison.measures[0]]
    values = [_value(system, measure, system.name in best[measure]) for measure in comparison.measures]
    cells = [
        _escaped(plain(system.name)),
        values[0],
        f"{quality(first.low)}--{quality(first.high)}",
        *values[1:],
        number(system.latency.p50_ms),
        number(system.latency.p95_ms),
        size(system.costs.total_bytes).replace(" ", "~"),
    ]
    return " & ".join(cells) + r" \\"


def _value(system: System, measure: str, is_best: bool) -> str:
    text = quality(system.intervals[measure].mean)
    text = rf"\textbf{{{text}}}" if is_best else text
    found = system.differences.get(measure)
    if found is None or not found.is_significant:
        return text
    return text + (r"$^{\dagger}$" if found.difference.mean > 0 else r"$^{\ddagger}$")


def _caption(comparison: Comparison) -> str:
    first = comparison.systems[0]
    level = first.intervals[comparison.measures[0]].level
    tests = (
        rf" $\dagger$ and $\ddagger$ mark what is better and worse than {_escaped(plain(comparison.baseline))} "
        f"($p < {1 - level:.2g}$, paired randomisation test with {PERMUTATIONS:,} permutations, Holm's correction)."
    )
    return (
        f"{_escaped(plain(comparison.source))}: {counted(len(comparison.query_ids), 'query', 'queries')}, "
        f"{counted(comparison.documents, 'document', 'documents')}. Best values in bold."
        f"{tests if len(comparison.systems) > 1 else ''} "
        f"Intervals by bootstrap over queries ({RESAMPLES:,} resamples). Latency of one search at a time on "
        f"{_escaped(plain(comparison.machine))}, model {_escaped(plain(comparison.model))} "
        f"({_escaped(plain(comparison.mode))}); shortlist {_escaped(plain(comparison.version))}, "
        f"seed {comparison.seed}."
    )


def _escaped(text: str) -> str:
    return "".join(_ESCAPES.get(letter, letter) for letter in text)
