"""Draw the pairs that the default models learn from: open sets only, and no text that choices are made on.

    python recipes/prepare.py --data FOLDER -o pairs.jsonl [--only SOURCE ... --most N]

FOLDER has train/question_passage.jsonl and train/arxiv_title_abstract.jsonl (query, passage, source). A fifth of
SQuAD's training articles is left out: recipes/choose.py tries weights on their questions. Whole articles, as what was
learned of an article's other paragraphs would flatter what is chosen on these. Test queries are in other files.
With ``--only`` the pairs are all the others of some sources, or as many of them as ``--most`` says.
"""

from __future__ import annotations

import argparse
import hashlib
import random
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

from shortlist.train.examples import Example, read_examples, write_examples

DRAWN = {"squad_dev": 8000, "qamr": 5000, "tldr": 6000, "medquad": 5000, "fairytaleqa": 6000, "arxiv": 8000}
"""How many pairs of each source, or all if it has fewer."""

FILES = ("question_passage.jsonl", "arxiv_title_abstract.jsonl")


def is_held_out(title: str) -> bool:
    """Say whether an article is among the fifth that weights are chosen on, by its title alone."""
    return hashlib.sha256(title.strip().encode()).digest()[0] < 51


def pairs_of(data: Path) -> Iterator[Example]:
    """Give all pairs that may be learned from."""
    for name in FILES:
        for pair in read_examples(data / "train" / name):
            if pair.source != "squad_dev" or not is_held_out(pair.passage.partition("\n")[0]):
                yield pair


def some_of(data: Path, sources: list[str], most: int | None) -> list[Example]:
    """Draw pairs of some sources, each as often as it has them."""
    found = [pair for pair in pairs_of(data) if pair.source in sources]
    if missing := set(sources) - {pair.source for pair in found}:
        raise SystemExit(f"{data}: no pair of {', '.join(sorted(missing))}")
    random.Random(0).shuffle(found)
    return found[:most]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--data", type=Path, required=True, help="folder with train/*.jsonl")
    parser.add_argument("-o", "--output", type=Path, required=True)
    parser.add_argument("--only", nargs="+", metavar="SOURCE", help="draw from these sources alone")
    parser.add_argument("--most", type=int, metavar="N", help="with --only: so many pairs")
    given = parser.parse_args()
    if given.only:
        print(f"{write_examples(given.output, some_of(given.data, given.only, given.most)):,} pairs")
        return
    if given.most is not None:
        parser.error("--most is of --only")
    by_source: dict[str, list[Example]] = defaultdict(list)
    for pair in pairs_of(given.data):
        by_source[pair.source].append(pair)
    draw = random.Random(0)
    drawn: list[Example] = []
    for source, count in DRAWN.items():
        pairs = by_source[source]
        if not pairs:
            raise SystemExit(f"{given.data}: no pair of {source}")
        drawn += draw.sample(pairs, min(count, len(pairs)))
        print(f"{source}: {min(count, len(pairs)):,} of {len(pairs):,}")
    draw.shuffle(drawn)
    print(f"{write_examples(given.output, drawn):,} pairs")


if __name__ == "__main__":
    main()
