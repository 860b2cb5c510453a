"""How a diagnosis reads: aligned plain lines that fit into a bug report."""

from __future__ import annotations

import textwrap
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING

from shortlist.cli.terminal import printable
from shortlist.plain_text import counted, size

if TYPE_CHECKING:
    from shortlist.doctor import CollectionHealth, Diagnosis, Disk, Machine, ModelHealth, Software

__all__ = ["diagnosis_text"]

WIDTH = 100
_LABEL = 15

Lines = Iterator[tuple[str, str]]


def diagnosis_text(diagnosis: Diagnosis) -> str:
    """Give the text: facts in two columns, then a line for each problem."""
    lines = [*_software(diagnosis.software), *_machine(diagnosis.machine)]
    for disk in diagnosis.disks:
        lines += _disk(disk)
    lines += _model(diagnosis.model)
    text = [line for label, value in lines for line in _wrapped(label.ljust(_LABEL), value)]
    for collection in diagnosis.collections:
        text.append("")
        for label, value in _collection(collection):
            text += _wrapped(label.ljust(_LABEL), value)
    text.append("")
    for problem in diagnosis.problems:
        text += _wrapped("problem: ", f"{problem.what} -> {problem.remedy}", indent=2)
    if not diagnosis.problems:
        text.append("no problem found")
    return "\n".join(text)


def _wrapped(label: str, value: str, *, indent: int = _LABEL) -> list[str]:
    """Break a line between words; what would steer a terminal becomes a space."""
    one_line = " ".join(printable(value).split())
    lines = textwrap.wrap(
        one_line, WIDTH, initial_indent=label, subsequent_indent=" " * indent, break_on_hyphens=False
    )
    return [line.rstrip() for line in lines or [label]]


def _software(found: Software) -> Lines:
    yield "shortlist", f"{found.shortlist}, {found.installed}"
    yield "python", found.python
    yield "system", ", ".join(part for part in (found.system, found.libc, found.machine) if part)
    yield "packages", _versions(found.required)
    yield "optional", _versions(found.optional)
    threads = "threads unknown" if found.blas_threads is None else counted(found.blas_threads, "thread")
    yield "blas", f"{found.blas}, {threads}"
    yield "onnxruntime", ", ".join(found.providers)


def _versions(packages: Mapping[str, str]) -> str:
    return ", ".join(f"{name} {version or 'absent'}" for name, version in packages.items())


def _machine(found: Machine) -> Lines:
    quota = "" if found.cores_quota is None else f", a quota of {found.cores_quota:g}"
    yield "processor", f"{found.processor}; {found.cores_usable} of {found.cores_total} cores usable{quota}"
    yield "instructions", " ".join(found.instruction_sets) or "unknown"
    yield "kernels", f"{found.kernels[0]} in use; here run {' '.join(found.kernels)}"
    limits = [f"{name} {size(value)}" for name, value in found.limits_bytes.items()]
    room = f"{_size(found.memory_bytes)}, {_size(found.memory_available_bytes)} available"
    yield "memory", f"{room}; limits: {', '.join(limits) or 'none'}"
    # the command line itself sets OPENBLAS_NUM_THREADS to 1 where it is not set
    yield "variables", " ".join(f"{name}={value}" for name, value in found.variables.items()) or "none set"
    files, at_most = (
        "no limit" if value is None else f"{value:,}"
        for value in (found.open_files, found.open_files_at_most)
    )
    yield "open files", f"{files}, may be raised to {at_most}"


def _disk(found: Disk) -> Lines:
    parts = [f"{_size(found.free_bytes)} of {_size(found.size_bytes)} free"]
    if found.read_only:
        parts.append("read-only")
    if found.sync_ms is None:
        parts.append(f"can't be written to ({found.refused})")
    else:
        parts.append(f"4 KiB written and synced in {found.sync_ms:.2f} ms")
    yield "disk", f"{found.path}: {found.file_system}, {', '.join(parts)}"


def _model(found: ModelHealth) -> Lines:
    if not found.loads:
        yield "model", f"{found.name}: can't be loaded"
        return
    parts = [f"{found.name} ({found.fingerprint}): every checksum right"]
    parts += [f"loaded in {found.load_ms:.0f} ms"] if found.load_ms is not None else []
    if found.encode_ms is not None:
        parts.append(f"a sentence in {found.encode_ms:.1f} ms on one thread")
    parts += [f"cosine of fast and exact {found.cosine:.4f}"] if found.cosine is not None else []
    yield "model", ", ".join(parts)


def _collection(found: CollectionHealth) -> Lines:
    yield "collection", found.path
    yield "  format", "unknown" if found.format is None else str(found.format)
    if found.generation is None:
        return
    yield "  generation", f"{found.generation}, committed by shortlist {found.made_by}"
    dead = f", {found.deleted_documents:,} deleted or replaced" if found.deleted_documents else ""
    yield (
        "  documents",
        f"{found.documents:,}{dead}; {counted(found.segments or 0, 'segment')}, {_size(found.size_bytes)}",
    )
    here = "at hand" if found.model_found else "not at hand"
    yield "  model", f"{found.model} ({found.fingerprint}), mode {found.mode}: {here}"
    if found.unfinished:
        yield "  unfinished", f"indexing {found.unfinished}"
    if found.leftovers:
        yield "  leftovers", f"{counted(found.leftovers, 'file')}; the next change removes them"
    yield "  writing", "unknown" if found.writer is None else found.writer or "nobody"


def _size(value: int | None) -> str:
    return "unknown" if value is None else size(value)
