"""Which instruction sets that matter for speed the processor has."""

from __future__ import annotations

import importlib
import platform
import re

from shortlist.doctor.sources import command_output, system_file

__all__ = ["instruction_sets"]

KNOWN = (
    "sse4_2", "avx", "f16c", "fma", "avx2", "avx_vnni", "avx_vnni_int8", "avx512f", "avx512bw", "avx512dq",
    "avx512vl", "avx512_vnni", "avx512_bf16", "avx512_fp16", "amx_tile", "amx_int8", "amx_bf16",
    "neon", "asimdhp", "asimddp", "i8mm", "bf16", "sve", "sve2", "vsx", "rvv",
)  # fmt: skip
"""As Linux names them, for x86 and then for others; they are shown in this order."""

_OTHER_NAMES = {
    "sse42": "sse4_2", "sse4_2": "sse4_2", "fma3": "fma", "avx512vnni": "avx512_vnni",
    "avx512bf16": "avx512_bf16", "avx512fp16": "avx512_fp16", "asimd": "neon", "avx1_0": "avx",
    "avx2_0": "avx2", "feat_dotprod": "asimddp", "feat_i8mm": "i8mm", "feat_bf16": "bf16",
    "feat_fp16": "asimdhp", "advsimd": "neon",
}  # fmt: skip


def instruction_sets() -> tuple[str, ...]:
    """Join what numpy found at its start with what the system says; each may not know some."""
    names = _numpys() | _linuxs() | (_macs() if platform.system() == "Darwin" else set())
    found = {_OTHER_NAMES.get(name.lower(), name.lower()) for name in names}
    return tuple(name for name in KNOWN if name in found)


def _numpys() -> set[str]:
    try:
        features = importlib.import_module("numpy._core._multiarray_umath").__cpu_features__
        return {str(name) for name, present in features.items() if present}
    except (ImportError, AttributeError):  # no public name for it
        return set()


def _linuxs() -> set[str]:
    found = re.search(r"^(?:flags|Features)\s*:(.*)$", system_file("proc/cpuinfo"), re.MULTILINE)
    return set(found[1].split()) if found else set()


def _macs() -> set[str]:
    """Read lines such as ``hw.optional.arm.FEAT_DotProd: 1``."""
    lines = command_output("sysctl", "hw.optional").splitlines()
    return {
        name.rpartition(".")[2]
        for name, _, value in (line.partition(":") for line in lines)
        if value.strip() == "1"
    }
