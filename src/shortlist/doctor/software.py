"""Which software runs: shortlist and where it came from, Python, the system, packages, the BLAS."""

from __future__ import annotations

import ctypes
import json
import platform
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from importlib.metadata import Distribution, PackageNotFoundError, distribution, version
from pathlib import Path
from urllib.parse import unquote, urlsplit

import numpy as np
import onnxruntime

from shortlist.doctor.privacy import without_names
from shortlist.version import VERSION

__all__ = ["Software", "examine_software"]

REQUIRED = ("numpy", "onnxruntime", "tokenizers", "PyStemmer", "tqdm")
OPTIONAL = ("torch", "sentence-transformers", "pyarrow")


@dataclass(frozen=True)
class Software:
    """Hold versions; a package that is absent has the version ``""``, ``blas_threads`` may be unknown."""

    shortlist: str
    installed: str
    python: str
    system: str
    libc: str
    machine: str
    required: Mapping[str, str]
    optional: Mapping[str, str]
    blas: str
    blas_threads: int | None
    providers: tuple[str, ...]


def examine_software() -> Software:
    """Look up what runs; optional packages are not imported."""
    return Software(
        shortlist=VERSION,
        installed=without_names(_installation(Path(__file__).parents[1])),
        python=f"{platform.python_version()} {platform.python_implementation()}",
        system=f"{platform.system()} {platform.release()}",
        libc=" ".join(part for part in platform.libc_ver() if part),
        machine=platform.machine(),
        required={name: _version(name) for name in REQUIRED},
        optional={name: _version(name) for name in OPTIONAL},
        blas=_blas(),
        blas_threads=_blas_threads(),
        providers=tuple(onnxruntime.get_available_providers()),
    )


def _version(package: str) -> str:
    """Give a package's version without importing it; of one by another name (onnxruntime-gpu) the module's."""
    try:
        return version(package)
    except PackageNotFoundError:
        return str(getattr(sys.modules.get(package), "__version__", ""))


def _installation(package: Path) -> str:
    """Say what kind of installation ``package``, the folder of our code, belongs to."""
    try:
        found = distribution("shortlist")
    except PackageNotFoundError:
        return f"not installed, runs from {package}"
    editable = _editable_folder(found)
    if editable is not None and package.is_relative_to(editable):
        return f"editable, {package}"
    if editable is None and Path(str(found.locate_file("shortlist"))).resolve() == package.resolve():
        return f"wheel, {package}"
    return f"runs from {package}, beside an installed {found.version}"


def _editable_folder(found: Distribution) -> Path | None:
    try:
        origin = json.loads(found.read_text("direct_url.json") or "{}")
        if origin.get("dir_info", {}).get("editable"):
            return Path(unquote(urlsplit(origin["url"]).path))
    except (ValueError, KeyError, AttributeError, TypeError):
        pass
    return None


def _blas() -> str:
    try:
        found = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
        return f"{found['name']} {found['version']}"
    except (KeyError, TypeError):
        return "unknown"


def _blas_threads() -> int | None:
    """Ask the OpenBLAS that numpy's wheels bring; any other one is not asked."""
    package = Path(np.__file__).parent
    for library in (*package.parent.glob("numpy.libs/*openblas*"), *package.glob(".dylibs/*openblas*")):
        try:
            loaded = ctypes.CDLL(str(library))
        except OSError:
            continue
        for name in ("scipy_openblas_get_num_threads64_", "scipy_openblas_get_num_threads"):
            if hasattr(loaded, name):
                return int(getattr(loaded, name)())
    return None
