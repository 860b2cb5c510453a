"""Files that change behind our back: flipped bits, truncation, files in each other's place."""

from __future__ import annotations

import os
import random
import shutil
import tempfile
from collections.abc import Iterator
from functools import lru_cache
from pathlib import Path

from shortlist.errors import CollectionDamagedError, CollectionError, CollectionFormatError
from shortlist.indexing import repair
from tests.faults.cases import Family
from tests.faults.world import (
    DisagreementError,
    assess,
    collection,
    create,
    documents,
    encoder,
    look,
    read,
)

__all__ = ["FAMILIES"]

FLIPS_A_CASE, FLIPS = 20, 10_000
CUTS = 5


@lru_cache
def _sound(flavour: str) -> Path:
    """Make a collection of three segments, with dead documents; ``flavour`` names others that are like it."""
    path = Path(
        tempfile.mkdtemp(prefix="faults-sound-", dir="/dev/shm" if os.access("/dev/shm", os.W_OK) else None)
    )
    with create(path / "c") as made:
        made.add(documents(range(60), version=9 if flavour == "another" else 1))
        made.add(documents(range(60, 75)))
        made.add(documents(range(50, 65), version=2))
        if flavour != "older":
            made.delete(["d3", "d70"])
    return path / "c"


@lru_cache
def _answers() -> object:
    with collection(_sound("this")) as opened:
        return look(opened)


def _files(path: Path) -> list[Path]:
    return sorted(one.relative_to(path) for one in path.rglob("*.safetensors"))


