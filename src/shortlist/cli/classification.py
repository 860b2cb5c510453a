"""What ``classify`` does: train a head, give texts their labels, compare its answers with known labels."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path

import numpy as np

from shortlist.classification import (
    Classifier,
    ClassifierComparison,
    Evaluation,
    Prediction,
    compare_classifiers,
    evaluate,
    load_labelled,
    read_texts,
    train_baseline,
)
from shortlist.classification.fitting import import_sklearn
from shortlist.classification.labelled import refuse_rejected
from shortlist.cli.terminal import UsageError, print_json, printable, progress_bar, say
from shortlist.formats import Rejected
from shortlist.formats.paths import refuse_existing
from shortlist.models import Encoder
from shortlist.plain_text import counted

__all__ = ["COMMANDS"]

SHOWN = 10
NONE = "(none of them)"


def _train(arguments: argparse.Namespace) -> None:
    refuse_existing(arguments.output)
    import_sklearn("linear_model")  # before minutes of encoding
    found = load_labelled(
        arguments.file, label=arguments.label, split=arguments.split, strict=arguments.strict
    )
    encoder = Encoder.load(arguments.model, mode=arguments.mode)
    begin = time.perf_counter()
    with progress_bar(len(found), "texts") as progress:
        classifier = Classifier.train(
            found.texts,
            found.labels,
            encoder,
            seed=arguments.seed,
            threads=arguments.threads,
            progress=progress,
        )
    seconds = time.perf_counter() - begin
    classifier.save(arguments.output)
    head, record = classifier.head, classifier.head.training
    if arguments.json:
        about = asdict(record) | {"texts": dict(zip(head.labels, record.texts, strict=True))}
        print_json({**about, "temperature": head.temperature, "seconds": round(seconds, 3),
                     "skipped": [str(problem) for problem in found.rejected], "left_out": found.left_out})  # fmt: skip
        return
    _say_skipped(found.rejected)
    if found.left_out:
        say(f"{counted(found.left_out, 'text')} of other splits left out")
    if record.truncated_texts:
        say(f"{counted(record.truncated_texts, 'text')} longer than {encoder.settings.max_tokens} tokens cut")
    if not record.converged:
        say("the fit was stopped before it had converged; its probabilities may be off")
    say(f"{counted(len(found), 'text')} with {counted(len(head.labels), 'label')} in {seconds:.1f} s")
    if record.accuracy is None:
        say("every label has a single text: nothing could be held out to measure accuracy on")
    else:
        say(
            f"accuracy {record.accuracy} on held-out thirds; calibration error {record.calibration_error:.4f}"
        )
    say(f"wrote {arguments.output}")


def _predict(arguments: argparse.Namespace) -> None:
    if bool(arguments.texts) == bool(arguments.file):
        raise UsageError("name texts, or a --file of them", hint="shortlist classify predict HEAD TEXT ...")
    places, texts, rejected = _texts(arguments)
    classifier = Classifier.load(arguments.head, model=arguments.model)
    with progress_bar(len(texts), "texts") as progress:
        predictions = classifier.predict(
            texts,
            k=arguments.k,
            threshold=arguments.threshold,
            threads=arguments.threads,
            progress=progress,
        )
    records = [
        {"place": place, "text": text, **asdict(prediction)}
        for place, text, prediction in zip(places, texts, predictions, strict=True)
    ]
    if arguments.output:
        lines = (f"{json.dumps(record, ensure_ascii=False)}\n" for record in records)
        with Path(arguments.output).open("w", encoding="utf-8") as file:
            file.writelines(lines)
    answered = sum(1 for prediction in predictions if prediction.label is not None)
    if arguments.json:
        shown = {} if arguments.output else {"predictions": records}
        print_json(
            {**shown, "texts": len(texts), "answered": answered, "skipped": [str(one) for one in rejected]}
        )
        return
    _say_skipped(rejected)
    if arguments.output:
        say(f"{counted(len(texts), 'text')}, {answered:,} with a label; wrote {arguments.output}")
    else:
        _show_predictions(texts, predictions)
    cut = sum(1 for prediction in predictions if prediction.truncated_tokens)
    if cut:
        say(f"{counted(cut, 'text')} longer than {classifier.encoder.settings.max_tokens} tokens cut")


def _texts(arguments: argparse.Namespace) -> tuple[list[str], list[str], list[Rejected]]:
    """Give places, texts, and what couldn't be read."""
    if arguments.texts:
        return [f"text {number}" for number, _ in enumerate(arguments.texts, 1)], arguments.texts, []
    records = list(read_texts(arguments.file))
    rejected = [record for record in records if isinstance(record, Rejected)]
    if arguments.strict:
        refuse_rejected(rejected, len(records), arguments.file)
    found = [record for record in records if not isinstance(record, Rejected)]
    return [place for place, _ in found], [text for _, text in found], rejected


