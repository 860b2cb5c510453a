"""The signs of a segment's text vectors, and how far to look among them for what is near.

An eighth of the memory is read, but signs alone order vectors badly: so many are looked at again as it takes to find
a given share of the truly nearest. How many that is differs from collection to collection and is measured for each
segment, with some of its own vectors as queries.

Source: the sign bits of Charikar 2002; the second look of Jégou et al. 2011.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring import best_products, bit_distances, sign_bits

__all__ = ["BITS_FROM_PASSAGES", "NEIGHBOURS", "SignBits", "build_sign_bits", "sampled_rows"]

BITS_FROM_PASSAGES = 100_000
"""Segments of fewer passages have no signs: comparing whole vectors takes no longer."""

SAMPLED = 64
NEIGHBOURS = 100
MARGIN = 1.5
"""How many times as far to look as a passage's neighbours lie: queries may be farther from what they seek.
``benchmarks/scale.py`` measures what is found."""


class SignBits(NamedTuple):
    """Hold the signs of vectors, ``bits [passages, ceil(H / 64)]``, and ``ranks [samples, neighbours]``.

    ``ranks[s, n]`` is how many passages differ from sample ``s`` in no more signs than its ``n``-th neighbour does.
    """

    bits: NDArray[np.uint64]
    ranks: NDArray[np.int32]

    def depth(self, k: int, recall: float) -> int:
        """Give how many of the nearest by their signs must be looked at to find that share of the ``k`` nearest."""
        samples, neighbours = self.ranks.shape
        if not samples or not neighbours:
            return k
        # Of fewer neighbours no more is asked: farther ones can lie nearer by chance.
        few = {min(k, count) for count in (1, 3, 10, 30, neighbours)}
        reach = max(float(np.quantile(self.ranks[:, :count], recall, method="higher")) for count in few)
        return max(k, int(MARGIN * reach * max(1.0, k / neighbours)))


def sampled_rows(count: int) -> NDArray[np.int64]:
    """Give some of so many rows, evenly over all, the first and the last among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(SAMPLED, count)).astype(np.int64))


def build_sign_bits(dense: NDArray[np.int8], threads: int = 1) -> SignBits:
    """Take the signs of vectors ``[passages, H]`` and measure how well they tell what is near."""
    bits = sign_bits(dense)
    sampled = sampled_rows(len(dense))
    neighbours = min(NEIGHBOURS, len(dense) - 1)
    ranks = np.empty((len(sampled), max(0, neighbours)), np.int32)
    if neighbours < 1:
        return SignBits(bits, ranks)
    nearest = best_products(dense, dense[sampled], neighbours + 1, threads=threads)
    for row, sample, (passages, products) in zip(ranks, sampled, nearest, strict=True):
        others = passages != sample
        order = np.argsort(-products[others], kind="stable")[:neighbours]
        distances = bit_distances(bits, bits[sample])
        within = np.cumsum(np.bincount(distances))
        row[:] = within[distances[passages[others][order]]] - 1  # the sample itself is none of them
    return SignBits(bits, ranks)
