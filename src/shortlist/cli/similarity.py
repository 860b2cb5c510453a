"""What ``similarity`` and ``duplicates`` do, between their arguments and their output."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict
from functools import partial
from typing import Any, TextIO

from shortlist.api import Collection
from shortlist.cli.commands import SHOWN_PROBLEMS
from shortlist.cli.render import Style, one_line
from shortlist.cli.terminal import UsageError, print_json, progress_bar, say
from shortlist.collection import Snapshot, parse_filter
from shortlist.errors import DataError
from shortlist.formats import Rejected
from shortlist.formats.lines import write_lines
from shortlist.models import Encoder
from shortlist.models.catalogue import named
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.plain_text import counted
from shortlist.similarity import (
    Cluster,
    DocumentPair,
    Duplicates,
    Measured,
    Pair,
    PairScores,
    find_duplicates,
    judge_pairs,
    read_pairs,
    score_pairs,
)
from shortlist.types import Passage

__all__ = ["COMMANDS"]

SHOWN_MEMBERS = 20


def _similarity(arguments: argparse.Namespace) -> None:
    pairs, skipped = _pairs(arguments)
    scored, max_tokens = _judged(arguments, pairs) if arguments.by == "cross" else _scored(arguments, pairs)
    if arguments.output:
        _write(_pair_records(scored), arguments.output)
    measures = scored.measures()
    if arguments.json:
        record: dict[str, Any] = {
            "pairs": len(pairs), "skipped": len(skipped), "problems": [str(p) for p in skipped[:1000]],
            "by": scored.by, "texts": scored.texts, "truncated_texts": scored.truncated_texts,
            "truncated_tokens": scored.truncated_tokens, "measures": [_measure_record(measure) for measure in measures],
        }  # fmt: skip
        if not arguments.output:
            record["scores"] = scored.scores.tolist()
            record |= {"predicted": scored.predicted} if scored.predicted else {}
        print_json(record, file=_beside(arguments))
        return
    shows_scores = not arguments.output and all(found.value is None for found in measures)
    if shows_scores:
        for label, (pair, score) in zip(scored.predicted or [""] * len(pairs), scored, strict=True):
            said = f"{label}\t" if label else ""
            print(f"{said}{score:.4f}\t{one_line(pair.sentence1)}\t{one_line(pair.sentence2)}")
    if measures:
        print(_table(measures), file=sys.stderr if shows_scores else _beside(arguments))
    _say_counts(scored, skipped, max_tokens)


def _scored(arguments: argparse.Namespace, pairs: Sequence[Pair]) -> tuple[PairScores, int]:
    encoder = Encoder.load(arguments.model, mode=arguments.mode)
    with progress_bar(
        len({text for pair in pairs for text in (pair.sentence1, pair.sentence2)}), "texts"
    ) as bar:
        scored = score_pairs(
            pairs, encoder, by=arguments.by, prompt=arguments.prompt, threads=arguments.threads, progress=bar
        )
    return scored, encoder.settings.max_tokens


def _judged(arguments: argparse.Namespace, pairs: Sequence[Pair]) -> tuple[PairScores, int]:
    if arguments.prompt != "document":
        raise UsageError("--prompt is a prefix of texts that are encoded, and a cross-encoder reads pairs")
    judge = CrossEncoder.load(named(arguments.model or "judge"), mode=arguments.mode)
    with progress_bar(len(pairs), "pairs") as bar:
        scored = judge_pairs(pairs, judge, threads=arguments.threads, progress=bar)
    return scored, judge.settings.max_tokens


def _pairs(arguments: argparse.Namespace) -> tuple[list[Pair], list[Rejected]]:
    if bool(arguments.file) == bool(arguments.pair):
        raise UsageError(
            "name a file of pairs, or texts with --pair",
            hint="shortlist similarity FILE | --pair TEXT TEXT",
        )
    if arguments.pair:
        for option in ("split", "strict"):
            if getattr(arguments, option):
                raise UsageError(f"--{option} is about a file, and --pair needs none")
        return [Pair(first, second) for first, second in arguments.pair], []
    found = list(read_pairs(arguments.file, split=arguments.split, categories=arguments.by == "cross"))
    pairs = [record for record in found if isinstance(record, Pair)]
    skipped = [record for record in found if isinstance(record, Rejected)]
    if skipped and arguments.strict:
        shown = "".join(f"\n  {problem}" for problem in skipped[:SHOWN_PROBLEMS])
        raise DataError(
            f"{arguments.file}: {len(skipped):,} bad of {len(found):,} records{shown}",
            hint="mend them, or leave --strict out to score the rest",
        )
    if not pairs:
        shown = f"; the first of {counted(len(skipped), 'bad record')}: {skipped[0]}" if skipped else ""
        raise DataError(f"{arguments.file}: no pairs{shown}")
    return pairs, skipped


def _pair_records(scored: PairScores) -> Iterator[dict[str, object]]:
    """Give each pair as it was read, and how alike its texts are or which label they have."""
    for label, (pair, score) in zip(scored.predicted or [""] * len(scored.pairs), scored, strict=True):
        yield _pair_record(pair, score) | ({"predicted": label} if label else {})


def _pair_record(pair: Pair, score: float) -> dict[str, object]:
    """Give a pair; its ``similarity`` is the model's, its ``score`` what people said."""
    said = {"score": pair.score, "label": pair.category or pair.label, "split": pair.split or None}
    return {
        "sentence1": pair.sentence1,
        "sentence2": pair.sentence2,
        "similarity": score,
        **{name: value for name, value in said.items() if value is not None},
    }


