"""Which passages look like answers and are none? Hard negatives, found by whole pipelines on the pairs' own passages.

All passages of the pairs are indexed into a collection for the purpose, cut into windows that a judge reads at once.
Each query is searched for by every pipeline; passages within a window of ranks that answer this query in no pair, and
that score below the answer by a margin, are its negatives.

Source: Karpukhin et al. 2020 (negatives from BM25), Xiong et al. 2021 (from the model itself), Qu et al. 2021
(dropping likely false ones). Deviation: several retrievers at once, drawn from evenly.
"""

from __future__ import annotations

import hashlib
import math
import random
import tempfile
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import zip_longest
from pathlib import Path

import numpy as np

from shortlist.api import Collection
from shortlist.errors import DataError
from shortlist.indexing.passages import split_passages
from shortlist.models.folders import DEFAULT
from shortlist.models.tokenizer import Tokenizer
from shortlist.protocols import ScoresPairs, Steps
from shortlist.search import Pipeline, Rerank
from shortlist.train.examples import Example
from shortlist.types import Document, Query, Ranking, passage_text

__all__ = ["Mined", "Mining", "mine"]


@dataclass(frozen=True)
class Mining:
    """Say which passages count as hard negatives.

    The first of ``pipelines`` scores: what it doesn't rank within ``depth`` is neither answer nor negative. Negatives
    are drawn with ``seed`` from the ranks ``first`` to ``last`` (counted from 1, answers left out) of every pipeline
    in turn. A passage that scores above ``1 - margin`` times the answer's score is left out as a likely answer;
    ``None`` leaves none out. So is one that a judge finds better than the answer less ``judge_margin``, if a judge is
    asked. Long passages are cut into windows of ``max_tokens``.
    """

    pipelines: tuple[Pipeline, ...]
    first: int = 1
    last: int = 30
    count: int = 4
    margin: float | None = None
    depth: int = 50
    max_tokens: int = 192
    judge_margin: float = 0.0
    seed: int = 0

    def __post_init__(self) -> None:
        if not self.pipelines:
            raise DataError("negatives come from at least one pipeline")
        if not 1 <= self.first <= self.last <= self.depth:
            raise DataError(
                f"negatives come from ranks {self.first} to {self.last} of {self.depth}, which are none"
            )
        if self.count < 1:
            raise DataError(f"the number of negatives must be at least 1, not {self.count}")
        scored = self.pipelines[0]
        if isinstance(scored, Rerank) and scored.depth < self.depth:
            raise DataError(
                f"{scored} scores {scored.depth} documents, {self.depth} are to have scores",
                hint="lower the depth, or raise the pipeline's",
            )


@dataclass
class Mined:
    """Count what mining left out: queries whose answer was not found, and queries with too few negatives."""

    examples: list[Example]
    without_answer: int = 0
    without_negatives: int = 0


def mine(
    examples: Sequence[Example],
    settings: Mining,
    *,
    model: Path | None = None,
    keep: Path | None = None,
    judge: ScoresPairs | None = None,
    memory: int | None = None,
    threads: int | None = None,
    steps: Steps | None = None,
) -> Mined:
    """Give each example hard negatives and the scores of the first pipeline; the order stays.

    The answer of an example becomes the window of its passage that scores best. Examples whose answer isn't found
    within ``depth``, or that have fewer negatives than asked for, are counted and left out. ``keep`` is where the
    collection of all passages stays, or lies from before. ``judge`` reads twice as many passages as are asked for, and
    those it takes for answers are left out. ``memory`` bytes is about what indexing and searching the passages may
    take; the examples and what is found for them are in memory besides.

    Raises:
        DataError: ``keep`` holds other passages, or the judge gives labels.
        CollectionError: ``memory`` is too little.
    """
    windows, documents = _windows(examples, settings.max_tokens, model)
    with tempfile.TemporaryDirectory(prefix="shortlist-") as folder, ExitStack() as stack:
        collection = stack.enter_context(
            _indexed(keep or Path(folder) / "passages.shortlist", documents, model, memory, threads, steps)
        )
        queries = [Query(str(number), example.query) for number, example in enumerate(examples)]
        progress = steps("searching", len(queries)) if steps else None
        runs = collection.run_all(
            queries, settings.pipelines, settings.depth, threads=threads, progress=progress
        )
    answers: dict[str, set[str]] = {}
    for example in examples:
        answers.setdefault(example.query, set()).update(windows[example.passage])
    texts = {document.doc_id: document.text for document in documents}
    mined = Mined([])
    draw = random.Random(settings.seed)  # noqa: S311
    progress = steps("judging", len(examples)) if steps and judge else None
    for number, example in enumerate(examples):
        found = _negatives(
            [run.rankings.get(str(number), Ranking(())) for run in runs],
            windows[example.passage],
            answers[example.query],
            settings,
            draw,
        )
        if found is not None and judge is not None:
            found = _less_likely(example.query, found, texts, judge, settings, threads)
            _ = progress and progress(1)
        if found is None:
            mined.without_answer += 1
        elif len(found) <= settings.count:
            mined.without_negatives += 1
        else:
            ids, scores = zip(*found[: settings.count + 1], strict=True)
            passages = [texts[doc_id] for doc_id in ids]
            mined.examples.append(
                Example(example.query, passages[0], tuple(passages[1:]), tuple(scores), example.source)
            )
    return mined


