"""What every benchmark script shares: where data lies, what machine this is, how results are written."""

from __future__ import annotations

import argparse
import importlib.metadata
import json
import os
import platform
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).parent / "results"
NAMED = (
    "avx2",
    "avx512f",
    "avx512_vnni",
    "avx512_vpopcntdq",
    "avx512_bf16",
    "avx_vnni",
    "amx_int8",
    "amx_bf16",
)


def arguments(description: str) -> argparse.ArgumentParser:
    """Start a script's arguments with the one that all share."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--data", type=Path, default=os.environ.get("SHORTLIST_DATA"),
                        help="folder with retrieval/SET in BEIR layout (or SHORTLIST_DATA)")  # fmt: skip
    return parser


def data_folder(given: Path | None, parser: argparse.ArgumentParser) -> Path:
    """Give the data folder, or say that one is needed."""
    if given is None or not (given / "retrieval").is_dir():
        parser.error("--data FOLDER (or SHORTLIST_DATA) must hold retrieval/SET in BEIR layout")
    return given


def write_results(name: str, results: Mapping[str, Any], packages: Sequence[str] = ()) -> None:
    """Write one JSON file with what was measured and on what."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short=12", "HEAD"],
        capture_output=True,
        text=True,
        check=False,
        cwd=RESULTS.parent,
    ).stdout.strip()
    dirty = subprocess.run(
        ["git", "status", "--porcelain", "--", ":(top,exclude)benchmarks/results", ":(top,exclude)docs/plots"],
        capture_output=True, text=True, check=False, cwd=RESULTS.parent,
    ).stdout.strip()  # fmt: skip
    versions = {p: importlib.metadata.version(p) for p in ("numpy", "onnxruntime", "tokenizers", *packages)}
    record = {
        "commit": commit + ("+changes" if dirty else ""),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {instruction_sets()}",
        "python": platform.python_version(),
        "blas threads": os.environ.get("OPENBLAS_NUM_THREADS", "all"),
        "versions": versions,
        "date": time.strftime("%Y-%m-%d"),
        "results": results,
    }
    RESULTS.mkdir(exist_ok=True)
    path = RESULTS / f"{name}.json"
    path.write_text(json.dumps(record, indent=1, ensure_ascii=False) + "\n")
    print(f"wrote {path}")


def instruction_sets() -> str:
    """Name what of the processor matters here."""
    try:
        flags = set(Path("/proc/cpuinfo").read_text().split("flags", 1)[1].split("\n", 1)[0].split())
    except (OSError, IndexError):
        return "unknown instruction sets"
    return " ".join(f for f in NAMED if f in flags)


def interleaved(candidates: Mapping[str, Callable[[], object]], rounds: int) -> dict[str, list[float]]:
    """Time every candidate once a round, in turn, after a warm-up; give the seconds of each."""
    for run in candidates.values():
        run()
    times: dict[str, list[float]] = {name: [] for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            start = time.perf_counter()
            run()
            times[name].append(time.perf_counter() - start)
    return times


def one_after_the_other(
    candidates: Mapping[str, Callable[[Any], object]], queries: Sequence[Any], rounds: int
) -> dict[str, list[float]]:
    """Time all queries by one candidate, then by the next, some rounds; give the best seconds of each query."""
    best = {name: [float("inf")] * len(queries) for name in candidates}
    for _ in range(rounds):
        for name, run in candidates.items():
            for at, query in enumerate(queries):
                start = time.perf_counter()
                run(query)
                best[name][at] = min(best[name][at], time.perf_counter() - start)
    return best


def summary(seconds: Sequence[float]) -> dict[str, float]:
    """Give minimum, median and 95th percentile in milliseconds."""
    ordered = sorted(seconds)
    return {
        "min_ms": round(ordered[0] * 1000, 3),
        "p50_ms": round(statistics.median(ordered) * 1000, 3),
        "p95_ms": round(ordered[min(len(ordered) - 1, int(len(ordered) * 0.95))] * 1000, 3),
    }
