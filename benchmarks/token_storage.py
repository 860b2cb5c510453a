"""How few bytes may token vectors take? int8, joined, and codes of 4 and 2 bits: storage, quality, recall.

    python benchmarks/token_storage.py --data FOLDER [--sets ...]

nDCG@10 of late interaction that reads every document, all test queries, with 95 % bootstrap intervals of the
difference from int8 (queries drawn within each set), and how many of int8's ten best are found again. NFCorpus,
Cranfield, CISI and MED are of kinds that no model was trained on.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean
from shortlist.search import parse

SETS = {"squad_dev": "heldout", "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test"}
UNSEEN = tuple(SETS)[1:]
KINDS = {
    "int8": {},
    "4 bits": {"token_bits": 4},
    "2 bits": {"token_bits": 2},
    "joined by 2": {"token_pooling": 2},
    "joined by 2, 4 bits": {"token_pooling": 2, "token_bits": 4},
}
TOP = 10
RESAMPLES = 10_000


def found_in(folder: Path, options: dict[str, int]) -> tuple[np.ndarray, list[set[str]], dict[str, float]]:
    """Give each query's nDCG@10 and ten best, and what token vectors take."""
    judged = read_judged(folder / "queries.jsonl", find_split(folder, SETS[folder.name]))
    with opened(folder, **options) as (collection, _):  # type: ignore[arg-type]
        checked = check_judgements(all_documents(collection), judged)
        (found,) = judged_runs(collection, checked, [parse("late")], [nDCG @ TOP])
        info = collection.info()
    run = found[nDCG @ TOP]
    values = by_query(nDCG @ TOP, run, checked.judged.qrels)
    best = [{hit.doc_id for hit in list(run.rankings[query])[:TOP]} for query in values]
    size = info.size_bytes["tokens"]
    return (
        np.array(list(values.values())),
        best,
        {"bytes": size, "bytes a passage": round(size / info.passages)},
    )


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results: dict[str, object] = {}
    differences: dict[str, list[np.ndarray]] = {kind: [] for kind in KINDS}
    for name in given.sets:
        of_kind = {kind: found_in(data / "retrieval" / name, options) for kind, options in KINDS.items()}
        base, best, _ = of_kind["int8"]
        results[name] = {"queries": len(base)}
        for kind, (values, its_best, size) in of_kind.items():
            difference = values - base
            if name in UNSEEN:
                differences[kind].append(difference)
            interval = bootstrap_mean(difference)
            results[name][kind] = {  # type: ignore[index]
                **size,
                "nDCG@10": round(float(values.mean()), 4),
                "difference": [round(one, 4) for one in (interval.mean, interval.low, interval.high)],
                "of int8's ten best": round(
                    float(
                        np.mean([len(a & b) / max(1, len(b)) for a, b in zip(its_best, best, strict=True)])
                    ),
                    4,
                ),
            }
            print(f"{name:10} {kind:20} {results[name][kind]}", flush=True)  # type: ignore[index]
    if set(given.sets) >= set(UNSEEN):
        results["mean of the unseen"] = {
            kind: interval_of_means(each) for kind, each in differences.items() if kind != "int8"
        }
        print(results["mean of the unseen"])
    write_results("token-storage", results)


def interval_of_means(sets: list[np.ndarray]) -> list[float]:
    """Give the mean over sets, each counting the same, with its interval; queries are drawn within each."""
    random = np.random.default_rng(0)
    drawn = [each[random.integers(0, len(each), (RESAMPLES, len(each)))].mean(axis=1) for each in sets]
    low, high = np.quantile(np.mean(drawn, axis=0), (0.025, 0.975))
    return [round(float(one), 4) for one in (np.mean([each.mean() for each in sets]), low, high)]


if __name__ == "__main__":
    main()
