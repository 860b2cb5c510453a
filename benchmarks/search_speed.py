"""How fast are exact dense search and BM25 at 100,000 passages, beside faiss, bm25s and tantivy? One thread.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/search_speed.py --data FOLDER

Passages are those that the data set's questions ask about, filled up with arXiv abstracts: real texts, real
vectors (encoding takes 15 minutes; --vectors keeps them for the next run). Query vectors are given, so the
encoder is not timed. Dense is also asked for a share of the nearest, which signs find. BM25 is asked 100 questions and
100 paper titles, whose words are rarer.

Candidates are timed in one process in two ways. In turn, query by query: what one has in the processor's caches the
others drive out, and BM25 reads postings from the file, as queries are asked for the first time. And alone: all queries
by one candidate, then by the next, three rounds of which the best counts, with postings in memory as bm25s has them.
"""

from __future__ import annotations

import json
import os
import random
import statistics
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy and faiss read them

import bm25s
import faiss
import numpy as np
import tantivy
from measuring import arguments, data_folder, one_after_the_other, summary, write_results
from tqdm import tqdm

from shortlist.collection import (
    Analyzer,
    Postings,
    SegmentData,
    Store,
    StoreSettings,
    Texts,
    Views,
    document_bytes,
)
from shortlist.models import Encoder
from shortlist.models.encoder import QueryVectors
from shortlist.scoring import dot_products
from shortlist.search import Pipeline, PreparedQuery, Searcher, parse
from shortlist.search.scorers.vectors import best_documents
from shortlist.types import Document
from shortlist.vectors import quantize

PASSAGES = 100_000
QUERIES = 100
RECALLS = (0.95, 0.98)
WARM_UP = 5  # queries that don't count
ROUNDS = 3


def read_pairs(data: Path) -> tuple[list[str], dict[str, list[str]]]:
    """Give 100,000 different passages, and queries of two kinds that belong to some of them."""
    passages: dict[str, None] = {}
    queries: dict[str, list[str]] = {}
    for kind, name in (("questions", "question_passage"), ("titles", "arxiv_title_abstract")):
        lines = (data / "train" / f"{name}.jsonl").read_text().splitlines()
        random.Random(0).shuffle(lines)
        pairs = [json.loads(line) for line in lines]
        passages.update(dict.fromkeys(pair["passage"] for pair in pairs))
        queries[kind] = [pair["query"] for pair in pairs[:QUERIES]]
    texts = list(passages)[:PASSAGES]
    random.Random(0).shuffle(texts)
    return texts, queries


def make_vectors(encoder: Encoder, texts: list[str], kept: Path | None) -> np.ndarray:
    """Encode all passages, or take the vectors that an earlier run kept."""
    if kept and kept.exists():
        return np.load(kept)
    with tqdm(total=len(texts), unit=" passages") as bar:
        parts = [
            encoder.views(texts[i : i + 1000], progress=bar.update).dense.data
            for i in range(0, len(texts), 1000)
        ]
    vectors = np.concatenate(parts)
    if kept:
        np.save(kept, vectors)
    return vectors


def build(path: Path, texts: list[str], vectors: np.ndarray, encoder: Encoder) -> Store:
    about = encoder.settings
    store = Store.create(path, StoreSettings(
        "english", "", about.name, about.fingerprint, "fast", "cosine", about.dimensions, about.dense_scale, 0, 0.0,
    ))  # fmt: skip
    analyzer = Analyzer()
    terms = [analyzer.terms(text) for text in texts]
    documents = [Document(f"d{number:06d}", text) for number, text in enumerate(texts)]
    dense = quantize(vectors, about.dense_scale)
    with store.writer() as writer:
        writer.add(
            SegmentData(
                ids=[document.doc_id for document in documents],
                documents=Texts.of(list(map(document_bytes, documents))),
                lengths=np.array([len(t) for t in terms], np.int32),
                words=Postings.build(terms),
                metadata=Postings.build([] for _ in documents),
                passages=np.array([(n, 0, len(t)) for n, t in enumerate(texts)], np.int32),
                views=[Views(dense, np.empty((0, 0), np.int8), np.zeros(len(dense), np.int64))],
                dimensions=about.dimensions,
                token_dimensions=0,
            )
        )
    return store


