"""What a collection consists of at one moment: its settings, its segments, and which documents are dead.

One file, ``generation.safetensors``, replaced as a whole by renaming: the one point at which a commit comes
to be. Every segment is named with its seal, so that a file in the wrong place is noticed. A copy lies beside
it for the day on which it is damaged, since all else hangs on it.
"""

from __future__ import annotations

import errno
import json
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime

import numpy as np
from numpy.typing import NDArray

from shortlist.collection.array_file import SEAL_BYTES, ArrayFile, ArrayFileWriter
from shortlist.collection.directory import Directory
from shortlist.collection.segment import Segment
from shortlist.errors import CollectionDamagedError
from shortlist.scoring import TokenCodes
from shortlist.version import VERSION

__all__ = [
    "COPY",
    "MAX_NAME",
    "NAME",
    "NEW",
    "Generation",
    "SegmentEntry",
    "StoreSettings",
    "commit",
    "copy_is_damaged",
    "mend",
    "newest_seal",
    "read_generation",
    "renew_copy",
]

NAME = "generation.safetensors"
COPY = "generation-copy.safetensors"
NEW = "generation.new"
MAX_NAME = 1000  # characters of a source's name that are kept: the header has room for so many


@dataclass(frozen=True)
class StoreSettings:
    """Hold what is fixed when a collection is created.

    ``model`` is the folder of the encoder, empty for the one that comes with shortlist; ``fingerprint`` is
    its identity. ``mode`` is how it runs. ``token_dimensions`` is 0 in a collection without the token view; of a
    passage's tokens one in ``token_pooling`` has a vector, of ``token_bits`` a component: 8, or 4 or 2 as codes.
    With ``hnsw`` large segments have a graph of their vectors.
    """

    language: str
    model: str
    model_name: str
    fingerprint: str
    mode: str
    similarity: str
    dimensions: int
    dense_scale: float
    token_dimensions: int
    token_scale: float
    token_pooling: int = 1
    token_bits: int = 8
    hnsw: bool = False

    @property
    def token_codes(self) -> TokenCodes | None:
        """How token vectors lie in few bits; ``None`` if they are int8 or if there are none."""
        if self.token_bits == 8 or not self.token_dimensions:
            return None
        return TokenCodes(self.token_dimensions, self.token_bits, 1 / self.token_scale)


@dataclass(frozen=True, eq=False)
class SegmentEntry:
    """Name a segment: ``dead`` are the documents that were deleted or replaced since, ascending."""

    number: int
    seal: bytes
    documents: int
    dead: NDArray[np.int32] = field(default_factory=lambda: np.empty(0, np.int32))

    @property
    def live_documents(self) -> int:
        """The number of documents that are not dead."""
        return self.documents - len(self.dead)

    def without(self, documents: Iterable[int]) -> SegmentEntry:
        """Give the entry with more dead documents."""
        more = np.fromiter(documents, np.int32)
        return replace(self, dead=np.union1d(self.dead, more).astype(np.int32)) if len(more) else self


@dataclass(frozen=True, eq=False)
class Generation:
    """Hold one generation. ``number`` counts commits; ``seal`` is the identity of the file it came from.

    ``unfinished`` names the source of a first build that has not come to its end, else it is empty.
    """

    settings: StoreSettings
    number: int = 0
    segments: tuple[SegmentEntry, ...] = ()
    unfinished: str = ""
    committed_at: str = ""
    made_by: str = ""
    seal: bytes = b""

    @property
    def live_documents(self) -> int:
        """The number of documents."""
        return sum(entry.live_documents for entry in self.segments)


def commit(directory: Directory, generation: Generation) -> None:
    """Make a generation the newest: write it beside the old one, wait for the disk, rename, wait again.

    Then its copy is renewed. Should that fail, the copy is behind, and what it names must not be removed.
    """
    made = replace(generation, made_by=VERSION, committed_at=datetime.now(UTC).isoformat(timespec="seconds"))
    _write(directory, made, NAME)
    directory.sync()
    with suppress(OSError):  # the commit has come to be; the next writer renews the copy
        _write(directory, made, COPY)


def renew_copy(directory: Directory, newest: Generation) -> None:
    """Make the copy that of the newest generation, if it is not, and wait until both are on the disk."""
    copy = _read_copy(directory)
    if copy is None or copy.seal != newest.seal:
        _write(directory, newest, COPY)
    directory.sync()


