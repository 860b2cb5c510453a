"""Which pipeline should I use within these limits? Measured on the user's own text, or a rule of thumb that says so.

Every candidate is measured: quality on judged queries, latency one search at a time, bytes by the parts it reads.
Where a source of documents is larger than the sample, or a larger number of them is expected, latency is extrapolated:
timed at two sizes in turn, a straight line through both. Far beyond what was timed (20 times) that is a guess, and is
called one. Without judged queries nothing tells how good a pipeline is here; then the order of a rule of thumb stands
in, and is called that.
"""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from pathlib import Path
from typing import cast

from shortlist.api import Collection
from shortlist.errors import DataError
from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, differences, judged_runs
from shortlist.evaluation.costs import bytes_by_part, costs, encode_ms, model_bytes, time_searches
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.results import Costs, Difference, Finding, Latency
from shortlist.evaluation.sampling import Sample, draw_sample, first_words
from shortlist.measures.ranking import Measure, by_query, nDCG
from shortlist.measures.statistics import Interval, bootstrap_mean
from shortlist.models.encoder import Encoder, Mode
from shortlist.plain_text import number
from shortlist.protocols import Steps
from shortlist.search import (
    ANY_SIZE,
    NAMES,
    Cross,
    Fuse,
    MaxSim,
    Pipeline,
    Rerank,
    can_run,
    leaves,
    name_of,
    parse,
)
from shortlist.search.execution import leaf_name
from shortlist.search.pipeline import DEPTH
from shortlist.types import Document, Query

__all__ = [
    "CANDIDATES",
    "RULE_OF_THUMB",
    "Advice",
    "Candidate",
    "Limits",
    "Switch",
    "advise",
    "choose",
    "switches",
]

CANDIDATES: tuple[str, ...] = (
    *ANY_SIZE,
    *(str(replace(cast("Rerank", NAMES["hybrid+late"]), depth=depth)) for depth in (20, 50)),
)

RULE_OF_THUMB: tuple[str, ...] = (
    "cascade",
    "hybrid+cross",
    "hybrid+late",
    "late",
    "hybrid+poly",
    "hybrid",
    "bm25",
    "poly",
    "dense",
    "tfidf",
)
"""Best first, where nobody has judged: the order of the means over the sets of benchmarks/results/stages.json.

Neighbours in this order may well be the other way round: the first three differ by .005, `hybrid+poly` and `hybrid` by
less than .001.
"""

SAMPLE = 5000
SHARE = 0.25  # of the sample that the first point of an extrapolation has
FAR = 20  # times as many documents as were timed: beyond that a line through two points is a guess
NOISE = 1.15  # times as slow: less than that is no slope
NEAR = 1.1  # times a limit: timing the same searches twice differs by as much, so a latency up to there may keep it
TIMED = 200  # queries at most
CLOSE = 0.002  # of the mean: between pipelines as close as this, the faster is advised


@dataclass(frozen=True)
class Limits:
    """Hold what a search may cost; ``None`` is no limit.

    ``latency_ms`` is for 95 of 100 searches (p95), encoding the query included, on one thread of this machine. The same
    searches timed twice differ by some ten per cent: a pipeline that is over the limit by less is not ruled out by it,
    but said to be at the limit.
    """

    latency_ms: float | None = None
    bytes_per_document: float | None = None

    def __post_init__(self) -> None:
        for name, value in (("latency", self.latency_ms), ("bytes per document", self.bytes_per_document)):
            if value is not None and not 0 < value < float("inf"):
                raise DataError(f"the limit of {name} must be above 0, not {value:g}")

    def allow(self, candidate: Candidate) -> bool:
        """Say whether a candidate keeps all limits, or may."""
        return (self.latency_ms is None or candidate.least_limit_ms <= self.latency_ms) and (
            self.bytes_per_document is None or candidate.costs.total_bytes <= self.bytes_per_document
        )

    def is_near(self, candidate: Candidate) -> bool:
        """Say whether a candidate is over the limit of latency by so little that it may keep it."""
        return (
            self.allow(candidate)
            and self.latency_ms is not None
            and candidate.latency.p95_ms > self.latency_ms
        )


@dataclass(frozen=True)
class Candidate:
    """Hold a pipeline with what it costs and, if anybody has judged, how good it is.

    ``latency`` is of the advised number of documents; ``measured`` at the sample's, where that is another.
    """

    pipeline: Pipeline
    quality: Interval | None
    latency: Latency
    measured: Latency
    costs: Costs
    values: tuple[float, ...] = ()

    @property
    def name(self) -> str:
        """The pipeline's short name or text form."""
        return name_of(self.pipeline)

    @property
    def least_limit_ms(self) -> float:
        """The lowest limit of latency that it may keep, for all that timing can tell."""
        return self.latency.p95_ms / NEAR


