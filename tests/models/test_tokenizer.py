from pathlib import Path

import pytest
import tokenizers
from tokenizers.models import WordPiece

from shortlist import ModelError
from shortlist.models.folders import DEFAULT
from shortlist.models.tokenizer import Tokenizer
from tests.models.texts import TEXTS
from tests.models.tiny_model import make_tokenizer, token_ids


@pytest.fixture
def tokenizer(tmp_path: Path) -> Tokenizer:
    """The tiny model's, saved with padding to 12 and truncation to 4, which must not act."""
    make_tokenizer().save(str(tmp_path / "tokenizer.json"))
    return Tokenizer(tmp_path / "tokenizer.json", max_tokens=8)


@pytest.mark.parametrize("text", ["", "cat", "cat DOG unheard bird fish"])
def test_a_text_that_fits_is_neither_padded_nor_cut(tokenizer: Tokenizer, text: str) -> None:
    (found,) = tokenizer([text])
    assert list(found.ids) == token_ids(text)
    assert found.truncated_tokens == 0


@pytest.mark.parametrize("words", [6, 7, 20])
def test_a_text_beyond_the_limit_keeps_its_first_tokens_and_the_special_ones(
    tokenizer: Tokenizer, words: int
) -> None:
    (found,) = tokenizer(["cat " * words])
    assert list(found.ids) == token_ids("cat " * 6)
    assert found.truncated_tokens == words - 6


def test_a_cut_text_does_not_change_its_neighbours(tokenizer: Tokenizer) -> None:
    texts = ["cat", "dog " * 30, "bird", "fish " * 9, ""]
    assert tokenizer(texts) == [tokenizer([text])[0] for text in texts]


def test_spans_are_code_points_of_the_text_without_special_tokens(tokenizer: Tokenizer) -> None:
    text = "  cat  𝓭𝓸𝓰 unheard"
    assert [text[start:end] for start, end in tokenizer.offsets(text)] == ["cat", "𝓭𝓸𝓰", "unheard"]


@pytest.mark.parametrize("text", [text for text in TEXTS if len(text) < 1000])
def test_a_text_has_as_many_ids_as_it_has_tokens_and_special_ones(text: str) -> None:
    tokenizer = Tokenizer(DEFAULT / "tokenizer.json", max_tokens=512)
    assert tokenizer.overhead == 2
    assert len(tokenizer([text])[0].ids) == tokenizer.count(text) + 2 == len(tokenizer.offsets(text)) + 2


def test_a_tokenizer_that_is_made_to_lower_case_does_so_for_ids_counts_and_spans(tmp_path: Path) -> None:
    pieces = WordPiece({"[UNK]": 0, "ca": 1, "##t": 2, "i": 3}, unk_token="[UNK]")
    tokenizers.Tokenizer(pieces).save(str(tmp_path / "tokenizer.json"))
    tokenizer = Tokenizer(tmp_path / "tokenizer.json", max_tokens=8, lower_case=True)
    assert list(tokenizer(["CAT"])[0].ids) == [1, 2]
    assert tokenizer.count("CAT") == 2
    assert tokenizer.offsets("CAT") == [(0, 2), (2, 3)]


def test_a_file_that_is_missing_or_no_tokenizer_is_named(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").write_text("{}", encoding="utf-8")
    for name, message in (
        ("tokenizer.json", "tokenizer.json: can't be read"),
        ("nowhere.json", "no nowhere.json"),
    ):
        with pytest.raises(ModelError, match=message):
            Tokenizer(tmp_path / name, max_tokens=8)
