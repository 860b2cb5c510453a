"""Let a cross-encoder score the passages of examples, once, for others to learn from.

Shapes: an example has C passages, the answer first.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Sequence
from dataclasses import replace

from shortlist.errors import DataError
from shortlist.protocols import Progress, ScoresPairs
from shortlist.train.examples import Example

__all__ = ["distill"]

_EXAMPLES = 64
"""How many are scored at a time."""


def distill(
    examples: Sequence[Example],
    teacher: ScoresPairs,
    *,
    beside: float = 0.0,
    count: int | None = None,
    seed: int = 0,
    threads: int | None = None,
    progress: Progress | None = None,
) -> Iterator[Example]:
    """Give the examples with the teacher's scores in place of their own.

    With ``beside`` a passage's score is the teacher's plus ``beside`` times the one it had: of a judge that learned
    beside a first stage, only both together are its opinion. ``count`` negatives of each are drawn and kept, if it has
    more: all are scored otherwise.

    Raises:
        DataError: the teacher gives several labels, an example has no score to be added to, or ``count`` is below 1.
    """
    if count is not None and count < 1:
        raise DataError(f"count must be at least 1, not {count}")
    if count is not None:
        draw = random.Random(seed)  # noqa: S311
        examples = [one.drawn(count, draw) if len(one.negatives) > count else one for one in examples]
    for start in range(0, len(examples), _EXAMPLES):
        part = examples[start : start + _EXAMPLES]
        for example in part:
            if beside and not example.scores:
                raise DataError(f"query {example.query!r} has no scores that the teacher's could be added to")
        pairs = [(example.query, passage) for example in part for passage in example.passages]
        scores = teacher.score_pairs(pairs, threads=threads).scores
        if scores.ndim != 1:
            raise DataError(f"the teacher gives {scores.shape[1]} labels, one score is needed")
        given = iter(scores.tolist())
        for example in part:
            own = example.scores or (0.0,) * len(example.passages)
            yield replace(example, scores=tuple(next(given) + beside * score for score in own))
        if progress is not None:
            progress(len(part))
