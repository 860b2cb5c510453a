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

ONE = 300 + 1 + 2 * 250 + 40 + 10
"""What keeping ``postings`` of a term of one letter takes."""


def postings(term: str, count: int = 10) -> SegmentPostings:
    return [(0, (np.full(count, ord(term[0]), np.int32), np.ones(count, np.uint8)))]


def test_a_term_is_read_once_and_the_one_that_was_asked_for_longest_ago_is_forgotten_first() -> None:
    read: list[str] = []

    def reading(term: str) -> SegmentPostings:
        read.append(term)
        return postings(term)

    kept = KeptPostings(3 * ONE)  # room for three of them
    for term in ("a", "b", "a", "c", "a", "d", "a", "b"):
        assert kept.get(term, reading)[0][1][0].tolist() == [ord(term)] * 10
    assert read == ["a", "b", "c", "d", "b"]


@pytest.mark.parametrize("most", [0, ONE - 1, 20 * ONE])
def test_no_more_is_kept_than_there_is_room_for(most: int) -> None:
    kept = KeptPostings(most)
    for number in range(100):
        kept.get(chr(256 + number), postings)
    assert len(kept._terms) <= most // (ONE - 10)
    before = list(kept._terms)
    whole = kept.get("large", lambda term: postings(term, 10_000))
    assert len(whole[0][1][0]) == 10_000
    assert list(kept._terms) == before  # what is too large drives nothing out


def test_blocks_that_are_held_and_long_terms_count() -> None:
    block = np.zeros(1 << 20, np.uint8)
    large = [(0, (block[: 1 << 17].view(np.int32), np.ones(10, np.uint8)))]
    kept = KeptPostings(1 << 20)
    kept.get("a", lambda _: large)  # a view of all of the block, which is more than there is room for
    kept.get("x" * (1 << 20), postings)
    assert not kept._terms
    kept.get("b", lambda _: [])  # a word that no document has
    assert not kept._terms
    KeptPostings(2 << 20).get("a", lambda _: large)


def test_what_is_kept_can_t_be_changed_and_holds_no_block() -> None:
    block = np.arange(16384, dtype=np.int32)
    kept = KeptPostings().get("a", lambda _: [(0, (block[10:20], np.ones(10, np.uint8)))])
    ((_, (found, counts)),) = kept
    assert found.base is None
    for one in (found, counts):
        with pytest.raises(ValueError, match="read-only"):
            one[0] = 1


def test_many_may_ask_at_once() -> None:
    kept = KeptPostings(9 * ONE)
    with ThreadPoolExecutor(8) as pool:
        asked = [chr(97 + number % 26) for number in range(2000)]
        for term, found in zip(asked, pool.map(lambda term: kept.get(term, postings), asked), strict=True):
            assert found[0][1][0][0] == ord(term)
    assert kept._bytes == ONE * len(kept._terms) == 9 * ONE


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
        (least + vectors - 1, 0),
        (4_000_000_000, KEPT_BYTES),
    ):
        with store.snapshot(memory) as snapshot:
            assert snapshot._kept.most_bytes == room