def _show_predictions(texts: Sequence[str], predictions: Sequence[Prediction]) -> None:
    for text, prediction in zip(texts, predictions, strict=True):
        print(" ".join(printable(text).split()))
        if prediction.label is None:
            print(f"         {NONE}; the nearest:")
        for candidate in prediction.candidates:
            print(f"  {candidate.probability:.3f}  {printable(candidate.label)}")


def _evaluate(arguments: argparse.Namespace) -> None:
    if arguments.baseline_split and not arguments.baseline:
        raise UsageError("--baseline-split is of --baseline FILE, which is not there")
    found = load_labelled(
        arguments.file, label=arguments.label, split=arguments.split, strict=arguments.strict
    )
    trained_on = arguments.baseline and load_labelled(
        arguments.baseline, label=arguments.label, split=arguments.baseline_split, strict=arguments.strict
    )
    classifier = Classifier.load(arguments.head, model=arguments.model)
    with progress_bar(len(found), "texts") as progress:
        predictions = classifier.predict(
            found.texts, threshold=arguments.threshold, threads=arguments.threads, progress=progress
        )
    evaluation = evaluate(predictions, found.labels, classifier.head.labels, seed=arguments.seed)
    comparison = None
    if trained_on:
        with progress_bar(None, "fits") as progress:
            baseline = train_baseline(
                trained_on.texts,
                trained_on.labels,
                seed=arguments.seed,
                threads=arguments.threads,
                progress=progress,
            )
        ours = np.array([one.candidates[0].label for one in predictions])
        truth, theirs = np.array(found.labels), np.array(baseline.predict(found.texts))
        comparison = compare_classifiers(ours == truth, theirs == truth, seed=arguments.seed)
    if arguments.json:
        print_json({**asdict(evaluation), "skipped": [str(one) for one in found.rejected],
                     "comparison": asdict(comparison) if comparison else None})  # fmt: skip
        return
    _say_skipped(found.rejected)
    _show_evaluation(evaluation)
    if comparison:
        _show_comparison(comparison)


def _show_evaluation(evaluation: Evaluation) -> None:
    print(f"texts              {evaluation.texts:,}")
    if evaluation.outside:
        print(f"                   {evaluation.outside:,} have labels that the head doesn't know")
    print(f"accuracy           {evaluation.accuracy}")
    print(f"macro F1           {evaluation.macro_f1}")
    print(f"calibration error  {evaluation.calibration_error:.4f}")
    if evaluation.answered < evaluation.texts and evaluation.answered_accuracy is not None:
        share = evaluation.answered / evaluation.texts
        print(f"got a label        {share:.1%}, of these right: {evaluation.answered_accuracy:.4f}")
    worst = sorted(evaluation.labels, key=lambda scores: scores.f1)[:SHOWN]
    print("\nlowest F1             precision  recall     F1  texts")
    for scores in worst:
        print(
            f"  {_name(scores.label):<20} {scores.precision:>8.3f} {scores.recall:>7.3f} {scores.f1:>6.3f} "
            f"{scores.texts:>6,}"
        )
    if evaluation.confusions:
        print("\nmost often mistaken")
    for confusion in evaluation.confusions[:SHOWN]:
        print(f"  {confusion.texts:>4,}  {_name(confusion.label)} for {_name(confusion.predicted)}")


def _show_comparison(comparison: ClassifierComparison) -> None:
    print("\nbeside logistic regression on TF-IDF (without threshold)")
    print(f"  head             {comparison.first}")
    print(f"  TF-IDF           {comparison.second}")
    print(f"  difference       {comparison.difference}, p = {comparison.p_value:.2g}")
    print(f"  right alone      head {comparison.only_first:,}, TF-IDF {comparison.only_second:,}")


def _name(label: str | None) -> str:
    return NONE if label is None else printable(label)


def _say_skipped(rejected: Sequence[Rejected]) -> None:
    if rejected:
        say(f"{counted(len(rejected), 'record')} skipped:")
    for problem in rejected[:SHOWN]:
        say(f"  {problem}")
    if len(rejected) > SHOWN:
        say(f"  and {len(rejected) - SHOWN:,} more (--json lists all)")


PARTS: Mapping[str, Callable[[argparse.Namespace], None]] = {
    "train": _train,
    "predict": _predict,
    "evaluate": _evaluate,
}


def _classify(arguments: argparse.Namespace) -> None:
    PARTS[arguments.part](arguments)


COMMANDS: Mapping[str, Callable[[argparse.Namespace], None]] = {"classify": _classify}
"""Every command of this module by its name."""
