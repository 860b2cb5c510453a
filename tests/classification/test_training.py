import subprocess
import sys
from collections import Counter

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist.classification import (
    Classifier,
    EncodedBy,
    LabelledTexts,
    evaluate,
    train_baseline,
    train_head,
)
from shortlist.classification.fitting import FOLDS, GRID, assign_folds, fit_logistic
from shortlist.errors import DataError, MissingExtraError
from shortlist.models import Encoder

pytest.importorskip("sklearn")

BY = EncodedBy("model", "0" * 16, "fast")


def clusters(counts: list[int], seed: int = 0) -> tuple[NDArray[np.float32], list[str]]:
    """Vectors ``[N, 8]`` around a centre for each label; so many of each."""
    random = np.random.default_rng(seed)
    centres = 4 * np.eye(8)[: len(counts)]
    labels = [f"label{number}" for number, count in enumerate(counts) for _ in range(count)]
    rows = np.repeat(centres, counts, axis=0) + random.normal(0, 1, (sum(counts), 8))
    return rows.astype(np.float32), labels


def test_a_head_tells_what_it_was_not_trained_on(classifier: Classifier, test_texts: LabelledTexts) -> None:
    predictions = classifier.predict(test_texts.texts)
    found = evaluate(predictions, test_texts.labels, classifier.head.labels)
    assert found.accuracy.mean >= 0.95
    record = classifier.head.training
    assert record.accuracy is not None
    assert record.accuracy.low > 0.9
    assert (record.texts, record.folds, record.converged) == ((20,) * 10, FOLDS, True)
    assert record.regularization in GRID


def test_the_same_seed_gives_the_same_head() -> None:
    vectors, labels = clusters([20, 30, 9])
    heads = [train_head(vectors, labels, BY, seed=seed, threads=1) for seed in (1, 1, 2)]
    assert heads[0].weights.tobytes() == heads[1].weights.tobytes()
    assert heads[0].training == heads[1].training
    assert heads[0].training != heads[2].training


def test_the_length_of_vectors_does_not_matter() -> None:
    vectors, labels = clusters([20, 30, 9])
    small, large = (train_head(np.float32(scale) * vectors, labels, BY, threads=1) for scale in (0.01, 100))
    assert small.training.regularization == large.training.regularization
    np.testing.assert_allclose(
        small.probabilities(np.float32(0.01) * vectors),
        large.probabilities(np.float32(100) * vectors),
        atol=1e-3,
    )


def test_two_labels_are_told_apart() -> None:
    vectors, labels = clusters([30, 30])
    head = train_head(vectors, labels, BY, threads=1)
    assert head.weights.shape == (2, 8)
    right = [one.label == label for one, label in zip(head.predict(vectors), labels, strict=True)]
    assert np.mean(right) > 0.95


def test_a_label_with_one_text_is_learnt_and_never_held_out() -> None:
    vectors, labels = clusters([20, 1, 2, 20])
    head = train_head(vectors, labels, BY, threads=1)
    assert head.training.texts == (20, 1, 2, 20)
    assert head.predict(vectors[20:21])[0].label == "label1"


def test_only_single_texts_give_a_head_without_a_measured_accuracy() -> None:
    vectors, labels = clusters([1, 1, 1])
    head = train_head(vectors, labels, BY, threads=1)
    assert (head.training.folds, head.training.accuracy, head.training.calibration_error) == (0, None, None)
    assert [one.label for one in head.predict(vectors)] == labels


@pytest.mark.parametrize(("count", "message"), [(0, "0 labels"), (1, "1 labels, at least two are needed")])
def test_fewer_than_two_labels_are_refused(count: int, message: str) -> None:
    vectors, labels = clusters([5] * count)
    with pytest.raises(DataError, match=message):
        train_head(vectors.reshape(-1, 8), labels, BY)


def test_vectors_that_do_not_fit_their_labels_are_refused() -> None:
    vectors, labels = clusters([3, 3])
    with pytest.raises(DataError, match=r"vectors of shape \[6, 8\] for 5 labels"):
        train_head(vectors, labels[:5], BY)
    vectors[2, 2] = np.nan
    with pytest.raises(DataError, match="NaN"):
        train_head(vectors, labels, BY)


def test_folds_spread_each_label_evenly() -> None:
    targets = np.repeat([0, 1, 2, 3], [10, 1, 2, 30])
    folds = assign_folds(targets, seed=3)
    assert folds[10] == -1
    for label, most in ((0, 4), (2, 1), (3, 10)):
        counts = Counter(folds[targets == label].tolist())
        assert max(counts.values()) == most
        assert -1 not in counts
    assert (folds == assign_folds(targets, seed=3)).all()
    assert (folds != assign_folds(targets, seed=4)).any()


def test_every_held_out_text_is_judged_by_weights_that_have_not_seen_it() -> None:
    random = np.random.default_rng(0)
    vectors = random.normal(size=(120, 100)).astype(np.float32)  # noise, which only who has seen it can tell
    fitted = fit_logistic(vectors, random.integers(0, 4, 120), seed=0, threads=1)
    assert fitted.right.mean() < 0.45
    assert len(fitted.right) == len(fitted.confidence) == 120


def test_the_baseline_learns_words(training_texts: LabelledTexts, test_texts: LabelledTexts) -> None:
    baseline = train_baseline(training_texts.texts, training_texts.labels, threads=1)
    right = [a == b for a, b in zip(baseline.predict(test_texts.texts), test_texts.labels, strict=True)]
    assert 0.8 < np.mean(right) < 1
    assert baseline.predict([]) == []


def test_training_without_scikit_learn_says_how_to_install_it(
    monkeypatch: pytest.MonkeyPatch, encoder: Encoder
) -> None:
    monkeypatch.setitem(sys.modules, "sklearn", None)
    for name in [name for name in sys.modules if name.startswith("sklearn.")]:
        monkeypatch.delitem(sys.modules, name)
    with pytest.raises(MissingExtraError) as error:
        Classifier.train(["a", "b"], ["x", "y"], encoder)
    assert error.value.hint == "pip install 'shortlist[classify]'"


def test_predicting_loads_no_scikit_learn() -> None:
    script = "import sys, shortlist.classification; print({'sklearn', 'scipy', 'threadpoolctl'} & set(sys.modules))"
    answer = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert answer.stdout.strip() == "set()"
