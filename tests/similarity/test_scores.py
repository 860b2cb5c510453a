"""Scores of pairs against the encoder's own vectors, MaxSim by hand, and the measures over them."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import scipy.stats
from sklearn.metrics import average_precision_score

from shortlist.errors import DataError, ModelError
from shortlist.models import Encoder, Views
from shortlist.models.folders import Loaded
from shortlist.similarity import Measured, Pair, PairScores, score_pairs
from shortlist.vectors import quantize

TEXTS = [
    ("A plane is taking off.", "An air plane is taking off.", 5.0, 1),
    ("A man plays a flute.", "A man is playing a guitar.", 2.0, 0),
    ("A cat sleeps.", "The cat is asleep.", 4.5, 1),
    ("A cat sleeps.", "Order a new card.", 0.0, 0),
    ("Order a new card.", "How do I get another card?", 3.5, 1),
]
PAIRS = [Pair(first, second, score, label) for first, second, score, label in TEXTS]


def column(side: int) -> list[str]:
    return [(first, second)[side] for first, second, *_ in TEXTS]


class TestDense:
    def test_the_score_is_the_cosine_of_the_encoders_vectors(self, encoder: Encoder) -> None:
        scored = score_pairs(iter(PAIRS), encoder, threads=1)
        left, right = (encoder.encode(column(side)) for side in (0, 1))
        np.testing.assert_allclose(scored.scores, (left * right).sum(axis=1), atol=1e-6)
        assert (scored.by, scored.texts, scored.truncated_tokens) == ("cosine", 8, 0)
        assert [pair for pair, _ in scored] == PAIRS

    def test_the_same_text_has_exactly_one_and_the_order_of_two_texts_changes_no_bit(
        self, encoder: Encoder
    ) -> None:
        same = [Pair(first, first) for first, *_ in TEXTS]
        assert score_pairs(same, encoder).scores.tolist() == [1.0] * len(TEXTS)
        turned = [Pair(pair.sentence2, pair.sentence1) for pair in PAIRS]
        np.testing.assert_array_equal(score_pairs(turned, encoder).scores, score_pairs(PAIRS, encoder).scores)

    def test_pairs_score_alone_as_among_others(self, encoder: Encoder) -> None:
        together = score_pairs(PAIRS, encoder).scores.tolist()
        assert [score_pairs([pair], encoder).scores[0] for pair in PAIRS] == together

    def test_a_model_that_says_dot_is_compared_by_dot(self, encoder: Encoder) -> None:
        by_dot = Changed(encoder, similarity="dot")
        scored = score_pairs(PAIRS, by_dot)
        left, right = (by_dot.encode(column(side)) for side in (0, 1))
        np.testing.assert_allclose(scored.scores, (left * right).sum(axis=1), rtol=1e-5)
        assert scored.scores.max() > 2
        assert scored.by == "dot"

    def test_a_vector_of_zeros_is_like_nothing(self, encoder: Encoder) -> None:
        assert score_pairs(PAIRS, Changed(encoder, length=0)).scores.tolist() == [0.0] * len(PAIRS)

    def test_every_distinct_text_is_encoded_once(self, encoder: Encoder) -> None:
        counting = Changed(encoder)
        done: list[int] = []
        score_pairs(PAIRS * 3, counting, progress=done.append)
        assert sorted(counting.texts) == sorted({text for pair in TEXTS for text in pair[:2]}, key=str)
        assert sum(done) == 8

    def test_what_the_model_could_not_read_is_counted(self, encoder: Encoder) -> None:
        long = "cat " * (encoder.settings.max_tokens + 10)
        scored = score_pairs([Pair(long, "cat"), Pair(long, "dog")], encoder)
        assert (scored.truncated_texts, scored.truncated_tokens) == (1, 12)


class TestLate:
    def test_the_score_is_the_mean_of_the_best_matches_on_int8(self, encoder: Encoder) -> None:
        scored = score_pairs(PAIRS, encoder, by="late")
        scale = encoder.settings.token_scale
        for (first, second, *_), score in zip(TEXTS, scored.scores, strict=True):
            views = encoder.views([first, second])
            query, text = (quantize(views.tokens[side], scale).astype(np.int64) for side in (0, 1))
            assert score == pytest.approx((query @ text.T).max(axis=1).mean() * scale**2)
        assert scored.by == "maxsim"

    def test_it_asks_whether_the_second_says_what_the_first_does(self, encoder: Encoder) -> None:
        part, whole = "A cat sleeps.", "A cat sleeps while the bank opens a new branch in Spain."
        there, back = score_pairs([Pair(part, whole), Pair(whole, part)], encoder, by="late").scores
        assert there > back

    def test_a_model_without_token_vectors_says_so(self, encoder: Encoder) -> None:
        with pytest.raises(ModelError, match="has no token vectors"):
            score_pairs(PAIRS, Changed(encoder, token_dimensions=0), by="late")


class TestMeasures:
    def test_graded_and_labelled_pairs_have_their_measures(self, encoder: Encoder) -> None:
        scored = score_pairs([*PAIRS, Pair("no", "grade")], encoder)
        found = {measure.name: measure for measure in scored.measures(resamples=200)}
        scores, grades, labels = scored.scores[:-1], [t[2] for t in TEXTS], [t[3] for t in TEXTS]
        assert list(found) == ["spearman", "pearson", "average precision", "accuracy", "f1"]
        assert found["spearman"].value == pytest.approx(scipy.stats.spearmanr(scores, grades)[0])
        assert found["pearson"].value == pytest.approx(scipy.stats.pearsonr(scores, grades)[0])
        assert found["average precision"].value == pytest.approx(average_precision_score(labels, scores))
        assert all(measure.pairs == 5 for measure in found.values())
        assert found["accuracy"].threshold is not None
        assert found["spearman"].threshold is None

    def test_an_interval_holds_the_value_and_a_seed_repeats_it(self) -> None:
        random = np.random.default_rng(0)
        grades = random.normal(size=80)
        pairs = tuple(Pair("a", "b", float(grade), int(grade > 0)) for grade in grades)
        scored = PairScores(pairs, grades + random.normal(size=80), "cosine", 2, 0, 0)
        first = scored.measures(resamples=100, seed=7)
        assert first == scored.measures(resamples=100, seed=7) != scored.measures(resamples=100, seed=8)
        for measure in first:
            assert measure.interval is not None
            assert measure.interval.mean == measure.value
            assert measure.interval.low < measure.interval.mean < measure.interval.high
            assert measure.reason == ""

    def test_pairs_that_nobody_said_anything_of_have_none(self, encoder: Encoder) -> None:
        assert score_pairs([Pair("a", "b")], encoder).measures() == ()

    def test_an_undefined_measure_has_no_value_and_says_why(self) -> None:
        one = PairScores((Pair("a", "b", 3.0),), np.array([0.5]), "cosine", 2, 0, 0)
        reason = "one pair has no correlation: it takes two at least"
        assert one.measures() == tuple(
            Measured(name, None, 1, None, None, reason) for name in ("spearman", "pearson")
        )
        same = (Pair("a", "b", 1.0, 1), Pair("c", "d", 2.0, 1))
        found = PairScores(same, np.array([0.5, 0.6]), "cosine", 4, 0, 0).measures(resamples=10)
        assert [measure.value for measure in found] == [1, 1, None, None, None]
        assert {measure.reason for measure in found[2:]} == {
            "all 2 labels are 1: there is nothing to tell apart"
        }

    def test_a_handful_of_pairs_has_values_and_no_interval(self) -> None:
        pairs = (Pair("a", "b", 1.0), Pair("c", "d", 3.0), Pair("e", "f", 2.0))
        for measure in PairScores(pairs, np.array([0.1, 0.2, 0.3]), "cosine", 6, 0, 0).measures():
            assert measure.value == pytest.approx(0.5)
            assert measure.interval is None
            assert "resamples" in measure.reason

    def test_no_resamples_are_refused(self) -> None:
        with pytest.raises(DataError, match="resamples must be at least 1, not 0"):
            PairScores((Pair("a", "b", 1.0),), np.ones(1), "cosine", 2, 0, 0).measures(resamples=0)


def test_wrong_arguments_are_errors(encoder: Encoder) -> None:
    with pytest.raises(DataError, match="there are no pairs"):
        score_pairs([], encoder)
    with pytest.raises(DataError, match="'dense' or 'late', not 'bm25'"):
        score_pairs(PAIRS, encoder, by="bm25")  # type: ignore[arg-type]
    with pytest.raises(DataError, match="has no prompt 'passage'"):
        score_pairs(PAIRS, encoder, prompt="passage")


class Changed(Encoder):
    """An encoder whose vectors have another length, whose settings say otherwise, and that remembers texts."""

    def __init__(self, encoder: Encoder, *, length: float = 1, **changes: Any) -> None:
        changed = replace(encoder.settings, **changes)
        super().__init__(Loaded(changed, encoder.tokenizer, encoder._backbone, encoder.heads), encoder.mode)
        self._length = length
        self.texts: list[str] = []

    def views(self, texts: Any, **options: Any) -> Views:
        self.texts += texts
        views = super().views(texts, **options)
        return replace(views, dense=replace(views.dense, data=views.dense.data * np.float32(self._length)))