def _indexed(
    path: Path,
    documents: Sequence[Document],
    model: Path | None,
    memory: int | None,
    threads: int | None,
    steps: Steps | None,
) -> Collection:
    """Index the windows, or open the collection that holds them from before.

    Raises:
        DataError: the collection there holds other passages.
    """
    if path.exists():
        collection = Collection.open(path, model=model, memory=memory)
        if not collection.info().unfinished:
            with collection.store.snapshot() as snapshot:
                live = np.flatnonzero(snapshot.live)
                known = set(snapshot.doc_ids(live.tolist()))
            if known != {document.doc_id for document in documents}:
                collection.close()
                raise DataError(
                    f"{path}: holds other passages than these examples",
                    hint="remove it, or name another folder",
                )
            return collection
        collection.close()
    progress = steps("indexing passages", len(documents)) if steps else None
    collection, _ = Collection.build(
        path, documents, model=model, memory=memory, threads=threads, progress=progress
    )
    return collection


def _windows(
    examples: Sequence[Example], max_tokens: int, model: Path | None
) -> tuple[dict[str, list[str]], list[Document]]:
    """Cut every passage into windows; give the ids of each passage's, and every distinct window as a document.

    A window's id is its text's checksum: the same text in two passages is one document, and can't be an answer and a
    negative at once.
    """
    tokenizer = Tokenizer((model or DEFAULT) / "tokenizer.json", max_tokens, trusted=model is None)
    windows: dict[str, list[str]] = {}
    documents: dict[str, Document] = {}
    for text in (text for example in examples for text in example.passages):
        if text not in windows:
            whole = Document("", text)
            windows[text] = []
            for passage in split_passages(whole, tokenizer):
                window = passage_text(whole, passage)
                doc_id = hashlib.blake2b(window.encode(), digest_size=16).hexdigest()
                windows[text].append(doc_id)
                documents.setdefault(doc_id, Document(doc_id, window))
    return windows, list(documents.values())


def _negatives(
    rankings: Sequence[Ranking], own: Sequence[str], answers: set[str], settings: Mining, draw: random.Random
) -> list[tuple[str, float]] | None:
    """Give the answer and up to twice the negatives with their scores, or None if the answer isn't found."""
    scores = {hit.doc_id: hit.score for hit in rankings[0]}
    answer = max((doc_id for doc_id in own if doc_id in scores), key=scores.__getitem__, default=None)
    if answer is None:
        return None
    below = math.inf if settings.margin is None else scores[answer] - abs(scores[answer]) * settings.margin
    candidates = []
    for ranking in rankings:
        others = [hit.doc_id for hit in ranking if hit.doc_id not in answers]
        part = [
            doc_id
            for doc_id in others[settings.first - 1 : settings.last]
            if doc_id in scores and scores[doc_id] <= below
        ]
        draw.shuffle(part)
        candidates.append(part)
    in_turn = dict.fromkeys(
        doc_id for row in zip_longest(*candidates) for doc_id in row if doc_id is not None
    )
    chosen = [answer, *list(in_turn)[: 2 * settings.count]]
    return [(doc_id, scores[doc_id]) for doc_id in chosen]


def _less_likely(
    query: str,
    found: Sequence[tuple[str, float]],
    texts: Mapping[str, str],
    judge: ScoresPairs,
    settings: Mining,
    threads: int | None,
) -> list[tuple[str, float]]:
    """Keep the answer and what a judge finds worse than it by the margin."""
    judged = judge.score_pairs([(query, texts[doc_id]) for doc_id, _ in found], threads=threads).scores
    if judged.ndim != 1:
        raise DataError(f"the judge gives {judged.shape[1]} labels, one score is needed")
    most = judged[0] - settings.judge_margin
    return [found[0], *(one for one, score in zip(found[1:], judged[1:], strict=True) if score < most)]