def flip_cases() -> Iterator[str]:
    """Ten thousand flips, in cases of twenty that share a copy of the collection."""
    return (str(number) for number in range(FLIPS // FLIPS_A_CASE))


def flip_run(case: str, scratch: Path) -> int:
    """Flip bits, one after the other: ``check --deep`` names the file, and no search answers otherwise than before."""
    dice, path = random.Random(case), scratch / "c"
    shutil.copytree(_sound("this"), path)
    files = _files(path)
    sizes = [(path / name).stat().st_size for name in files]
    for _ in range(FLIPS_A_CASE):
        name = dice.choices(files, sizes)[0] if dice.random() < 0.7 else dice.choice(files)
        at, bit = dice.randrange((path / name).stat().st_size), dice.randrange(8)
        _flip(path / name, at, bit)
        try:
            _must_be_named(path, name, f"bit {bit} of byte {at}")
            _never_wrong(path)
        finally:
            _flip(path / name, at, bit)
    return FLIPS_A_CASE


def _flip(path: Path, at: int, bit: int) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        byte = file.read(1)[0]
        file.seek(at)
        file.write(bytes([byte ^ 1 << bit]))


def _must_be_named(path: Path, name: Path, what: str) -> None:
    try:
        with collection(path) as opened:
            found = [one for one in opened.check(deep=True) if "encoded by" not in one]
    except (CollectionDamagedError, CollectionFormatError) as error:
        found = [str(error)]
    if not any(str(path / name) in one for one in found):
        raise DisagreementError(f"{name}, {what}: not named by check --deep, which says {found}")


def _never_wrong(path: Path) -> None:
    try:
        with collection(path) as opened:
            answers = look(opened)
    except (CollectionDamagedError, CollectionFormatError):
        return
    if answers != _answers():
        raise DisagreementError("a search gives another answer, silently")


def cut_cases() -> Iterator[str]:
    """Every file, cut at five places or lengthened; and cut under a reader that has it open."""
    for name in _files(_sound("this")):
        for cut in range(CUTS + 1):
            yield from (f"{name}:{cut}:{when}" for when in ("before", "under-a-reader"))


def cut_run(case: str, scratch: Path) -> None:
    """Cut a file short: named when it is opened, an error for who has it open, and never a SIGBUS."""
    name, cut, when = case.split(":")
    path = scratch / "c"
    shutil.copytree(_sound("this"), path)
    size = (path / name).stat().st_size
    length = [0, 1, 16_384, size // 2, size - 1, size + 1][int(cut)]
    if when == "under-a-reader":
        with collection(path) as opened:
            opened.count()
            with opened.store.snapshot() as snapshot:
                os.truncate(path / name, length)
                try:
                    found = {one.doc_id: one for one in snapshot.documents(snapshot.live.nonzero()[0])}
                    if found != read_sound():
                        raise DisagreementError("other documents")
                except CollectionError:
                    pass
    else:
        os.truncate(path / name, length)
    _must_be_named(path, Path(name), f"{length} of {size} bytes")
    _never_wrong(path)


@lru_cache
def read_sound() -> dict[str, object]:
    """Give the documents of the sound collection."""
    with collection(_sound("this")) as opened:
        return dict(read(opened))


def swap_cases() -> Iterator[str]:
    """Every file in the place of every other; files of another collection and of an older generation; none."""
    names = _files(_sound("this"))
    for name in names:
        yield from (f"{name}:{other}" for other in names if other != name)
        yield from (f"{name}:{other}" for other in ("another", "older", "missing", "empty"))


def swap_run(case: str, scratch: Path) -> None:
    """Put another file in a file's place: it is named, unless all is as it was a generation ago."""
    name, other = case.split(":")
    path = scratch / "c"
    shutil.copytree(_sound("this"), path)
    match other:
        case "another" | "older":
            shutil.copyfile(_sound(other) / name, path / name)
        case "missing":
            (path / name).unlink()
            if "copy" in name:
                return  # the next writer makes it again; nothing depends on it
        case "empty":
            (path / name).write_bytes(b"")
        case _:
            shutil.copyfile(_sound("this") / other, path / name)
    if (path / name).exists() and (path / name).read_bytes() == (_sound("this") / name).read_bytes():
        return
    if "copy" in name and other in ("older", "another"):
        _never_wrong(path)  # it is sound, only not ours: not asked for, and renewed by the next writer
        with collection(path).store.writer():
            pass
        if (path / name).read_bytes() != (path / "generation.safetensors").read_bytes():
            raise DisagreementError("the copy was not renewed")
        return
    try:
        with collection(path) as opened:
            problems = [one for one in opened.check(deep=True) if "encoded by" not in one]
            if not problems and other == "older":
                with collection(_sound("older")) as older:
                    if read(opened) != read(older):
                        raise DisagreementError("neither this generation nor the older one")
                return
    except CollectionError as error:
        problems = [str(error)]
    if not any(str(path) in one for one in problems):
        raise DisagreementError(f"{case}: not named: {problems}")
    if "generation" not in name:
        _must_be_named(path, Path(name), other)


def repair_cases() -> Iterator[str]:
    """Every array of every segment, damaged in the middle; and the frame of the file."""
    with collection(_sound("this")).store.snapshot() as snapshot:
        for segment in snapshot.segments:
            yield from (f"{segment.number}:{name}" for name, one in segment.file.sections.items() if len(one))
            yield from (f"{segment.number}:{name}" for name in ("header", "checksums", "seal"))
            yield from (f"{segment.number}:header-{at}" for at in range(0, 2000, 40))
            yield from (f"{segment.number}:zeros-{at}" for at in range(0, segment.file.size, 4096))
            yield from (f"{segment.number}:cut-{at}" for at in range(0, segment.file.size, 4096))
            yield f"{segment.number}:missing"
    yield from ("generation:3000", "generation:-3", "generation-copy:3000")


def repair_run(case: str, scratch: Path) -> None:
    """Damage one array: repaired, the collection answers as before; documents that are lost are named."""
    number, name = case.split(":")
    path = scratch / "c"
    shutil.copytree(_sound("this"), path)
    if number.startswith("generation"):
        file = path / f"{number}.safetensors"
        _flip(file, int(name) % file.stat().st_size, 3)
        _repaired(path, name, scratch)
        return
    file = path / "segments" / f"{int(number):08d}.safetensors"
    with collection(path).store.snapshot() as snapshot:
        (segment,) = (one for one in snapshot.segments if one.number == int(number))
        size, end = segment.file.size, segment.file.size - 32
        places = {"header": 12_000, "checksums": end - 6, "seal": size - 5}
        if name in segment.file.sections:
            section = segment.file.sections[name]
            width = section.dtype.itemsize
            for axis in section.shape[1:]:
                width *= axis
            places[name] = section.start + len(section) * width // 2
    if name.startswith("header-"):
        places[name] = 8 + int(name.removeprefix("header-"))
    if name in places:
        _flip(file, places[name], 3)
    elif name == "missing":
        file.unlink()
    else:
        kind, at = name.split("-")
        content = file.read_bytes()
        rest = content[int(at) + 4096 :] if kind == "zeros" else b""
        file.write_bytes(content[: int(at)] + (b"\0" * 4096 if kind == "zeros" else b"") + rest)
    _repaired(path, name, scratch)


def _repaired(path: Path, name: str, scratch: Path) -> None:
    before = len(read_sound())
    try:
        repair(path, lambda _: encoder())
    except CollectionDamagedError as error:
        may_lose = name in ("documents", "missing") or name.startswith(("zeros", "cut"))
        if not may_lose or "can't be read" not in str(error):
            raise
        lost = repair(path, lambda _: encoder(), drop=True).lost
        with collection(path) as opened:
            if not lost or opened.count() != before - len(lost):
                raise DisagreementError(f"{len(lost)} lost, {opened.count()} of {before} left") from error
            left = read(opened)
            if any(read_sound()[doc_id] != one for doc_id, one in left.items()):
                raise DisagreementError("a document changed") from error
            assess(path, [left], scratch)
    else:
        assess(path, [read_sound()], scratch)  # type: ignore[list-item]


FAMILIES = [
    Family(
        "bit-flips",
        "a bit is flipped in any file: `check --deep` names the file, and no search gives another answer",
        flip_cases,
        flip_run,
        counted="flips",
    ),
    Family(
        "cut-files",
        "every file cut short at five places, or longer by a byte; also under a reader: named, never SIGBUS",
        cut_cases,
        cut_run,
    ),
    Family(
        "swapped-files",
        "every file in the place of every other, of another collection, of an older generation, missing, empty: named",
        swap_cases,
        swap_run,
    ),
    Family(
        "repair",
        "every array of every segment, header, checksums, seal and generation damaged: `repair` makes it again; only "
        "damaged documents themselves are lost, and named",
        repair_cases,
        repair_run,
    ),
]
