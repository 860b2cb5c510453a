"""What everyone may expect of an encoder: see ``EncodesTexts`` in shortlist/protocols.py."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import DataError, Encoder
from tests.models.texts import TEXTS

KINDS = ["default, fast", "default, exact", "sentence-transformers, cosine", "sentence-transformers, dot"]
SHORT = [text for text in TEXTS if len(text) < 150]

every_encoder = pytest.mark.parametrize("kind", KINDS)


@every_encoder
def test_every_text_gets_one_finite_float32_vector(encoders: dict[str, Encoder], kind: str) -> None:
    encoder = encoders[kind]
    vectors = encoder.encode(TEXTS)
    assert vectors.dtype == np.float32
    assert vectors.shape == (len(TEXTS), encoder.settings.dimensions)
    assert np.isfinite(vectors).all()


@every_encoder
def test_every_token_gets_one_vector_of_length_1(encoders: dict[str, Encoder], kind: str) -> None:
    encoder = encoders[kind]
    views = encoder.views(TEXTS)
    assert len(views.tokens) == len(views.dense) == len(views.truncated_tokens) == len(TEXTS)
    assert views.tokens.dimensions == encoder.settings.token_dimensions
    for text, tokens, cut in zip(TEXTS, views.tokens, views.truncated_tokens, strict=True):
        assert len(tokens) + cut == encoder.tokenizer.count(text) + encoder.tokenizer.overhead
        assert len(tokens) <= encoder.settings.max_tokens
        np.testing.assert_allclose(np.linalg.norm(tokens, axis=1), 1, atol=1e-5)


@every_encoder
def test_vectors_have_length_1_exactly_where_the_model_compares_by_cosine(
    encoders: dict[str, Encoder], kind: str
) -> None:
    encoder = encoders[kind]
    lengths = np.linalg.norm(encoder.encode(TEXTS), axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) == (encoder.settings.similarity == "cosine")


@every_encoder
def test_no_texts_get_no_vectors(encoders: dict[str, Encoder], kind: str) -> None:
    encoder = encoders[kind]
    assert encoder.encode([]).shape == (0, encoder.settings.dimensions)


@every_encoder
@settings(max_examples=15)
@given(order=st.permutations(range(len(SHORT))), threads=st.none() | st.integers(1, 3))
def test_vectors_come_in_the_order_of_the_texts_and_are_the_same_bytes_in_any(
    encoders: dict[str, Encoder], kind: str, order: list[int], threads: int | None
) -> None:
    encoder = encoders[kind]
    expected = encoder.encode(SHORT)
    found = encoder.encode([SHORT[index] for index in order], threads=threads)
    assert found.tobytes() == expected[order].tobytes()


@every_encoder
def test_a_text_alone_gets_the_bytes_that_it_gets_among_others(
    encoders: dict[str, Encoder], kind: str
) -> None:
    encoder = encoders[kind]
    together = encoder.views(SHORT)
    for index, text in enumerate(SHORT):
        alone = encoder.views([text])
        assert alone.dense.data[0].tobytes() == together.dense.data[index].tobytes()
        assert alone.tokens.data.tobytes() == together.tokens[index].tobytes()


@every_encoder
def test_texts_may_come_in_any_sequence(encoders: dict[str, Encoder], kind: str) -> None:
    encoder = encoders[kind]
    assert encoder.encode(tuple(SHORT)).tobytes() == encoder.encode(SHORT).tobytes()


@every_encoder
def test_what_is_no_text_is_refused(encoders: dict[str, Encoder], kind: str) -> None:
    with pytest.raises(DataError, match="text 0 is NoneType"):
        encoders[kind].encode([None])  # type: ignore[list-item]
