"""A text's vectors are the same bytes alone, in any batch, and on any number of threads."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist import Encoder
from shortlist.models import Views, folders
from tests.models.texts import TEXTS

MODES = ["fast", "graph", "exact"]
BATCHES = st.lists(st.integers(0, len(TEXTS) - 1), max_size=8)


def as_bytes(views: Views, index: int) -> tuple[bytes, bytes]:
    return views.dense.data[index].tobytes(), views.tokens[index].tobytes()


@pytest.fixture(scope="module")
def alone(encoders: dict[str, Encoder]) -> dict[str, list[tuple[bytes, bytes]]]:
    """The vectors of every text by itself, by mode."""
    return {mode: [as_bytes(encoders[mode].views([text], threads=1), 0) for text in TEXTS] for mode in MODES}


@pytest.mark.parametrize("mode", MODES)
@settings(max_examples=25)
@given(batch=BATCHES, threads=st.integers(1, 3))
def test_vectors_do_not_depend_on_the_batch_or_the_threads(
    encoders: dict[str, Encoder],
    alone: dict[str, list[tuple[bytes, bytes]]],
    mode: str,
    batch: list[int],
    threads: int,
) -> None:
    views = encoders[mode].views([TEXTS[index] for index in batch], threads=threads)
    assert [as_bytes(views, place) for place in range(len(batch))] == [alone[mode][index] for index in batch]


@pytest.mark.parametrize("mode", MODES)
def test_all_texts_at_once_get_the_bytes_of_each_alone(
    encoders: dict[str, Encoder], alone: dict[str, list[tuple[bytes, bytes]]], mode: str
) -> None:
    views = encoders[mode].views(TEXTS)
    assert [as_bytes(views, index) for index in range(len(TEXTS))] == alone[mode]


@pytest.mark.parametrize("mode", MODES)
def test_many_short_texts_in_one_forward_get_the_bytes_of_each_alone(
    encoders: dict[str, Encoder], mode: str
) -> None:
    words = ["card", "bank", "dough", "star", "rain", "leaf", "port", "pill"]
    texts = [f"{first} {second}" for first in words for second in words]
    together = encoders[mode].views(texts, threads=1)
    for index in (0, 17, 63):
        assert as_bytes(together, index) == as_bytes(encoders[mode].views([texts[index]]), 0)


@pytest.mark.parametrize("mode", MODES)
@pytest.mark.parametrize("budget", [1, 64])
def test_a_batch_of_any_size_changes_no_bit(
    alone: dict[str, list[tuple[bytes, bytes]]],
    monkeypatch: pytest.MonkeyPatch,
    mode: str,
    budget: int,
) -> None:
    monkeypatch.setattr(folders, "BATCH_TOKENS", budget)
    texts = TEXTS[:18]
    encoder = Encoder.load(mode="exact" if mode == "exact" else "fast", kernels=mode != "graph")
    views = encoder.views(texts)
    assert [as_bytes(views, index) for index in range(len(texts))] == alone[mode][: len(texts)]
