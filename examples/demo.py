"""Index the tldr command pages, then ask them questions and show what each pipeline finds.

    make demo                                  (or: python examples/demo.py [FOLDER])

Needs no network and no GPU. The collection stays in FOLDER (default: build/tldr.shortlist), so that a
second run only searches.
"""

from __future__ import annotations

import os
import sys
import textwrap
import time
from pathlib import Path

from tqdm import tqdm

os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")  # as the command line does: steadier times

from shortlist import Collection, CollectionNotFoundError
from shortlist.cli.render import Style
from shortlist.plain_text import counted, size

HERE = Path(__file__).parent
PAGES = 6825
QUESTIONS = (
    "which process is listening on a port",
    "how much space is left on my drives",
    "see who is logged in right now",
    "merge two PDF documents into one",
    "copy a folder to another computer over the network",
)
PIPELINES = ("bm25", "dense", "poly", "late", "hybrid", "hybrid+late", "cascade")
WARMED = ("late", "cascade")
SHOWN = 3
NAME, TIME = 15, 12  # characters


def build(folder: Path) -> Collection:
    """Index the pages, or open the collection that an earlier run left; pages it has are skipped."""
    try:
        collection = Collection.open(folder)
    except CollectionNotFoundError:
        collection = Collection.create(folder)
    if collection.info().documents == PAGES:
        return collection
    print(f"Indexing {PAGES:,} command pages (CC BY 4.0, tldr-pages): words, vectors, token vectors.")
    begin = time.perf_counter()
    with tqdm(total=PAGES, unit=" pages", leave=False) as bar:
        report = collection.add(HERE / "tldr", progress=bar.update)
    seconds = time.perf_counter() - begin
    total = sum(collection.info().size_bytes.values())
    print(
        f"{counted(report.added, 'page')} in {seconds:.0f} s, {report.added / seconds:.0f} a second, {size(total)}."
    )
    return collection


def shortened(name: str, width: int) -> str:
    """Cut a name that is too wide."""
    return name if len(name) <= width else f"{name[: width - 1]}…"


def ask(collection: Collection, question: str, style: Style) -> None:
    """Show the first pages that each pipeline finds and the time it took, then what each stage said of the best."""
    for name in WARMED:  # loads what is needed, so that the first row isn't charged
        collection.search(question, 1, pipeline=name)
    collection.forget_scores()
    results = {name: collection.search(question, SHOWN, pipeline=name) for name in PIPELINES}
    width = (style.width - NAME - TIME) // SHOWN
    print(f"\n{style.bold(question)}")
    for name, result in results.items():
        cells = [shortened(hit.doc_id, width - 2).ljust(width) for hit in result.ranking]
        time_ms = f"{result.timings_ms['total']:.1f} ms"
        print(f"   {name:{NAME - 3}}{style.dim(time_ms.rjust(TIME - 2))}  {''.join(cells).rstrip()}")
    last = results[PIPELINES[-1]]
    best = last.ranking[0]
    title, text = best.doc_id, last.documents[best.doc_id].text
    scores = ", ".join(f"{stage} {score:.2f}" for stage, score in best.stages.items())
    for line in (f"{title}: {text}", scores):
        print("   " + style.dim(textwrap.shorten(line, style.width - 3, placeholder=" …")))


def main() -> None:
    """Build, ask, and say how to go on."""
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE.parent / "build" / "tldr.shortlist"
    style = Style.of(sys.stdout)
    begin = time.perf_counter()
    with build(folder) as collection:
        for question in QUESTIONS:
            ask(collection, question, style)
    print(f"\nDone in {time.perf_counter() - begin:.0f} s. Ask something yourself:")
    command = Path(sys.executable).parent / "shortlist"
    shown = command.relative_to(Path.cwd()) if command.is_relative_to(Path.cwd()) else command
    place = folder.relative_to(Path.cwd()) if folder.is_relative_to(Path.cwd()) else folder
    print(f'  {shown} search {place} "how big is this folder"')


if __name__ == "__main__":
    main()
