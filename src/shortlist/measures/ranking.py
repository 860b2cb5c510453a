"""How good is a ranking? Measures as values that read as in papers: ``nDCG@10``, ``MRR@10``, ``AP``.

A measure is a frozen value whose ``str`` is its name; ``parse_measure`` reads the name back, and in Python
``nDCG @ 10`` is one too. A measure takes the ranking's order as it is: :meth:`shortlist.types.Ranking.of` has
settled ties already, as trec_eval does. A judgement of grade ``rel`` (1) or above is *relevant* for the measures
that know two kinds of documents; nDCG takes the grade itself as the gain and negative grades as 0.

>>> ranking = Ranking.of([("a", 3.0), ("b", 2.0), ("c", 1.0)])
>>> (nDCG @ 10).of_query(ranking, {"b": 1}), str(RR @ 10), parse_measure("MRR@10") == RR @ 10
(0.6309297535714575, 'MRR@10', True)
"""

from __future__ import annotations

import difflib
import math
import re
import struct
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import ClassVar, Self

from shortlist.errors import MeasureError
from shortlist.types import Qrels, Ranking, Run

__all__ = [
    "AP",
    "RR",
    "Judged",
    "Measure",
    "P",
    "R",
    "Success",
    "by_query",
    "mean",
    "nDCG",
    "parse_measure",
    "trec_order",
]

Grades = Mapping[str, int]
"""The judgements of one query: document id -> grade."""

SHOWN = 60
MOST = 999_999_999  # k and rel: nine digits, as parse_measure reads them

_EMPTY = Ranking(())


@dataclass(frozen=True)
class Measure:
    """Say what is measured, down to which rank ``k`` (``None``: all of it), and from which grade ``rel`` on."""

    name: ClassVar[str]
    needs_k: ClassVar[bool] = False
    has_rel: ClassVar[bool] = True
    k: int | None = None
    rel: int = 1

    def __post_init__(self) -> None:
        for what, value in (("k", self.k), ("rel", self.rel)):
            if value is not None and (isinstance(value, bool) or not isinstance(value, int) or value < 1):
                raise MeasureError(f"{self.name}: {what} must be a whole number from 1, not {value!r}")
            if value is not None and value > MOST:
                raise MeasureError(f"{self.name}: {what} must be at most {MOST:,}")

    def __matmul__(self, k: int) -> Self:
        return replace(self, k=k)

    def __call__(self, *, rel: int) -> Self:
        """Count only documents of grade ``rel`` or above as relevant."""
        if not self.has_rel:
            raise MeasureError(f"{self.name} takes grades as they are, it has no rel")
        return replace(self, rel=rel)

    def __str__(self) -> str:
        rel = f"(rel={self.rel})" if self.rel != 1 else ""
        return f"{self.name}{rel}" + (f"@{self.k}" if self.k is not None else "")

    def of_query(self, ranking: Ranking, grades: Grades) -> float:
        """Measure one query's ranking; what is not judged counts as not relevant.

        Raises:
            MeasureError: the measure needs a ``k`` and has none.
        """
        if self.needs_k and self.k is None:
            raise MeasureError(f"{self.name} needs a rank to stop at", hint=f"as in {self.name}@10")
        found = [grades.get(hit.doc_id) for hit in ranking.hits[: self.k]]
        return self._of(found, list(grades.values()))

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:
        """Measure grades in the order of the ranking (``None``: not judged) against all that were given."""
        raise NotImplementedError

    def _relevant(self, found: Sequence[int | None]) -> list[bool]:
        return [grade is not None and grade >= self.rel for grade in found]


@dataclass(frozen=True)
class _NDCG(Measure):
    """Compare the discounted gains of the ranking with those of the best possible one, 0 to 1.

    A document of grade g > 0 at rank r gains g / log2(r + 1). Source: Järvelin and Kekäläinen 2002, with the
    discount of Burges et al. 2005, as in trec_eval's ``ndcg_cut``. A query without relevant documents has 0.
    """

    name: ClassVar[str] = "nDCG"
    has_rel: ClassVar[bool] = False

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:
        ideal = _dcg(sorted((grade for grade in judged if grade > 0), reverse=True)[: self.k])
        return _dcg([max(0, grade or 0) for grade in found]) / ideal if ideal else 0.0


def _dcg(gains: Sequence[int]) -> float:
    return math.fsum(gain / math.log2(rank + 1) for rank, gain in enumerate(gains, start=1))


@dataclass(frozen=True)
class _RR(Measure):
    """One over the rank of the first relevant document, 0 if there is none. Source: Kantor and Voorhees 2000.

    Its mean is MRR, by which name it prints.
    """

    name: ClassVar[str] = "MRR"

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:  # noqa: ARG002
        relevant = self._relevant(found)
        return 1 / (relevant.index(True) + 1) if True in relevant else 0.0


@dataclass(frozen=True)
class _Recall(Measure):
    """Give the share of all relevant documents that is among the first ``k``; 0 where there are none."""

    name: ClassVar[str] = "Recall"

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:
        relevant = sum(self._relevant(judged))
        return sum(self._relevant(found)) / relevant if relevant else 0.0


