"""How a collection is: what it says of itself, who is writing to it, and what is wrong with it."""

from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

from shortlist.api import Collection
from shortlist.collection import Store
from shortlist.collection.array_file import FORMAT
from shortlist.collection.check import find_problems
from shortlist.collection.directory import Directory, storage_errors
from shortlist.collection.format_1 import INSIDE
from shortlist.collection.generation import COPY, NAME, NEW, Generation, read_generation
from shortlist.collection.segment import FOLDER, segment_name
from shortlist.collection.store import FORMAT_1
from shortlist.collection.writing import LOCK
from shortlist.doctor.privacy import without_names
from shortlist.doctor.problem import Problem
from shortlist.errors import CollectionError, ModelError
from shortlist.models.folders import DEFAULT

__all__ = ["CollectionHealth", "examine_collection"]


@dataclass(frozen=True)
class CollectionHealth:
    """Describe a collection; None is what could not be found out.

    ``unfinished`` names the source of a first build that has not come to its end. ``leftovers`` are files
    that no generation names; the next writer removes them. ``writer`` says which process is writing now,
    empty if none is.
    """

    path: str
    format: int | None = None
    made_by: str = ""
    generation: int | None = None
    documents: int | None = None
    deleted_documents: int | None = None
    segments: int | None = None
    size_bytes: int | None = None
    model: str = ""
    fingerprint: str = ""
    mode: str = ""
    model_found: bool | None = None
    unfinished: str = ""
    leftovers: int | None = None
    writer: str | None = None
    problems: tuple[Problem, ...] = ()


def examine_collection(path: Path, *, deep: bool = False) -> CollectionHealth:
    """Look at a collection as ``check`` does, and at what it says of itself; changes nothing."""
    directory = Directory(path)
    health = CollectionHealth(path=without_names(str(path)))
    try:
        Store(path)  # says best why a folder can't be opened
        with storage_errors(path, "reading"):
            generation = read_generation(directory)
            health = _described(replace(health, writer=_writer(directory)), directory, generation)
    except CollectionError as error:
        problem = Problem.of(error, "check who owns the folder, or restore a backup")
        return replace(health, format=1 if _is_format_1(directory) else None, problems=(problem,))
    model_problems = _model_problems(path, generation)
    problems = [
        *_file_problems(directory, deep=deep),
        *model_problems,
        *_build_problems(health),
    ]
    return replace(health, model_found=not model_problems, problems=tuple(problems))


def _described(health: CollectionHealth, directory: Directory, generation: Generation) -> CollectionHealth:
    """Add what the newest generation says, and what lies beside it."""
    named = [segment_name(entry.number) for entry in generation.segments]
    inside = set(directory.names(FOLDER)) if FOLDER in directory.names() else set()
    leftovers = [name for name in inside if f"{FOLDER}/{name}" not in named]
    leftovers += [name for name in (NEW, INSIDE) if name in directory.names()]
    settings = generation.settings
    return replace(
        health,
        format=FORMAT,
        made_by=generation.made_by,
        generation=generation.number,
        documents=generation.live_documents,
        deleted_documents=sum(len(entry.dead) for entry in generation.segments),
        segments=len(named),
        size_bytes=sum(_size(directory.path / name) for name in [NAME, COPY, *named]),
        model=without_names(settings.model or settings.model_name),
        fingerprint=settings.fingerprint,
        mode=settings.mode,
        unfinished=without_names(generation.unfinished),
        leftovers=len(leftovers),
    )


def _is_format_1(directory: Directory) -> bool:
    try:
        names = directory.names()
    except OSError:
        return False
    return FORMAT_1 in names and NAME not in names


def _size(file: Path) -> int:
    try:
        return file.stat().st_size
    except OSError:  # the check says so
        return 0


def _writer(directory: Directory) -> str | None:
    """Give who is writing, empty if nobody is; without the name of the host."""
    try:
        note = directory.lock_holder(LOCK)
    except OSError:
        return None
    return "" if note is None else note.partition(" on ")[0] or "another process"


def _file_problems(directory: Directory, *, deep: bool) -> list[Problem]:
    path = without_names(str(directory.path))
    mend = f"mend it from its documents: shortlist repair {path}; or restore a backup"
    return [Problem(without_names(text), mend) for text in find_problems(directory, deep=deep)]


def _model_problems(path: Path, generation: Generation) -> list[Problem]:
    folder = Path(generation.settings.model) if generation.settings.model else DEFAULT
    moved = "if the collection's model has moved, name its folder with --model FOLDER"
    try:
        Collection.open(path, model=folder).close()  # compares the fingerprints
    except ModelError as error:
        problem = Problem.of(error, moved)
        return [replace(problem, what=f"{without_names(str(path))}: {problem.what}")]
    except CollectionError as error:
        return [Problem.of(error, "run it again: somebody changes this collection")]
    return []


def _build_problems(health: CollectionHealth) -> list[Problem]:
    """Say that a build was interrupted, unless it is going on."""
    if not health.unfinished or health.writer:
        return []
    return [
        Problem(
            f"{health.path}: indexing {health.unfinished} was interrupted",
            "index the same source with the same options to go on, or remove the folder",
        )
    ]