def mend(directory: Directory) -> bool:
    """Put the copy in the place of a damaged or missing file, or write it anew; give whether that was needed.

    Raises:
        CollectionDamagedError: both are damaged.
    """
    try:
        newest = read_generation(directory)
    except (CollectionDamagedError, OSError) as error:
        if isinstance(error, OSError) and error.errno not in (errno.EIO, errno.ENOENT):
            raise  # a passing trouble, not damage
        copy = _read_copy(directory)
        if copy is None:
            raise CollectionDamagedError(
                f"{error}; nor can its copy be read: {directory.path / COPY}", hint="restore a backup"
            ) from error
        _refuse_foreign(directory, copy)
        _write(directory, copy, NAME)
        directory.sync()
        return True
    damaged = copy_is_damaged(directory)
    renew_copy(directory, newest)
    return damaged


def copy_is_damaged(directory: Directory) -> bool:
    """Say whether there is a copy that can't be read; none, or one of an older generation, is soon renewed."""
    return COPY in directory.names() and _read_copy(directory) is None


def _read_copy(directory: Directory) -> Generation | None:
    try:
        return read_generation(directory, COPY)
    except (CollectionDamagedError, OSError):
        return None


def _refuse_foreign(directory: Directory, copy: Generation) -> None:
    """Refuse a copy whose segments are not those that are here: it belongs to another collection or time."""
    if copy.segments and not any(_is_here(directory, entry) for entry in copy.segments):
        raise CollectionDamagedError(
            f"{directory.path / COPY}: names none of the segments that are there", hint="restore a backup"
        )


def _is_here(directory: Directory, entry: SegmentEntry) -> bool:
    try:
        Segment(directory, entry.number, entry.seal).close()
    except (CollectionDamagedError, OSError):
        return False
    return True


def _write(directory: Directory, generation: Generation, name: str) -> None:
    if NEW in directory.names():
        directory.remove(NEW)
    file = directory.create(NEW)
    entries = generation.segments
    try:
        writer = ArrayFileWriter(file)
        writer.add_array("numbers", np.array([entry.number for entry in entries], np.int64))
        writer.add_array("documents", np.array([entry.documents for entry in entries], np.int64))
        writer.add_array("dead_counts", np.array([len(entry.dead) for entry in entries], np.int64))
        writer.add("dead", np.int32, (), [entry.dead for entry in entries])
        writer.add("seals", np.uint8, (), [np.frombuffer(entry.seal, np.uint8) for entry in entries])
        writer.finish(
            {
                "what": "shortlist generation",
                "made_by": generation.made_by,
                "committed_at": generation.committed_at,
                "generation": str(generation.number),
                "settings": json.dumps(asdict(generation.settings), ensure_ascii=False),
                "unfinished": generation.unfinished[:MAX_NAME],
            }
        )
        directory.rename(NEW, name)
    except BaseException:
        file.close()
        with suppress(OSError):  # it was renamed, or the next commit removes it
            directory.remove(NEW)
        raise


def newest_seal(directory: Directory) -> bytes:
    """Give the seal of the newest generation, unverified: enough to see whether it is one that is known.

    Raises:
        FileNotFoundError: there is none.
    """
    file = directory.open(NAME)
    try:
        seal = bytearray(SEAL_BYTES)
        file.read(seal, max(0, file.size() - SEAL_BYTES))
        return bytes(seal)
    finally:
        file.close()


def read_generation(directory: Directory, name: str = NAME) -> Generation:
    """Read the newest generation.

    Raises:
        FileNotFoundError: there is none.
        CollectionDamagedError: its file is damaged.
        CollectionFormatError: a newer version of shortlist wrote it.
    """
    file = directory.open(name)
    try:
        found = ArrayFile(file)
        arrays = {name: section[:] for name, section in found.sections.items()}
        seals = arrays["seals"].tobytes()
        ends = np.cumsum(arrays["dead_counts"]).tolist()
        dead = np.split(arrays["dead"], ends[:-1]) if ends else []
        columns = zip(arrays["numbers"].tolist(), arrays["documents"].tolist(), dead, strict=True)
        return Generation(
            settings=StoreSettings(**json.loads(found.about["settings"])),
            number=int(found.about["generation"]),
            segments=tuple(
                SegmentEntry(
                    number, seals[SEAL_BYTES * at : SEAL_BYTES * (at + 1)], documents, lost.astype(np.int32)
                )
                for at, (number, documents, lost) in enumerate(columns)
            ),
            unfinished=found.about["unfinished"],
            committed_at=found.about["committed_at"],
            made_by=found.about["made_by"],
            seal=found.seal,
        )
    except (KeyError, ValueError, TypeError) as error:
        raise CollectionDamagedError(f"{file.path}: {error}") from error
    finally:
        file.close()
