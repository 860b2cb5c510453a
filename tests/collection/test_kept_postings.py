from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, Document
from shortlist.collection import Store
from shortlist.collection.kept_postings import KEPT_BYTES, KeptPostings, SegmentPostings
from shortlist.memory import PROGRAM_BYTES
from tests.search.corpus import QUERIES, documents


def postings(term: str, count: int = 10) -> SegmentPostings:
    return [(0, (np.full(count, ord(term[0]), np.int32), np.ones(count, np.uint8)))]


def test_a_term_is_read_once_and_the_one_that_was_asked_for_longest_ago_is_forgotten_first() -> None:
    read: list[str] = []

    def reading(term: str) -> SegmentPostings:
        read.append(term)
        return postings(term)

    kept = KeptPostings(3 * 550)  # room for three of them
    for term in ("a", "b", "a", "c", "a", "d", "a", "b"):
        assert kept.get(term, reading)[0][1][0].tolist() == [ord(term)] * 10
    assert read == ["a", "b", "c", "d", "b"]


@pytest.mark.parametrize("most", [0, 500, 10_000])
def test_no_more_is_kept_than_there_is_room_for(most: int) -> None:
    kept = KeptPostings(most)
    for number in range(100):
        kept.get(f"{number}", postings)
        assert sum(500 + d.nbytes + c.nbytes for found in kept._terms.values() for _, (d, c) in found) <= most
    whole = kept.get("large", lambda term: postings(term, 10_000))
    assert len(whole[0][1][0]) == 10_000
    assert "large" not in kept._terms
    assert len(kept._terms) == most // 550  # what is too large drives nothing out


def test_what_is_kept_can_t_be_changed_and_holds_no_block() -> None:
    block = np.arange(16384, dtype=np.int32)
    kept = KeptPostings().get("a", lambda _: [(0, (block[10:20], np.ones(10, np.uint8)))])
    ((_, (found, counts)),) = kept
    assert found.base is None
    for one in (found, counts):
        with pytest.raises(ValueError, match="read-only"):
            one[0] = 1


def test_many_may_ask_at_once() -> None:
    kept = KeptPostings(5000)
    with ThreadPoolExecutor(8) as pool:
        asked = [chr(97 + number % 26) for number in range(2000)]
        for term, found in zip(asked, pool.map(lambda term: kept.get(term, postings), asked), strict=True):
            assert found[0][1][0][0] == ord(term)
    assert kept._bytes == 550 * len(kept._terms) <= 5000


def test_the_same_is_found_again_and_after_each_commit(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", token_vectors=False) as collection:
        collection.add(documents()[:20])

        def found() -> list[object]:
            return [collection.search(query, 10, pipeline="bm25").ranking for query in QUERIES]

        first = found()
        assert found() == first
        collection.add([*documents()[20:], Document("salt", "salt " * 20)])
        with Collection.open(tmp_path / "c") as other:
            assert found() == [other.search(query, 10, pipeline="bm25").ranking for query in QUERIES]
        assert found() != first


def test_a_limit_of_memory_leaves_room_for_them_or_none(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", token_vectors=False) as collection:
        collection.add(documents())
    store = Store(tmp_path / "c")
    with store.snapshot() as snapshot:
        least = PROGRAM_BYTES + sum(segment.kept_bytes for segment in snapshot.segments)
        vectors = sum(segment.sizes["dense"] for segment in snapshot.segments)
        assert snapshot._kept.most_bytes == KEPT_BYTES
    for memory, room in (
        (least, 0),
        (least + vectors + 1000, 1000),
        (least + vectors - 1, vectors - 1),
        (4_000_000_000, KEPT_BYTES),
    ):
        with store.snapshot(memory) as snapshot:
            assert snapshot._kept.most_bytes == room
