"""How long does the demo take: building, the first search of a cold process, later searches?

python benchmarks/demo_speed.py
"""

from __future__ import annotations

import os

os.environ["OPENBLAS_NUM_THREADS"] = "1"  # as the command line sets it

import gzip
import json
import random
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from measuring import summary, write_results

from shortlist import Collection

TLDR = Path(__file__).parent.parent / "examples" / "tldr"
COLD_STARTS = 9
PIPELINES = ("bm25", "tfidf", "dense", "late", "hybrid", "hybrid+late")


def main() -> None:
    with gzip.open(TLDR / "corpus.jsonl.gz", "rt", encoding="utf-8") as file:
        pages = [json.loads(line) for line in file]
    sample = random.Random(0).sample(pages, 100)
    queries = [page["text"].split(".")[0] for page in sample]
    results: dict[str, object] = {}
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "tldr.shortlist"
        begin = time.perf_counter()
        with Collection.create(folder) as collection:
            report = collection.add(TLDR)
            results["documents"], results["build_s"] = report.added, round(time.perf_counter() - begin, 1)
            results["size_bytes"] = sum(collection.info().size_bytes.values())
        cold = []
        for _ in range(COLD_STARTS):
            begin = time.perf_counter()
            command = [
                sys.executable,
                "-m",
                "shortlist.cli.main",
                "search",
                str(folder),
                queries[0],
                "--json",
            ]
            subprocess.run(command, check=True, capture_output=True)
            cold.append(time.perf_counter() - begin)
        results["cold command line, open and first search"] = summary(cold)
        help_s = []
        for _ in range(COLD_STARTS):
            begin = time.perf_counter()
            subprocess.run(
                [sys.executable, "-m", "shortlist.cli.main", "--help"], check=True, capture_output=True
            )
            help_s.append(time.perf_counter() - begin)
        results["help"] = summary(help_s)
        with Collection.open(folder) as collection:
            for name in PIPELINES:
                collection.search("warm up", pipeline=name)
                seconds = []
                for query in queries if name != "late" else queries[:30]:
                    begin = time.perf_counter()
                    collection.search(query, pipeline=name)
                    seconds.append(time.perf_counter() - begin)
                results[f"later searches, {name}"] = summary(seconds)
    print(json.dumps(results, indent=1))
    print(f"median query: {statistics.median(len(q.split()) for q in queries):.0f} words")
    write_results("demo-speed", results)


if __name__ == "__main__":
    main()
