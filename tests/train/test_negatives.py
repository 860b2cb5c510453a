from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from shortlist import Collection, CollectionError, DataError, parse
from shortlist.train.examples import Example
from shortlist.train.negatives import Mining, mine
from tests.search.corpus import documents

TEXTS = {document.doc_id: f"{document.title} {document.text}".strip() for document in documents()}
PAIRS = [
    Example("my card was refused in Spain", TEXTS["bank-0"], source="bank"),
    Example("card stolen", TEXTS["bank-2"], source="bank"),
    Example("how long does rice take", TEXTS["kitchen-6"]),
    Example("telescope", TEXTS["sky-0"]),
]
ODD = ("long", "no", "stop")
EXTRA = [
    Example(f"about {doc_id}", text) for doc_id, text in TEXTS.items() if doc_id.split("-")[0] not in ODD
]
BM25 = (parse("bm25"),)


def settings(*names: str, **changes: Any) -> Mining:
    """Mining in all passages."""
    return Mining(tuple(parse(name) for name in names), **{"depth": 100, **changes})


def test_negatives_are_near_the_query_and_no_answers() -> None:
    mined = mine([*PAIRS, *EXTRA], settings("dense", count=3, last=5))
    assert [example.query for example in mined.examples[:4]] == [pair.query for pair in PAIRS]
    for example, pair in zip(mined.examples, [*PAIRS, *EXTRA], strict=True):
        assert example.passage == pair.passage
        assert example.source == pair.source
        assert len(example.negatives) == len(set(example.negatives)) == 3
        assert pair.passage not in example.negatives
        assert len(example.scores) == 4
    card = mined.examples[0]
    assert sum("card" in text or "account" in text or "currency" in text for text in card.negatives) >= 2


