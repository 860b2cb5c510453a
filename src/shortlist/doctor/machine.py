"""What the machine gives us: processor, cores, memory, and every limit that was put on them."""

from __future__ import annotations

import os
import platform
import re
import resource
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from shortlist.doctor.instructions import instruction_sets
from shortlist.doctor.privacy import without_names
from shortlist.doctor.sources import command_output, system_file
from shortlist.scoring.kernels import VARIABLE, available

__all__ = ["Machine", "examine_machine"]

VARIABLES = (
    "OMP_NUM_THREADS", "OMP_THREAD_LIMIT", "OMP_WAIT_POLICY", "OMP_PROC_BIND", "OPENBLAS_NUM_THREADS",
    "OPENBLAS_CORETYPE", "GOTO_NUM_THREADS", "MKL_NUM_THREADS", "BLIS_NUM_THREADS", "VECLIB_MAXIMUM_THREADS",
    "RAYON_NUM_THREADS", "TOKENIZERS_PARALLELISM", "NPY_DISABLE_CPU_FEATURES", VARIABLE,
)  # fmt: skip
_SHOWN = 60


@dataclass(frozen=True)
class Machine:
    """Hold what there is and what may be used of it; None is unknown, or no limit.

    ``cores_quota`` is the processor time that the control group allows, in cores. ``limits_bytes`` are
    limits of memory by their names, only those that are set. ``variables`` are those that set threads and kernels;
    ``kernels`` those that can run, the one that does first.
    """

    processor: str
    cores_total: int
    cores_usable: int
    cores_quota: float | None
    instruction_sets: tuple[str, ...]
    kernels: tuple[str, ...]
    memory_bytes: int | None
    memory_available_bytes: int | None
    limits_bytes: Mapping[str, int]
    open_files: int | None
    open_files_at_most: int | None
    variables: Mapping[str, str]


def examine_machine() -> Machine:
    """Look at processor, memory, limits and the variables that set threads."""
    total = os.cpu_count() or 1
    memory = _memory()
    files, files_at_most = (_limit(value) for value in resource.getrlimit(resource.RLIMIT_NOFILE))
    return Machine(
        processor=_processor(),
        cores_total=total,
        cores_usable=len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else total,
        cores_quota=_quota(),
        instruction_sets=instruction_sets(),
        kernels=_kernels(),
        memory_bytes=memory,
        memory_available_bytes=_meminfo("MemAvailable"),
        limits_bytes=_memory_limits(memory),
        open_files=files,
        open_files_at_most=files_at_most,
        variables={n: without_names(os.environ[n][:_SHOWN]) for n in VARIABLES if n in os.environ},
    )


def _kernels() -> tuple[str, ...]:
    """Give the kernels that can run, those in use first; the variables tell of some that were asked for and can't."""
    found = available()
    chosen = os.environ.get(VARIABLE) or found[0]
    return (chosen, *(name for name in found if name != chosen)) if chosen in found else found


def _processor() -> str:
    """Give the processor's model by the first source that knows it."""
    found = re.search(
        r"^(?:model name|Model|cpu model)\s*:\s*(.+)$", system_file("proc/cpuinfo"), re.MULTILINE
    )
    if found:
        return " ".join(found[1].split())
    named = (
        command_output("sysctl", "-n", "machdep.cpu.brand_string") if platform.system() == "Darwin" else ""
    )
    # the device tree of a small board ends with a zero byte
    named = named or system_file("proc/device-tree/model").rstrip("\0")
    return " ".join(named.split()) or "unknown"


def _memory() -> int | None:
    found = _meminfo("MemTotal")
    if found is not None:
        return found
    try:
        return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")
    except (OSError, ValueError):
        return None


def _meminfo(name: str) -> int | None:
    found = re.search(rf"^{name}:\s*(\d+) kB$", system_file("proc/meminfo"), re.MULTILINE)
    return int(found[1]) * 1024 if found else None


def _memory_limits(memory: int | None) -> dict[str, int]:
    """Give the limits that are set; a control group that allows more than there is sets none."""
    limits: dict[str, int] = {}
    allowed = [
        int(text)
        for folder in _control_groups("memory")
        for name in ("memory.max", "memory.limit_in_bytes")
        if (text := system_file(f"{folder}/{name}").strip()).isdigit()
    ]
    if allowed and min(allowed) < (memory or 1 << 60):
        limits["control group"] = min(allowed)
    for name in ("RLIMIT_AS", "RLIMIT_DATA", "RLIMIT_RSS"):
        if hasattr(resource, name):
            value = _limit(resource.getrlimit(getattr(resource, name))[0])
            if value is not None:
                limits[name] = value
    return limits


def _quota() -> float | None:
    """Give the smallest quota of our control group and those around it, in cores."""
    found = []
    for folder in _control_groups("cpu"):
        fields = system_file(f"{folder}/cpu.max").split()  # version 2: "50000 100000" or "max 100000"
        fields = fields or [
            system_file(f"{folder}/cpu.cfs_{name}_us").strip() for name in ("quota", "period")
        ]
        if len(fields) == 2 and all(field.isdigit() and int(field) for field in fields):
            found.append(int(fields[0]) / int(fields[1]))
    return min(found, default=None)


def _control_groups(controller: str) -> Iterator[str]:
    """Give the folders of our control groups, of version 1 and 2, each with those around it."""
    for line in system_file("proc/self/cgroup").splitlines():
        _, _, rest = line.partition(":")
        controllers, _, path = rest.partition(":")
        if not controllers or controller in controllers.split(","):
            root = f"sys/fs/cgroup/{controller}" if controllers else "sys/fs/cgroup"
            inner = PurePosixPath(path)
            yield from (f"{root}/{str(folder).strip('/')}" for folder in (inner, *inner.parents))


def _limit(value: int) -> int | None:
    return None if value == resource.RLIM_INFINITY else value
