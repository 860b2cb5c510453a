"""What does each stage add? nDCG@10 of all stages on sets that the models learned from the like of, and on others.

    python benchmarks/stages.py --data FOLDER [--sets ...] [--keep FOLDER]

Test queries, all of them. NFCorpus, Cranfield, CISI and MED are of kinds that no model was trained on. There, on SQuAD
and on tldr late interaction is also measured with the projection that nobody trained (the default model without its
heads) and with tokens pooled by 2, and on all of these but tldr the judge also reads all of hybrid's first 100.
Differences are tested by a paired randomisation test, with 95 % bootstrap intervals; for the mean over the unseen sets
queries are drawn within each.
"""

from __future__ import annotations

import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, nDCG
from shortlist.measures.statistics import bootstrap_mean, paired_randomisation
from shortlist.models.own_folder import DEFAULT
from shortlist.search import NAMES, Rerank, parse

SETS = {
    "squad_dev": "heldout", "tldr": "test", "medquad": "test", "fairytaleqa": "test",
    "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test",
}  # fmt: skip
UNSEEN = ("nfcorpus", "cranfield", "cisi", "med")
CLOSER = ("squad_dev", "tldr", *UNSEEN)
"""Where other projections and pooled tokens are measured too; the others are many long documents."""
STAGES = ("dense", "poly", "hybrid", "hybrid+poly", "late", "hybrid+late", "hybrid+cross", "cascade")
FULL = "all 100 by the judge"
"""Every document of hybrid's top 100 read by the six-layer judge: what the cascade is held to."""

COMPARED = (
    ("poly", "dense"), ("hybrid+cross", "poly"), ("late", "late, untrained"), ("late, pooled by 2", "late"),
    ("hybrid+late", "hybrid+late, untrained"), ("hybrid+cross", "hybrid+late"), ("cascade", "hybrid+late"),
    ("cascade", FULL), ("hybrid+poly", "hybrid"), ("hybrid+cross", "hybrid"),
)  # fmt: skip

RESAMPLES = 10_000

Values = Mapping[str, np.ndarray]


def full() -> str:
    """Give the pipeline of hybrid+cross over hybrid's first 100."""
    whole = NAMES["hybrid+cross"]
    assert isinstance(whole, Rerank)
    return str(replace(whole, depth=100))


def values_of(
    folder: Path, split: str, pipelines: Mapping[str, str], keep: Path | None, **options: object
) -> Values:
    """Give nDCG@10 of every judged query by each pipeline."""
    judged = read_judged(folder / "queries.jsonl", find_split(folder, split))
    with opened(folder, keep=keep, **options) as (collection, _):  # type: ignore[arg-type]
        checked = check_judgements(all_documents(collection), judged)
        found = judged_runs(collection, checked, [parse(text) for text in pipelines.values()], [nDCG @ 10])
    qrels = checked.judged.qrels
    return {
        name: np.array(list(by_query(nDCG @ 10, run[nDCG @ 10], qrels).values()))
        for name, run in zip(pipelines, found, strict=True)
    }


def untrained(place: Path) -> Path:
    """Make the default model without its heads: the projection that its weights came with."""
    shutil.copytree(DEFAULT, place)
    (place / "heads.safetensors").unlink()
    values = json.loads((place / "model.json").read_text())
    del values["files"]["heads.safetensors"], values["heads"]
    values["token_scale"] = 0.42 / 127
    (place / "model.json").write_text(json.dumps(values))
    return place


def differ(values: Values, pairs: Sequence[tuple[str, str]]) -> dict[str, object]:
    found = {}
    for better, base in pairs:
        if better not in values or base not in values:
            continue
        difference = values[better] - values[base]
        interval = bootstrap_mean(difference)
        found[f"{better} - {base}"] = {
            "difference": round(float(difference.mean()), 4),
            "interval": [round(interval.low, 4), round(interval.high, 4)],
            "p": paired_randomisation(values[better], values[base]),
        }
    return found


def means_of(sets: Sequence[Values]) -> dict[str, object]:
    """Give the mean over sets, every set counting the same, and the differences of its stages."""
    stages = [stage for stage in sets[0] if all(stage in values for values in sets)]
    means = {stage: float(np.mean([values[stage].mean() for values in sets])) for stage in stages}
    random = np.random.default_rng(0)
    drawn = [random.integers(0, len(values["dense"]), (RESAMPLES, len(values["dense"]))) for values in sets]
    differences = {}
    for better, base in COMPARED:
        if better in means and base in means:
            each = [values[better] - values[base] for values in sets]
            resampled = np.mean(
                [one[rows].mean(axis=1) for one, rows in zip(each, drawn, strict=True)], axis=0
            )
            low, high = np.quantile(resampled, (0.025, 0.975))
            differences[f"{better} - {base}"] = {
                "difference": round(means[better] - means[base], 4),
                "interval": [round(float(low), 4), round(float(high), 4)],
            }
    return {
        "mean of the unseen": {
            "nDCG@10": {stage: round(value, 4) for stage, value in means.items()},
            "differences": differences,
        }
    }


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--sets", nargs="*", default=list(SETS))
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results: dict[str, object] = {}
    by_set: dict[str, Values] = {}
    with tempfile.TemporaryDirectory() as temporary:
        model = untrained(Path(temporary) / "untrained")
        for name in given.sets:
            folder = data / "retrieval" / name

            def kept(kind: str, name: str = name) -> Path | None:
                return given.keep / f"{name}-{kind}" if given.keep else None

            ours = {stage: stage for stage in STAGES}
            if name in CLOSER and name != "tldr":
                ours[FULL] = full()
            values = dict(values_of(folder, SETS[name], ours, kept("trained")))
            if name in CLOSER:
                old = {"late, untrained": "late", "hybrid+late, untrained": "hybrid+late"}
                values |= values_of(folder, SETS[name], old, kept("untrained"), model=model)
                pooled = {"late, pooled by 2": "late"}
                values |= values_of(folder, SETS[name], pooled, kept("pooled"), token_pooling=2)
            by_set[name] = values
            for stage, each in values.items():
                print(f"{name:12} {stage:24} nDCG@10 {each.mean():.4f}", flush=True)
            results[name] = {
                "queries": len(values["dense"]),
                "nDCG@10": {stage: round(float(each.mean()), 4) for stage, each in values.items()},
                "differences": differ(values, COMPARED),
            }
    if by_set.keys() >= set(UNSEEN):
        results |= means_of([by_set[name] for name in UNSEEN])
    if by_set.keys() == set(SETS):
        write_results("stages", results)
    else:
        print(json.dumps(results, indent=1))


if __name__ == "__main__":
    main()
