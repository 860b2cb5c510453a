from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from shortlist import Collection, DataError
from shortlist.evaluation import costs as costs_module
from shortlist.evaluation.costs import bytes_by_part, costs, encode_ms, model_bytes, time_searches
from shortlist.evaluation.judged import Judged
from shortlist.models.folders import DEFAULT
from shortlist.search import NAMES, parse
from tests.models.tiny_model import write_folder

PARTS = {"texts": 100.0, "words": 30.0, "vectors": 400.0, "tokens": 9000.0}


def test_the_parts_of_a_collection_sum_up_to_what_grows_with_its_documents(collection: Collection) -> None:
    info = collection.info()
    fixed = info.size_bytes["generation"] + info.size_bytes["frame"]
    by_part = bytes_by_part(collection)
    assert set(by_part) == set(PARTS)
    assert sum(by_part.values()) * info.documents == pytest.approx(sum(info.size_bytes.values()) - fixed)
    assert by_part["tokens"] * info.documents == pytest.approx(
        sum(info.size_bytes[name] for name in ("tokens", "token_offsets", "token_checksums"))
    )
    assert by_part["vectors"] * info.documents == pytest.approx(
        info.size_bytes["dense"] + info.size_bytes["dense_checksums"]
    )


def test_a_collection_without_token_vectors_has_no_bytes_of_them(tmp_path: Path) -> None:
    with Collection.create(tmp_path / "c", token_vectors=False) as small:
        assert bytes_by_part(small)["tokens"] == 0  # with no document either
        small.add([{"id": "a", "text": "moon"}])
        assert bytes_by_part(small)["tokens"] == 0
        assert bytes_by_part(small)["vectors"] >= 384


@pytest.mark.parametrize(
    ("pipeline", "paid"),
    [
        ("bm25", {"texts", "words"}),
        ("tfidf", {"texts", "words"}),
        ("dense", {"texts", "vectors"}),
        ("late", {"texts", "tokens"}),
        ("hybrid", {"texts", "words", "vectors"}),
        ("hybrid+late", {"texts", "words", "vectors", "tokens"}),
        ("rerank(bm25, maxsim)", {"texts", "words", "tokens"}),
        ("fuse(bm25, tfidf)", {"texts", "words"}),
    ],
)
def test_a_pipeline_pays_for_what_it_reads_and_no_more(pipeline: str, paid: set[str]) -> None:
    found = costs(parse(pipeline), PARTS, 12.5, 23_000_000)
    assert found.bytes_per_document == {name: PARTS[name] for name in PARTS if name in paid}
    assert found.total_bytes == sum(PARTS[name] for name in paid)
    by_meaning = bool(paid & {"vectors", "tokens"})
    assert found.encode_ms == (12.5 if by_meaning else 0)
    assert found.model_bytes == (23_000_000 if by_meaning else 0)


def test_the_model_is_as_large_as_its_files(collection: Collection, tmp_path: Path) -> None:
    expected = sum(path.stat().st_size for path in DEFAULT.rglob("*") if path.is_file())
    assert model_bytes(collection) == expected > 1_000_000
    own = write_folder(tmp_path / "own")
    with Collection.create(tmp_path / "c", model=own, mode="exact"):
        pass
    moved = own.rename(tmp_path / "moved")
    with Collection.open(tmp_path / "c", model=moved) as found:
        assert model_bytes(found) == sum(p.stat().st_size for p in moved.rglob("*") if p.is_file()) > 0


def test_encoding_a_document_takes_time(collection: Collection) -> None:
    assert 0.1 < encode_ms(collection) < 10_000


class TestLatency:
    def test_has_its_stages_and_the_number_of_searches(self, collection: Collection, judged: Judged) -> None:
        names = ["bm25", "dense", "hybrid+late"]
        done: list[int] = []
        found = time_searches(
            [(collection, NAMES[name]) for name in names], judged.queries, most=5, progress=done.append
        )
        assert len(found) == 3
        assert done == [1] * 5
        for latency in found:
            assert latency.queries == 5
            assert 0 < latency.p50_ms <= latency.p95_ms
            assert all(0 <= p50 <= p95 for p50, p95 in latency.stages.values())
            assert not {"total", "load"} & set(latency.stages)
        assert {"bm25", "fetch"} <= set(found[0].stages)
        assert not {"encode", "dense"} & set(found[0].stages)
        assert {"encode", "dense"} <= set(found[1].stages)
        assert {"encode", "bm25", "dense", "late"} <= set(found[2].stages)

    def test_of_two_collections_is_taken_in_turn(self, judged: Judged) -> None:
        searched: list[str] = []

        class Named:
            def __init__(self, name: str) -> None:
                self.name = name

            def forget_scores(self) -> None:
                pass

            def search(self, *_: object, **__: object) -> Any:
                searched.append(self.name)
                return SimpleNamespace(timings_ms={"total": 1.0 if self.name == "small" else 3.0})

        pairs: Any = [(Named("small"), NAMES["bm25"]), (Named("large"), NAMES["bm25"])]
        small, large = time_searches(pairs, judged.queries, most=4)
        assert (small.p50_ms, large.p50_ms) == (1.0, 3.0)
        assert searched == ["small"] * 3 + ["large"] * 3 + ["small", "large"] * 4

    def test_is_of_all_queries_where_there_are_few(self, collection: Collection, judged: Judged) -> None:
        (found,) = time_searches([(collection, NAMES["bm25"])], judged.queries[:2])
        assert found.queries == 2

    def test_of_a_slow_pipeline_is_of_fewer_searches(
        self, collection: Collection, judged: Judged, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(costs_module, "BUDGET_S", 0.0)
        monkeypatch.setattr(costs_module, "LEAST_QUERIES", 4)
        (found,) = time_searches([(collection, NAMES["bm25"])], judged.queries)
        assert found.queries == 4

    def test_of_no_query_is_refused(self, collection: Collection, judged: Judged) -> None:
        with pytest.raises(DataError, match="no query to time"):
            time_searches([(collection, NAMES["bm25"])], [])
        with pytest.raises(DataError, match="no query to time"):
            time_searches([(collection, NAMES["bm25"])], judged.queries, most=0)
