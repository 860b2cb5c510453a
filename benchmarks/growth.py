"""What do a search, an update and the memory cost as a collection grows from 10,000 to a million passages?

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/growth.py --data FOLDER --keep FOLDER [--sizes N ...]

The collection of ``scale.py`` (in ``--keep``) lends what it takes: a passage here has the vectors of one there,
slightly changed, 64 of its tokens, and words drawn from its text. So sizes, times and memory are those of real
passages, and quality can't be asked. For each size: building (without encoding), joining into one segment, the disk,
one commit of a thousand documents more, deleting them; searches of 100 questions with every pipeline in turn, encoding
included, on one thread and on two; the memory of a process that has searched, without a limit and with one of 500 MB.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy reads them

import numpy as np
from measuring import arguments, data_folder, write_results
from scale import queries, timed

from shortlist import Collection, Document
from shortlist.collection import (
    Analyzer,
    Postings,
    SegmentData,
    Snapshot,
    Store,
    Texts,
    Views,
    document_bytes,
    keys_of,
)

SIZES = (10_000, 100_000, 1_000_000)
A_COMMIT = 50_000
TOKENS = 64
WORDS = 80
MORE = 1000
LIMIT = "500MB"

SEARCH = """
import json, sys
from shortlist import Collection
path, memory, recall, *texts = sys.argv[1:]
with Collection.open(path, memory=memory or None) as collection:
    for text in texts:
        collection.search(text, pipeline="hybrid+late", recall=float(recall))
    status = open("/proc/self/status").read().splitlines()
    print(next(int(line.split()[1]) for line in status if line.startswith("RssAnon")) * 1024)
"""


class Lender:
    """Make passages that are like those of a real collection."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot
        self._random = np.random.default_rng(0)
        (self._segment,) = snapshot.segments

    def passages(self, first: int, count: int) -> SegmentData:
        segment, random = self._segment, self._random
        chosen = np.sort(random.integers(0, segment.passage_count, count))
        documents = [
            Document(f"d{first + n}", self._text(int(d))) for n, d in enumerate(segment.passages[chosen, 0])
        ]
        analyzer = Analyzer()
        terms = [analyzer.terms(document.text) for document in documents]
        return SegmentData(
            ids=[document.doc_id for document in documents],
            documents=Texts.of(list(map(document_bytes, documents))),
            lengths=np.array(list(map(len, terms)), np.int32),
            words=Postings.build(terms),
            metadata=Postings.build(keys_of(document.metadata) for document in documents),
            passages=np.array([(n, 0, len(d.text)) for n, d in enumerate(documents)], np.int32),
            views=self._views(chosen),
            dimensions=segment.dimensions,
            token_dimensions=segment.tokens.shape[1],
        )

    def _text(self, document: int) -> str:
        words = self._segment.document(document).text.split()
        return " ".join(words[place] for place in self._random.integers(0, len(words), WORDS).tolist())

    def _views(self, chosen: np.ndarray) -> Iterator[Views]:
        for start in range(0, len(chosen), 500):
            some = chosen[start : start + 500]
            each = [self._segment.token_rows(np.array([one]))[0] for one in some.tolist()]
            kept = [tokens[np.sort(self._random.permutation(len(tokens))[:TOKENS])] for tokens in each]
            counts = np.array(list(map(len, kept)), np.int64)
            yield Views(
                self._changed(self._segment.dense_rows(some)), self._changed(np.concatenate(kept)), counts
            )

    def _changed(self, vectors: np.ndarray) -> np.ndarray:
        noise = self._random.integers(-4, 5, vectors.shape, dtype=np.int8)
        return np.clip(vectors.astype(np.int16) + noise, -127, 127).astype(np.int8)


def grown(place: Path, lender: Lender, size: int) -> dict[str, float]:
    """Build a collection in commits, and join them; give the seconds of both."""
    store = Store.create(place, lender.snapshot.generation.settings)
    begin = time.perf_counter()
    with store.writer() as writer:
        for first in range(0, size, A_COMMIT):
            writer.add(lender.passages(first, min(A_COMMIT, size - first)))
        added = time.perf_counter()
        writer.compact()
    return {"build, s": round(added - begin, 1), "compact, s": round(time.perf_counter() - added, 1)}


def updated(place: Path, lender: Lender, size: int) -> dict[str, float]:
    """Commit more documents, and delete them again; give the seconds of both."""
    more = lender.passages(size, MORE)
    with Store(place).writer() as writer:
        begin = time.perf_counter()
        writer.add(more)
        added = time.perf_counter()
        writer.delete(more.ids)
        return {
            "add 1,000, s": round(added - begin, 3),
            "delete 1,000, s": round(time.perf_counter() - added, 3),
        }


def memory(place: Path, texts: list[str], limit: str, recall: float) -> int:
    """Give the bytes of memory, files aside, of a process that has searched."""
    ran = subprocess.run(
        [sys.executable, "-c", SEARCH, str(place), limit, str(recall), *texts],
        capture_output=True,
        text=True,
        check=True,
    )
    return int(ran.stdout)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, required=True, help="folder with the collection of scale.py")
    parser.add_argument("--sizes", type=int, nargs="+", default=list(SIZES))
    given = parser.parse_args()
    asked = queries(data_folder(given.data, parser))["questions"]
    texts = [query.text for query in asked[:20]]
    results: dict[str, object] = {}
    for size in given.sizes:
        place = given.keep / f"growth-{size}"
        found: dict[str, object] = {}
        with Store(given.keep / "scale").snapshot() as snapshot:
            lender = Lender(snapshot)
            if not place.exists():
                found |= grown(place, lender, size)
            found |= updated(place, lender, size)
        with Collection.open(place) as collection:
            found["bytes"] = sum(collection.info().size_bytes.values())
            for threads in (1, 2):
                found[f"ms, {threads} thread{'s' * (threads > 1)}"] = timed(collection, asked, threads)
        found["memory, no limit"] = memory(place, texts, "", 1)
        found["memory, signs first, 500 MB"] = memory(place, texts, LIMIT, 0.98)
        results[f"{size:,}"] = found
        print(size, json.dumps(found, indent=1), flush=True)
    write_results("growth", results)


if __name__ == "__main__":
    main()
