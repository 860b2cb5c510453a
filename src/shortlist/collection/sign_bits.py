"""The signs of a segment's text vectors, and how far to look among them for what is near.

An eighth of the memory is read, but signs alone order vectors badly: some must be looked at again. How many depends
on the query: what is near to one lies as far away as what is of no interest to another. So the first look says how
near the ``k`` best are, and the second goes as far as vectors that are so near lie by their signs. That is measured
for each segment, on pairs of its vectors that are near and far, and holds for queries too, wherever they lie: passages,
questions and titles were found to differ from passages of the same cosine in as many signs (decision 11).

Source: the sign bits of Charikar 2002; the second look of Jégou et al. 2011. Deviation: signs are those of the
components, without a rotation, which helped nothing; and how many vectors are looked at is not fixed.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from shortlist.scoring import best_products, bit_distances, dot_products, sign_bits

__all__ = ["BITS_FROM_PASSAGES", "NEIGHBOURS", "SignBits", "build_sign_bits", "sampled_rows"]

BITS_FROM_PASSAGES = 100_000
"""Segments of fewer passages have no signs: comparing whole vectors takes no longer."""

NEIGHBOURS = 100
SAMPLED = 64
OTHERS = 4096
RANKS = 64
"""Of ``SAMPLED`` vectors, the pairs with their ``NEIGHBOURS`` and with ``RANKS`` of ``OTHERS``, near and far, are
measured."""

WINDOW = 128
ASKED = 16
"""``WINDOW`` pairs, those whose products are nearest to a product, say how far such vectors are; about ``ASKED`` of the
best products, the last among them, say how far all of these are."""


class SignBits(NamedTuple):
    """Hold the signs of vectors, ``bits [passages, ceil(H / 64)]``, and what was measured on pairs of them.

    ``products [pairs]``, ascending, are those of the vectors over the length of one of them, rounded: one step is .002
    of a cosine where a vector of length 1 has 508. ``distances [pairs]`` say in how many signs the two differ.
    """

    bits: NDArray[np.uint64]
    products: NDArray[np.int32]
    distances: NDArray[np.int32]

    def reach(self, products: NDArray[np.floating[Any]], recall: float) -> int:
        """Give the distance within which that share of the vectors lies that have these products with a query.

        The distance is counted in signs; the products ``[N]``, at least one, are those with the query's vector scaled
        to length 1. Where nothing was measured the distance is that of all signs.
        """
        if not len(self.products):
            return 64 * int(self.bits.shape[1])
        some = np.sort(products)[:: max(1, len(products) // ASKED)]
        middles = (np.searchsorted(self.products, some) + np.searchsorted(self.products, some, "right")) // 2
        firsts = middles - WINDOW // 2
        firsts = np.clip(firsts, 0, max(0, len(self.products) - WINDOW))
        windows = firsts[:, None] + np.arange(min(WINDOW, len(self.products)))
        distances = self.distances[windows].ravel()
        last = math.ceil(recall * (len(distances) - 1))
        return int(np.partition(distances, last)[last])


def sampled_rows(count: int, most: int = SAMPLED) -> NDArray[np.int64]:
    """Give some of so many rows, evenly over all, the first and the last among them."""
    return np.unique(np.linspace(0, max(0, count - 1), min(most, count)).astype(np.int64))


def build_sign_bits(dense: NDArray[np.int8], threads: int = 1) -> SignBits:
    """Take the signs of vectors ``[passages, H]`` and measure what they tell of products."""
    bits = sign_bits(dense)
    samples = sampled_rows(len(dense))
    products, distances = [np.empty(0, np.int32)], [np.empty(0, np.int32)]
    others = sampled_rows(len(dense), OTHERS)
    ranks = np.unique(np.geomspace(1, max(1, len(others)), RANKS).astype(np.int64)) - 1
    nearest = best_products(dense, dense[samples], NEIGHBOURS, threads=threads)
    for sample, (near, its_products) in zip(samples, nearest, strict=True):
        near = near[np.argsort(-its_products, kind="stable")[:NEIGHBOURS]]  # many may tie with the last
        vector = dense[[sample]]
        order = np.argsort(-dot_products(dense[others], vector)[0], kind="stable")
        pairs = np.concatenate([near, others[order[ranks]]])
        pairs = pairs[pairs != sample]
        length = max(1.0, float(np.linalg.norm(vector.astype(np.float32))))
        products.append(np.rint(dot_products(dense[pairs], vector)[0] / length).astype(np.int32))
        distances.append(bit_distances(bits[pairs], bits[sample])[0].astype(np.int32))
    every, far = np.concatenate(products), np.concatenate(distances)
    order = np.argsort(
        every, kind="stable"
    )  # equals stay as they came, so that a window of some is like all of them
    return SignBits(bits, every[order], far[order])
