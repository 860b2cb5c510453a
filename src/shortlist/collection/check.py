"""Whether a collection is whole: every file as it was written, every view about the same documents."""

from __future__ import annotations

import errno
from collections.abc import Iterator
from itertools import pairwise

import numpy as np

from shortlist.collection.checksums import block_checksums, checksums
from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.generation import (
    COPY,
    NAME,
    Generation,
    SegmentEntry,
    StoreSettings,
    copy_is_damaged,
    newest_seal,
    read_generation,
)
from shortlist.collection.metadata import keys_of
from shortlist.collection.postings import Postings
from shortlist.collection.segment import Segment, id_hashes
from shortlist.errors import CollectionDamagedError, CollectionError, CollectionStorageError
from shortlist.scoring import sign_bits

__all__ = ["find_problems", "segment_is_sound"]


def find_problems(directory: Directory, *, deep: bool) -> list[str]:
    """Give what is wrong with the newest generation, a line each.

    What every opening checks is checked for all files: they are there, of their size, and the ones that were
    committed. ``deep`` reads every byte, and compares every view with the documents.
    """
    try:
        with storage_errors(directory.path, "reading"):
            while True:
                generation = read_generation(directory)
                problems = _generation_problems(directory, generation, deep=deep)
                if not problems or newest_seal(directory) == generation.seal:
                    return problems
                # else a writer has made another one and removed files meanwhile
    except CollectionError as error:
        return [error.message]


def _generation_problems(directory: Directory, generation: Generation, *, deep: bool) -> list[str]:
    problems: list[str] = []
    seen = set[str]()
    if copy_is_damaged(directory):
        problems.append(f"{directory.path / COPY}: is damaged; all else is read from {NAME}")
    for entry in generation.segments:
        try:
            segment = _open(directory, generation, entry)
        except CollectionError as error:
            problems.append(error.message)
            continue
        try:
            problems += _segment_problems(segment, entry, generation.settings, seen) if deep else []
        except CollectionError as error:
            problems.append(error.message)
        except (ValueError, TypeError, IndexError) as error:
            problems.append(f"{segment.file.path}: {error}")
        finally:
            segment.close()
    return problems


def segment_is_sound(directory: Directory, generation: Generation, entry: SegmentEntry) -> bool:
    """Read a segment whole and say whether it is as it was written."""
    try:
        segment = _open(directory, generation, entry)
    except CollectionStorageError as error:
        if error.errno != errno.EIO:  # a passing trouble, not damage
            raise
        return False
    except CollectionError:
        return False
    try:
        return not segment.damaged_sections()
    finally:
        segment.close()


def _open(directory: Directory, generation: Generation, entry: SegmentEntry) -> Segment:
    with storage_errors(directory.path, "opening"):
        try:
            segment = Segment(directory, entry.number, entry.seal)
        except FileNotFoundError as error:
            raise CollectionDamagedError(f"{error.filename}: is missing") from None
    if len(segment) != entry.documents:
        segment.close()
        raise CollectionError(
            f"{segment.file.path}: {len(segment)} documents, generation {generation.number} "
            f"says {entry.documents}"
        )
    return segment


def _segment_problems(
    segment: Segment, entry: SegmentEntry, settings: StoreSettings, seen: set[str]
) -> Iterator[str]:
    path = segment.file.path
    damaged = segment.damaged_sections()
    if damaged:
        yield from (f"{path}: {name}: its checksum is not the one it was written with" for name in damaged)
        return
    documents, passages = len(segment), segment.passage_count
    spans = segment.passages
    ids = [segment.doc_id(document) for document in range(documents)]
    dead = set(entry.dead.tolist())
    live = {doc_id for document, doc_id in enumerate(ids) if document not in dead}
    rules = {
        "dead documents are documents": len(entry.dead) == 0
        or 0 <= entry.dead[0] <= entry.dead[-1] < documents,
        "the postings of words add up to the lengths": _adds_up(segment.words, segment.lengths),
        "the postings of metadata are those of the documents": _same_metadata(segment),
        "every document has a passage": np.array_equal(np.unique(spans[:, 0]), np.arange(documents)),
        "passages are in order": bool(np.all(np.diff(spans[:, 0]) >= 0)),
        "passages lie in their texts": _inside(segment),
        "one vector a passage": segment.dense.shape == (passages, settings.dimensions),
        "token vectors as the settings say": segment.has_tokens == bool(settings.token_dimensions),
        "every id is found": np.array_equal(segment.find(ids, id_hashes(ids)), np.arange(documents)),
        "no document lives in two segments": len(live) == entry.live_documents and not live & seen,
    }
    if segment.has_tokens:
        offsets, codes = segment.token_offsets, settings.token_codes
        width = settings.token_dimensions if codes is None else codes.width
        rules["token offsets fit the tokens"] = (
            len(offsets) == passages + 1
            and bool(np.all(np.diff(offsets) >= 0))
            and offsets[-1] == len(segment.tokens)
            and segment.tokens.shape[1] == width
            and segment.tokens.dtype == (np.int8 if codes is None else np.uint8)
        )
    rules |= _rules_of_rows(segment) | _rules_of_candidates(segment)
    seen |= live
    yield from (f"{path}: not true: {rule}" for rule, holds in rules.items() if not holds)


