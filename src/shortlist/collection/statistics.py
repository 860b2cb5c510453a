"""What has to be counted over all live documents before a document can be scored."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.postings import Postings
from shortlist.scoring import tfidf_idf, tfidf_weights

__all__ = ["tfidf_lengths"]


def tfidf_lengths(parts: Sequence[Postings], live: Sequence[NDArray[np.bool_]]) -> NDArray[np.float64]:
    """Give the length of the TF-IDF vector of every document of all segments; 1 where it would be 0.

    A term's weight depends on all live documents, so this changes with every generation; it takes about
    0.3 s for 100,000 documents and is done when a pipeline first asks for it.
    """
    documents = sum(int(mask.sum()) for mask in live)
    counts: Counter[bytes] = Counter()
    for postings, mask in zip(parts, live, strict=True):
        if len(postings):
            found = np.add.reduceat(
                mask[np.asarray(postings.documents)], postings.posting_offsets[:-1], dtype=np.int64
            )
            counts.update({postings.term(index): int(count) for index, count in enumerate(found)})
    squares = []
    for postings, mask in zip(parts, live, strict=True):
        idf = [tfidf_idf(counts[postings.term(index)], documents) for index in range(len(postings))]
        weights = tfidf_weights(np.asarray(postings.frequencies), 1.0) * np.repeat(
            idf, np.diff(postings.posting_offsets)
        )
        # Added in the order of the terms, which is the same however the segments were cut.
        squares.append(np.bincount(np.asarray(postings.documents), weights**2, minlength=len(mask)))
    lengths = np.sqrt(np.concatenate([np.empty(0), *squares]))
    return np.where(lengths == 0, 1.0, lengths)
