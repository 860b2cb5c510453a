"""One generation of a collection, whole, for reading; later commits don't change it.

Documents are known by their position: segments one after the other, documents in the order they came.
Positions are the snapshot's own; they index every array here and never leave the search. A snapshot writes
nothing and holds no lock: segments are never changed, and one that is removed stays readable for those who
have it open.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Iterator, Sequence
from functools import cached_property
from types import TracebackType
from typing import Self

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import REPAIR
from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.filters import Filter, matches
from shortlist.collection.generation import Generation, newest_seal, read_generation
from shortlist.collection.kept_postings import KEPT_BYTES, KeptPostings, SegmentPostings
from shortlist.collection.segment import Segment, id_hashes
from shortlist.collection.statistics import tfidf_lengths
from shortlist.collection.writing import gone
from shortlist.errors import CollectionDamagedError, CollectionError
from shortlist.memory import PROGRAM_BYTES
from shortlist.plain_text import size
from shortlist.types import Document, Passage

__all__ = ["Snapshot"]

Positions = NDArray[np.int64]
Mask = NDArray[np.bool_]


class Snapshot:
    """Read the newest generation of a collection, as it was when this was made.

    With a limit of ``memory``, in bytes, the vectors of texts are read for every search where they would not fit.

    Raises:
        CollectionError: what a search keeps in memory of such a collection is more than that.
        CollectionDamagedError: files are missing, or are not those that were committed.
        CollectionStorageError: the system refuses to open a file.
    """

    def __init__(self, directory: Directory, memory: int | None = None) -> None:
        self.path = directory.path
        self._directory = directory
        self._relative_lengths: dict[float, NDArray[np.float64]] = {}
        self._kept = KeptPostings()
        self.segments: tuple[Segment, ...] = ()
        with storage_errors(self.path, "opening"):
            try:
                self.generation, self.segments = _open_newest(directory)
            except FileNotFoundError:
                raise gone(self.path) from None
        if memory is not None:
            self._keep_to(memory)

    def _keep_to(self, memory: int) -> None:
        least = PROGRAM_BYTES + sum(segment.kept_bytes for segment in self.segments)
        if least > memory:
            self.close()
            raise CollectionError(
                f"{self.path}: a search needs about {size(least)} of memory, the limit is {size(memory)}",
                hint="raise the limit, or divide the documents among several collections",
            )
        vectors = sum(segment.sizes["dense"] for segment in self.segments)
        graphs = sum(segment.sizes.get("dense_graph", 0) for segment in self.segments)
        for segment in self.segments:
            segment.keeps_vectors = least + vectors <= memory
            segment.keeps_graph = least + vectors + graphs <= memory
        rest = memory - least - vectors
        if rest >= graphs:
            rest -= graphs
        self._kept = KeptPostings(
            min(max(0, rest), KEPT_BYTES)
        )  # none where vectors are read for each search

    def close(self) -> None:
        """Let go of the generation; closing twice is fine."""
        for segment in self.segments:
            segment.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def is_newest(self) -> bool:
        """Say whether no generation has been committed since.

        Raises:
            CollectionNotFoundError: the collection is no longer at its path.
        """
        with storage_errors(self.path, "reading"):
            try:
                return newest_seal(self._directory) == self.generation.seal
            except FileNotFoundError:
                raise gone(self.path) from None

    @property
    def size(self) -> int:
        """The number of positions, dead documents included."""
        return self.starts[-1]

    @cached_property
    def live(self) -> Mask:
        """Which positions belong to this generation."""
        mask = np.ones(self.size, np.bool_)
        for start, entry in zip(self.starts, self.generation.segments, strict=False):
            mask[start + entry.dead] = False
        return mask

    @cached_property
    def starts(self) -> list[int]:
        """The first position of every segment, and the number of positions."""
        return [0, *np.cumsum([len(segment) for segment in self.segments]).tolist()]

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

    @property
    def document_count(self) -> int:
        """The number of live documents."""
        return self.generation.live_documents

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
        return tfidf_lengths([segment.words for segment in self.segments], self.live_by_segment())

    def live_by_segment(self) -> list[Mask]:
        """Cut :attr:`live` into segments."""
        return [self.live[start:end] for start, end in zip(self.starts[:-1], self.starts[1:], strict=True)]

    def segment_postings(self, term: str) -> SegmentPostings:
        """Give, for each segment that has ``term`` (by its number), the documents in it and how often each has it.

        Documents count from 0 in each segment; those that are no longer alive are among them. The arrays are read-only.
        """
        return self._kept.get(term, self._read_postings)

    def _read_postings(self, term: str) -> SegmentPostings:
        found = []
        for number, segment in enumerate(self.segments):
            span = segment.words.find(term)
            if span is not None:
                found.append((number, (segment.words.documents[span], segment.words.frequencies[span])))
        return found

    def count_live(self, found: SegmentPostings) -> int:
        """Give how many documents of a term's postings are alive."""
        if self.all_live:
            return sum(len(documents) for _, (documents, _) in found)
        return sum(
            int(np.count_nonzero(self.live[self.starts[number] :][documents]))
            for number, (documents, _) in found
        )

    def allowed(self, condition: Filter | None) -> Mask:
        """Give the live positions that a metadata filter lets through."""
        if condition is None:
            return self.live
        masks = [matches(condition, segment.metadata, len(segment)) for segment in self.segments]
        return np.concatenate([np.empty(0, np.bool_), *masks]) & self.live

    def find(self, doc_ids: Iterable[str]) -> dict[str, int]:
        """Give the positions of the live documents among some ids."""
        wanted = list(dict.fromkeys(doc_ids))
        hashes = id_hashes(wanted)
        found: dict[str, int] = {}
        for start, segment in zip(self.starts, self.segments, strict=False):
            documents = segment.find(wanted, hashes)
            for index in np.flatnonzero(documents >= 0).tolist():
                position = start + int(documents[index])
                if self.live[position]:
                    found[wanted[index]] = position
        return found

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
        return [segment.doc_id(document) for segment, document in self._places(positions)]

    def documents(self, positions: Sequence[int] | Positions) -> list[Document]:
        """Give the documents at ``positions``, in that order."""
        return [segment.document(document) for segment, document in self._places(positions)]

    def _places(self, positions: Sequence[int] | Positions) -> Iterator[tuple[Segment, int]]:
        for position in positions:
            number, document = self.locate(int(position))
            yield self.segments[number], document


def _open_newest(directory: Directory) -> tuple[Generation, tuple[Segment, ...]]:
    """Open a generation's segments; if a writer has removed one meanwhile, there is a newer generation."""
    generation = read_generation(directory)
    while True:
        try:
            return generation, _open_segments(directory, generation)
        except FileNotFoundError as error:
            newest = read_generation(directory)
            if newest.seal == generation.seal:
                raise CollectionDamagedError(f"{error.filename}: is missing", hint=REPAIR) from error
            generation = newest


def _open_segments(directory: Directory, generation: Generation) -> tuple[Segment, ...]:
    segments: list[Segment] = []
    try:
        for entry in generation.segments:
            segments.append(Segment(directory, entry.number, entry.seal))
            found = len(segments[-1])
            if found != entry.documents:
                raise CollectionDamagedError(
                    f"{segments[-1].file.path}: {found} documents, the generation says {entry.documents}",
                    hint=REPAIR,
                )
    except BaseException:
        for segment in segments:
            segment.close()
        raise
    return tuple(segments)