@dataclass(frozen=True)
class _P(Measure):
    """Give the share of relevant documents among the first ``k``; places that are left empty count as wrong."""

    name: ClassVar[str] = "P"
    needs_k: ClassVar[bool] = True

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:  # noqa: ARG002
        return sum(self._relevant(found)) / (self.k or 1)


@dataclass(frozen=True)
class _AP(Measure):
    """Average the precision at the rank of every relevant document; one that is not found adds 0.

    Source: Harman 1992; trec_eval's ``map`` and, with a ``k``, ``map_cut`` (divided by all relevant ones too).
    """

    name: ClassVar[str] = "AP"

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:
        total = sum(self._relevant(judged))
        ranks = [rank for rank, is_relevant in enumerate(self._relevant(found), start=1) if is_relevant]
        return math.fsum(count / rank for count, rank in enumerate(ranks, start=1)) / total if total else 0.0


@dataclass(frozen=True)
class _Success(Measure):
    """Give 1 if a relevant document is among the first ``k``, otherwise 0."""

    name: ClassVar[str] = "Success"
    needs_k: ClassVar[bool] = True

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:  # noqa: ARG002
        return float(any(self._relevant(found)))


@dataclass(frozen=True)
class _Judged(Measure):
    """Give the share of the first ``k`` documents found that anybody has judged; 0 where nothing was found.

    Low values say that a ranking is measured on documents nobody has looked at. Source: TREC-COVID's reports.
    """

    name: ClassVar[str] = "Judged"
    needs_k: ClassVar[bool] = True
    has_rel: ClassVar[bool] = False

    def _of(self, found: Sequence[int | None], judged: Sequence[int]) -> float:  # noqa: ARG002
        return sum(grade is not None for grade in found) / len(found) if found else 0.0


nDCG = _NDCG()  # noqa: N816 - as papers write it
RR = _RR()
R = _Recall()
P = _P()
AP = _AP()
Success = _Success()
Judged = _Judged()

_KINDS: dict[str, Measure] = {
    **{kind.name.lower(): kind for kind in (nDCG, RR, R, P, AP, Success, Judged)},
    "rr": RR,
    "r": R,
    "map": AP,
    "precision": P,
}
_NAME = re.compile(r"([A-Za-z]+)(?:\(rel=([0-9]{1,9})\))?(?:@([0-9]{1,9}))?")


def parse_measure(text: str) -> Measure:
    """Read a measure's name, in any case: ``nDCG@10``, ``MRR@10`` or ``RR@10``, ``P(rel=2)@5``, ``AP`` or ``MAP``.

    Raises:
        MeasureError: it is none; the message says what in it is not.
    """
    match = _NAME.fullmatch(text.strip())
    known = ", ".join(kind.name for kind in (nDCG, RR, R, P, AP, Success, Judged))
    if match is None:
        raise MeasureError(
            f"{_short(text)!r} is no measure", hint=f"write nDCG@10, MRR@10, P(rel=2)@5; known: {known}"
        )
    word, rel, k = match.groups()
    if word.lower() not in _KINDS:
        near = difflib.get_close_matches(word.lower(), _KINDS, n=1)
        hint = f"did you mean {_KINDS[near[0]].name}? " if near else ""
        raise MeasureError(f"there is no measure {_short(word)!r}", hint=f"{hint}known: {known}")
    measure = _KINDS[word.lower()]
    measure = measure if rel is None else measure(rel=int(rel))
    measure = measure if k is None else measure @ int(k)
    if measure.needs_k and measure.k is None:
        raise MeasureError(f"{measure.name} needs a rank to stop at", hint=f"as in {measure.name}@10")
    return measure


def _short(text: str) -> str:
    return text if len(text) <= SHOWN else f"{text[: SHOWN - 1]}…"


def by_query(measure: Measure, run: Run, qrels: Qrels) -> dict[str, float]:
    """Measure every judged query, in the order of the judgements; one without results counts 0.

    That is ``trec_eval -c``: without it a system that answers only easy queries would look best. Queries of
    the run that nobody judged are left out.
    """
    return {
        query_id: measure.of_query(run.rankings.get(query_id, _EMPTY), grades)
        for query_id, grades in qrels.relevance.items()
    }


def trec_order(run: Run) -> Run:
    """Order a run as trec_eval reads it: scores as float32, what is then equal by ``doc_id`` descending.

    A run that was written by another program than ours may have its order changed by it: that is the order that
    everyone else's figures are about.
    """
    return Run(
        {
            query_id: Ranking.of((hit.doc_id, _float32(hit.score)) for hit in ranking)
            for query_id, ranking in run.rankings.items()
        },
        run.name,
    )


def _float32(score: float) -> float:
    try:
        (rounded,) = struct.unpack("f", struct.pack("f", score))
    except OverflowError:
        return math.copysign(math.inf, score)
    return float(rounded)


def mean(values: Mapping[str, float]) -> float:
    """Average what :func:`by_query` gave; nan where there is no query."""
    return math.fsum(values.values()) / len(values) if values else math.nan