def _rules_of_rows(segment: Segment) -> dict[str, bool]:
    """Say whether rows that are verified by themselves have the checksums that belong to them."""
    rules, passages = {}, segment.passage_count
    if segment.dense_checksums is not None:
        found = block_checksums(segment.dense.reshape(-1).view(np.uint8), segment.dimensions)
        rules["each text vector has its checksum"] = np.array_equal(found, segment.dense_checksums)
    if segment.token_checksums is not None and len(segment.token_offsets) == passages + 1:
        offsets, width = segment.token_offsets, segment.tokens.shape[1]
        parts = [np.empty(0, np.uint32)]
        for first, last in pairwise([*range(0, passages, 1000), passages]):
            some = segment.tokens[offsets[first] : offsets[last]].reshape(-1).view(np.uint8)
            parts.append(checksums(some, (offsets[first : last + 1] - offsets[first]) * width))
        rules["each passage's tokens have their checksum"] = np.array_equal(
            np.concatenate(parts), segment.token_checksums
        )
    return rules


def _rules_of_candidates(segment: Segment) -> dict[str, bool]:
    """Say whether what suggests documents is about the segment's own."""
    rules: dict[str, bool] = {}
    bits, lists = segment.sign_bits, segment.token_lists
    try:
        _ = segment.vector_graph
    except CollectionDamagedError:
        rules["the graph can be read, and has as many vectors as there are passages"] = False
    if bits is not None:
        rules["the signs are those of the vectors"] = np.array_equal(bits.bits, sign_bits(segment.dense))
        far, most = bits.distances, 64 * bits.bits.shape[1]
        rules["pairs of vectors were measured, from far to near"] = (
            len(far) == len(bits.products)
            and bool(np.all((far >= 0) & (far <= most)))
            and bool(np.all(np.diff(bits.products) >= 0))
        )
    if lists is not None:
        inside = np.asarray(lists.passages)
        begins = np.zeros(len(inside), np.bool_)
        begins[lists.offsets[:-1][np.diff(lists.offsets) > 0]] = True
        rules["every passage is in a list of tokens"] = (
            len(lists.offsets) == len(lists.centroids) + 1
            and (lists.offsets[0], lists.offsets[-1]) == (0, len(inside))
            and bool(np.all(np.diff(lists.offsets) >= 0))
            and bool(np.all((np.diff(inside, prepend=-1) > 0) | begins))
            and np.array_equal(np.unique(inside), np.flatnonzero(np.diff(segment.token_offsets)))
        )
    return rules


def _adds_up(postings: Postings, lengths: np.ndarray[tuple[int], np.dtype[np.int32]]) -> bool:
    documents, frequencies = np.asarray(postings.documents), np.asarray(postings.frequencies)
    terms = [postings.term(number) for number in range(len(postings))]
    return all(a < b for a, b in pairwise(terms)) and np.array_equal(
        np.bincount(documents, frequencies, minlength=len(lengths)), lengths
    )


def _same_metadata(segment: Segment) -> bool:
    """Index the documents' metadata again and compare."""
    expected = Postings.build(
        keys_of(segment.document(document).metadata) for document in range(len(segment))
    )
    found = segment.metadata
    return all(
        np.array_equal(np.asarray(getattr(found, name)), np.asarray(getattr(expected, name)))
        for name in ("terms", "term_offsets", "posting_offsets", "documents", "frequencies")
    )


def _inside(segment: Segment) -> bool:
    lengths = np.array([len(segment.document(number).text) for number in range(len(segment))])
    document, start, end = segment.passages.T
    return bool(np.all((start >= 0) & (start <= end) & (end <= lengths[document])))
