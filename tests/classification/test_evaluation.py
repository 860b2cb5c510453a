import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.classification import Confusion, LabelProbability, LabelScores, Prediction, evaluate
from shortlist.errors import DataError

KNOWN = ("a", "b", "c")


def predicted(*labels: str | None) -> list[Prediction]:
    return [Prediction(label, (LabelProbability(label or "a", 0.8),)) for label in labels]


@given(st.lists(st.tuples(st.sampled_from("abcx"), st.sampled_from([*"abc", None])), min_size=1, max_size=40))
def test_the_figures_are_those_of_scikit_learn(pairs: list[tuple[str, str | None]]) -> None:
    metrics = pytest.importorskip("sklearn.metrics")
    truth, answers = [label for label, _ in pairs], [answer for _, answer in pairs]
    found = evaluate(predicted(*answers), truth, KNOWN)
    named = ["none" if label == "x" else label for label in truth]
    given_ = ["none" if answer is None else answer for answer in answers]
    assert found.accuracy.mean == pytest.approx(metrics.accuracy_score(named, given_))
    classes = sorted({*named, *given_} - (set() if "none" in named else {"none"}))
    expected = (
        metrics.f1_score(named, given_, labels=classes, average="macro", zero_division=0) if classes else 0
    )
    assert found.macro_f1.mean == pytest.approx(expected)
    rows = {scores.label or "none": scores for scores in found.labels}
    each = metrics.precision_recall_fscore_support(named, given_, labels=list(rows), zero_division=0)
    for scores, precision, recall, f1, texts in zip(rows.values(), *each, strict=True):
        assert (scores.precision, scores.recall, scores.f1) == pytest.approx((precision, recall, f1))
        assert scores.texts == texts
    assert found.accuracy.low <= found.accuracy.mean <= found.accuracy.high
    assert sum(one.texts for one in found.confusions) == sum(
        a != b for a, b in zip(named, given_, strict=True)
    )


def test_a_label_that_the_head_does_not_know_is_right_only_as_none_of_them() -> None:
    found = evaluate(predicted("a", "b", None, "a"), ["a", "b", "x", "y"], KNOWN)
    assert (found.outside, found.answered) == (2, 3)
    assert found.answered_accuracy == pytest.approx(2 / 3)
    assert found.accuracy.mean == 0.75
    assert found.confusions == (Confusion(None, "a", 1),)
    assert found.labels[-1] == LabelScores(None, 2, 1.0, 0.5, 2 / 3)


def test_confusions_are_the_most_frequent_first() -> None:
    found = evaluate(predicted("b", "c", "b", "a"), ["a", "a", "a", "a"], KNOWN)
    assert found.confusions == (Confusion("a", "b", 2), Confusion("a", "c", 1))


def test_calibration_is_of_the_best_label_whatever_the_threshold() -> None:
    found = evaluate(predicted(None, None), ["a", "b"], KNOWN)
    assert found.calibration_error == pytest.approx(0.5, abs=0.31)
    assert (found.answered, found.answered_accuracy, found.accuracy.mean) == (0, None, 0)


def test_no_texts_and_other_numbers_are_refused() -> None:
    for predictions, labels in (([], []), (predicted("a"), ["a", "b"])):
        with pytest.raises(DataError, match="predictions for"):
            evaluate(predictions, labels, KNOWN)


def test_intervals_come_from_the_seed() -> None:
    labels = ["a", "b", "c", "a"] * 10
    answers = predicted(*np.random.default_rng(0).permutation(labels).tolist())
    first, again, other = (evaluate(answers, labels, KNOWN, seed=seed) for seed in (1, 1, 2))
    assert first == again
    assert first.macro_f1 != other.macro_f1