def time_each(
    queries: Sequence[Any], runs: dict[str, Callable[[Any], object]]
) -> dict[str, dict[str, dict[str, float]]]:
    """Time candidates with every query, in turn and alone, and give summaries of the milliseconds of each.

    In every turn each candidate has another query, or the second would find in the cache what the first has read. The
    first queries are asked once before, and don't count, the same for all.
    """
    in_turn = {name: [0.0] * len(queries) for name in runs}
    for query in queries[:WARM_UP]:
        for run in runs.values():
            run(query)
    for turn in range(len(queries)):
        for number, (name, run) in enumerate(runs.items()):
            which = (turn + number * len(queries) // len(runs)) % len(queries)
            start = time.perf_counter()
            run(queries[which])
            in_turn[name][which] = time.perf_counter() - start
    alone = one_after_the_other(runs, queries, ROUNDS)
    return {
        way: {name: summary(values[WARM_UP:]) for name, values in found.items()}
        for way, found in (("in turn", in_turn), ("alone", alone))
    }


def measure_dense(searcher: Searcher, vectors: np.ndarray, queries: np.ndarray) -> dict[str, object]:
    flat = faiss.IndexFlatIP(vectors.shape[1])
    flat.add(vectors)
    faiss.omp_set_num_threads(1)
    prepared = [
        PreparedQuery("", Analyzer(), _no_encoder, QueryVectors(query, query[None])) for query in queries
    ]
    for p in prepared:
        _ = p.dense  # rounded once, by nobody who is timed
    dense = parse("dense(depth=10)")
    by_signs = {recall: parse(f"dense(depth=10, recall={recall})") for recall in RECALLS}
    assert searcher.snapshot.segments[0].sign_bits is not None
    segment, live = searcher.snapshot.segments[0].dense, searcher.snapshot.live
    timings = time_each(prepared, {
        "shortlist dense, whole search": lambda p: searcher.search(p, 10, pipeline=dense),
        "shortlist dense, scan alone": lambda p: dot_products(segment, p.dense[0][None]),
        **{
            f"shortlist dense, recall={recall}, search alone": lambda p, recall=recall: best_documents(
                searcher.snapshot, p.dense[0][None], 10, live, 1, recall
            )
            for recall in RECALLS
        },
        "faiss IndexFlatIP": lambda p: flat.search(p.vectors.dense[None], 10),
    })  # fmt: skip
    _, expected = flat.search(queries, 10)

    def recall_of(pipeline: Pipeline) -> float:
        found = [
            {int(hit.doc_id[1:]) for hit in searcher.search(p, 10, pipeline=pipeline).ranking}
            for p in prepared
        ]
        return round(
            statistics.mean(len(f & set(e.tolist())) / 10 for f, e in zip(found, expected, strict=True)), 4
        )

    def times_faiss(name: str) -> dict[str, float]:
        return {
            way: round(found["faiss IndexFlatIP"]["p50_ms"] / found[name]["p50_ms"], 1)
            for way, found in timings.items()
        }

    return {
        "timings": timings,
        "recall@10 against float": recall_of(dense),
        "times faster than faiss": times_faiss("shortlist dense, whole search"),
        "signs first": {
            str(recall): {
                "recall@10 against float": recall_of(pipeline),
                "times faster than faiss": times_faiss(f"shortlist dense, recall={recall}, search alone"),
            }
            for recall, pipeline in by_signs.items()
        },
    }


def index_peer(texts: list[str]) -> bm25s.BM25:
    """Index the same terms with bm25s."""
    analyzer = Analyzer()
    peer = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    peer.index([analyzer.terms(text) for text in texts], show_progress=False)
    return peer


def index_tantivy(texts: list[str]) -> Callable[[str], object]:
    """Index with tantivy, in memory, with its own English stemmer; give what asks it for the ten best."""
    builder = tantivy.SchemaBuilder()
    builder.add_integer_field("id", stored=True)
    builder.add_text_field("text", tokenizer_name="en_stem")
    index = tantivy.Index(builder.build())
    writer = index.writer(num_threads=1)
    for number, text in enumerate(texts):
        writer.add_document(tantivy.Document(id=number, text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def ask(query: str) -> object:
        plain = "".join(letter if letter.isalnum() else " " for letter in query)
        found = searcher.search(index.parse_query(plain, ["text"]), 10).hits
        return [(searcher.doc(at)["id"], score) for score, at in found]

    return ask


def measure_bm25(
    searcher: Searcher, peer: bm25s.BM25, ask_tantivy: Callable[[str], object], queries: list[str]
) -> dict[str, object]:
    analyzer = Analyzer()
    stemmer = analyzer._stem

    def ask_peer(query: str) -> object:
        tokens = bm25s.tokenize([query], stopwords="en", stemmer=lambda words: [stemmer(w) for w in words],
                                show_progress=False, return_ids=False)  # fmt: skip
        return peer.retrieve(tokens, k=10, show_progress=False)

    bm25 = parse("bm25(depth=10)")
    tokens = {query: analyzer.terms(query) for query in queries}
    # bm25s gives numbers of documents; what compares with that is what of ours ranks.
    ranking_ms: dict[str, list[float]] = {query: [] for query in queries}

    def ask(query: str) -> None:
        steps = searcher.search(query, 10, pipeline=bm25).timings_ms
        ranking_ms[query].append(steps["bm25"] + steps["ids"])

    runs: dict[str, Callable[[Any], object]] = {
        "shortlist bm25, whole search": ask,
        "bm25s, tokenising included": ask_peer,
        "bm25s, tokens given": lambda q: peer.retrieve([tokens[q]], k=10, show_progress=False),
        "tantivy, parsing included": ask_tantivy,
    }
    timings = time_each(queries, runs)
    worst = 0.0
    for query in queries:
        expected = peer.get_scores(analyzer.terms(query))
        result = searcher.search(query, 1000, pipeline=parse("bm25(depth=1000)"))
        for hit in result.ranking:
            worst = max(worst, abs(hit.score - float(expected[int(hit.doc_id[1:])])))
    counted = [ranking_ms[query] for query in queries[WARM_UP:]]
    ranking = {
        "in turn": statistics.median(each[0] for each in counted),
        "alone": statistics.median(min(each[-ROUNDS:]) for each in counted),
    }
    ours = {way: found["shortlist bm25, whole search"]["p50_ms"] for way, found in timings.items()}

    def times(theirs: str, our: dict[str, float]) -> dict[str, float]:
        return {way: round(found[theirs]["p50_ms"] / our[way], 1) for way, found in timings.items()}

    return {
        "timings": timings,
        "largest score difference": worst,
        "ranking alone, p50 ms": {way: round(value, 3) for way, value in ranking.items()},
        "ranking alone, times faster than bm25s": times("bm25s, tokenising included", ranking),
        "times faster than bm25s": times("bm25s, tokenising included", ours),
        "times faster than tantivy": times("tantivy, parsing included", ours),
    }


def _no_encoder() -> Encoder:
    raise AssertionError("vectors are given")


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=Path, help="an .npy file to keep the passages' vectors in")
    given = parser.parse_args()
    texts, queries = read_pairs(data_folder(given.data, parser))
    encoder = Encoder.load()
    vectors = make_vectors(encoder, texts, given.vectors)
    query_vectors = encoder.encode(queries["questions"], prompt="query")
    peer, ask_tantivy = index_peer(texts), index_tantivy(texts)
    with tempfile.TemporaryDirectory() as temporary:
        store = build(Path(temporary) / "c.shortlist", texts, vectors, encoder)
        results = {}
        with store.snapshot() as snapshot:
            searcher = Searcher(snapshot, store.settings, Analyzer(), _no_encoder)
            results["dense"] = measure_dense(searcher, vectors, query_vectors)
        for kind in queries:
            with store.snapshot() as snapshot:
                searcher = Searcher(snapshot, store.settings, Analyzer(), _no_encoder)
                results[f"bm25, {kind}"] = measure_bm25(searcher, peer, ask_tantivy, queries[kind])
    print(json.dumps(results, indent=1))
    write_results("search-speed", results, ["faiss-cpu", "bm25s", "tantivy"])


if __name__ == "__main__":
    main()
