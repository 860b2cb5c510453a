"""What each command does, between its arguments and its output."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path
from typing import Any

import numpy as np

from shortlist.api import Collection
from shortlist.cli.diagnosis import diagnosis_text
from shortlist.cli.render import Style, show_result
from shortlist.cli.terminal import UsageError, print_json, progress_bar, say
from shortlist.collection import parse_filter
from shortlist.collection.array_file import FORMAT
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.formats import Rejected, join_sources, open_source, read_queries, write_run
from shortlist.indexing import DOCUMENTS_A_COMMIT, Report
from shortlist.models import Encoder
from shortlist.plain_text import counted, size
from shortlist.search import parse
from shortlist.types import Passage, Query, passage_text

__all__ = ["COMMANDS", "SHOWN_PROBLEMS"]

DAMAGED = 3
SHOWN_PROBLEMS = 10
TEXTS_AT_ONCE = 1024


def _index(arguments: argparse.Namespace) -> None:
    source = join_sources([open_source(path) for path in arguments.sources])
    begin = time.perf_counter()
    with progress_bar(source.expected, "documents") as progress:
        collection, report = Collection.build(
            arguments.collection,
            source,
            model=arguments.model,
            mode=arguments.mode,
            language=arguments.language,
            token_vectors=not arguments.no_tokens,
            token_pooling=arguments.pool_tokens,
            token_bits=arguments.token_bits,
            hnsw=arguments.hnsw,
            memory=arguments.memory,
            strict=arguments.strict,
            threads=arguments.threads,
            progress=progress,
        )
    with collection:
        _show_report(collection, report, time.perf_counter() - begin, as_json=arguments.json)


def _add(arguments: argparse.Namespace) -> None:
    with Collection.open(arguments.collection, model=arguments.model, memory=arguments.memory) as collection:
        source = join_sources([open_source(path) for path in arguments.sources])
        begin = time.perf_counter()
        with progress_bar(source.expected, "documents") as progress:
            report = collection.add(
                source, strict=arguments.strict, threads=arguments.threads, progress=progress
            )
        _show_report(collection, report, time.perf_counter() - begin, as_json=arguments.json)


def _show_report(collection: Collection, report: Report, seconds: float, *, as_json: bool) -> None:
    info = collection.info()
    if as_json:
        counts = {k: v for k, v in asdict(report).items() if k != "problems"}
        problems = [str(problem) for problem in report.problems]
        print_json({**counts, "problems": problems, "seconds": round(seconds, 3), "documents": info.documents,
                     "generation": info.generation})  # fmt: skip
        return
    _say_problems(report)
    done = report.added + report.replaced
    parts = [f"{counted(report.added, 'document')} added"]
    parts += [f"{report.replaced:,} replaced"] if report.replaced else []
    parts += [f"{report.unchanged:,} unchanged"] if report.unchanged else []
    rate = done / max(seconds, 1e-9)
    say(
        f"{', '.join(parts)} ({counted(report.passages, 'passage')}) in {seconds:.1f} s, {rate:,.0f} a second"
    )
    if report.commits > 1:
        say(
            f"in {report.commits} commits of up to {DOCUMENTS_A_COMMIT:,} documents: each one stands by itself"
        )
    total = size(sum(info.size_bytes.values()))
    say(f"{info.path}: {counted(info.documents, 'document')}, {total}, generation {info.generation}")


def _say_problems(report: Report) -> None:
    if report.rejected:
        say(f"{counted(report.rejected, 'record')} skipped:")
    if report.duplicates:
        say(f"{counted(report.duplicates, 'record')} with an id that stands before; the last one counts:")
    for problem in report.problems[:SHOWN_PROBLEMS]:
        say(f"  {problem}")
    more = report.rejected + report.duplicates - SHOWN_PROBLEMS
    if more > 0:
        say(f"  and {more:,} more (--json lists up to 1,000)")
    if report.truncated_tokens:
        say(
            f"{report.truncated_tokens:,} tokens of long titles are beyond the model's limit: "
            "BM25 finds them, vectors don't"
        )


def _delete(arguments: argparse.Namespace) -> None:
    if bool(arguments.ids) == bool(arguments.filter):
        raise UsageError(
            "name the ids to delete, or a --filter",
            hint="shortlist delete COLLECTION ID ... | --filter FILTER",
        )
    with Collection.open(arguments.collection) as collection:
        if arguments.filter and not arguments.yes and sys.stdin.isatty() and sys.stderr.isatty():
            count = collection.count(arguments.filter)
            print(f"delete {counted(count, 'document')}? [y/N] ", end="", file=sys.stderr, flush=True)
            if sys.stdin.readline().strip().lower() not in ("y", "yes"):
                raise CollectionError("nothing was deleted")
        deleted = collection.delete(arguments.ids, condition=arguments.filter)
    missing = len(set(arguments.ids)) - deleted if arguments.ids else 0
    if arguments.json:
        print_json({"deleted": deleted, "not_found": missing})
    else:
        say(
            f"{counted(deleted, 'document')} deleted"
            + (f", {counted(missing, 'id')} not found" if missing else "")
        )


def _search(arguments: argparse.Namespace) -> None:
    pipeline, condition = _checked_options(arguments)
    with Collection.open(arguments.collection, model=arguments.model, memory=arguments.memory) as collection:
        result = collection.search(
            arguments.query, arguments.k, pipeline=pipeline, condition=condition, recall=arguments.recall
        )
        if arguments.json:
            print_json(_as_json(result))
        else:
            show_result(result, collection.analyzer, Style.of(sys.stdout))


def _as_json(result: Any) -> Mapping[str, object]:
    hits = [
        {
            "rank": hit.rank,
            "doc_id": hit.doc_id,
            "score": _nine(hit.score),
            "title": document.title,
            "text": document.text,
            "span": [hit.span.start, hit.span.end] if hit.span else None,
            "stages": {name: _nine(score) for name, score in hit.stages.items()},
        }
        for hit, document in result
    ]
    timings = {name: round(value, 3) for name, value in result.timings_ms.items()}
    record = {
        "hits": hits,
        "pipeline": str(result.pipeline),
        "timings_ms": timings,
        "generation": result.generation,
    }
    if result.truncated_tokens:
        record["truncated_query_tokens"] = result.truncated_tokens
    if result.judge_truncated_tokens:
        record["truncated_judge_tokens"] = result.judge_truncated_tokens
    return record


def _nine(score: float) -> float:
    return float(f"{score:.9g}")


def _checked_options(arguments: argparse.Namespace) -> tuple[Any, Any]:
    """Read pipeline and filter first: a typing error should not wait for a collection to open."""
    return (
        parse(arguments.pipeline) if arguments.pipeline else None,
        parse_filter(arguments.filter) if arguments.filter else None,
    )


def _run(arguments: argparse.Namespace) -> None:
    pipeline, condition = _checked_options(arguments)
    found = list(read_queries(arguments.queries))
    queries = [query for query in found if isinstance(query, Query)]
    skipped = [problem for problem in found if isinstance(problem, Rejected)]
    with Collection.open(arguments.collection, model=arguments.model, memory=arguments.memory) as collection:
        begin = time.perf_counter()
        with progress_bar(len(queries), "queries") as progress:
            run = collection.run(
                queries, arguments.k, pipeline=pipeline, condition=condition,
                threads=arguments.threads, progress=progress, recall=arguments.recall,
            )  # fmt: skip
        seconds = time.perf_counter() - begin
    write_run(run, sys.stdout if arguments.output == "-" else arguments.output)
    for problem in skipped[:SHOWN_PROBLEMS]:
        say(f"skipped {problem}")
    rate = len(queries) / max(seconds, 1e-9)
    if arguments.json:
        record = {
            "queries": len(queries),
            "skipped": len(skipped),
            "seconds": round(seconds, 3),
            "name": run.name,
        }
        print(json.dumps(record), file=sys.stderr if arguments.output == "-" else sys.stdout)
    else:
        say(
            f"{len(queries):,} queries in {seconds:.1f} s, {rate:,.0f} a second; "
            f"{len(skipped):,} skipped; wrote {arguments.output}"
        )


def _encode(arguments: argparse.Namespace) -> None:
    if bool(arguments.sources) == bool(arguments.text):
        raise UsageError(
            "name sources to encode, or texts with --text", hint="shortlist encode SOURCE ... | --text TEXT"
        )
    output = Path(arguments.output) if arguments.output else None
    if output and output.suffix not in (".npy", ".jsonl"):
        raise UsageError(f"{output}: the ending must be .npy or .jsonl")
    encoder = Encoder.load(arguments.model, mode=arguments.mode)
    ids, texts, skipped = _texts(arguments)
    vectors, truncated = [], 0
    with progress_bar(len(texts), "texts") as progress:
        for start in range(0, len(texts), TEXTS_AT_ONCE):
            part = texts[start : start + TEXTS_AT_ONCE]
            views = encoder.views(part, prompt=arguments.prompt, threads=arguments.threads, progress=progress)
            vectors.append(views.dense.data)
            truncated += sum(1 for count in views.truncated_tokens if count)
    matrix = np.concatenate([np.empty((0, encoder.settings.dimensions), np.float32), *vectors])
    if output and output.suffix == ".npy":
        np.save(output, matrix)
    else:
        lines = (
            json.dumps({"id": i, "vector": v.tolist()}, ensure_ascii=False)
            for i, v in zip(ids, matrix, strict=True)
        )
        if output:
            with output.open("w", encoding="utf-8") as file:
                file.writelines(f"{line}\n" for line in lines)
        else:
            for line in lines:
                print(line)
    for problem in skipped[:SHOWN_PROBLEMS]:
        say(f"skipped {problem}")
    record = {
        "texts": len(texts),
        "dimensions": matrix.shape[1],
        "skipped": len(skipped),
        "truncated": truncated,
    }
    if arguments.json and output:
        print_json(record)
    elif output or skipped or truncated:
        say(f"{len(texts):,} texts x {matrix.shape[1]} dimensions; {len(skipped):,} skipped; "
             f"{truncated:,} longer than {encoder.settings.max_tokens} tokens were cut")  # fmt: skip


def _texts(arguments: argparse.Namespace) -> tuple[list[str], list[str], list[Rejected]]:
    if arguments.text:
        return [str(number) for number in range(1, len(arguments.text) + 1)], arguments.text, []
    records = list(join_sources([open_source(path) for path in arguments.sources]))
    skipped = [record for record in records if isinstance(record, Rejected)]
    documents = [record for record in records if not isinstance(record, Rejected)]
    texts = [passage_text(document, Passage(0, len(document.text))) for document in documents]
    return [document.doc_id for document in documents], texts, skipped


def _info(arguments: argparse.Namespace) -> None:
    with Collection.open(arguments.collection) as collection:
        info = collection.info()
    if arguments.json:
        print_json(asdict(info))
        return
    total = sum(info.size_bytes.values())
    print(f"collection   {info.path}")
    waiting = (
        f"; {info.deleted_documents:,} deleted or replaced ones await compact"
        if info.deleted_documents
        else ""
    )
    print(f"documents    {info.documents:,} in generation {info.generation}{waiting}")
    pooled = f", pooled by {info.token_pooling}" if info.token_pooling > 1 else ""
    graph = "; graphs of large segments' vectors" if info.hnsw else ""
    coded = f", {info.token_bits} bits a component" if info.token_bits < 8 else ""
    vectors = f"{info.token_vectors:,} token vectors{pooled}{coded}"
    print(f"passages     {info.passages:,}; {vectors}; {counted(info.segments, 'segment')}{graph}")
    print(f"size         {size(total)}, {total / max(1, info.documents):,.0f} bytes a document")
    for name, value in sorted(info.size_bytes.items(), key=lambda item: -item[1])[:4]:
        print(f"             {size(value):>9}  {name}")
    print(f"model        {info.model} ({info.fingerprint}), mode {info.mode}")
    print(f"language     {info.language}")
    if info.unfinished:
        print(f"unfinished   indexing {info.unfinished} was interrupted; run it again to go on")
    print(f"pipeline     {info.default_pipeline} unless another is named")


def _check(arguments: argparse.Namespace) -> int:
    try:
        with Collection.open(arguments.collection) as collection:
            problems = collection.check(deep=arguments.deep)
    except CollectionDamagedError as error:
        problems = [str(error)]
    if arguments.json:
        print_json({"sound": not problems, "deep": arguments.deep, "problems": problems})
        return DAMAGED if problems else 0
    for problem in problems:
        print(problem)
    if problems:
        say(f"mend what can be mended: shortlist repair {arguments.collection}")
    elif arguments.deep:
        say(f"{arguments.collection}: sound; every byte was read")
    else:
        say(f"{arguments.collection}: sound, as far as opening every file tells; --deep reads every byte")
    return DAMAGED if problems else 0


def _doctor(arguments: argparse.Namespace) -> int:
    # what only this command needs is imported by it alone
    doctor = importlib.import_module("shortlist.doctor")
    diagnosis = doctor.examine(arguments.collections, deep=arguments.deep)
    if arguments.json:
        print_json({"sound": not diagnosis.problems, "deep": arguments.deep, **asdict(diagnosis)})
    else:
        print(diagnosis_text(diagnosis))
    return DAMAGED if diagnosis.problems else 0


def _repair(arguments: argparse.Namespace) -> None:
    with progress_bar(None, "documents") as progress:
        done = Collection.repair(
            arguments.collection,
            model=arguments.model,
            drop=arguments.drop,
            threads=arguments.threads,
            progress=progress,
        )
    if arguments.json:
        print_json(asdict(done))
    elif not done.segments and not done.generation:
        say("nothing to do")
    else:
        if done.generation:
            say("the generation's file and its copy are the same again")
        say(f"{counted(done.segments, 'segment')} written anew from {counted(done.documents, 'document')}")
        for lost in done.lost[:SHOWN_PROBLEMS]:
            say(f"  lost: {lost}")
        if len(done.lost) > SHOWN_PROBLEMS:
            say(f"  and {len(done.lost) - SHOWN_PROBLEMS:,} more (--json lists all)")


def _upgrade(arguments: argparse.Namespace) -> None:
    with progress_bar(None, "documents") as progress:
        report = Collection.upgrade(
            arguments.collection, model=arguments.model, threads=arguments.threads, progress=progress
        )
    documents = report.added + report.unchanged
    if arguments.json:
        print_json({"documents": documents})
    else:
        say(f"{arguments.collection}: {counted(documents, 'document')} brought to format {FORMAT}")


def _compact(arguments: argparse.Namespace) -> None:
    with Collection.open(arguments.collection, memory=arguments.memory) as collection:
        before = sum(collection.info().size_bytes.values())
        changed = collection.compact()
        after = sum(collection.info().size_bytes.values())
    if arguments.json:
        print_json({"compacted": changed, "size_bytes_before": before, "size_bytes_after": after})
    else:
        say(f"{size(before)} before, {size(after)} after" if changed else "nothing to do")


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "index": _index,
    "add": _add,
    "delete": _delete,
    "search": _search,
    "run": _run,
    "encode": _encode,
    "info": _info,
    "check": _check,
    "compact": _compact,
    "repair": _repair,
    "upgrade": _upgrade,
    "doctor": _doctor,
}
"""Every command by its name."""
