"""How good are the pipelines, and what does each stage add? nDCG@10 on sets like those trained on, and on others.

    python benchmarks/stages.py --data FOLDER [--sets ...] [--keep FOLDER] [--queries N]

Test queries, all of them or N of each set, drawn at random; pytrec_eval must give the same to 1e-9. NFCorpus,
Cranfield, CISI and MED are of kinds that no model was trained on. There and on SQuAD late interaction is also measured
with the projection that nobody trained (the default model without its heads) and with tokens pooled by 2; for 500 of
SQuAD's queries the judge also reads all of hybrid's first 100. Differences are tested by a paired randomisation test,
with 95 % bootstrap intervals; for the mean over the unseen sets queries are drawn within each. What was measured with
the same pipelines and models is taken from ``--keep``.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytrec_eval
from measuring import arguments, data_folder, write_results

from shortlist.evaluation.checks import check_judgements
from shortlist.evaluation.comparison import all_documents, judged_runs
from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.measures.ranking import by_query, nDCG, trec_order
from shortlist.measures.statistics import bootstrap_mean, paired_randomisation
from shortlist.models.folders import fingerprint
from shortlist.models.heads import HEADS
from shortlist.models.own_folder import DEFAULT, JUDGES, WEIGHTS, folder_at
from shortlist.models.weights import read_bytes, read_weights
from shortlist.search import ANY_SIZE, NAMES, Pipeline, Poly, Rerank, parse
from shortlist.search.pipeline import leaves
from shortlist.types import Qrels, Run

SETS = {
    "squad_dev": "heldout", "tldr": "test", "medquad": "test", "fairytaleqa": "test",
    "nfcorpus": "test", "cranfield": "test", "cisi": "test", "med": "test",
}  # fmt: skip
UNSEEN = ("nfcorpus", "cranfield", "cisi", "med")
CLOSER = ("squad_dev", *UNSEEN)
"""Where other projections and pooled tokens are measured too; the others are many documents."""
FULL = "all 100 by the judge"
"""Every document of hybrid's top 100 read by the six-layer judge: what the cascade is held to."""
FULL_QUERIES = 500

SMALL = "hybrid+cross by the small judge"
"""What `hybrid+cross` finds if the two-layer judge reads in place of the six-layer one."""

COMPARED = (
    ("poly", "dense"),
    ("late, pooled by 2", "late"),
    ("late", "late, untrained"),
    ("hybrid+late", "hybrid+late, untrained"),
    ("hybrid+poly", "hybrid"),
    ("hybrid+cross", "hybrid"),
    ("hybrid+cross", "poly"),
    ("hybrid+cross", "hybrid+late"),
    ("hybrid+cross", SMALL),
    (SMALL, "hybrid+late"),
    ("cascade", "hybrid+late"),
)

RESAMPLES = 10_000

Values = Mapping[str, np.ndarray]


def full() -> str:
    """Give the pipeline of hybrid+cross over hybrid's first 100."""
    whole = NAMES["hybrid+cross"]
    assert isinstance(whole, Rerank)
    return str(replace(whole, depth=100))


def by_small() -> str:
    """Give the pipeline of hybrid+cross with the small judge, weighed as the cascade weighs it."""
    cascade, whole = NAMES["cascade"], NAMES["hybrid+cross"]
    assert isinstance(cascade, Rerank)
    assert isinstance(cascade.first, Rerank)
    assert isinstance(whole, Rerank)
    return str(replace(whole, judge=cascade.first.judge))


def values_of(
    folder: Path,
    pipelines: Mapping[str, str],
    most: int | None,
    keep: Path | None,
    kind: str,
    **options: object,
) -> Values:
    """Give nDCG@10 of every judged query by each pipeline; those of the same pipelines and models are kept."""
    file = keep / f"{folder.name}-{kind}.json" if keep else None
    kept = json.loads(file.read_text()) if file and file.exists() else {}
    made_of = {name: [most, str(parse(text)), models_of(parse(text))] for name, text in pipelines.items()}
    missing = {
        name: text for name, text in pipelines.items() if kept.get(name, {}).get("of") != made_of[name]
    }
    if missing:
        judged = read_judged(folder / "queries.jsonl", find_split(folder, SETS[folder.name]))
        if most is not None:
            judged = judged.some(most, 0)
        place = keep / f"{folder.name}-{kind}-{fingerprint(DEFAULT)}" if keep else None
        with opened(folder, keep=place, **options) as (collection, _):  # type: ignore[arg-type]
            checked = check_judgements(all_documents(collection), judged)
            found = judged_runs(collection, checked, [parse(text) for text in missing.values()], [nDCG @ 10])
        qrels = checked.judged.qrels
        for name, run in zip(missing, found, strict=True):
            each = by_query(nDCG @ 10, run[nDCG @ 10], qrels)
            check_by_trec_eval(run[nDCG @ 10], qrels, f"{folder.name} {name}")
            kept[name] = {"of": made_of[name], "values": list(each.values())}
        if file:
            file.write_text(json.dumps(kept))
    return {name: np.array(kept[name]["values"]) for name in pipelines}


