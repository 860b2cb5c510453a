"""What `evaluate`, `compare`, `tune` and `advise` do, between their arguments and their output."""

from __future__ import annotations

import argparse
import csv
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, replace
from functools import partial
from math import inf
from pathlib import Path

from shortlist.api import Collection
from shortlist.cli.terminal import UsageError, print_json, say, step_bars
from shortlist.errors import DataError
from shortlist.evaluation.advice import Advice, Candidate, Limits, advise
from shortlist.evaluation.comparison import MEASURES, baseline_of, compare, differences
from shortlist.evaluation.judged import Judged
from shortlist.evaluation.report import (
    queries_to_csv,
    systems_to_csv,
    to_html,
    to_json,
    to_latex,
    to_terminal,
)
from shortlist.evaluation.report.wording import finding_text
from shortlist.evaluation.results import Comparison, Difference, Finding
from shortlist.evaluation.sources import bad_documents, is_collection, judged_files, opened
from shortlist.evaluation.tuning import Tuning, check_tunable, tune
from shortlist.formats import Rejected, open_source, read_qrels, read_queries, read_run
from shortlist.formats.paths import existing_path
from shortlist.measures.ranking import Measure, by_query, parse_measure, trec_order
from shortlist.measures.statistics import bootstrap_mean, holm
from shortlist.models import Encoder
from shortlist.models.encoder import Mode
from shortlist.plain_text import limit_text, number
from shortlist.protocols import Steps
from shortlist.search import ANY_SIZE, NAMES, MaxSim, Pipeline, can_run, leaves, name_of, parse
from shortlist.types import Document, Qrels, Query, Run

__all__ = ["COMMANDS"]

EVALUATED = ("nDCG@10", "MRR@10", "Recall@100", "AP")
WRITERS: Mapping[str, Callable[[Comparison], str]] = {
    ".html": to_html,
    ".json": to_json,
    ".csv": systems_to_csv,
    ".tex": to_latex,
}


def _evaluate(arguments: argparse.Namespace) -> None:
    measures = _measures(arguments.measures or EVALUATED)
    paths = [arguments.run, *arguments.against]
    _check_outputs([arguments.per_query] if arguments.per_query else [], [*paths, arguments.qrels])
    if (twice := _twice(paths)) is not None:
        raise UsageError(f"the run {twice} stands twice", hint="name each run once")
    qrels = read_qrels(arguments.qrels)
    runs = {path: trec_order(read_run(path)) for path in paths}
    missing = {path: _without_results(path, run, qrels) for path, run in runs.items()}
    extra = {path: len(run.rankings.keys() - qrels.relevance.keys()) for path, run in runs.items()}
    values = {
        str(measure): {path: by_query(measure, run, qrels) for path, run in runs.items()}
        for measure in measures
    }
    if arguments.per_query:
        _write_per_query(Path(arguments.per_query), values)
    intervals = {
        measure: bootstrap_mean(list(found[arguments.run].values()), seed=arguments.seed)
        for measure, found in values.items()
    }
    tested = {
        measure: _against(found, arguments.run, arguments.against, arguments.seed)
        for measure, found in values.items()
    }
    if arguments.json:
        print_json({"run": arguments.run, "queries": len(qrels.relevance), "without_results": missing,
                    "not_judged": extra,
                    "measures": {name: asdict(interval) for name, interval in intervals.items()},
                    "against": {name: {path: asdict(one) for path, one in found.items()}
                                for name, found in tested.items()}})  # fmt: skip
        return
    print(f"{'measure':<14} {'mean':>8}   95 % interval")
    for name, interval in intervals.items():
        print(f"{name:<14} {interval.mean:8.4f}   {interval.low:.4f} to {interval.high:.4f}")
        for path, found in tested[name].items():
            print(f"{'':<14} {found.difference.mean:+8.4f}   {_difference_text(found)}, against {path}")
    say(f"over {len(qrels.relevance):,} judged queries")
    for path in runs:
        of_run = f"{path}: " if len(runs) > 1 else ""
        if missing[path]:
            say(f"{of_run}without results, counted as 0 as trec_eval -c does: {missing[path]:,}")
        if extra[path]:
            say(f"{of_run}queries of the run that are not judged, left out: {extra[path]:,}")


