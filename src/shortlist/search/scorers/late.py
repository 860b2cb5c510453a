"""Score by one vector a token: late interaction."""

from __future__ import annotations

import numpy as np

from shortlist.collection import Segment
from shortlist.scoring import maxsim
from shortlist.search.scorers.passages import ByPassage, Positions, Scores, are_neighbours, threads_for

__all__ = ["LateScorer"]


class LateScorer(ByPassage):
    """Score by MaxSim over token vectors."""

    closeness = 2

    def _score_passages(self, segment: Segment, passages: Positions) -> Scores:
        query, scales = self._query.tokens
        tokens, offsets = segment.tokens, segment.token_offsets
        if are_neighbours(passages):  # no copy
            places = offsets[passages[0] : passages[-1] + 2]
            found, places = tokens[places[0] : places[-1]], places - places[0]
        else:
            firsts, ends = offsets[passages], offsets[passages + 1]
            found, places = tokens.gather(firsts, ends), np.concatenate([[0], np.cumsum(ends - firsts)])
        return (
            maxsim(query, found, places, scales, threads=threads_for(found.size, self._threads)) * self._scale
        )
