"""Which documents have a term, and how often: sorted arrays, built in one pass and merged without a loop.

``terms`` are bytes (words in UTF-8, values of metadata as `metadata` writes them), sorted and joined;
``term_offsets`` cut them apart. Term ``i`` occurs in the documents
``documents[posting_offsets[i]:posting_offsets[i + 1]]`` (numbers within the segment, ascending),
``frequencies`` times in each. The last two are arrays when postings are built and sections of a file, read
slice by slice, when they are searched.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, fields
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import Section, offsets_of

__all__ = ["PARTS", "Postings"]


@dataclass(frozen=True, eq=False)
class Postings:
    """Hold the inverted index of one segment; see the module for the arrays."""

    terms: NDArray[np.uint8]
    term_offsets: NDArray[np.int64]
    posting_offsets: NDArray[np.int64]
    documents: NDArray[np.int32] | Section
    frequencies: NDArray[Any] | Section

    def __len__(self) -> int:
        return len(self.term_offsets) - 1

    @cached_property
    def _views(self) -> tuple[memoryview, memoryview]:
        """Give terms and offsets as memoryviews, which give single items five times faster than arrays."""
        return self.terms.data, self.term_offsets.data

    def term(self, index: int) -> bytes:
        """Give term ``index``."""
        terms, offsets = self._views
        return bytes(terms[offsets[index] : offsets[index + 1]])

    def find(self, term: str) -> slice | None:
        """Give the slice of ``documents`` and ``frequencies`` that belongs to ``term``, by binary search."""
        wanted = term.encode()
        index = self._first(wanted)
        if index == len(self) or self.term(index) != wanted:
            return None
        return slice(int(self.posting_offsets[index]), int(self.posting_offsets[index + 1]))

    def between(self, first: bytes, end: bytes) -> slice:
        """Give the slice of ``documents`` that belongs to all terms from ``first`` to before ``end``."""
        low, high = self._first(first), self._first(end)
        return slice(int(self.posting_offsets[low]), int(self.posting_offsets[max(low, high)]))

    def _first(self, wanted: bytes) -> int:
        """Give the number of the first term that is not before ``wanted``."""
        return bisect_left(range(len(self)), wanted, key=self.term)

    @classmethod
    def build(cls, texts: Iterable[Sequence[str] | Sequence[bytes]]) -> Postings:
        """Index documents given as lists of terms; of a text that was read only its numbers are kept."""
        vocabulary: dict[str | bytes, int] = {}
        numbers, lengths = array("q"), array("q")
        for terms in texts:
            numbers.extend(vocabulary.setdefault(term, len(vocabulary)) for term in terms)
            lengths.append(len(terms))
        count = max(1, len(lengths))
        documents = np.repeat(np.arange(len(lengths)), np.frombuffer(lengths, np.int64))
        encoded = [term.encode() if isinstance(term, str) else term for term in vocabulary]
        # One key for each occurrence; equal keys are one posting.
        keys = np.frombuffer(numbers, np.int64) * count + documents
        postings, frequencies = np.unique(keys, return_counts=True)
        term, document = np.divmod(postings, count)
        return cls._arrange(encoded, term, document, frequencies)

    @classmethod
    def merge(cls, parts: Sequence[Postings], renumber: Sequence[NDArray[np.int64]]) -> Postings:
        """Join segments; ``renumber[p][d]`` is document ``d`` of part ``p`` in the whole, -1 to drop it."""
        vocabulary: dict[bytes, int] = {}
        terms, documents, frequencies = [], [], []
        for part, numbers in zip(parts, renumber, strict=True):
            ids = [vocabulary.setdefault(part.term(i), len(vocabulary)) for i in range(len(part))]
            moved = numbers[np.asarray(part.documents)]
            kept = moved >= 0
            terms.append(np.repeat(np.array(ids, np.int64), np.diff(part.posting_offsets))[kept])
            documents.append(moved[kept])
            frequencies.append(np.asarray(part.frequencies)[kept].astype(np.int64))
        return cls._arrange(
            list(vocabulary), np.concatenate(terms), np.concatenate(documents), np.concatenate(frequencies)
        )

    @classmethod
    def _arrange(
        cls,
        vocabulary: list[bytes],
        term: NDArray[np.int64],
        document: NDArray[np.int64],
        frequency: NDArray[np.int64],
    ) -> Postings:
        """Sort postings by the bytes of their term, then by document; leave out terms without any."""
        used = np.bincount(term, minlength=len(vocabulary)) > 0
        order = sorted((index for index in range(len(vocabulary)) if used[index]), key=vocabulary.__getitem__)
        rank = np.zeros(len(vocabulary), np.int64)
        rank[order] = np.arange(len(order))
        term = rank[term]
        by_term = np.lexsort((document, term))
        term, document, frequency = term[by_term], document[by_term], frequency[by_term]
        words = [vocabulary[index] for index in order]
        return cls(
            terms=np.frombuffer(b"".join(words), np.uint8),
            term_offsets=offsets_of(np.fromiter(map(len, words), np.int64, len(words))),
            posting_offsets=offsets_of(np.bincount(term, minlength=len(words))),
            documents=document.astype(np.int32),
            frequencies=frequency.astype(np.min_scalar_type(int(frequency.max(initial=0)))),
        )


PARTS = tuple(one.name for one in fields(Postings))
"""The names of the arrays, as a segment's file names them."""
