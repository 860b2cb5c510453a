import itertools
import re
from dataclasses import dataclass

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from shortlist.indexing.passages import fit_title, split_passages
from shortlist.models import Encoder
from shortlist.models.tokenizer import Tokenizer
from shortlist.types import Document, Passage, passage_text


@dataclass
class Words:
    """A tokenizer to which every word and every sign is a token, so that tests can count by hand."""

    max_tokens: int = 22
    overhead: int = 2

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\w+|[^\w\s]", text)]

    def count(self, text: str) -> int:
        return len(self.offsets(text))


@pytest.fixture(scope="session")
def tokenizer(encoder: Encoder) -> Tokenizer:
    return encoder.tokenizer


def spans(document: Document, tokenizer: Words | Tokenizer) -> list[str]:
    return [document.text[p.start : p.end] for p in split_passages(document, tokenizer)]


def excess(document: Document, tokenizer: Tokenizer) -> list[int]:
    """How many tokens of each passage the model would not read."""
    texts = [passage_text(document, passage) for passage in split_passages(document, tokenizer)]
    return [one.truncated_tokens for one in tokenizer(texts)]


def assert_covers(passages: list[Passage], text: str) -> None:
    assert passages[0].start == 0
    assert passages[-1].end == len(text)
    for before, after in itertools.pairwise(passages):
        assert before.start < after.start <= before.end < after.end, "in order, and without a gap"


PIECES = st.sampled_from(
    ["card", "abroad", "unbelievability", "x" * 120, "漢字", "각", "é", "½", "\u0301", "\u200b", "𝒜", "https://a.b/c?d=e"]
) | st.sampled_from([" ", " ", ". ", "! ", "? ", "。", "\n\n", "\t", ".", '." ', "-", ", "])  # fmt: skip
TEXTS = st.lists(PIECES, max_size=60).map("".join)


@given(st.lists(PIECES, max_size=200).map("".join), st.lists(PIECES, max_size=12).map("".join))
def test_passages_cover_the_whole_text_in_order_and_without_a_gap(text: str, title: str) -> None:
    document, _ = fit_title(Document("a", text, title), Words())
    assert_covers(split_passages(document, Words()), text)


@given(st.lists(PIECES, max_size=200).map("".join), st.integers(3, 40))
def test_no_passage_has_more_tokens_than_fit(text: str, max_tokens: int) -> None:
    words = Words(max_tokens)
    for span in spans(Document("a", text), words):
        assert words.count(span) <= max_tokens - words.overhead


@settings(max_examples=30)
@given(TEXTS, st.integers(1, 25), st.lists(PIECES, max_size=4).map("".join))
def test_every_passage_with_its_title_fits_the_model(
    tokenizer: Tokenizer, piece: str, times: int, title: str
) -> None:
    document, _ = fit_title(Document("a", f"{piece} " * times, title), tokenizer)
    assert_covers(split_passages(document, tokenizer), document.text)
    assert set(excess(document, tokenizer)) == {0}


@given(st.lists(PIECES, max_size=30).map("".join), st.lists(PIECES, max_size=60).map("".join))
def test_a_title_is_cut_only_where_the_text_needs_the_room(text: str, title: str) -> None:
    words = Words(max_tokens=22, overhead=2)
    document = Document("a", text, title)
    fitted, cut = fit_title(document, words)
    assert title.startswith(fitted.title)
    assert (fitted == document) == (cut == 0)
    assert words.count(fitted.title) <= max(5, 20 - words.count(text))
    assert cut == 0 or words.count(title) + words.count(text) > 20


def test_a_text_that_fits_is_one_passage_and_one_token_more_makes_two() -> None:
    words = Words(max_tokens=12, overhead=2)
    assert split_passages(Document("a", "word " * 10), words) == [Passage(0, 50)]
    assert len(split_passages(Document("a", "word " * 11), words)) == 2
    assert len(split_passages(Document("a", "word " * 10, "title"), words)) == 2
    assert len(split_passages(Document("a", "word " * 9, "title"), words)) == 1


@pytest.mark.parametrize("text", ["", " ", "\n" * 5000, "x"])
def test_even_a_text_of_nothing_is_one_passage(tokenizer: Tokenizer, text: str) -> None:
    assert split_passages(Document("a", text, "title"), tokenizer) == [Passage(0, len(text))]


def test_the_model_reads_the_title_before_the_span() -> None:
    assert passage_text(Document("a", "one two three", "Title"), Passage(4, 7)) == "Title two"
    assert passage_text(Document("a", "one two three"), Passage(4, 7)) == "two"


def test_passages_overlap_by_a_fifth_of_the_window() -> None:
    words = Words(max_tokens=102, overhead=2)
    document = Document("a", " ".join(f"w{n}" for n in range(1000)))
    cut = [span.split() for span in spans(document, words)]
    for before, after in itertools.pairwise(cut):
        assert len(before) == 100
        assert before[-20:] == after[:20]


def test_passages_end_and_begin_with_sentences_where_some_are_near() -> None:
    words = Words(max_tokens=42, overhead=2)
    document = Document("a", "\n".join(f"The {n}. card (said he) works?" for n in range(1000, 1100)))
    cut = spans(document, words)
    assert len(cut) > 10
    assert all(span.rstrip().endswith(("?", ".")) for span in cut)
    assert all(re.match(r"The \d+\.|card", span) for span in cut)


@pytest.mark.parametrize(
    ("sentence", "end"),
    [("漢字漢字漢字漢。", "。"), ('He said "yes." ', '"'), ("Is it so?! ", "!"), ("One line\n\n", "line")],
)
def test_sentences_end_in_many_ways(sentence: str, end: str) -> None:
    words = Words(max_tokens=32, overhead=2)
    signs = re.sub(r"(?=[漢字])", " ", sentence) if "漢" in sentence else sentence
    cut = spans(Document("a", signs * 40), words)
    assert len(cut) > 3
    assert all(span.rstrip().endswith(end) for span in cut)


def test_without_sentences_passages_end_between_words() -> None:
    words = Words(max_tokens=22, overhead=2)
    text = " ".join(f"e-mail{n}" for n in range(200))
    for span in spans(Document("a", text), words):
        assert re.fullmatch(r"(e-mail\d+\s?)+", span)


def test_a_sentence_that_ends_too_early_does_not_shorten_its_passage() -> None:
    words = Words(max_tokens=22, overhead=2)
    document = Document("a", "Short. " + "word " * 100)
    assert words.count(spans(document, words)[0]) == 20


UNBROKEN = {
    "one word": "a" * 5000,
    "signs": "?!" * 1000,
    "chinese": "海外決済不能" * 300,
    "korean": "카드가" * 600,
}


@pytest.mark.parametrize("text", UNBROKEN.values(), ids=UNBROKEN)
def test_text_without_spaces_is_covered(tokenizer: Tokenizer, text: str) -> None:
    assert_covers(split_passages(Document("a", text), tokenizer), text)
