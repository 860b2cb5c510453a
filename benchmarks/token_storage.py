"""How few bytes may token vectors take? int8, joined, and codes of 4 and 2 bits: storage, quality, recall.

    python benchmarks/token_storage.py --data FOLDER [--sets ...]

nDCG@10 of late interaction that reads every document, all test queries, with 95 % bootstrap intervals of the
difference from int8 (queries drawn within each set), and how many of int8's ten best are found again. NFCorpus,
Cranfield, CISI and MED are of kinds that no model was trained on.
"""

from __future__ import annotations

import tempfile
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist import Collection
from shortlist.collection import Store
from shortlist.collection.segment_data import merge_segments
from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean
from shortlist.scoring import encode_tokens
from shortlist.search import parse

SETS = {"squad_dev": "heldout", "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test"}
UNSEEN = tuple(SETS)[1:]
KINDS = {
    "int8": (1, 8),
    "4 bits": (1, 4),
    "2 bits": (1, 2),
    "joined by 2": (2, 8),
    "joined by 2, 4 bits": (2, 4),
}
"""How many tokens are joined into one, and how many bits a component has."""
TOP = 10
RESAMPLES = 10_000


def indexed(folder: Path, temporary: Path) -> dict[str, Path]:
    """Index a set for each way to join tokens, and copy that with tokens in fewer bits: as indexing gives them."""
    places = {}
    for kind, (joined, bits) in KINDS.items():
        places[kind] = temporary / kind
        if bits == 8:
            with opened(folder, keep=places[kind], token_pooling=joined) as (collection, _):
                collection.compact()
        else:
            (whole,) = [other for other, options in KINDS.items() if options == (joined, 8)]
            recode(places[whole], places[kind], bits)
    return places


def recode(whole: Path, place: Path, bits: int) -> None:
    """Copy a collection of one segment; its token vectors become codes."""
    store = Store(whole)
    settings = replace(store.settings, token_bits=bits)
    codes = settings.token_codes
    assert codes is not None
    with store.snapshot() as snapshot, Store.create(place, settings).writer() as writer:
        data = merge_segments(snapshot.segments, snapshot.live_by_segment())
        coded = (views._replace(tokens=encode_tokens(views.tokens, codes)) for views in data.views)
        writer.add(replace(data, views=coded, token_codes=codes))


def found_in(folder: Path, place: Path) -> tuple[np.ndarray, list[set[str]], dict[str, float]]:
    """Give each query's nDCG@10 and ten best, and what token vectors take."""
    judged = read_judged(folder / "queries.jsonl", find_split(folder, SETS[folder.name]))
    with Collection.open(place) as collection:
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
        with tempfile.TemporaryDirectory() as temporary:
            folder = data / "retrieval" / name
            of_kind = {
                kind: found_in(folder, place) for kind, place in indexed(folder, Path(temporary)).items()
            }
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
