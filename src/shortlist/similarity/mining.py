"""Which of many documents are near each other, exactly, in the memory of one block.

Shapes: N documents in a fixed order, P passages of all of them in that order, H dimensions, F pairs found.

A pair of documents is as similar as the nearest two of their passages. Similarity is the cosine of the int8
vectors themselves: their products and squared lengths are integers that floats hold exactly, so equal vectors
have exactly 1, and neither the order of two documents nor the size of a block can change a bit.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property

import numpy as np
from numpy.typing import NDArray

from shortlist.errors import DataError
from shortlist.protocols import Progress

__all__ = ["Near", "Passages", "best_first", "mine", "nearness"]

BLOCK = 1024  # passages compared with as many others at a time: 4 MB of products

MAX_TOP_K = 1000  # of 100,000 documents the nearest take 400 MB

MARGIN = 1e-5  # far above the rounding of float32, far below what anyone would call a difference

Int = NDArray[np.int64]
Float = NDArray[np.float64]
Range = tuple[int, int]


@dataclass(frozen=True, eq=False)
class Passages:
    """Hold documents as vectors: ``vectors`` is int8 ``[P, H]``, document ``n`` has ``firsts[n]:firsts[n + 1]``.

    ``firsts`` is ``[N + 1]``; every document has at least one passage.
    """

    vectors: NDArray[np.int8]
    firsts: Int

    def __len__(self) -> int:
        return len(self.firsts) - 1

    @cached_property
    def squares(self) -> Float:
        """The squared length of every vector, ``[P]``: integers."""
        squares = np.empty(len(self.vectors))
        for start in range(0, len(squares), BLOCK):
            block = self.vectors[start : start + BLOCK].astype(np.float32)
            squares[start : start + BLOCK] = np.einsum("ph,ph->p", block, block)
        return squares

    @cached_property
    def lengths(self) -> NDArray[np.float32]:
        """The length of every vector, ``[P]``, rounded."""
        return np.sqrt(self.squares).astype(np.float32)

    @cached_property
    def documents(self) -> Int:
        """The document of every passage, ``[P]``."""
        return np.repeat(np.arange(len(self)), np.diff(self.firsts))

    def cosines(self, products: NDArray[np.float32], first: Int, second: Int) -> Float:
        """Give cosines from the products of vectors ``first`` and ``second``; a vector of zeros is like nothing."""
        squares = self.squares[first] * self.squares[second]
        cosines: Float = products / np.sqrt(np.where(squares == 0, 1, squares))
        return cosines


@dataclass(frozen=True, eq=False)
class Near:
    """Hold pairs of documents: each ``[F]`` the cosine, both documents, and the passages that are nearest."""

    scores: Float
    first: Int
    second: Int
    first_passages: Int
    second_passages: Int

    @classmethod
    def joined(cls, parts: list[Near]) -> Near:
        """Put several together."""
        if len(parts) == 1:
            return parts[0]
        nothing = np.empty(0, np.int64)
        return cls(
            np.concatenate([np.empty(0), *(part.scores for part in parts)]),
            np.concatenate([nothing, *(part.first for part in parts)]),
            np.concatenate([nothing, *(part.second for part in parts)]),
            np.concatenate([nothing, *(part.first_passages for part in parts)]),
            np.concatenate([nothing, *(part.second_passages for part in parts)]),
        )

    def __len__(self) -> int:
        return len(self.scores)

    def __getitem__(self, chosen: NDArray[np.int64] | NDArray[np.bool_]) -> Near:
        return Near(
            self.scores[chosen],
            self.first[chosen],
            self.second[chosen],
            self.first_passages[chosen],
            self.second_passages[chosen],
        )

    def turned(self, chosen: NDArray[np.bool_]) -> Near:
        """Exchange the two documents of some pairs."""

        def either(yes: Int, no: Int) -> Int:
            return np.where(chosen, yes, no)

        return Near(
            self.scores,
            either(self.second, self.first),
            either(self.first, self.second),
            either(self.second_passages, self.first_passages),
            either(self.first_passages, self.second_passages),
        )


def mine(
    passages: Passages, *, threshold: float, top_k: int | None = None, progress: Progress | None = None
) -> Iterator[Near]:
    """Find the pairs of documents with a cosine of at least ``threshold``; each pair once, ``first < second``.

    With ``top_k`` a pair counts only if one document is among the ``top_k`` nearest of the other (of equals the
    first in order); from N - 1 on that leaves nothing out, and is as if there were no ``top_k``. Takes P²/2 products
    of vectors, P² with ``top_k``, whatever the threshold; the memory is that of a block, and with ``top_k`` of
    N ``top_k`` numbers of 4 bytes. ``progress`` is called with the number of documents done.

    Raises:
        DataError: ``top_k`` is above 1,000, and there are more documents than that leaves in.

    Source: ``util.paraphrase_mining`` of sentence-transformers 6.
    Deviation: all pairs above the threshold instead of the best of each text's nearest, unless ``top_k`` asks for
    these; ties are broken by the order of the documents; a document may have several vectors.
    """
    blocks = list(_blocks(passages))
    if top_k is None or top_k >= len(passages) - 1:
        least = np.full(len(passages), threshold)
        for number, rows in enumerate(blocks):
            for columns in blocks[number:]:
                found = _compare(passages, rows, columns, least)
                yield found[found.first < found.second]
            _ = progress and progress(rows[1] - rows[0])
        return
    if top_k > MAX_TOP_K:
        raise DataError(
            f"top_k is {top_k:,}, expected {MAX_TOP_K:,} at most for {len(passages):,} documents",
            hint="leave it out: then all pairs above the threshold are given, in less memory",
        )
    nearest = np.full((len(passages), top_k), -1, np.int32)
    for rows in blocks:
        kept = _nearest(passages, rows, blocks, threshold, nearest)
        # The other document's turn came before, and brought the pair already, if this one is among its nearest.
        behind = kept.second < kept.first
        fresh = ~behind
        fresh[behind] = ~_notes(nearest, kept.second[behind], kept.first[behind])
        yield kept.turned(behind)[fresh]
        _ = progress and progress(rows[1] - rows[0])


def nearness(passages: Passages, document: int, others: Int) -> Float:
    """Give the cosines of one document and some others, in their order."""
    counts = np.diff(passages.firsts)[others]
    ends = np.cumsum(counts)
    chosen = np.arange(counts.sum()) + np.repeat(passages.firsts[others] - (ends - counts), counts)
    best = np.full(len(chosen), -np.inf)
    for first, last in _cut(int(passages.firsts[document]), int(passages.firsts[document + 1])):
        own = np.arange(first, last)
        left = passages.vectors[own].astype(np.float32)
        for start in range(0, len(chosen), BLOCK):
            part = chosen[start : start + BLOCK]
            products = left @ passages.vectors[part].astype(np.float32).T
            cosines = passages.cosines(products, own[:, None], part)
            best[start : start + BLOCK] = np.maximum(best[start : start + BLOCK], cosines.max(axis=0))
    result: Float = np.maximum.reduceat(best, ends - counts)
    return result


def best_first(near: Near) -> Int:
    """Give the order of pairs by score, descending, then by the order of both documents: a total order."""
    return np.lexsort((near.second, near.first, -near.scores))


def _nearest(
    passages: Passages, rows: Range, blocks: list[Range], threshold: float, nearest: NDArray[np.int32]
) -> Near:
    """Give the pairs of some documents and their nearest, which are noted in ``nearest`` (``[N, top_k]``)."""
    top_k = nearest.shape[1]
    least = np.full(len(passages), threshold)
    kept, ranks = Near.joined([]), np.empty(0, np.int64)
    for columns in blocks:
        found = _compare(passages, rows, columns, least, top_k)
        kept = Near.joined([kept, found[found.first != found.second]])
        kept = kept[np.lexsort((kept.second, -kept.scores, kept.first))]
        ranks = np.arange(len(kept)) - np.searchsorted(kept.first, kept.first)
        kept, ranks = kept[ranks < top_k], ranks[ranks < top_k]
        last = kept[ranks == top_k - 1]
        least[last.first] = last.scores
    nearest[kept.first, ranks] = kept.second
    return kept


def _notes(nearest: NDArray[np.int32], documents: Int, others: Int) -> NDArray[np.bool_]:
    """Say of each document whether the other is noted among its nearest."""
    noted = np.empty(len(documents), np.bool_)
    step = max(1, BLOCK**2 // nearest.shape[1])  # not all at once: top_k² numbers a document
    for start in range(0, len(documents), step):
        part = slice(start, start + step)
        noted[part] = (nearest[documents[part]] == others[part, None]).any(axis=1)
    return noted


def _blocks(passages: Passages) -> Iterator[Range]:
    """Cut documents into ranges of up to ``BLOCK`` passages, or one document."""
    start = 0
    while start < len(passages):
        end = int(np.searchsorted(passages.firsts, passages.firsts[start] + BLOCK, side="right")) - 1
        end = max(end, start + 1)
        yield start, end
        start = end


def _compare(passages: Passages, rows: Range, columns: Range, least: Float, top_k: int | None = None) -> Near:
    """Give the pairs of a document in ``rows`` and one in ``columns`` with a cosine of at least ``least[row]``.

    Each of these pairs comes once, those of a document and itself among them. With ``top_k`` those may be missing
    that have ``top_k`` better ones with the same row.
    """
    first, last = passages.firsts[list(rows)].tolist()
    begin, end = passages.firsts[list(columns)].tolist()
    if last - first == rows[1] - rows[0] and end - begin == columns[1] - columns[0]:  # a passage each
        return _compare_passages(passages, (first, last), (begin, end), least, top_k)
    parts = [
        _one_a_pair(_compare_passages(passages, left, right, least, top_k))
        for left in _cut(first, last)
        for right in _cut(begin, end)
    ]
    return _one_a_pair(Near.joined(parts))


def _cut(first: int, last: int) -> Iterator[Range]:
    """Cut a range of passages, which is longer than a block where one document is."""
    return ((start, min(start + BLOCK, last)) for start in range(first, last, BLOCK))


def _compare_passages(passages: Passages, left: Range, right: Range, least: Float, top_k: int | None) -> Near:
    rows, columns = slice(*left), slice(*right)
    documents, lengths = passages.documents, passages.lengths
    products = passages.vectors[rows].astype(np.float32) @ passages.vectors[columns].astype(np.float32).T
    # Rounded cosines (times the row's length) tell which few to look at; dividing each exactly would take as long as
    # the products. Only a vector of zeros is shorter than 1.
    rounded = products / np.maximum(lengths[columns], 1)
    bounds = least[documents[rows]] * lengths[rows]
    if top_k is not None:
        # What is better by one passage of the row's document is better by all of them, so a document beyond the
        # first top_k, and the row's own, need not be looked at.
        firsts = np.flatnonzero(np.diff(documents[columns], prepend=-1))
        best = rounded if len(firsts) == products.shape[1] else np.maximum.reduceat(rounded, firsts, axis=1)
        if best.shape[1] > top_k + 1:
            bounds = np.maximum(bounds, np.partition(best, -top_k - 1, axis=1)[:, -top_k - 1])
    bounds = (bounds - MARGIN * lengths[rows]).astype(np.float32)
    likely = np.flatnonzero(rounded >= bounds[:, None])
    first, second = likely // products.shape[1] + left[0], likely % products.shape[1] + right[0]
    scores = passages.cosines(products.ravel()[likely], first, second)
    near = Near(scores, documents[first], documents[second], first, second)
    return near[scores >= least[near.first]]


def _one_a_pair(near: Near) -> Near:
    """Keep the best two passages of each pair of documents; of equals those that come first."""
    low = np.minimum(near.first_passages, near.second_passages)
    high = np.maximum(near.first_passages, near.second_passages)
    ordered = near[np.lexsort((high, low, -near.scores, near.second, near.first))]
    changes = (np.diff(ordered.first) != 0) | (np.diff(ordered.second) != 0)
    return ordered[np.append(True, changes)[: len(ordered)]]
