"""How do whole search stacks compare: building, searching, memory, disk, quality? Each in a process of its own.

    python benchmarks/stacks.py --data FOLDER [--set cranfield] [--threads 2]

Each stack indexes the same documents and answers the set's test queries one at a time: the first 200 are timed (50
with a CrossEncoder), encoding included, all are judged (nDCG@10 of the first 100 hits, the same measure for all). Our
stacks are pipelines on one collection with the models that come along; sentence-transformers, faiss and txtai encode
with the model that these started from, in float32. The CrossEncoder has the shape of Shortlist's judge and a head that
knows nothing, which costs it no time: its quality is not given. Memory is what a process takes at most, files that are
mapped aside: of Shortlist and of faiss one that searches what another has built, of the others one that does both.
Bytes are those of what was written.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path

from measuring import arguments, data_folder, summary, write_results

TIMED, DEPTH, RERANKED = 200, 100, 50
JUDGED_BY_PEER = 50  # queries: it takes seconds for each
THREADS = int(os.environ.get("OMP_NUM_THREADS", "1"))
Search = Callable[[str], list[tuple[str, float]]]
"""Gives ids and scores of the best documents for a query."""
Documents = Sequence[tuple[str, str]]
"""Ids and texts, the title before the text."""


def documents(folder: Path) -> Documents:
    found = []
    with (folder / "corpus.jsonl").open() as file:
        for line in file:
            one = json.loads(line)
            found.append((one["_id"], f"{one.get('title', '')}\n{one['text']}".strip()))
    return found


def with_bm25s(docs: Documents, place: Path) -> Search:
    import bm25s
    import Stemmer

    stemmer = Stemmer.Stemmer("english")
    index = bm25s.BM25(method="lucene", k1=1.2, b=0.75)
    index.index(
        bm25s.tokenize([text for _, text in docs], stopwords="en", stemmer=stemmer, show_progress=False)
    )
    index.save(str(place))

    def search(query: str) -> list[tuple[str, float]]:
        tokens = bm25s.tokenize([query], stopwords="en", stemmer=stemmer, show_progress=False)
        found, scores = index.retrieve(tokens, k=min(DEPTH, len(docs)), show_progress=False)
        return [(docs[d][0], float(s)) for d, s in zip(found[0], scores[0], strict=True) if s > 0]

    return search


def with_tantivy(docs: Documents, place: Path) -> Search:
    import tantivy

    builder = tantivy.SchemaBuilder()
    builder.add_text_field("id", stored=True, tokenizer_name="raw")
    builder.add_text_field("text", tokenizer_name="en_stem")
    place.mkdir()
    index = tantivy.Index(builder.build(), path=str(place))
    writer = index.writer()
    for doc_id, text in docs:
        writer.add_document(tantivy.Document(id=doc_id, text=text))
    writer.commit()
    writer.wait_merging_threads()
    index.reload()
    searcher = index.searcher()

    def search(query: str) -> list[tuple[str, float]]:
        plain = "".join(c if c.isalnum() else " " for c in query)
        parsed = index.parse_query(plain, ["text"])
        return [(searcher.doc(at)["id"][0], score) for score, at in searcher.search(parsed, DEPTH).hits]

    return search


def with_faiss(docs: Documents, place: Path, *, rerank: bool = False) -> Search:
    import faiss
    import torch
    from sentence_transformers import SentenceTransformer
    from similarity import MODEL

    torch.set_num_threads(THREADS)
    faiss.omp_set_num_threads(THREADS)
    encoder = SentenceTransformer(str(MODEL), device="cpu")
    if place.exists():
        index = faiss.read_index(str(place))
    else:
        vectors = encoder.encode([text for _, text in docs], batch_size=32, normalize_embeddings=True)
        index = faiss.IndexFlatIP(vectors.shape[1])
        index.add(vectors)
        faiss.write_index(index, str(place))
    judge = _cross_encoder() if rerank else None

    def search(query: str) -> list[tuple[str, float]]:
        scores, found = index.search(encoder.encode([query], normalize_embeddings=True), DEPTH)
        hits = [(docs[d][0], float(s)) for d, s in zip(found[0], scores[0], strict=True)]
        if judge is not None:
            texts = dict(docs)
            judge.predict([(query, texts[doc_id]) for doc_id, _ in hits[:RERANKED]], batch_size=32)  # type: ignore[attr-defined]
        return hits

    return search


def _cross_encoder() -> object:
    from judges import peer

    return peer(Path(tempfile.mkdtemp()))


def with_txtai(docs: Documents, place: Path) -> Search:
    from similarity import MODEL
    from txtai import Embeddings

    embeddings = Embeddings(path=str(MODEL), hybrid=True, content=False)
    embeddings.index([(doc_id, text) for doc_id, text in docs])
    embeddings.save(str(place))

    def search(query: str) -> list[tuple[str, float]]:
        return [(doc_id, float(score)) for doc_id, score in embeddings.search(query, DEPTH)]

    return search


def with_shortlist(docs: Documents, place: Path, pipeline: str) -> Search:
    from shortlist import Collection, Document
    from shortlist.types import Query

    if place.exists():
        collection = Collection.open(place)
    else:
        collection = Collection.create(place)
        collection.add([Document(doc_id, text) for doc_id, text in docs], threads=THREADS)

    def search(query: str) -> list[tuple[str, float]]:
        (found,) = collection.run_all([Query("", query)], [pipeline], DEPTH, threads=THREADS)
        return [(hit.doc_id, hit.score) for hit in found.rankings[""]]

    return search


STACKS: dict[str, Callable[[Documents, Path], Search]] = {
    "bm25s": with_bm25s,
    "tantivy": with_tantivy,
    "sentence-transformers + faiss": with_faiss,
    "sentence-transformers + faiss + CrossEncoder on 50": lambda d, p: with_faiss(d, p, rerank=True),
    "txtai, hybrid": with_txtai,
    **{
        f"shortlist {name}": lambda d, p, name=name: with_shortlist(d, p, name)  # type: ignore[misc]
        for name in ("bm25", "dense", "hybrid", "hybrid+late", "hybrid+cross", "cascade")
    },
}
UNJUDGED = "sentence-transformers + faiss + CrossEncoder on 50"


def built_as(name: str) -> str | None:
    """Name what several stacks search, once one of them has built it; ``None`` if a stack builds for itself."""
    return next(
        (kind for kind in ("shortlist", "sentence-transformers + faiss") if name.startswith(kind)), None
    )


def measure(name: str, folder: Path, place: Path) -> dict[str, object]:
    """Build and search with one stack, in this process; what another has built at ``place`` is searched as it is."""
    from shortlist.evaluation.judged import find_split, read_judged
    from shortlist.measures.ranking import by_query, nDCG
    from shortlist.types import Ranking, Run

    docs = documents(folder)
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "test"))
    was_there = place.exists()
    begin = time.perf_counter()
    search = STACKS[name](docs, place)
    built = time.perf_counter() - begin
    for query in judged.queries[:5]:
        search(query.text)
    rankings, seconds = {}, []
    for query in judged.queries[: JUDGED_BY_PEER if name == UNJUDGED else None]:
        begin = time.perf_counter()
        hits = search(query.text)
        seconds.append(time.perf_counter() - begin)
        rankings[query.query_id] = Ranking.of(list(dict(hits).items()))
    files = [place] if place.is_file() else [one for one in place.rglob("*") if one.is_file()]
    values = {} if name == UNJUDGED else by_query(nDCG @ 10, Run(rankings), judged.qrels)
    return {
        "build, s": None if was_there else round(built, 1),
        **summary(seconds[:TIMED]),
        "nDCG@10": round(sum(values.values()) / len(values), 4) if values else None,
        "memory": _most_memory(),
        "bytes": sum(one.stat().st_size for one in files),
    }


def _most_memory() -> int:
    """Give what this process took at most, in bytes, less the files that it has mapped now."""
    mapped = next(
        int(line.split()[1])
        for line in Path("/proc/self/status").read_text().splitlines()
        if "RssFile" in line
    )
    return (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - mapped) * 1024


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--set", default="cranfield")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--stack", choices=STACKS, help=argparse.SUPPRESS)
    parser.add_argument("--place", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    folder = data_folder(given.data, parser) / "retrieval" / given.set
    if given.stack:
        print(json.dumps(measure(given.stack, folder, given.place)))
        return
    results: dict[str, dict[str, object]] = {}
    environment = os.environ | {"OMP_NUM_THREADS": str(given.threads), "OPENBLAS_NUM_THREADS": "1"}
    environment |= {"HF_HUB_OFFLINE": "1", "TOKENIZERS_PARALLELISM": "false"}
    with tempfile.TemporaryDirectory() as temporary:
        for name in STACKS:
            shared = built_as(name)
            place = Path(temporary) / (shared or name)
            command = [sys.executable, __file__, "--data", str(given.data), "--set", given.set]
            command += ["--stack", name, "--place", str(place)]

            def run(command: Sequence[str] = command) -> dict[str, object]:
                ran = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True, env=environment)
                found: dict[str, object] = json.loads(ran.stdout.splitlines()[-1])
                return found

            built = run()["build, s"] if shared and not place.exists() else None
            results[name] = run()
            if built is not None:
                results[name]["build, s"] = built
            print(name, results[name], flush=True)
    write_results(
        "stacks",
        {"set": given.set, "threads": given.threads, "stacks": results},
        ["sentence-transformers", "torch", "faiss-cpu", "bm25s", "tantivy", "txtai"],
    )


if __name__ == "__main__":
    main()
