"""Which weight for late interaction beside hybrid in `hybrid+late`? Open development sets, none a test set here.

    python benchmarks/tune_fusion.py --data FOLDER [--keep FOLDER]

Prints nDCG@10 and the mean over the sets, for the weights and for the fixed fusion of all three that was used before.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, mean, nDCG
from shortlist.search import parse

SETS = {
    "tldr": "dev", "fairytaleqa": "dev", "squad_dev": "train", "disflqa_retrieval": "dev", "clinc150": "dev",
    "medquad": "dev", "support": "test",
}  # fmt: skip
EXAMPLES = Path(__file__).parent.parent / "examples"
QUERIES = 250
WEIGHTS = (1, 1.5, 2, 3, 4, 6, 10)
TRIED = {
    "hybrid": "hybrid",
    "late over hybrid": "rerank(hybrid, maxsim)",
    "fixed 1, 4, 1": "rerank(hybrid, fuse(bm25, maxsim, dense, weights=[1, 4, 1]))",
    **{
        f"late {weight:g}": f"rerank(hybrid, fuse(hybrid, maxsim, weights=[1, {weight}]))"
        for weight in WEIGHTS
    },
}


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results = {}
    for name, split in SETS.items():
        folder = EXAMPLES / name if name == "support" else data / "retrieval" / name
        judged = read_judged(folder / "queries.jsonl", find_split(folder, split)).some(QUERIES, 0)
        with opened(folder, keep=given.keep / name if given.keep else None) as (collection, _):
            runs = collection.run_all(judged.queries, [parse(text) for text in TRIED.values()], 10)
        values = [mean(by_query(nDCG @ 10, run, judged.qrels)) for run in runs]
        results[name] = {key: round(value, 4) for key, value in zip(TRIED, values, strict=True)}
        print(name, results[name], flush=True)
    results["mean"] = {key: round(float(np.mean([r[key] for r in results.values()])), 4) for key in TRIED}
    print("mean", results["mean"])
    write_results("tune-fusion", results)


if __name__ == "__main__":
    main()