def models_of(pipeline: Pipeline) -> list[str]:
    """Give the identity of all that a pipeline's scores depend on: a poly-encoder's codes change no other's."""
    digest = hashlib.sha256(read_bytes(folder_at(DEFAULT), WEIGHTS))
    heads = read_weights(read_bytes(folder_at(DEFAULT), HEADS), DEFAULT)
    codes = any(isinstance(leaf, Poly) for leaf in leaves(pipeline))
    for name in sorted(heads):
        if codes or not name.startswith("poly."):
            digest.update(name.encode() + heads[name].tobytes())
    return [digest.hexdigest()[:16], *(fingerprint(path) for path in JUDGES.values())]


def check_by_trec_eval(run: Run, qrels: Qrels, what: str) -> None:
    """Stop if pytrec_eval, which sorts by score itself, finds another value for a query."""
    ours = by_query(nDCG @ 10, trec_order(run), qrels)
    evaluator = pytrec_eval.RelevanceEvaluator(
        {query: dict(grades) for query, grades in qrels.relevance.items()}, {"ndcg_cut.10"}
    )
    found = evaluator.evaluate(
        {query: {hit.doc_id: hit.score for hit in ranking} for query, ranking in run.rankings.items()}
    )
    worst = max(abs(ours[query] - found.get(query, {}).get("ndcg_cut_10", 0.0)) for query in ours)
    if worst > 1e-9:
        raise SystemExit(f"{what}: nDCG@10 differs from pytrec_eval by {worst}")


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
    parser.add_argument("--queries", type=int, metavar="N", help="draw so many of each set (default: all)")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results: dict[str, object] = {}
    by_set: dict[str, Values] = {}
    if given.keep:
        given.keep.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory() as temporary:
        model = untrained(Path(temporary) / "untrained")
        for name in given.sets:
            folder = data / "retrieval" / name
            ours = {stage: stage for stage in ANY_SIZE} | {SMALL: by_small()}
            values = dict(values_of(folder, ours, given.queries, given.keep, "trained"))
            if name in CLOSER:
                old = {"late, untrained": "late", "hybrid+late, untrained": "hybrid+late"}
                values |= values_of(folder, old, given.queries, given.keep, "untrained", model=model)
                pooled = {"late, pooled by 2": "late"}
                values |= values_of(folder, pooled, given.queries, given.keep, "pooled", token_pooling=2)
            if name == "squad_dev":
                most = min(FULL_QUERIES, given.queries or FULL_QUERIES)
                both = values_of(folder, {"cascade": "cascade", FULL: full()}, most, given.keep, "full")
                print(
                    f"{name:12} {FULL:24} nDCG@10 {both[FULL].mean():.4f}, the cascade {both['cascade'].mean():.4f}"
                )
                results[f"{name}, {most} queries"] = {
                    "queries": most,
                    "nDCG@10": {stage: round(float(each.mean()), 4) for stage, each in both.items()},
                    "differences": differ(both, [("cascade", FULL)]),
                }
            by_set[name] = values
            for stage, each in values.items():
                print(f"{name:12} {stage:24} nDCG@10 {each.mean():.4f}", flush=True)
            results[name] = {
                "queries": len(values["dense"]),
                "drawn": given.queries is not None,
                "nDCG@10": {stage: round(float(each.mean()), 4) for stage, each in values.items()},
                "differences": differ(values, COMPARED),
            }
    if by_set.keys() >= set(UNSEEN):
        results |= means_of([by_set[name] for name in UNSEEN])
    write_results("stages", results, ["pytrec_eval-terrier"])


if __name__ == "__main__":
    main()
