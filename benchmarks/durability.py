"""What does it cost that a commit is durable? Encoding against writing, waiting for the disk, and all else.

python benchmarks/durability.py
"""

from __future__ import annotations

import gzip
import json
import os
import statistics
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

from measuring import write_results

from shortlist import Collection, Encoder
from shortlist.collection import Store
from shortlist.collection.directory import Directory, File
from shortlist.indexing.derived import derive

TLDR = Path(__file__).parent.parent / "examples" / "tldr" / "corpus.jsonl.gz"
DOCUMENTS, COMMITS = 1000, 6


class TimedFile(File):
    """Count the seconds of writing and of waiting for the disk."""

    seconds: Counter[str]

    def write_some(self, data: memoryview, offset: int) -> int:
        begin = time.perf_counter()
        written = super().write_some(data, offset)
        self.seconds["write"] += time.perf_counter() - begin  # type: ignore[assignment]
        return written

    def sync(self) -> None:
        begin = time.perf_counter()
        super().sync()
        self.seconds["sync"] += time.perf_counter() - begin  # type: ignore[assignment]


class TimedDirectory(Directory):
    """Count the seconds of writing and of waiting for the disk."""

    def __init__(self, path: Path, seconds: Counter[str]) -> None:
        super().__init__(path)
        self.seconds = seconds

    def _file(self, path: Path, descriptor: int) -> File:
        file = TimedFile(path, descriptor)
        file.seconds = self.seconds
        return file

    def sync(self, folder: str = "") -> None:
        begin = time.perf_counter()
        super().sync(folder)
        self.seconds["sync"] += time.perf_counter() - begin  # type: ignore[assignment]

    def rename(self, old: str, new: str) -> None:
        begin = time.perf_counter()
        super().rename(old, new)
        self.seconds["sync"] += time.perf_counter() - begin  # type: ignore[assignment]


def main() -> None:
    with gzip.open(TLDR, "rt", encoding="utf-8") as file:
        pages = [json.loads(line) for line in file]
    encoder = Encoder.load()
    rows = []
    with tempfile.TemporaryDirectory() as temporary:
        path = Path(temporary) / "c"
        Collection.create(path).close()
        seconds: Counter[str] = Counter()
        collection = Collection(Store(path, directory=TimedDirectory(path, seconds)), encoder, None)
        for number in range(COMMITS):
            batch = pages[number * DOCUMENTS : (number + 1) * DOCUMENTS]
            encode_s = _encoding_seconds(collection, encoder, batch)
            seconds.clear()
            begin = time.perf_counter()
            collection.add(batch)
            rows.append({"encode": encode_s, "add": time.perf_counter() - begin, **seconds})
        collection.close()
        fsync_ms = _fsync_ms(Path(temporary))
    median = {name: statistics.median(row[name] for row in rows) for name in rows[0]}
    durable = median["write"] + median["sync"]
    write_results(
        "durability",
        {
            "documents a commit": DOCUMENTS,
            "commits": COMMITS,
            "median seconds": {name: round(value, 4) for name, value in median.items()},
            "waiting for the disk, share of encoding": round(median["sync"] / median["encode"], 5),
            "writing and waiting, share of encoding": round(durable / median["encode"], 5),
            "fsync of 4 KiB, ms": round(fsync_ms, 3),
            "share if an fsync took 10 ms": round((median["write"] + SYNCS * 0.010) / median["encode"], 5),
        },
    )


SYNCS = 5  # of a commit: segment, its folder, the generation's copy, the generation, their folder


def _encoding_seconds(collection: Collection, encoder: Encoder, batch: list[dict[str, Any]]) -> float:
    """Time the passes through the model that these documents take, and nothing else."""
    from shortlist.formats import open_source
    from shortlist.types import Document

    documents = [one for one in open_source(batch) if isinstance(one, Document)]
    derived = derive(documents, collection.store.settings, collection.analyzer, encoder)
    begin = time.perf_counter()
    for _ in derived.data.views:
        pass
    return time.perf_counter() - begin


def _fsync_ms(folder: Path) -> float:
    descriptor = os.open(folder / "probe", os.O_RDWR | os.O_CREAT)
    took = []
    for number in range(50):
        os.pwrite(descriptor, b"x" * 4096, number * 4096)
        begin = time.perf_counter()
        os.fsync(descriptor)
        took.append(1000 * (time.perf_counter() - begin))
    os.close(descriptor)
    return statistics.median(took)


if __name__ == "__main__":
    main()
