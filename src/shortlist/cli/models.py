"""What ``models`` does: list, verify, describe and convert model folders."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Mapping
from dataclasses import asdict
from pathlib import Path

from shortlist.cli.extras import training_extra
from shortlist.cli.terminal import print_json, printable, say
from shortlist.errors import ModelError
from shortlist.formats.paths import refuse_existing
from shortlist.models.catalogue import Summary, bundled, card, named, summarize, verify
from shortlist.plain_text import counted, size

__all__ = ["COMMANDS", "PARTS"]

DAMAGED = 3


def _list(arguments: argparse.Namespace) -> int:
    models = bundled() | {name: Path(name) for name in arguments.folders}
    found = {name: summarize(path) for name, path in models.items()}
    if arguments.json:
        print_json({name: asdict(summary) for name, summary in found.items()})
        return 0
    rows = [("model", "kind", "gives", "tokens", "size", "licence")]
    rows += [(name, *_row(summary)) for name, summary in found.items()]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    for row in rows:
        line = "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True))
        print(printable(line.rstrip()))
    if any(summary.shares for summary in found.values()):
        say("sizes marked + are beside weights shared with the default model")
    return 0


def _row(summary: Summary) -> tuple[str, ...]:
    mark = "+" if summary.shares else ""
    return (
        summary.kind,
        ", ".join(summary.views),
        f"{summary.max_tokens:,}",
        f"{size(summary.size_bytes)}{mark}",
        summary.license or "not stated",
    )


def _verify(arguments: argparse.Namespace) -> int:
    models = {name: named(name) for name in arguments.models} or bundled()
    records, broken = [], 0
    for name, path in models.items():
        try:
            found = verify(path)
        except ModelError as error:
            broken += 1
            records.append({"model": name, "error": str(error)})
            if not arguments.json:
                say(f"{name}: {error}")
            continue
        records.append({"model": name, "modes": found.modes, "agreement": found.agreement})
        if not arguments.json:
            modes = " and ".join(found.modes)
            near = "" if found.agreement is None else f"; they agree to {found.agreement:.4f}"
            print(printable(f"{name}: whole, runs in {counted(len(found.modes), 'mode')} ({modes}){near}"))
    if arguments.json:
        print_json(records)
    return DAMAGED if broken else 0


def _card(arguments: argparse.Namespace) -> int:
    text = card(named(arguments.model))
    if arguments.json:
        print_json({"model": arguments.model, "card": text})
    else:
        print("\n".join(printable(line) for line in text.rstrip("\n").split("\n")))
    return 0


def _convert(arguments: argparse.Namespace) -> int:
    output = Path(arguments.output)
    refuse_existing(output)
    with training_extra():
        from shortlist.train.convert import convert, fetch

        with fetch(arguments.source) as source:
            found = convert(
                source,
                output,
                weights=arguments.weights,
                name=arguments.name or "",
                licence=arguments.license or "",
            )
    if arguments.json:
        print_json({**asdict(found), "model": str(output)})
        return 0
    say(f"{found.layout}: {found.kind}, {arguments.weights} weights")
    for one in found.agreements:
        print(
            f"{one.mode}: scores differ from the original's by at most {one.difference:.2g}"
            f" (they spread over {one.spread:.2g})"
        )
    say(f"wrote {output}")
    return 0


PARTS: Mapping[str, Callable[[argparse.Namespace], int]] = {
    "list": _list,
    "verify": _verify,
    "card": _card,
    "convert": _convert,
}


def _models(arguments: argparse.Namespace) -> int:
    return PARTS[arguments.part](arguments)


COMMANDS = {"models": _models}