def test_scores_are_those_of_the_first_pipeline(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    mined = mine([*PAIRS, *EXTRA], settings("dense", "bm25", count=2, last=5), keep=kept)
    with Collection.open(kept) as collection:
        texts = {hit.doc_id: found.text for hit, found in collection.search("x", 100, pipeline="dense")}
        for example in mined.examples[:4]:
            ranking = collection.search(example.query, 100, pipeline="dense").ranking
            scores = {texts[hit.doc_id]: hit.score for hit in ranking}
            assert example.scores == tuple(scores[text] for text in example.passages)
    again = mine([*PAIRS, *EXTRA], settings("dense", "bm25", count=2, last=5), keep=kept)
    assert again.examples == mined.examples


def test_in_little_memory_it_finds_the_same_and_in_too_little_nothing_is_left(tmp_path: Path) -> None:
    asked = settings("hybrid+late", count=3, last=5)
    expected = mine([*PAIRS, *EXTRA], asked)
    kept = tmp_path / "kept"
    assert mine([*PAIRS, *EXTRA], asked, keep=kept, memory=600_000_000).examples == expected.examples
    with pytest.raises(CollectionError, match=r"of memory, the limit is 10\.0 MB"):
        mine([*PAIRS, *EXTRA], asked, keep=kept, memory=10_000_000)
    with pytest.raises(CollectionError, match=r"of memory, the limit is 10\.0 MB"):
        mine([*PAIRS, *EXTRA], asked, keep=tmp_path / "other", memory=10_000_000)
    assert not (tmp_path / "other").exists()


def test_a_kept_collection_of_other_passages_is_refused(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    mine([*PAIRS, *EXTRA], settings("dense", count=2), keep=kept)
    with pytest.raises(DataError, match="holds other passages than these examples"):
        mine([*PAIRS, *EXTRA[:-1]], settings("dense", count=2), keep=kept)
    reordered = mine([*EXTRA[::-1], *PAIRS], settings("dense", count=2), keep=kept)
    fresh = mine([*EXTRA[::-1], *PAIRS], settings("dense", count=2))
    assert reordered.examples == fresh.examples


def test_the_same_window_of_two_passages_is_no_negative_of_itself() -> None:
    opening = " ".join(TEXTS[f"garden-{number}"] for number in range(6))
    pairs = [Example("winter pruning", f"{opening} One ending."), Example("roses", f"{opening} Another.")]
    mined = mine([*pairs, *EXTRA], settings("dense", count=6, last=10, max_tokens=48))
    for example in mined.examples:
        assert example.passage not in example.negatives
        assert len(set(example.negatives)) == len(example.negatives)


def test_another_passage_that_answers_the_same_query_is_no_negative() -> None:
    pairs = [Example("card", text) for doc_id, text in TEXTS.items() if doc_id.startswith("bank")]
    mined = mine([*pairs, *EXTRA], settings("dense", count=4, last=12))
    answers = {pair.passage for pair in pairs}
    for example in mined.examples[: len(pairs)]:
        assert not answers & set(example.negatives)


def test_every_pipeline_gives_its_share() -> None:
    one, two = (mine([*PAIRS, *EXTRA], settings(name, count=4, last=4)) for name in ("dense", "late"))
    both = mine([*PAIRS, *EXTRA], settings("dense", "late", count=4, last=4))
    for dense, late, mixed in zip(one.examples, two.examples, both.examples, strict=False):
        assert set(mixed.negatives) <= set(dense.negatives) | set(late.negatives)
        assert len(set(mixed.negatives) & set(late.negatives)) >= 2


def test_ranks_bound_where_negatives_come_from() -> None:
    near = mine([*PAIRS, *EXTRA], settings("dense", first=1, last=3, count=3))
    far = mine([*PAIRS, *EXTRA], settings("dense", first=20, last=30, count=3))
    for close, distant in zip(near.examples, far.examples, strict=True):
        assert min(close.scores[1:]) > max(distant.scores[1:])


def test_a_margin_leaves_out_likely_answers() -> None:
    everything = mine([*PAIRS, *EXTRA], settings("dense", count=2, last=40))
    careful = mine([*PAIRS, *EXTRA], settings("dense", count=2, last=40, margin=0.3))
    assert len(careful.examples) > 40
    assert all(max(example.scores[1:]) <= 0.7 * example.scores[0] + 1e-6 for example in careful.examples)
    assert any(max(example.scores[1:]) > 0.7 * example.scores[0] for example in everything.examples)


def test_what_can_t_be_used_is_counted() -> None:
    pairs = [*PAIRS, Example("zzz", TEXTS["sky-1"])]
    mined = mine([*pairs, *EXTRA], Mining(BM25, count=1))
    assert mined.without_answer >= 1
    assert "zzz" not in {example.query for example in mined.examples}
    nearly_alone = mine(PAIRS, settings("dense", count=4))
    assert (nearly_alone.examples, nearly_alone.without_negatives) == ([], 4)


def test_a_long_passage_is_cut_and_the_window_that_answers_is_taken() -> None:
    long = " ".join(
        [*(text for doc_id, text in TEXTS.items() if "garden" in doc_id), TEXTS["sky-0"], "Filler. " * 60]
    )
    pairs = [Example("what does the Hubble space telescope orbit", long)]
    mined = mine([*pairs, *EXTRA], settings("dense", count=2, max_tokens=48))
    assert "Hubble" in mined.examples[0].passage
    assert len(mined.examples[0].passage) < len(long) / 3
    assert mined.examples[0].passage in long


def test_the_same_seed_draws_the_same() -> None:
    chosen = settings("dense", count=2, last=20)
    first, again, other = (
        mine([*PAIRS, *EXTRA], each).examples for each in (chosen, chosen, replace(chosen, seed=1))
    )
    assert first == again
    assert first != other


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"pipelines": ()}, "at least one pipeline"),
        ({"first": 5, "last": 4}, "ranks 5 to 4 of 50, which are none"),
        ({"last": 60}, "ranks 1 to 60 of 50"),
        ({"first": 0}, "ranks 0 to 30"),
        ({"count": 0}, "must be at least 1, not 0"),
        (
            {"pipelines": (parse("rerank(bm25, dense, depth=20)"),)},
            "scores 20 documents, 50 are to have scores",
        ),
    ],
)
def test_settings_that_make_no_sense_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(DataError, match=message):
        Mining(**{"pipelines": BM25, **changes})  # type: ignore[arg-type]
