"""How a text becomes the terms that BM25 and TF-IDF count; documents and queries alike."""

from __future__ import annotations

import re
import unicodedata
from functools import cache

import Stemmer

from shortlist.collection.stopwords import STOP_WORDS
from shortlist.errors import CollectionError

__all__ = ["LANGUAGES", "Analyzer"]

LANGUAGES: tuple[str, ...] = tuple(Stemmer.algorithms())
_WORD = re.compile(r"\w+")


class Analyzer:
    """Split a text into terms: Unicode NFKC, lower case, word characters, stop words out, Snowball stem.

    The language is a setting of the collection. Only English has stop words; the others are stemmed.

    >>> Analyzer("english").terms("The cards weren't working abroad.")
    ['card', 'weren', 'work', 'abroad']
    """

    def __init__(self, language: str = "english") -> None:
        if language not in LANGUAGES:
            raise CollectionError(
                f"language {language!r} has no stemmer", hint=f"choose one of {', '.join(LANGUAGES)}"
            )
        self.language = language
        self._stop_words = STOP_WORDS.get(language, frozenset())
        self._stem = cache(Stemmer.Stemmer(language).stemWord)

    def words(self, text: str) -> list[tuple[str, int, int]]:
        """Give every word with its term (empty for a stop word) and its span in ``text``, for highlighting.

        NFKC can change the length of a text, so words are found first and normalised one at a time.
        """
        return [(self._term(match[0]), *match.span()) for match in _WORD.finditer(text)]

    def terms(self, text: str) -> list[str]:
        """Give the terms of ``text`` in order, repeated as often as they occur."""
        folded = unicodedata.normalize("NFKC", text).lower()
        stop_words, stem = self._stop_words, self._stem
        return [stem(word) for word in _WORD.findall(folded) if word not in stop_words]

    def _term(self, word: str) -> str:
        return " ".join(self.terms(word))