def _measure_record(found: Measured) -> dict[str, object]:
    return asdict(found) | {"reason": found.reason or None}


def _table(measures: Sequence[Measured]) -> str:
    """Write a line a measure: value, 95 % interval, how many pairs, the threshold; or why it is undefined."""
    lines = []
    for found in measures:
        if found.value is None:
            lines.append(f"{found.name:<18} undefined: {found.reason}")
            continue
        ends = found.interval
        interval = f"[{ends.low:.4f}, {ends.high:.4f}]" if ends else "[too few pairs]"
        at = "" if found.threshold is None else f"  at {found.threshold:.4f}"
        lines.append(f"{found.name:<18} {found.value:7.4f}  {interval:<18}  {found.pairs:,} pairs{at}")
    return "\n".join(lines)


def _say_counts(scored: PairScores, skipped: Sequence[Rejected], max_tokens: int) -> None:
    if skipped:
        say(f"{counted(len(skipped), 'record')} skipped:")
        for problem in skipped[:SHOWN_PROBLEMS]:
            say(f"  {problem}")
        if len(skipped) > SHOWN_PROBLEMS:
            say(f"  and {len(skipped) - SHOWN_PROBLEMS:,} more (--json lists up to 1,000)")
    if scored.truncated_texts:
        say(
            f"{counted(scored.truncated_texts, 'text')} longer than {max_tokens} tokens: "
            f"{counted(scored.truncated_tokens, 'token')} cut"
        )
    say(f"{counted(len(scored.pairs), 'pair')} of {counted(scored.texts, 'text')} compared by {scored.by}")


