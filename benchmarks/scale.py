"""How much of what reading everything would find does a search of 189,000 real passages find, and how fast is it?

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/scale.py --data FOLDER --keep FOLDER

Passages are arXiv abstracts and medquad's answers: real texts, real vectors, one collection (half an hour on two
cores with VNNI, two hours on older ones; kept for the next run). Queries are titles of abstracts and medquad's test
questions, as many of each. Late interaction over all passages (``maxsim(exact=True)``) says which ten documents are
right; how many of them are found by the segment's lists of tokens; by BM25 and dense, whose documents are then scored
exactly; by the same, widened by the nearest neighbours of the best. Exact dense search says what signs first should
find. Times are of whole searches, encoding included, each query once with every pipeline in turn, after a warm-up,
best of two rounds. Finding the ten nearest of a query's vector alone, on one thread, is timed beside faiss: all queries
one way, then the next way, three rounds; of each query the best time counts, and of these the median. faiss finds ten
passages, we documents, of which some have several.
"""

from __future__ import annotations

import json
import os
import random
import time
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy reads them

import faiss
import numpy as np
from measuring import arguments, data_folder, one_after_the_other, summary, write_results

from shortlist import Collection, Document
from shortlist.collection import Snapshot, Store
from shortlist.evaluation.judged import read_judged
from shortlist.search import MaxSim, PreparedQuery, parse
from shortlist.search.scorers import best_documents, late, make_scorer
from shortlist.types import Query, Ranking, Run

QUERIES = 100  # of each kind
EXACT = parse("maxsim(exact=True)")
LATE = parse("maxsim(depth=10)")
VARIANTS: dict[str, dict[str, float]] = {
    "`late`": {},
    "of 100 candidates": {"CANDIDATES": 100},
    "of 200 candidates": {"CANDIDATES": 200},
    "of 800 candidates": {"CANDIDATES": 800},
    "4 lists a token": {"PROBES": 4},
    "64 lists a token": {"PROBES": 64},
    "without text vectors": {"TEXT_WEIGHT": 0},
}
"""What `late` finds as it is (400 candidates, 16 lists a token, a quarter of the text vectors), and with one other."""
BOTH = parse("rerank(fuse(bm25(depth=500), dense(depth=500)), maxsim, depth=1000)")
NARROW, WIDENED = "bm25 and dense, 500 each", "the same, widened"
BEST, NEIGHBOURS = 16, 20  # hits, and how many of the nearest to each
RECALLS = (0.9, 0.95, 0.98, 0.99)
FAISS = "faiss IndexFlatIP"
TIMED = {
    "bm25": "bm25",
    "dense": "dense",
    "dense, signs first": "dense(recall=0.98)",
    "late": "maxsim(depth=10)",
    "hybrid": "hybrid",
    "hybrid+late": "hybrid+late",
    "hybrid+late, signs first": "rerank(fuse(bm25, dense(recall=0.98), method='adaptive'),"
    " fuse(fuse(bm25, dense(recall=0.98), method='adaptive'), maxsim, weights=[1, 2]))",
}


def documents(data: Path) -> Iterator[Document]:
    """Give the abstracts of arXiv and the answers of medquad, in a random order that is always the same."""
    lines = (data / "train" / "arxiv_title_abstract.jsonl").read_text().splitlines()
    found = [
        Document(f"arxiv {number}", text)
        for number, text in enumerate(dict.fromkeys(json.loads(line)["passage"] for line in lines))
        if text.strip()
    ]
    with (data / "retrieval" / "medquad" / "corpus.jsonl").open() as file:
        for line in file:
            one = json.loads(line)
            found.append(Document(f"medquad {one['_id']}", one["text"], one.get("title", "")))
    random.Random(0).shuffle(found)
    return iter(found)


def queries(data: Path) -> dict[str, list[Query]]:
    lines = (data / "train" / "arxiv_title_abstract.jsonl").read_text().splitlines()
    titles = [json.loads(line)["query"] for line in random.Random(1).sample(lines, QUERIES)]
    folder = data / "retrieval" / "medquad"
    asked = read_judged(folder / "queries.jsonl", folder / "qrels" / "test.tsv").some(QUERIES, 0).queries
    return {
        "titles": [Query(f"title {number}", text) for number, text in enumerate(titles)],
        "questions": [Query(f"question {query.query_id}", query.text) for query in asked],
    }


def built(place: Path, data: Path) -> tuple[Collection, dict[str, float]]:
    """Give the collection, one segment, and what making it took; nothing if it was there."""
    if place.exists():
        return Collection.open(place), {}
    collection = Collection.create(place)
    begin = time.perf_counter()
    collection.add(documents(data))
    added = time.perf_counter()
    collection.compact()
    seconds = {"add": round(added - begin), "compact": round(time.perf_counter() - added)}
    return collection, seconds


def recall(found: Run, truth: Run) -> float:
    """Give which share of the first ten of ``truth`` are among the first ten found, the mean over queries."""
    shares = []
    for query_id, ranking in truth.rankings.items():
        right = {hit.doc_id for hit in ranking.hits[:10]}
        ours = {hit.doc_id for hit in found.rankings[query_id].hits[:10]}
        shares.append(len(right & ours) / len(right))
    return round(float(np.mean(shares)), 4)


def found_by(collection: Collection, asked: list[Query], changed: Mapping[str, float]) -> Run:
    """Give what late interaction finds with some of its numbers changed."""
    kept = {name: getattr(late, name) for name in changed}
    try:
        for name, value in changed.items():
            setattr(late, name, value)
        return collection.run(asked, 10, pipeline=LATE)
    finally:
        for name, value in kept.items():
            setattr(late, name, value)


