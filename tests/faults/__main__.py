"""Cause every fault on purpose: ``python -m tests.faults [FAMILY [CASE]]``.

Without arguments everything runs and the table in docs/reliability.md is made from it (``make faults``). A
failure prints the line that repeats it.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import subprocess
import sys
import tempfile
import time
import traceback
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.faults.cases import Family
from tests.faults.families import FAMILIES

ROOT = Path(__file__).parents[2]
DOCUMENT = ROOT / "docs" / "reliability.md"
BEGIN, END = "<!-- faults: made by make faults -->", "<!-- /faults -->"


def run_family(family: Family, names: Sequence[str], *, verbose: bool = True) -> dict[str, Any]:
    """Run cases; give how many were tried and which failed."""
    begin, failures, count = time.perf_counter(), [], 0
    for done, name in enumerate(names, 1):
        scratch = Path(tempfile.mkdtemp(prefix="faults-", dir=scratch_root()))
        try:
            count += family.run(name, scratch) or 0
        except Exception as error:
            failures.append(name)
            print(f"\nFAILED {family.name} {name}: {type(error).__name__}: {error}", file=sys.stderr)
            print(f"  repeat it: python -m tests.faults {family.name} {name}", file=sys.stderr)
            if len(names) == 1:
                traceback.print_exc()
        finally:
            shutil.rmtree(scratch, ignore_errors=True)
        if verbose and sys.stderr.isatty():
            print(f"\r{family.name}: {done} of {len(names)}, {len(failures)} failed", end="", file=sys.stderr)
    seconds = time.perf_counter() - begin
    if verbose:
        counted = f", {count:,} {family.counted}" if family.counted else ""
        print(
            f"\r{family.name}: {len(names):,} cases{counted}, {len(failures)} failed, {seconds:.0f} s",
            flush=True,
        )
    return {
        "family": family.name,
        "promise": family.promise,
        "cases": len(names),
        "counted": {family.counted: count} if family.counted else {},
        "failed": failures,
        "seconds": round(seconds, 1),
    }


def run_beside(name: str, folder: Path) -> dict[str, Any]:
    """Run all cases of a family in a process of its own."""
    command = [sys.executable, "-m", "tests.faults", name, "--result", str(folder / name)]
    subprocess.run(command, cwd=ROOT, check=False)
    result: dict[str, Any] = json.loads((folder / name).read_text(encoding="utf-8"))
    return result


def scratch_root() -> str | None:
    """Give a folder in memory, where there is one: no fault here needs a slow disk."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None


def main(argv: Sequence[str] | None = None) -> int:
    """Run what was asked for; give 1 if anything failed."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Cause every fault on purpose."
    )
    parser.add_argument("family", nargs="?", choices=[family.name for family in FAMILIES])
    parser.add_argument("case", nargs="?", help="one case of the family, as a failure names it")
    parser.add_argument("--result", type=Path, help="a file for the result, as JSON")
    arguments = parser.parse_args(argv)
    if arguments.family is None:
        with ThreadPoolExecutor(os.cpu_count()) as pool, tempfile.TemporaryDirectory() as folder:
            results = list(pool.map(lambda family: run_beside(family.name, Path(folder)), FAMILIES))
        write_report(results)
    else:
        (family,) = (one for one in FAMILIES if one.name == arguments.family)
        results = [run_family(family, [arguments.case] if arguments.case else list(family.cases()))]
        if arguments.result:
            arguments.result.write_text(json.dumps(results[0]), encoding="utf-8")
    return int(any(result["failed"] for result in results))


def write_report(results: list[dict[str, Any]]) -> None:
    """Write the results as JSON, and their table into docs/reliability.md."""
    commit = subprocess.run(
        ["git", "rev-parse", "--short", "HEAD"], cwd=ROOT, capture_output=True, text=True, check=False
    )
    record: dict[str, Any] = {
        "date": datetime.now(UTC).date().isoformat(),
        "commit": commit.stdout.strip(),
        "machine": f"{platform.machine()}, {os.cpu_count()} cores, {platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "families": results,
    }
    path = ROOT / "benchmarks" / "results" / "faults.json"
    path.write_text(json.dumps(record, indent=1) + "\n", encoding="utf-8")
    text = DOCUMENT.read_text(encoding="utf-8")
    head, rest = text.split(BEGIN)
    DOCUMENT.write_text(head + BEGIN + "\n" + table(record) + END + rest.split(END)[1], encoding="utf-8")


def table(record: Mapping[str, Any]) -> str:
    """Make the table of docs/reliability.md."""
    lines = ["| faults | cases | failed | what was done, and what must hold |", "|---|---:|---:|---|"]
    for one in record["families"]:
        counted = "".join(f"; {number:,} {what}" for what, number in one["counted"].items())
        lines.append(
            f"| `{one['family']}` | {one['cases']:,}{counted} | {len(one['failed'])} | {one['promise']} |"
        )
    where = f"Commit `{record['commit']}`, {record['date']}, {record['machine']}, Python {record['python']}."
    return "\n".join(lines) + f"\n\n{where}\n"


if __name__ == "__main__":
    sys.exit(main())
