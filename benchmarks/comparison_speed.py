"""What does comparing all pipelines cost, beside running the slowest of them alone?

    python benchmarks/comparison_speed.py --data FOLDER [--keep COLLECTION] [--queries N]

SQuAD heldout, all short names but cross. The target is 1.3 times the slowest pipeline plus the encoding that none
shares; the whole comparison is held against it, with its 100 timed searches a pipeline and the statistics, which weigh
less the more queries there are.
"""

from __future__ import annotations

import time
from pathlib import Path

from measuring import arguments, data_folder, write_results

from shortlist.evaluation.comparison import compare
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.search import ANY_SIZE, NAMES


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a collection to index into, or to use again")
    parser.add_argument("--queries", type=int, default=1000, help="drawn at random (default: 1000)")
    given = parser.parse_args()
    folder = data_folder(given.data, parser) / "retrieval" / "squad_dev"
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "heldout")).some(given.queries, 0)
    with opened(folder, keep=given.keep) as (collection, _):
        begin = time.perf_counter()
        collection.encoder.encode([query.text for query in judged.queries], prompt="query")
        encoding = time.perf_counter() - begin
        alone = {}
        for name in ANY_SIZE:
            begin = time.perf_counter()
            collection.run_all(judged.queries, [NAMES[name]], 100)
            alone[name] = time.perf_counter() - begin
            print(name, round(alone[name], 1), flush=True)
        begin = time.perf_counter()
        found = compare(collection, judged, [NAMES[name] for name in ANY_SIZE])
        whole = time.perf_counter() - begin
    slowest = max(alone.values())
    write_results(
        "comparison-speed",
        {
            "queries": len(judged.queries),
            "alone, seconds": {name: round(seconds, 1) for name, seconds in alone.items()},
            "all one after the other, seconds": round(sum(alone.values()), 1),
            "encoding the queries, seconds": round(encoding, 1),
            "compare, seconds by part": {name: round(seconds, 1) for name, seconds in found.seconds.items()},
            "compare, seconds": round(whole, 1),
            "ranking / slowest alone": round(found.seconds["ranking"] / slowest, 3),
            "compare / (1.3 slowest + encoding)": round(whole / (1.3 * slowest + encoding), 3),
        },
    )


if __name__ == "__main__":
    main()
