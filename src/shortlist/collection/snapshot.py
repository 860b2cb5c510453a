"""One generation of a collection, whole, for reading; later commits don't change it.

Documents are known by their position: segments one after the other, documents in the order of their rows.
Positions are the snapshot's own; they index every array here and never leave the search.
"""

from __future__ import annotations

import json
import sqlite3
from bisect import bisect_right
from collections.abc import Sequence
from functools import cached_property
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.database import DAMAGE, LIVE, connect
from shortlist.collection.filters import Filter, to_sql
from shortlist.collection.locks import ReaderLock
from shortlist.collection.segment import Segment, segment_folder
from shortlist.collection.statistics import tfidf_lengths
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.types import Document, Passage

__all__ = ["Snapshot"]

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Snapshot:
    """Read the newest generation of the collection at ``path``, as it was when this was made.

    Raises:
        CollectionDamagedError: files are missing, or are not those that were committed.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        self._relative_lengths: dict[float, NDArray[np.float64]] = {}
        self._lock = ReaderLock(path / "readers.lock")
        try:
            self._database = connect(path / "collection.db")
        except BaseException:
            self._lock.close()
            raise
        try:
            # One transaction: the generation and its segments belong together.
            with self._database:
                self._database.execute("BEGIN")
                ((self.generation,),) = self._fetch("SELECT max(generation) FROM generations", ())
                if self.generation is None:
                    raise CollectionDamagedError(f"{path / 'collection.db'}: names no generation")
                self._at = {"generation": self.generation}
                named = self._fetch(
                    f"SELECT segment, checksum FROM segments WHERE {LIVE} ORDER BY segment", self._at
                )
            self.segments: tuple[Segment, ...] = tuple(
                Segment(segment_folder(path / "segments", number), checksum) for number, checksum in named
            )
        except BaseException:
            self.close()
            raise

    def close(self) -> None:
        """Let go of the generation; closing twice is fine."""
        self._database.close()
        self._lock.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def is_newest(self) -> bool:
        """Say whether no generation has been committed since."""
        ((newest,),) = self._fetch("SELECT max(generation) FROM generations", ())
        return bool(newest == self.generation)

    @cached_property
    def rows(self) -> NDArray[np.int64]:
        """The database row of every position, ascending, dead documents included."""
        return np.concatenate([np.empty(0, np.int64), *(segment.rows for segment in self.segments)])

    @cached_property
    def live(self) -> Mask:
        """Which positions belong to this generation."""
        mask = np.ones(len(self.rows), np.bool_)
        query = "SELECT row FROM documents WHERE died <= :generation"
        mask[self._positions(self._fetch(query, self._at))] = False
        return mask

    @cached_property
    def starts(self) -> list[int]:
        """The first position of every segment, and the number of positions."""
        return [0, *np.cumsum([len(segment.rows) for segment in self.segments]).tolist()]

    @cached_property
    def lengths(self) -> NDArray[np.int32]:
        """The number of terms of every position."""
        return np.concatenate([np.empty(0, np.int32), *(segment.lengths for segment in self.segments)])

    def relative_lengths(self, b: float) -> NDArray[np.float64]:
        """Give ``1 - b + b * length / average`` of every position, as BM25 divides by it."""
        if b not in self._relative_lengths:
            average = self.average_length or 1.0
            self._relative_lengths[b] = 1 - b + b * (self.lengths / average)
        return self._relative_lengths[b]

    @cached_property
    def document_count(self) -> int:
        """The number of live documents."""
        return int(self.live.sum())

    @cached_property
    def average_length(self) -> float:
        """The mean number of terms of the live documents; the sum is of integers, so it is exact."""
        return int(self.lengths[self.live].sum(dtype=np.int64)) / max(1, self.document_count)

    @cached_property
    def all_live(self) -> bool:
        """Whether no position is dead."""
        return bool(self.live.all())

    @cached_property
    def tfidf_lengths(self) -> NDArray[np.float64]:
        """The length of the TF-IDF vector of every position; 1 where there are no terms."""
        return tfidf_lengths([segment.postings for segment in self.segments], self.live_by_segment())

    def live_by_segment(self) -> list[Mask]:
        """Cut :attr:`live` into segments."""
        return [self.live[start:end] for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)]

    def postings(self, term: str) -> tuple[Positions, NDArray[np.float64]]:
        """Give the live positions that have ``term``, ascending, and how often each has it."""
        positions, frequencies = [], []
        for start, segment in zip(self.starts, self.segments, strict=False):
            found = segment.postings.find(term)
            if found is not None:
                positions.append(np.add(segment.postings.documents[found], start, dtype=np.int64))
                frequencies.append(segment.postings.frequencies[found].astype(np.float64))
        if not positions:
            return np.empty(0, np.int64), np.empty(0)
        joined = positions[0] if len(positions) == 1 else np.concatenate(positions)
        counts = frequencies[0] if len(frequencies) == 1 else np.concatenate(frequencies)
        if self.all_live:
            return joined, counts
        kept = self.live[joined]
        return joined[kept], counts[kept]

    def allowed(self, condition: Filter | None) -> Mask:
        """Give the live positions that a metadata filter lets through."""
        if condition is None:
            return self.live
        query, values = to_sql(condition)
        mask = np.zeros(len(self.rows), np.bool_)
        mask[self._positions(self._fetch(query, values))] = True
        return mask & self.live

    def locate(self, position: int) -> tuple[int, int]:
        """Give the number of the segment that holds ``position``, and the document's number in it."""
        number = bisect_right(self.starts, position) - 1
        return number, position - self.starts[number]

    def passages(self, position: int) -> list[Passage]:
        """Give the passages of the document at ``position``, in order."""
        number, document = self.locate(position)
        segment = self.segments[number]
        first, end = segment.first_passages[document : document + 2]
        return [Passage(int(start), int(stop)) for _, start, stop in segment.passages[first:end]]

    def doc_ids(self, positions: Sequence[int] | Positions) -> list[str]:
        """Give the ids of the documents at ``positions``, in that order."""
        return [doc_id for (doc_id,) in self._select("doc_id", positions)]

    def documents(self, positions: Sequence[int] | Positions) -> list[Document]:
        """Give the documents at ``positions``, in that order."""
        return [
            Document(doc_id, text, title, json.loads(metadata))
            for doc_id, text, title, metadata in self._select("doc_id, text, title, metadata", positions)
        ]

    def _select(self, columns: str, positions: Sequence[int] | Positions) -> list[tuple[str, ...]]:
        rows = self.rows[np.asarray(positions, np.int64)].tolist()
        # json_each takes any number of rows in one statement.
        query = f"SELECT row, {columns} FROM documents WHERE row IN (SELECT value FROM json_each(?))"
        found = {row: values for row, *values in self._fetch(query, [json.dumps(rows)])}
        try:
            return [tuple(found[row]) for row in rows]
        except KeyError as error:
            raise CollectionDamagedError(f"{self.path}: document row {error} is missing") from None

    def _fetch(self, query: str, values: Any) -> list[Any]:
        try:
            return self._database.execute(query, values).fetchall()
        except sqlite3.ProgrammingError as error:
            raise CollectionError(f"{self.path}: {error}") from error  # closed
        except DAMAGE as error:
            raise CollectionDamagedError(f"{self.path / 'collection.db'}: {error}") from error

    def _positions(self, found: list[Any]) -> Positions:
        """Turn the rows that a query gave into positions; rows outside this snapshot are left out."""
        rows = np.fromiter((row for (row,) in found), np.int64, len(found))
        positions = np.searchsorted(self.rows, rows)
        known = positions < len(self.rows)
        known[known] = self.rows[positions[known]] == rows[known]
        return positions[known]
