from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from shortlist.classification import Classifier, EncodedBy, Head, LabelledTexts, TrainingRecord
from shortlist.errors import DataError, ModelError, ModelMismatchError
from shortlist.models import Encoder

RECORD = TrainingRecord((3, 3, 3), 0, 3, 5.0, None, None, True, 0)


def head(**changes: Any) -> Head:
    """A head of three labels and two dimensions."""
    parts: dict[str, Any] = {
        "weights": np.array([[1, 0], [0, 1], [-1, -1]], np.float32),
        "bias": np.zeros(3, np.float32),
        "labels": ("a", "b", "c"),
        "temperature": 1.0,
        "encoded_by": EncodedBy("model", "0" * 16, "fast"),
        "training": RECORD,
    }
    return Head(**(parts | changes))


def vectors(*rows: list[float]) -> Any:
    return np.array(rows, np.float32).reshape(-1, 2)


def test_probabilities_are_the_softmax_of_the_logits_over_the_temperature() -> None:
    found = head(temperature=2.0).probabilities(vectors([2, 0]))
    expected = np.exp([1, 0, -1]) / np.exp([1, 0, -1]).sum()
    np.testing.assert_allclose(found, [expected], rtol=1e-12)


def test_labels_come_best_first_and_equal_ones_in_alphabetical_order() -> None:
    (prediction,) = head().predict(vectors([0, 0]), k=3)
    assert [candidate.label for candidate in prediction.candidates] == ["a", "b", "c"]
    (prediction,) = head().predict(vectors([-1, 0.5]), k=2)
    assert [candidate.label for candidate in prediction.candidates] == ["b", "c"]


def test_more_labels_than_there_are_gives_all_and_no_text_gives_nothing() -> None:
    (prediction,) = head().predict(vectors([1, 0]), k=9)
    assert len(prediction.candidates) == 3
    assert sum(candidate.probability for candidate in prediction.candidates) == pytest.approx(1)
    assert head().predict(vectors()) == []


def test_labels_whose_probability_is_0_are_still_ordered() -> None:
    (prediction,) = head(temperature=0.02).predict(vectors([900, 100]), k=3)
    assert [(one.label, one.probability) for one in prediction.candidates] == [("a", 1), ("b", 0), ("c", 0)]


@given(st.floats(0, 1))
def test_below_the_threshold_the_answer_is_none_of_them(threshold: float) -> None:
    (prediction,) = head().predict(vectors([1, 0]), k=2, threshold=threshold)
    best = prediction.candidates[0]
    assert prediction.label == (best.label if best.probability >= threshold else None)
    assert best.label == "a"


@pytest.mark.parametrize(("k", "threshold"), [(0, 0.5), (1, -0.1), (1, 1.1), (1, float("nan"))])
def test_a_k_or_threshold_without_sense_is_refused(k: int, threshold: float) -> None:
    with pytest.raises(DataError, match="must be"):
        head().predict(vectors([1, 0]), k=k, threshold=threshold)


@pytest.mark.parametrize("bad", [np.zeros((1, 3), np.float32), np.zeros(2, np.float32)])
def test_vectors_of_another_shape_are_refused(bad: Any) -> None:
    with pytest.raises(DataError, match=r"the head reads \[texts, 2\]"):
        head().predict(bad)
    with pytest.raises(DataError, match="NaN"):
        head().predict(vectors([float("nan"), 0]))


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"labels": ("a",), "weights": np.zeros((1, 2), np.float32)}, "two or more labels"),
        ({"labels": ("b", "a", "c")}, "sorted"),
        ({"labels": ("a", "a", "c")}, "different"),
        ({"weights": np.zeros((2, 2), np.float32)}, r"weights of shape \[2, 2\]"),
        ({"weights": np.zeros((3, 2))}, "float64"),
        ({"weights": np.full((3, 2), np.nan, np.float32)}, "NaN"),
        ({"bias": np.zeros(2, np.float32)}, r"bias of shape \[2\]"),
        ({"bias": np.array([0, np.inf, 0], np.float32)}, "infinite"),
        ({"temperature": 0.0}, "temperature 0.0"),
        ({"temperature": float("nan")}, "temperature nan"),
        ({"training": replace(RECORD, texts=(1, 2))}, "counts of 2 labels"),
    ],
)
def test_parts_that_do_not_fit_are_refused(changes: dict[str, Any], message: str) -> None:
    with pytest.raises(ModelError, match=message):
        head(**changes)


def test_a_prediction_does_not_depend_on_the_batch(classifier: Classifier, test_texts: LabelledTexts) -> None:
    texts = test_texts.texts[:40]
    together = classifier.predict(texts, k=3)
    assert [classifier.predict([text], k=3)[0] for text in texts] == together
    assert classifier.predict(texts[::-1], k=3, threads=2)[::-1] == together
    vectors = classifier.encoder.encode(texts)
    alone = np.concatenate([classifier.head.probabilities(vector[None]) for vector in vectors])
    assert alone.tobytes() == classifier.head.probabilities(vectors).tobytes()


def test_what_the_model_did_not_read_is_counted(classifier: Classifier) -> None:
    short, long = classifier.predict(["hello", "hello " * 2000])
    assert (short.truncated_tokens, long.truncated_tokens > 1000) == (0, True)


def test_an_encoder_of_another_model_or_mode_is_refused(classifier: Classifier, encoder: Encoder) -> None:
    other = replace(classifier.head, encoded_by=EncodedBy("other", "f" * 16, "fast"))
    with pytest.raises(ModelMismatchError, match=r"trained on vectors of other \(ffffffffffffffff\)"):
        Classifier(other, encoder)
    exact = replace(classifier.head, encoded_by=replace(classifier.head.encoded_by, mode="exact"))
    with pytest.raises(ModelMismatchError, match="in mode 'exact', the encoder gives 384 in mode 'fast'"):
        Classifier(exact, encoder)
    with pytest.raises(ModelMismatchError, match="2 dimensions"):
        Classifier(head(encoded_by=EncodedBy.of(encoder)), encoder)
