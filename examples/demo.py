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
PIPELINES = ("bm25", "dense", "late", "hybrid+late")


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


def ask(collection: Collection, question: str, style: Style) -> None:
    """Show the first three pages that each pipeline finds, and the time it took."""
    collection.search(question, 3, pipeline="dense")  # warm caches, so that the first column isn't charged
    results = {name: collection.search(question, 3, pipeline=name) for name in PIPELINES}
    width = (style.width - 6) // len(PIPELINES)
    print(f"\n{style.bold(question)}")
    heads = [f"{name}, {result.timings_ms['total']:.1f} ms" for name, result in results.items()]
    print("      " + style.dim("".join(head.ljust(width) for head in heads)))
    for rank in range(3):
        cells = [
            result.ranking[rank].doc_id if rank < len(result.ranking) else "-" for result in results.values()
        ]
        print(f"   {rank + 1}  " + "".join(textwrap.shorten(cell, width - 2).ljust(width) for cell in cells))
    best = results["hybrid+late"].ranking[0]
    text = results["hybrid+late"].documents[best.doc_id].text
    print("      " + style.dim(textwrap.shorten(f"{best.doc_id}: {text}", style.width - 6, placeholder=" …")))


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