def widened(collection: Collection, snapshot: Snapshot, asked: list[Query], first: Run) -> Run:
    """Score the nearest neighbours of the best hits too."""
    settings = collection.store.settings
    scales = settings.dense_scale, settings.token_scale
    rankings = {}
    for query in asked:
        prepared = PreparedQuery(query.text, collection.analyzer, lambda: collection.encoder)
        hits = first.rankings[query.query_id].hits
        best = list(snapshot.find([hit.doc_id for hit in hits[:BEST]]).values())
        vectors = np.concatenate([_vectors(snapshot, position) for position in best])
        near = best_documents(snapshot, vectors, NEIGHBOURS, snapshot.live)
        known = snapshot.find([hit.doc_id for hit in hits]).values()
        positions = np.unique(np.concatenate([list(known), *(some for some, _ in near)]))
        scores = make_scorer(MaxSim(), snapshot, prepared, snapshot.live, scales).score(positions)
        pairs = zip(snapshot.doc_ids(positions), scores.tolist(), strict=True)
        rankings[query.query_id] = Ranking.of(pairs, k=10)
    return Run(rankings)


def _vectors(snapshot: Snapshot, position: int) -> np.ndarray:
    number, document = snapshot.locate(position)
    segment = snapshot.segments[number]
    first, last = segment.first_passages[document : document + 2]
    return segment.dense[first:last]


def timed(collection: Collection, asked: list[Query], threads: int) -> dict[str, dict[str, float]]:
    """Time every pipeline on every query, in turn, twice; of a query the better time counts."""
    pipelines = {name: parse(text) for name, text in TIMED.items()}
    seconds: dict[str, list[float]] = {name: [] for name in pipelines}
    for pipeline in pipelines.values():
        collection.search("a first query", pipeline=pipeline, threads=threads)
    for query in asked:
        best = dict.fromkeys(pipelines, float("inf"))
        for _ in range(2):
            for name, pipeline in pipelines.items():
                begin = time.perf_counter()
                collection.search(query.text, pipeline=pipeline, threads=threads)
                best[name] = min(best[name], time.perf_counter() - begin)
        for name, value in best.items():
            seconds[name].append(value)
    return {name: summary(values) for name, values in seconds.items()}


def nearest_alone(
    collection: Collection, snapshot: Snapshot, asked: list[Query]
) -> dict[str, dict[str, float]]:
    """Time finding the ten nearest documents of vectors that are known, beside faiss, on one thread."""
    (segment,) = snapshot.segments
    faiss.omp_set_num_threads(1)
    flat = faiss.IndexFlatIP(segment.dimensions)
    for _, rows in segment.dense_blocks():
        flat.add(rows.astype(np.float32))
    prepared = [PreparedQuery(q.text, collection.analyzer, lambda: collection.encoder) for q in asked]
    vectors = np.stack([query.dense[0] for query in prepared])
    wide = vectors.astype(np.float32)

    def ours(target: float) -> Callable[[int], object]:
        return lambda at: best_documents(snapshot, vectors[at : at + 1], 10, snapshot.live, 1, target)

    ways: dict[str, Callable[[int], object]] = {FAISS: lambda at: flat.search(wide[at : at + 1], 10)}
    ways |= {"all compared": ours(1)} | {f"signs first, recall={t}": ours(t) for t in RECALLS}
    best = one_after_the_other(ways, range(len(asked)), 3)
    medians = {name: float(np.median(seconds)) for name, seconds in best.items()}
    return {
        name: {"p50_ms": round(1000 * median, 3), "times faiss": round(medians[FAISS] / median, 1)}
        for name, median in medians.items()
    }


def shown(results: Mapping[str, object]) -> None:
    print(json.dumps(results, indent=1), flush=True)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, required=True, help="folder for the collection")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    given.keep.mkdir(exist_ok=True)
    collection, seconds = built(given.keep / "scale", data)
    info = collection.info()
    about = {"documents": info.documents, "passages": info.passages, "bytes": dict(info.size_bytes)}
    results: dict[str, object] = {"collection": about | ({"seconds": seconds} if seconds else {})}
    shown(results)
    asked = queries(data)
    every = [query for each in asked.values() for query in each]
    snapshot = Store(given.keep / "scale").snapshot()

    truth = collection.run(every, 10, pipeline=EXACT)
    runs = {name: found_by(collection, every, changed) for name, changed in VARIANTS.items()}
    first = collection.run(every, 1000, pipeline=BOTH)
    runs |= {NARROW: first, WIDENED: widened(collection, snapshot, every, first)}
    results["recall@10 of late interaction"] = {
        kind: {name: recall(_of(run, its), _of(truth, its)) for name, run in runs.items()}
        for kind, its in asked.items()
    }
    shown(results)
    dense = collection.run(every, 10, pipeline=parse("dense"))
    signs = {
        str(target): {
            kind: recall(
                _of(collection.run(its, 10, pipeline=parse(f"dense(depth=10, recall={target})")), its),
                _of(dense, its),
            )
            for kind, its in asked.items()
        }
        for target in RECALLS
    }
    results["recall@10 of signs first, by what was asked for"] = signs
    results["nearest of a vector, 1 thread"] = nearest_alone(collection, snapshot, every)
    for threads in (1, 2):
        results[f"ms, {threads} thread{'s' * (threads > 1)}"] = timed(collection, every, threads)
    shown(results)
    write_results("scale", results, ["faiss-cpu"])


def _of(run: Run, asked: list[Query]) -> Run:
    return Run({query.query_id: run.rankings[query.query_id] for query in asked}, name=run.name)


if __name__ == "__main__":
    main()