@dataclass(frozen=True)
class Switch:
    """Say from which ``value`` of a ``limit`` on a pipeline would be advised."""

    limit: str
    value: float
    advised: str


@dataclass(frozen=True)
class Advice:
    """Hold what is advised and why.

    ``runners_up`` are the other candidates within the limits, best first, each with its difference to the
    advised one (``None`` without judgements); ``excluded`` those that are over a limit, by which. ``fallback`` is given
    where the advised one lies at a limit: the best of those that keep it by more than timing differs. ``switches`` say
    how the choice would change with each limit, from low to high. ``documents`` is how many it is advised for,
    ``total`` how many the source has, ``sampled`` on how many quality was measured, ``timed`` on how many latency.
    """

    source: str
    limits: Limits
    advised: Candidate | None
    basis: str
    measure: str
    runners_up: tuple[tuple[Candidate, Difference | None], ...]
    excluded: tuple[tuple[Candidate, str], ...]
    fallback: Candidate | None
    switches: tuple[Switch, ...]
    documents: int
    total: int
    sampled: int
    timed: int
    queries: int
    findings: tuple[Finding, ...]

    @property
    def is_guess(self) -> bool:
        """Whether latency is extrapolated so far beyond what was timed that it is a guess."""
        return self.documents > FAR * self.timed


def advise(
    documents: Collection | Iterable[Document],
    judged: Judged | None,
    limits: Limits,
    *,
    queries: Sequence[Query] = (),
    expected_documents: int | None = None,
    pipelines: Sequence[Pipeline] | None = None,
    measure: Measure = nDCG @ 10,
    sample: int = SAMPLE,
    model: Path | None = None,
    mode: Mode = "fast",
    name: str = "",
    seed: int = 0,
    threads: int | None = None,
    steps: Steps | None = None,
) -> Advice:
    """Measure the candidates and advise the best one within the limits.

    ``documents`` is a collection, or documents. Quality is measured on up to ``sample`` of them: all that are
    judged relevant for the queries that are used, and others at random. A collection is timed as it is, other
    documents as far as they are in the sample. ``queries`` are timed where none are judged; without any, titles and
    first words of documents are. ``expected_documents`` says how many there will be, if not as many as there are.

    Raises:
        DataError: there is no document, ``expected_documents`` is below 1, or queries are given beside judged ones.
    """
    if expected_documents is not None and expected_documents < 1:
        raise DataError(f"the expected number of documents must be at least 1, not {expected_documents}")
    if judged is not None and queries:
        raise DataError("the judged queries are timed; no others can be given beside them")
    chosen = draw_sample(_read(documents), judged, sample, seed)
    target = expected_documents or chosen.total
    asked = list(chosen.judged.queries if chosen.judged else queries) or first_words(chosen.documents)
    names = RULE_OF_THUMB if judged is None else CANDIDATES
    tried = list(dict.fromkeys(pipelines or map(parse, names)))
    if not pipelines:
        tried = _usable(tried, documents, model, mode, by_rule=judged is None)
    with tempfile.TemporaryDirectory(prefix="shortlist-") as folder, ExitStack() as stack:
        collection, sizes = _built(
            stack, Path(folder), chosen, documents, target, tried, model, mode, threads, steps
        )
        counts = [found.info().documents for found in sizes]
        progress = steps("timing", min(TIMED, len(asked))) if steps else None
        timed = time_searches(
            [(size, pipeline) for size in sizes for pipeline in tried],
            asked,
            seed=seed,
            most=TIMED,
            progress=progress,
        )
        by_size = [timed[start : start + len(tried)] for start in range(0, len(timed), len(tried))]
        values: Sequence[tuple[float, ...]] = [()] * len(tried)
        findings: tuple[Finding, ...] = ()
        if chosen.judged is not None:
            checked = check_judgements(all_documents(collection), chosen.judged)
            runs = judged_runs(collection, checked, tried, [measure], threads=threads, steps=steps)
            values = [tuple(by_query(measure, run[measure], checked.judged.qrels).values()) for run in runs]
            findings = checked.judged.findings
        by_part, size = bytes_by_part(collection), model_bytes(collection)
        needs_vectors = any(leaf.needs_vectors for pipeline in tried for leaf in leaves(pipeline))
        encoding = encode_ms(collection, seed=seed) if needs_vectors else 0.0
    candidates = [
        Candidate(
            pipeline=pipeline,
            quality=bootstrap_mean(values[index], seed=seed) if values[index] else None,
            latency=_extrapolated(
                list(zip(counts, (found[index] for found in by_size), strict=True)),
                target,
                _growing(pipeline),
            ),
            measured=by_size[-1][index],
            costs=costs(pipeline, by_part, encoding, size),
            values=values[index],
        )
        for index, pipeline in enumerate(tried)
    ]
    return _advice(
        candidates, limits, chosen, str(measure), target, counts[-1], len(asked), name, findings, seed
    )


