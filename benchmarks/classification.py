"""How well does a linear head tell intents, beside logistic regression on TF-IDF? Accuracy and calibration.

python benchmarks/classification.py --data FOLDER [--mode exact] [--threads N]

Trained on clinc150's training questions, tested on its test questions. What is outside: every tenth intent is left out
of the training, and its test questions should be told as none of the others.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from measuring import arguments, data_folder, write_results

from shortlist import Encoder
from shortlist.classification import (
    EncodedBy,
    Head,
    LabelProbability,
    Prediction,
    compare_classifiers,
    encode_texts,
    evaluate,
    load_labelled,
    train_baseline,
    train_head,
)
from shortlist.measures import Interval

THRESHOLDS = (0.3, 0.5, 0.7, 0.9)
LEFT_OUT_EVERY = 10


def rounded(value: Any) -> Any:
    if isinstance(value, Interval):
        return rounded({"value": value.mean, "low": value.low, "high": value.high})
    if isinstance(value, Mapping):
        return {name: rounded(one) for name, one in value.items()}
    return float(f"{value:.4g}") if isinstance(value, float) else value


def uncalibrated(head: Head, vectors: np.ndarray) -> list[Prediction]:
    """Answer with temperature 1, as the regression itself would."""
    logits = np.log(head.probabilities(vectors)) * head.temperature
    powers = np.exp(logits - logits.max(axis=1, keepdims=True))
    chances = powers / powers.sum(axis=1, keepdims=True)
    best = chances.argmax(axis=1)
    return [
        Prediction(head.labels[number], (LabelProbability(head.labels[number], float(row[number])),))
        for number, row in zip(best, chances, strict=True)
    ]


def outside(
    vectors: np.ndarray, labels: np.ndarray, test: np.ndarray, truth: np.ndarray, threads: int | None
) -> Mapping[str, Any]:
    """Train without every tenth intent; say what a threshold makes of the questions of both kinds."""
    left_out = sorted(set(labels))[::LEFT_OUT_EVERY]
    kept, unknown = ~np.isin(labels, left_out), np.isin(truth, left_out)
    head = train_head(vectors[kept], labels[kept].tolist(), EncodedBy("", "", "fast"), threads=threads)
    best = head.predict(test)
    confidence = np.array([one.candidates[0].probability for one in best])
    right = np.array([one.label for one in best]) == truth
    inside_, outside_ = confidence[~unknown], confidence[unknown]
    ranks = (outside_[:, None] < inside_[None]).mean() + (outside_[:, None] == inside_[None]).mean() / 2
    return {
        "intents_left_out": len(left_out),
        "questions_outside": int(unknown.sum()),
        "area_under_roc": rounded(float(ranks)),
        "thresholds": {
            str(threshold): rounded({
                "known_told_right": float((right & (confidence >= threshold))[~unknown].mean()),
                "outside_told_as_none": float((outside_ < threshold).mean()),
            })
            for threshold in THRESHOLDS
        },
    }  # fmt: skip


def measure(file: Path, mode: str, threads: int | None) -> Mapping[str, Any]:
    train = load_labelled(file, split="train", strict=True)
    test = load_labelled(file, split="test", strict=True)
    encoder = Encoder.load(mode=mode)  # type: ignore[arg-type]
    start = time.perf_counter()
    vectors = encode_texts(encoder, train.texts, threads=threads).vectors
    encoded = time.perf_counter()
    head = train_head(vectors, train.labels, EncodedBy.of(encoder), threads=threads)
    trained = time.perf_counter()
    tested = encode_texts(encoder, test.texts, threads=threads).vectors
    predictions = head.predict(tested)
    found = evaluate(predictions, test.labels, head.labels)
    print(f"head      accuracy {found.accuracy}", flush=True)
    begin = time.perf_counter()
    baseline = train_baseline(train.texts, train.labels, threads=threads)
    baseline_seconds = time.perf_counter() - begin
    truth = np.array(test.labels)
    theirs = np.array(baseline.predict(test.texts)) == truth
    comparison = compare_classifiers(np.array([one.label for one in predictions]) == truth, theirs, seed=0)
    print(f"TF-IDF    accuracy {comparison.second}, p = {comparison.p_value:.2g}", flush=True)
    plain = evaluate(uncalibrated(head, tested), test.labels, head.labels)
    return {
        "train": len(train),
        "test": len(test),
        "labels": len(head.labels),
        "test_questions_in_training": len(set(train.texts) & set(test.texts)),
        "head": {
            "accuracy": rounded(found.accuracy),
            "macro_f1": rounded(found.macro_f1),
            "calibration_error": rounded(found.calibration_error),
            "calibration_error_without_temperature": rounded(plain.calibration_error),
            "temperature": rounded(head.temperature),
            "regularization": head.training.regularization,
            "cross_validated_accuracy": rounded(head.training.accuracy),
            "converged": head.training.converged,
            "encoding_s": round(encoded - start, 1),
            "training_s": round(trained - encoded, 1),
        },
        "tfidf": {
            "accuracy": rounded(comparison.second),
            "regularization": baseline.regularization,
            "features": int(baseline.weights.shape[1]),
            "training_s": round(baseline_seconds, 1),
        },
        "difference": rounded(comparison.difference),
        "only_head_right": comparison.only_first,
        "only_tfidf_right": comparison.only_second,
        "p_value": rounded(comparison.p_value),
        "outside": outside(vectors, np.array(train.labels), tested, truth, threads),
    }


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--mode", choices=("fast", "exact"), default="fast")
    parser.add_argument("--threads", type=int, help="default: all cores")
    given = parser.parse_args()
    file = data_folder(given.data, parser) / "retrieval" / "clinc150" / "intents.jsonl"
    results = measure(file, given.mode, given.threads)
    write_results(f"classification-{given.mode}", results, ["scikit-learn"])


if __name__ == "__main__":
    main()
