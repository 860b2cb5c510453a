"""A collection whose token vectors lie in 4 or 2 bits a component."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from shortlist import Collection, CollectionError
from shortlist.evaluation.sources import opened
from tests.search.corpus import documents

QUERY = "how long does rice take"


@pytest.mark.parametrize("bits", [8, 4, 2])
def test_a_collection_takes_less_space_and_finds_the_same(tmp_path: Path, bits: int) -> None:
    collection, _ = Collection.build(tmp_path / "c", documents(), token_bits=bits)
    with collection:
        info = collection.info()
        assert info.token_bits == bits
        assert info.size_bytes["tokens"] == info.token_vectors * 128 * bits // 8
        assert collection.search(QUERY, 1, pipeline="late").ranking[0].doc_id == "kitchen-6"
        assert collection.check(deep=True) == []
    with Collection.open(tmp_path / "c") as again:
        assert again.info().token_bits == bits


@pytest.mark.parametrize("bits", [4, 2])
def test_a_collection_that_grew_ranks_as_one_built_at_once(tmp_path: Path, bits: int) -> None:
    every = documents()
    fresh, _ = Collection.build(tmp_path / "fresh", every, token_bits=bits)
    grown = Collection.create(tmp_path / "grown", token_bits=bits)
    for start in range(0, len(every), 7):
        grown.add(every[start : start + 7])
    grown.delete([every[0].doc_id])
    grown.add(every[:1])
    grown.compact()
    with fresh, grown:
        for pipeline in ("late", "hybrid+late"):
            one, other = (each.search(QUERY, 20, pipeline=pipeline).ranking for each in (fresh, grown))
            assert list(one) == list(other)
        assert grown.check(deep=True) == []


def test_a_damaged_collection_is_repaired_with_its_bits(tmp_path: Path) -> None:
    collection, _ = Collection.build(tmp_path / "c", documents(), token_bits=4)
    with collection:
        before = collection.search(QUERY, 10, pipeline="late").ranking
    (segment,) = (tmp_path / "c" / "segments").iterdir()
    content = bytearray(segment.read_bytes())
    with Collection.open(tmp_path / "c") as sound, sound.store.snapshot() as snapshot:
        place = snapshot.segments[0].file.sections["tokens"]
        tokens = np.asarray(place[:20]).tobytes()
    content[content.find(tokens)] ^= 255
    segment.write_bytes(content)
    assert Collection.repair(tmp_path / "c").segments == 1
    with Collection.open(tmp_path / "c") as again:
        assert list(again.search(QUERY, 10, pipeline="late").ranking) == list(before)


@pytest.mark.parametrize("bits", [0, 1, 3, 16, True, 4.0, "4"])
def test_other_bits_are_refused(tmp_path: Path, bits: object) -> None:
    with pytest.raises(CollectionError, match="token_bits must be 8, 4 or 2"):
        Collection.create(tmp_path / "c", token_bits=bits)  # type: ignore[arg-type]
    assert not (tmp_path / "c").exists()


def test_bits_need_token_vectors(tmp_path: Path) -> None:
    with pytest.raises(CollectionError, match="token_bits is of token vectors, and token_vectors is False"):
        Collection.create(tmp_path / "c", token_bits=4, token_vectors=False)


def test_a_collection_of_other_bits_is_not_used_again(tmp_path: Path) -> None:
    source = tmp_path / "docs.jsonl"
    source.write_text('{"id": "a", "text": "Rice takes twenty minutes."}\n')
    with opened(source, keep=tmp_path / "kept", token_bits=4):
        pass
    with opened(source, keep=tmp_path / "kept", token_bits=4) as (collection, _):
        assert collection.info().documents == 1
    with (
        pytest.raises(CollectionError, match="has token vectors of 4 bits, not 8"),
        opened(source, keep=tmp_path / "kept"),
    ):
        pass