def _without_results(path: str, run: Run, qrels: Qrels) -> int:
    """Count the judged queries that a run has no results for.

    Raises:
        DataError: it has results for none of them.
    """
    missing = qrels.relevance.keys() - run.rankings.keys()
    if len(missing) == len(qrels.relevance):
        one, other = next(iter(run.rankings), "none"), next(iter(qrels.relevance), "none")
        raise DataError(
            f"{path}: has results for none of the {len(missing):,} judged queries",
            hint=f"their ids differ: the run's first is {one!r}, the first judged one {other!r}",
        )
    return len(missing)


def _against(
    found: Mapping[str, Mapping[str, float]], run: str, others: Sequence[str], seed: int
) -> dict[str, Difference]:
    """Test one run against each of the others, corrected for their number."""
    tested = {}
    for path in others:
        pair = {"run": list(found[run].values()), "other": list(found[path].values())}
        tested[path] = differences(pair, "other", seed=seed)["run"]
    corrected = holm([one.p for one in tested.values()])
    return {path: replace(one, p_holm=p) for (path, one), p in zip(tested.items(), corrected, strict=True)}


def _write_per_query(path: Path, values: Mapping[str, Mapping[str, Mapping[str, float]]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["query_id", *(f"{name} {run}" if len(found) > 1 else name
                                       for name, found in values.items() for run in found)])  # fmt: skip
        columns = [of_run for found in values.values() for of_run in found.values()]
        writer.writerows([query_id, *(column[query_id] for column in columns)] for query_id in columns[0])


def _compare(arguments: argparse.Namespace) -> None:
    measures = _measures(arguments.measures) if arguments.measures else list(MEASURES)
    named = [parse(text) for text in arguments.pipelines or ()]
    baseline = parse(arguments.baseline) if arguments.baseline else None
    outputs = [Path(path) for path in arguments.output]
    for path in outputs:
        if path.suffix not in WRITERS:
            raise UsageError(f"{path}: the ending must be one of {', '.join(WRITERS)}")
    written = [*outputs, *([arguments.per_query] if arguments.per_query else [])]
    inputs = (arguments.queries, arguments.qrels, arguments.keep, arguments.model)
    _check_outputs(written, filter(None, inputs), arguments.source)
    judged = _judged(arguments)
    pipelines = named or [parse(name) for name in _names(arguments.source, arguments.model, arguments.mode)]
    baseline_of(pipelines, baseline)  # before anything is indexed
    with step_bars() as steps, _opened(arguments, pipelines, steps) as (collection, findings):
        found = compare(
            collection,
            _limited(judged, arguments),
            pipelines,
            measures=measures,
            baseline=baseline,
            timed_queries=arguments.timed_queries,
            seed=arguments.seed,
            threads=arguments.threads,
            findings=findings,
            steps=steps,
        )
    for path in outputs:
        write = partial(to_html, command=arguments.typed) if path.suffix == ".html" else WRITERS[path.suffix]
        path.write_text(write(found), encoding="utf-8")
    if arguments.per_query:
        Path(arguments.per_query).write_text(queries_to_csv(found), encoding="utf-8")
    print(to_json(found) if arguments.json else to_terminal(found), end="")
    if written:
        say(f"wrote {', '.join(map(str, written))}")


def _tune(arguments: argparse.Namespace) -> None:
    pipeline = parse(arguments.pipeline)
    measure = parse_measure(arguments.measure)
    judged = _limited(_judged(arguments), arguments)
    check_tunable(pipeline, judged)  # before anything is indexed
    with step_bars() as steps, _opened(arguments, [pipeline], steps) as (collection, _):
        found = tune(
            collection,
            judged,
            pipeline,
            measure=measure,
            seed=arguments.seed,
            threads=arguments.threads,
            steps=steps,
        )
    recommended = found.tuned if found.is_worth_it else found.original
    if arguments.json:
        print_json({"original": str(found.original), "tuned": str(found.tuned),
                    "recommended": str(recommended), "measure": found.measure,
                    "gain": asdict(found.gain), "gain_inside": found.gain_inside, "tried": found.tried,
                    "worth_it": found.is_worth_it,
                    "folds": [{"pipeline": str(fold.pipeline), "queries": fold.queries} for fold in found.folds],
                    })  # fmt: skip
        return
    print(recommended)
    _say_tuning(found)


def _say_tuning(found: Tuning) -> None:
    say(f"{found.tried} variants of {name_of(found.original)} tried, by {found.measure}")
    say(
        f"gain on queries that did not choose: {found.gain.difference.mean:+.4f} ({_difference_text(found.gain)})"
    )
    say(f"gain on those that did: {found.gain_inside:+.4f}, which promises nothing")
    different = len({fold.pipeline for fold in found.folds})
    count = len(found.folds)
    say(
        f"the {count} folds chose "
        + ("the same pipeline" if different == 1 else f"{different} different pipelines")
    )
    if found.tuned == found.original:
        say("nothing tried is better: keep the pipeline as it is")
        return
    say(f"tuned: {found.tuned}")
    if not found.is_worth_it:
        say("that may be chance: keep the pipeline as it is, or judge more queries")


def _advise(arguments: argparse.Namespace) -> None:
    limits = Limits(arguments.latency_ms, arguments.bytes_per_document)
    pipelines = [parse(text) for text in arguments.pipelines] if arguments.pipelines else None
    measure = parse_measure(arguments.measure)
    source = existing_path(arguments.source)
    queries: list[Query] = []
    judged: Judged | None = None
    if arguments.qrels or arguments.split or any((source / "qrels").glob("*")):
        judged = judged_files(source, _path(arguments.queries), _path(arguments.qrels), arguments.split)
    elif asked := _path(arguments.queries) or _queries_of(source):
        queries = [query for query in read_queries(asked) if isinstance(query, Query)]
        if not queries:
            raise DataError(f"{asked}: no query in it")
    with ExitStack() as stack:
        steps = stack.enter_context(step_bars())
        documents: Collection | _Documents
        if is_collection(source):
            _check_mode(arguments)
            documents, _ = stack.enter_context(opened(source, model=_path(arguments.model)))
        else:
            documents = _Documents(source)
        found = advise(
            documents,
            judged,
            limits,
            queries=queries,
            expected_documents=arguments.documents,
            pipelines=pipelines,
            measure=measure,
            sample=arguments.sample,
            model=_path(arguments.model),
            mode=arguments.mode or "fast",
            name=str(source),
            seed=arguments.seed,
            threads=arguments.threads,
            steps=steps,
        )
    if isinstance(documents, _Documents):
        found = replace(found, findings=(*documents.findings, *found.findings))
    if arguments.json:
        print_json(_advice_record(found))
    else:
        _show_advice(found)


class _Documents:
    """Read a source's documents, each time anew; what can't be read is left out and counted."""

    def __init__(self, path: Path) -> None:
        self._source = open_source(path)
        self._rejected: list[Rejected] = []

    def __iter__(self) -> Iterator[Document]:
        self._rejected = []
        for record in self._source:
            if isinstance(record, Rejected):
                self._rejected.append(record)
            else:
                yield record

    @property
    def findings(self) -> tuple[Finding, ...]:
        """What the last reading left out."""
        return bad_documents(len(self._rejected), self._rejected)


def _advice_record(found: Advice) -> dict[str, object]:
    def record(candidate: Candidate) -> dict[str, object]:
        return {
            "pipeline": candidate.name,
            "quality": asdict(candidate.quality) if candidate.quality else None,
            "latency": asdict(candidate.latency),
            "measured_latency": asdict(candidate.measured),
            "costs": asdict(candidate.costs),
        }

    return {
        "source": found.source,
        "limits": asdict(found.limits),
        "basis": found.basis,
        "measure": found.measure,
        "advised": record(found.advised) if found.advised else None,
        "advised_is_at_the_limit": found.advised is not None and found.limits.is_near(found.advised),
        "fallback": record(found.fallback) if found.fallback else None,
        "runners_up": [
            {**record(candidate), "difference": asdict(difference) if difference else None}
            for candidate, difference in found.runners_up
        ],
        "excluded": [{**record(candidate), "why": why} for candidate, why in found.excluded],
        "switches": [asdict(switch) for switch in found.switches],
        "documents": found.documents,
        "total": found.total,
        "sampled": found.sampled,
        "timed": found.timed,
        "latency_is_a_guess": found.is_guess,
        "queries": found.queries,
        "findings": [asdict(finding) for finding in found.findings],
    }


def _show_advice(found: Advice) -> None:
    judged = found.basis == "measured"
    if found.advised is None:
        print("no pipeline keeps these limits")
    else:
        print(found.advised.name)
    print()
    basis = (
        f"measured: {found.measure} on {found.queries:,} judged queries"
        if judged
        else "a rule of thumb: nobody has judged queries here, so only the costs are measured"
    )
    print(f"basis       {basis}")
    print(f"documents   {_documents_text(found)}")
    if judged and found.advised is not None and (found.runners_up or found.excluded):
        print("note        chosen on the same queries: the best of several looks a little better than it is;")
        print("            p-values against it are for orientation")
    if found.advised is not None and found.limits.is_near(found.advised):
        below = f"{found.fallback.name} is the best" if found.fallback else "no pipeline is"
        print(
            f"note        its p95 is at the limit of {found.limits.latency_ms:g} ms, as near as timing can tell;"
        )
        print(f"            {below} below it")
    rows = [(candidate, "") for candidate in ([found.advised] if found.advised else [])]
    rows += [(candidate, _runner_text(difference)) for candidate, difference in found.runners_up]
    rows += [(candidate, why) for candidate, why in found.excluded]
    print(f"\n{found.measure if judged else '':>9}  {'p50':>10}  {'p95':>10}  {'bytes':>9}  pipeline")
    for candidate, remark in rows:
        quality = f"{candidate.quality.mean:.4f}" if candidate.quality else ""
        latency, size = candidate.latency, candidate.costs.total_bytes
        print(
            f"{quality:>9}  {number(latency.p50_ms):>7} ms  {number(latency.p95_ms):>7} ms  {size:9,.0f}  "
            f"{candidate.name}"
        )
        if remark:
            print(f"{'':>9}  {remark}")
    print("\nwhat would change it")
    for limit, what, unit in (
        ("latency_ms", "latency", "ms"),
        ("bytes_per_document", "size", "bytes a document"),
    ):
        switches = [switch for switch in found.switches if switch.limit == limit]
        ends = (*(switch.value for switch in switches), inf)[1:]
        parts = [
            f"from {limit_text(switch.value, end)} {unit} on {switch.advised}"
            for switch, end in zip(switches, ends, strict=True)
        ]
        print(f"{what:<10}  {'; '.join(parts) or 'nothing, as long as the other limit stands'}")
    for finding in found.findings:
        say(finding_text(finding))


def _documents_text(found: Advice) -> str:
    if found.sampled == found.timed == found.documents:
        return f"{found.documents:,}, all of them measured"
    latency = "latency on all"
    if found.timed != found.documents:
        latency = f"latency extrapolated to {number(found.documents / found.timed)} times as many"
    if found.basis != "measured":  # without judgements there is only latency
        parts = [f"{found.documents:,}", latency]
    else:
        parts = [f"{found.documents:,}", f"quality measured on a sample of {found.sampled:,}, {latency}"]
    if found.is_guess:
        parts.append("that far it is a guess")
    if found.basis == "measured" and found.documents > found.sampled:
        parts.append("with fewer documents to confuse it with, quality is higher than it will be")
    return "; ".join(parts)


def _runner_text(difference: Difference | None) -> str:
    if difference is None:
        return ""
    return f"{difference.difference.mean:+.4f} against the advised one ({_difference_text(difference)})"


def _difference_text(found: Difference) -> str:
    interval = found.difference
    verdict = "" if found.is_significant else ", may be chance"
    return (
        f"{interval.low:+.4f} to {interval.high:+.4f}, p {found.p_holm:.2g}{verdict}; "
        f"better on {found.wins:,}, worse on {found.losses:,}, equal on {found.ties:,}"
    )


def _names(source: str, model: str | None, mode: Mode | None) -> list[str]:
    """Give the short names of what a model has heads for and any number of documents lets through."""
    if is_collection(Path(source)):
        with Collection.open(source, model=model) as collection:
            encoder, tokens = collection.encoder, collection.store.settings.token_dimensions
    else:
        encoder = Encoder.load(model, mode=mode or "fast")
        tokens = encoder.settings.token_dimensions
    return [
        name
        for name in ANY_SIZE
        if can_run(NAMES[name], has_tokens=bool(tokens), has_codes=encoder.has_codes)
    ]


def _check_mode(arguments: argparse.Namespace) -> None:
    """Refuse a mode for a collection, which has its own."""
    if arguments.mode is not None:
        raise UsageError(
            f"{arguments.source}: is a collection, whose mode can't be changed", hint="leave out --mode"
        )


def _check_outputs(
    outputs: Sequence[str | Path], inputs: Iterable[str | Path], source: str | Path | None = None
) -> None:
    """Refuse files that can't be written, before minutes are spent on what goes into them.

    Nor may an output stand twice, be an input or in one, or replace what a folder of documents is read from; a
    report of before may be replaced there, as no source has a report's ending.
    """
    paths = [Path(path) for path in outputs]
    for path in paths:
        if path.is_dir() or not path.parent.is_dir():
            raise UsageError(f"{path}: can't be written, {path.parent} is no folder" if not path.is_dir()
                             else f"{path}: can't be written, it is a folder")  # fmt: skip
    if (twice := _twice(paths)) is not None:
        raise UsageError(f"{twice}: can't be written twice", hint="name another file for each output")
    read = [Path(path).resolve() for path in inputs]
    folder = Path(source).resolve() if source is not None else None
    if folder is not None and (is_collection(folder) or not folder.is_dir()):
        read.append(folder)
        folder = None
    for path in paths:
        place = path.resolve()
        replaces = folder is not None and place.is_relative_to(folder) and place.exists()
        if any(map(place.is_relative_to, read)) or (replaces and place.suffix not in WRITERS):
            raise UsageError(f"{path}: can't be written, it is read from", hint="name another file")


def _twice(paths: Iterable[str | Path]) -> str | Path | None:
    """Give the first path that names a file that one before it names."""
    seen: set[Path] = set()
    for path in paths:
        if Path(path).resolve() in seen:
            return path
        seen.add(Path(path).resolve())
    return None


def _measures(names: Sequence[str]) -> list[Measure]:
    return list(dict.fromkeys(parse_measure(name) for name in names))


def _path(given: str | None) -> Path | None:
    return None if given is None else Path(given)


def _judged(arguments: argparse.Namespace) -> Judged:
    source = existing_path(arguments.source)
    judged = judged_files(source, _path(arguments.queries), _path(arguments.qrels), arguments.split)
    if judged is None:
        raise DataError(
            f"{source}: no judged queries in it", hint="name them with --queries FILE --qrels FILE"
        )
    return judged


def _queries_of(source: Path) -> Path | None:
    """Give the file of a BEIR folder's queries, if it has one."""
    found = (source / name for name in ("queries.jsonl", "queries.jsonl.gz"))
    return next((path for path in found if path.is_file()), None)


def _limited(judged: Judged, arguments: argparse.Namespace) -> Judged:
    return judged.some(arguments.limit, arguments.seed) if arguments.limit else judged


@contextmanager
def _opened(
    arguments: argparse.Namespace, pipelines: Sequence[Pipeline], steps: Steps
) -> Iterator[tuple[Collection, tuple[Finding, ...]]]:
    """Open the source; one that is indexed only for now gets token vectors only if a pipeline reads them."""
    if is_collection(Path(arguments.source)):
        _check_mode(arguments)
    reads_tokens = any(isinstance(leaf, MaxSim) for pipeline in pipelines for leaf in leaves(pipeline))
    with opened(
        Path(arguments.source),
        keep=_path(arguments.keep),
        model=_path(arguments.model),
        mode=arguments.mode or "fast",
        token_vectors=reads_tokens or arguments.keep is not None,
        threads=arguments.threads,
        steps=steps,
    ) as found:
        yield found


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "evaluate": _evaluate,
    "compare": _compare,
    "tune": _tune,
    "advise": _advise,
}
"""The commands of this module by their names."""
