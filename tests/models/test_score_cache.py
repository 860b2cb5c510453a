from __future__ import annotations

import sqlite3
import threading
from contextlib import closing
from pathlib import Path

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


def test_a_file_keeps_what_memory_forgot_and_other_processes_found(tmp_path: Path) -> None:
    file = tmp_path / "scores.sqlite"
    first = ScoreCache(pairs=2, file=file)
    first.put(keys(1200), scores(1200, 2))
    assert len(first) == 2
    second = ScoreCache(file=file)
    for cache in (first, second):
        found = cache.get([*keys(1200), ScoreCache.key("other", "query 1", "text")])
        assert found[-1] is None
        assert (
            b"".join(value.tobytes() for value in found[:-1] if value is not None)
            == scores(1200, 2).tobytes()
        )
    second.put(keys(1), scores(1) + 7)
    third = ScoreCache(file=file)
    (value,) = third.get(keys(1))
    assert value is not None
    assert value.tolist() == [7.0]
    for cache in (first, second, third):
        cache.close()


def test_a_file_that_is_no_cache_is_refused_and_left_alone(tmp_path: Path) -> None:
    text, other = tmp_path / "notes.txt", tmp_path / "other.sqlite"
    text.write_text("not a database, but long enough to be taken for one" * 20)
    with closing(sqlite3.connect(other)) as connection, connection:
        connection.execute("CREATE TABLE mine (id)")
    before = other.read_bytes()
    with pytest.raises(DataError, match="can't be used as a cache of scores"):
        ScoreCache(file=text)
    with pytest.raises(DataError, match="a database, but no cache of scores"):
        ScoreCache(file=other)
    with pytest.raises(DataError, match="can't be used as a cache of scores"):
        ScoreCache(file=tmp_path / "nowhere" / "scores")
    assert other.read_bytes() == before