def _duplicates(arguments: argparse.Namespace) -> None:
    condition = parse_filter(arguments.filter) if arguments.filter else None
    # One snapshot for the search and for the texts that are shown.
    with Collection.open(arguments.collection) as collection, collection.store.snapshot() as snapshot:
        with progress_bar(int(snapshot.allowed(condition).sum()), "documents") as bar:
            found = find_duplicates(
                snapshot, threshold=arguments.threshold, top_k=arguments.top_k, limit=arguments.limit,
                condition=condition, progress=bar,
            )  # fmt: skip
        records: list[Mapping[str, object]] = (
            [_cluster_record(cluster) for cluster in found.clusters]
            if arguments.clusters
            else [_duplicate_record(pair) for pair in found.pairs]
        )
        if arguments.output:
            _write(records, arguments.output)
        if arguments.json:
            kind = "clusters" if arguments.clusters else "pairs"
            counts = {k: v for k, v in vars(found).items() if k not in ("pairs", "clusters")}
            listed = {} if arguments.output else {kind: records}
            print_json({**listed, **counts}, file=_beside(arguments))
            return
        if not arguments.output:
            style = Style.of(sys.stdout)
            excerpt = partial(_excerpt, snapshot, width=style.width - 10)
            show = _show_clusters if arguments.clusters else _show_pairs
            show(found, excerpt, style)
    _say_found(found, arguments)


Excerpt = Callable[[str, Passage | None], str]


def _show_pairs(found: Duplicates, excerpt: Excerpt, style: Style) -> None:
    for pair in found.pairs:
        print(f"{pair.score:.4f}  {style.bold(one_line(pair.first))}  ~  {style.bold(one_line(pair.second))}")
        print(f"        {style.dim(excerpt(pair.first, pair.first_span))}")
        print(f"        {style.dim(excerpt(pair.second, pair.second_span))}")


def _show_clusters(found: Duplicates, excerpt: Excerpt, style: Style) -> None:
    for cluster in found.clusters:
        print(style.bold(counted(len(cluster.members), "document")))
        for member in cluster.members[:SHOWN_MEMBERS]:
            print(f"{member.score:.4f}  {one_line(member.doc_id)}")
            print(f"        {style.dim(excerpt(member.doc_id, None))}")
        if len(cluster.members) > SHOWN_MEMBERS:
            print(f"        and {len(cluster.members) - SHOWN_MEMBERS:,} more (--json and -o give all)")
        print()


def _excerpt(snapshot: Snapshot, doc_id: str, span: Passage | None, *, width: int) -> str:
    """Give the title and the begin of a document's passage, in one line."""
    (document,) = snapshot.documents([snapshot.find([doc_id])[doc_id]])
    text = document.text[span.start : span.end] if span else document.text
    line = one_line(f"{document.title}: {text[: 4 * width]}" if document.title else text[: 4 * width])
    return line if len(line) <= width else f"{line[: width - 1]}…"


def _duplicate_record(pair: DocumentPair) -> dict[str, object]:
    return {
        "score": pair.score,
        "first": pair.first,
        "second": pair.second,
        "first_span": [pair.first_span.start, pair.first_span.end],
        "second_span": [pair.second_span.start, pair.second_span.end],
    }


def _cluster_record(cluster: Cluster) -> dict[str, object]:
    return {"center": cluster.center, **asdict(cluster)}


def _say_found(found: Duplicates, arguments: argparse.Namespace) -> None:
    shown, total, noun = (
        (len(found.clusters), found.cluster_count, "cluster")
        if arguments.clusters
        else (len(found.pairs), found.pair_count, "pair")
    )
    more = f", the first {shown:,} of them given (--limit)" if shown < total else ""
    near = f", among the {arguments.top_k} nearest" if arguments.top_k else ""
    say(
        f"{counted(total, noun)} with a cosine of at least {arguments.threshold:g}{near}{more}; "
        f"{counted(found.documents, 'document')} ({counted(found.passages, 'passage')}) compared"
    )


def _write(records: Iterable[Mapping[str, object]], target: str) -> None:
    lines = (json.dumps(record, ensure_ascii=False) for record in records)
    write_lines(lines, sys.stdout if target == "-" else target)


def _beside(arguments: argparse.Namespace) -> TextIO:
    """Give the stream for what isn't data, if data goes to stdout."""
    return sys.stderr if arguments.output == "-" else sys.stdout


COMMANDS: Mapping[str, Callable[[argparse.Namespace], int | None]] = {
    "similarity": _similarity,
    "duplicates": _duplicates,
}
"""Every command of this module by its name."""