def _usable(
    tried: Sequence[Pipeline],
    documents: Collection | Iterable[Document],
    model: Path | None,
    mode: Mode,
    *,
    by_rule: bool,
) -> list[Pipeline]:
    """Leave out what the collection or the model can't run.

    Where nobody has judged, also the judges beside an encoder of the user's own, whose language they may not read.
    """
    if isinstance(documents, Collection):
        model, encoder = documents.model, documents.encoder
        tokens = documents.store.settings.token_dimensions
    else:
        encoder = Encoder.load(model, mode=mode)
        tokens = encoder.settings.token_dimensions
    return [
        pipeline
        for pipeline in tried
        if can_run(pipeline, has_tokens=bool(tokens), has_codes=encoder.has_codes)
        and not (by_rule and model is not None and any(isinstance(leaf, Cross) for leaf in leaves(pipeline)))
    ]


def choose(candidates: Sequence[Candidate], limits: Limits) -> Candidate | None:
    """Give the best candidate within the limits: by quality, or where nobody has judged by the rule of thumb.

    Of those whose quality is as good as equal the fastest is given; ``None`` if none keeps the limits.
    """
    within = [candidate for candidate in candidates if limits.allow(candidate)]
    if not within:
        return None
    best = max(_mean(candidate) for candidate in within)
    return min(
        (candidate for candidate in within if _mean(candidate) >= best - CLOSE),
        key=lambda candidate: candidate.latency.p50_ms,
    )


def switches(candidates: Sequence[Candidate], limits: Limits) -> list[Switch]:
    """Say from which value of each limit on, the other as given, which pipeline would be advised."""
    found = []
    latencies = {candidate.least_limit_ms for candidate in candidates}
    sizes = {candidate.costs.total_bytes for candidate in candidates}
    for limit, values in (("latency_ms", latencies), ("bytes_per_document", sizes)):
        before = ""
        for value in sorted(values):
            advised = choose(candidates, replace(limits, **{limit: value}))
            if advised is not None and advised.name != before:
                before = advised.name
                found.append(Switch(limit, value, before))
    return found


def _read(documents: Collection | Iterable[Document]) -> Iterable[Document]:
    return all_documents(documents) if isinstance(documents, Collection) else documents


def _built(
    stack: ExitStack,
    folder: Path,
    sample: Sample,
    source: Collection | Iterable[Document],
    target: int,
    pipelines: Sequence[Pipeline],
    model: Path | None,
    mode: Mode,
    threads: int | None,
    steps: Steps | None,
) -> tuple[Collection, list[Collection]]:
    """Give the collection to measure quality on, and one or two to time: the smaller first, the largest there is last.

    Two where another number of documents is asked for than there are. What is made stays open as long as ``stack``.
    """
    whole = source if isinstance(source, Collection) else None
    extrapolates = target != (sample.total if whole is not None else len(sample.documents))
    token_vectors, language = (
        any(isinstance(leaf, MaxSim) for p in pipelines for leaf in leaves(p)),
        "english",
    )
    token_pooling, token_bits = 1, 8
    if whole is not None:
        settings = whole.store.settings
        model, mode = whole.model, whole.encoder.mode
        token_vectors, language = token_vectors and bool(settings.token_dimensions), settings.language
        if token_vectors:
            token_pooling, token_bits = settings.token_pooling, settings.token_bits

    def build(name: str, documents: Sequence[Document], start: Path | None = None) -> Collection:
        path = folder / name
        if start is not None:
            shutil.copytree(start, path)
            made = Collection.open(path, model=model)
        else:
            made = Collection.create(
                path, model=model, mode=mode, language=language, token_vectors=token_vectors,
                token_pooling=token_pooling, token_bits=token_bits,
            )  # fmt: skip
        stack.enter_context(made)
        made.add(
            documents, threads=threads, progress=steps("indexing a sample", len(documents)) if steps else None
        )
        made.compact()
        return made

    documents = sample.documents
    if whole is not None and sample.is_whole and not extrapolates:
        return whole, [whole]
    if whole is not None and not sample.is_whole:
        made = build("sample.shortlist", documents)
        return made, [made, whole] if extrapolates else [whole]
    if not extrapolates:
        made = build("sample.shortlist", documents)
        return made, [made]
    first = _first_size(len(documents))
    small = build("small.shortlist", documents[:first])
    if whole is not None:
        return whole, [small, whole]
    rest = documents[first:]
    large = build("sample.shortlist", rest, start=folder / "small.shortlist") if rest else small
    return large, [small, large]


