"""How often does the paired test find a difference where there is none?

    python benchmarks/significance.py --data FOLDER [--keep COLLECTION]

BM25 and dense on samples of SQuAD heldout's queries, the labels of the two shuffled for every query: any difference
that is then found is false. 2,000 simulations at the level of .05, for each of two measures and two numbers of
queries; the rate should lie between 3.5 and 6.5 %.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import RR, by_query, nDCG
from shortlist.measures.statistics import paired_randomisation
from shortlist.search import BM25, Dense

SIMULATIONS = 2000
PERMUTATIONS = 2000
LEVEL = 0.05


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="a collection to index into, or to use again")
    given = parser.parse_args()
    folder = data_folder(given.data, parser) / "retrieval" / "squad_dev"
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "heldout"))
    with opened(folder, keep=given.keep, token_vectors=False) as (collection, _):
        runs = collection.run_all(judged.queries, [BM25(), Dense()], 100)
    rates = {}
    for measure in (nDCG @ 10, RR @ 10):
        one, two = (np.array(list(by_query(measure, run, judged.qrels).values())) for run in runs)
        for queries in (100, 1000):
            random = np.random.default_rng(queries)
            found = 0
            for simulation in range(SIMULATIONS):
                chosen = random.permutation(len(one))[:queries]
                swapped = random.random(queries) < 0.5
                first = np.where(swapped, two[chosen], one[chosen])
                second = np.where(swapped, one[chosen], two[chosen])
                p = paired_randomisation(first, second, permutations=PERMUTATIONS, seed=simulation)
                found += p < LEVEL
            rates[f"{measure}, {queries} queries"] = found / SIMULATIONS
            print(measure, queries, found / SIMULATIONS, flush=True)
    write_results("significance", {"simulations": SIMULATIONS, "level": LEVEL, "false positives": rates})
    if not all(0.035 <= rate <= 0.065 for rate in rates.values()):
        raise SystemExit("a rate lies outside 3.5 to 6.5 %")


if __name__ == "__main__":
    main()
