from __future__ import annotations

import threading

import numpy as np
import pytest

from shortlist import DataError
from shortlist.models.score_cache import ScoreCache


def keys(count: int, model: str = "m") -> list[bytes]:
    return [ScoreCache.key(model, f"query {number}", "text") for number in range(count)]


def scores(count: int, labels: int = 1) -> np.ndarray:
    return np.arange(count * labels, dtype=float).reshape(count, labels) / 3


def test_what_was_put_is_got_bit_for_bit() -> None:
    cache = ScoreCache()
    cache.put(keys(4), scores(4, 3))
    found = cache.get([*keys(5), keys(1)[0]])
    assert found[4] is None
    for value, expected in zip(found[:4], scores(4, 3), strict=True):
        assert value is not None
        assert value.tobytes() == expected.tobytes()
    assert found[5] is not None


def test_the_key_depends_on_model_query_and_text_and_on_where_one_ends() -> None:
    made = {
        ScoreCache.key(*parts)
        for parts in (("m", "q", "t"), ("n", "q", "t"), ("m", "qt", ""), ("m", "", "qt"))
    }
    assert len(made) == 4


def test_the_least_recently_used_are_forgotten() -> None:
    cache = ScoreCache(pairs=3)
    cache.put(keys(3), scores(3))
    cache.get(keys(1))  # now the first is the last used
    cache.put(keys(4)[3:], scores(1))
    assert [value is not None for value in cache.get(keys(4))] == [True, False, True, True]
    assert len(cache) == 3


def test_threads_share_it() -> None:
    cache = ScoreCache()

    def work(model: str) -> None:
        for number in range(50):
            cache.put(keys(number + 1, model)[-1:], scores(1) + number)
            cache.get(keys(number + 1, model))

    workers = [threading.Thread(target=work, args=(f"m{number}",)) for number in range(4)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    for number in range(4):
        found = cache.get(keys(50, f"m{number}"))
        assert [float(value[0]) for value in found if value is not None] == list(range(50))


def test_it_holds_something() -> None:
    with pytest.raises(DataError, match="at least 1 pair"):
        ScoreCache(pairs=0)