def _first_size(sampled: int) -> int:
    """Give how many documents the first point of an extrapolation has: a quarter of the sample, or more if few.

    With fewer documents than a judge reads its work would seem to grow with them; half of the sample at most.
    """
    return max(1, int(sampled * SHARE), min(2 * DEPTH, sampled // 2))


def _advice(
    candidates: Sequence[Candidate],
    limits: Limits,
    sample: Sample,
    measure: str,
    target: int,
    timed: int,
    queries: int,
    name: str,
    findings: tuple[Finding, ...],
    seed: int,
) -> Advice:
    advised = choose(candidates, limits)
    others = sorted(
        (candidate for candidate in candidates if candidate is not advised and limits.allow(candidate)),
        key=_mean,
        reverse=True,
    )
    tested: Mapping[str, Difference] = {}
    if advised is not None and advised.values:
        values = {candidate.name: candidate.values for candidate in (advised, *others)}
        tested = differences(values, advised.name, seed=seed)
    excluded = [candidate for candidate in candidates if not limits.allow(candidate)]
    at_limit = advised is not None and limits.is_near(advised)
    certain = [candidate for candidate in candidates if not limits.is_near(candidate)]
    judged = sample.judged is not None
    return Advice(
        source=name,
        limits=limits,
        advised=advised,
        basis="measured" if judged else "rule of thumb",
        measure=measure,
        runners_up=tuple((candidate, tested.get(candidate.name)) for candidate in others),
        excluded=tuple(
            (candidate, _over(candidate, limits)) for candidate in sorted(excluded, key=_mean, reverse=True)
        ),
        fallback=choose(certain, limits) if at_limit else None,
        switches=tuple(switches(candidates, limits)),
        documents=target,
        total=sample.total,
        sampled=len(sample.documents),
        timed=timed,
        queries=queries,
        findings=findings,
    )


def _mean(candidate: Candidate) -> float:
    """Give what candidates are ordered by: the measured quality, or minus the place in the rule of thumb."""
    if candidate.quality is not None:
        return candidate.quality.mean
    name = candidate.name
    return -float(RULE_OF_THUMB.index(name) if name in RULE_OF_THUMB else len(RULE_OF_THUMB))


def _over(candidate: Candidate, limits: Limits) -> str:
    parts = []
    if limits.latency_ms is not None and candidate.least_limit_ms > limits.latency_ms:
        parts.append(f"takes {number(candidate.latency.p95_ms)} ms (limit {limits.latency_ms:g})")
    size = candidate.costs.total_bytes
    if limits.bytes_per_document is not None and size > limits.bytes_per_document:
        parts.append(f"needs {size:,.0f} bytes a document (limit {limits.bytes_per_document:,.0f})")
    return ", ".join(parts)


def _growing(pipeline: Pipeline) -> set[str]:
    """Name the steps that read more where there are more documents: those of whatever retrieves.

    Encoding the query doesn't depend on the documents; a judge reads as many as it is given, and so does what follows.
    """
    match pipeline:
        case Fuse(stages=stages):
            return {name for stage in stages for name in _growing(stage)}
        case Rerank(first=first):
            return _growing(first)
        case _:
            return {leaf_name(pipeline), "filter"}


def _extrapolated(timed: Sequence[tuple[int, Latency]], target: int, growing: set[str]) -> Latency:
    """Draw a line through the p50 of every ``growing`` step at two sizes; p95 keeps its ratio to p50.

    A step that takes about the same at both sizes has no slope. Time never falls as documents are added, and never
    faster than in proportion as there are fewer. The whole is the sum of its steps and of what is in none of them.
    """
    count, last = timed[-1]
    if count == target or len(timed) < 2 or timed[0][0] == count:
        return last
    first_count, first = timed[0]

    def at_target(small: float, large: float) -> float:
        slope = (large - small) / (count - first_count) if large > small * NOISE else 0.0
        return max(large + slope * (target - count), large * min(1.0, target / count))

    def both(small: float, large: tuple[float, float]) -> tuple[float, float]:
        p50, p95 = large
        return at_target(small, p50), at_target(small, p50) * p95 / p50

    stages = {
        # What most searches don't have, at p50, has no line.
        name: both(first.stages.get(name, (0.0, 0.0))[0], found) if name in growing and found[0] else found
        for name, found in last.stages.items()
    }
    other, first_other = (
        found.p50_ms - sum(p50 for p50, _ in found.stages.values()) for found in (last, first)
    )
    p50 = sum(p50 for p50, _ in stages.values()) + (at_target(first_other, other) if other > 0 else other)
    return Latency(p50, p50 * last.p95_ms / last.p50_ms, stages, last.queries)
