"""A query is encoded once, and no query waits for another to be encoded."""

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier
from typing import cast

import numpy as np
import pytest

from shortlist.collection import Analyzer
from shortlist.models import Encoder, QueryVectors
from shortlist.search import PreparedQuery


class Meeting:
    """Stand in for an encoder; encodes when as many queries as ``count`` have come."""

    def __init__(self, count: int) -> None:
        self.barrier = Barrier(count)
        self.asked = 0

    def queries(self, texts: list[str], *, threads: int) -> list[QueryVectors]:  # noqa: ARG002
        self.barrier.wait(timeout=30)
        self.asked += 1
        return [QueryVectors(np.ones(4, np.float32), np.ones((1, 4), np.float32)) for _ in texts]


def prepared(encoder: Meeting, text: str) -> PreparedQuery:
    return PreparedQuery(text, Analyzer(), lambda: cast(Encoder, encoder))


@pytest.mark.parametrize("name", ["vectors", "dense", "tokens"])
def test_queries_of_several_threads_are_encoded_at_the_same_time(name: str) -> None:
    encoder = Meeting(3)
    queries = [prepared(encoder, text) for text in ("one", "two", "three")]
    with ThreadPoolExecutor(3) as pool:
        found = list(pool.map(lambda query: getattr(query, name), queries))
    assert len(found) == 3


def test_a_query_is_encoded_once_and_says_whether_it_is() -> None:
    encoder = Meeting(1)
    query = prepared(encoder, "one")
    assert not query.is_encoded
    assert query.vectors is query.vectors
    assert query.is_encoded
    assert encoder.asked == 1
