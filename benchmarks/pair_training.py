"""What does a cross-encoder learn of pairs? The STS benchmark: trained on its training split, measured on dev.

    python benchmarks/pair_training.py --data FOLDER [--steps N]

The recipe of docs/training.md for graded pairs, from the judge that comes along, which has learned to read two texts
together. Spearman beside the cosine of the encoder that comes along, and of sentence-transformers with the same base:
values and differences with 95 % bootstrap intervals, the same resamples of pairs for all. The cross-encoder reads a
pair in one order, in both (the mean), and its grade, from 0 to 1, is added to the cosine. STS-B may not be passed on,
so the model is thrown away.
"""

from __future__ import annotations

import os

os.environ["HF_HUB_OFFLINE"] = "1"

import json
import tempfile
import time
from pathlib import Path

import numpy as np
from measuring import arguments, write_results
from sentence_transformers import SentenceTransformer
from similarity import BASE, MODEL, by_sentence_transformers, measure, pairs_of

from shortlist import Encoder, score_pairs
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.train.base import base_folder
from shortlist.train.judge import train_cross_encoder
from shortlist.train.labelled import LabelledPairs
from shortlist.train.loop import Schedule
from shortlist.train.recipe import CrossEncoderRecipe, JudgeSettings

STEPS = 1000


def recipe(steps: int) -> CrossEncoderRecipe:
    return CrossEncoderRecipe(
        name="graded pairs",
        pairs=LabelledPairs(
            files=("stsb.jsonl",), split="train", target="score", low=0, high=5, both_ways=True
        ),
        model=JudgeSettings(
            head="maxsim", loss="graded", max_tokens=128, training_tokens=96, max_query_tokens=64
        ),
        schedule=Schedule(steps=steps, batch_size=32, learning_rate=5e-5, head_learning_rate=5e-4),
    )


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--steps", type=int, default=STEPS)
    given = parser.parse_args()
    if given.data is None or not (given.data / "pairs").is_dir():
        parser.error("--data FOLDER (or SHORTLIST_DATA) must hold pairs/stsb.jsonl")
    pairs = pairs_of(given.data / "pairs" / "stsb.jsonl", "dev", None)
    begin = time.perf_counter()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "graded"
        base = base_folder("judge", Path())
        found = train_cross_encoder(recipe(given.steps), base, folder, examples_in=given.data / "pairs")
        seconds = time.perf_counter() - begin
        judge = CrossEncoder.load(folder)
        both = [
            judge.score_pairs([(one.sentence1, one.sentence2) for one in pairs]).scores,
            judge.score_pairs([(one.sentence2, one.sentence1) for one in pairs]).scores,
        ]
    cosines = score_pairs(pairs, Encoder.load()).scores
    mean = (both[0] + both[1]) / 2
    scores = {
        BASE: by_sentence_transformers(pairs, SentenceTransformer(str(MODEL), device="cpu")),
        "shortlist, bi-encoder": cosines,
        "shortlist, cross-encoder": both[0],
        "shortlist, cross-encoder in both orders": mean,
        "shortlist, the same and the cosine": 1 / (1 + np.exp(-mean)) + cosines,
    }
    results = measure(pairs, "spearman", scores)
    results |= {
        "training, seconds": round(seconds),
        "training pairs, both ways": found.examples,
        "steps": given.steps,
    }
    print(json.dumps(results, indent=1))
    if given.steps == STEPS:
        write_results("pair-training", {"stsb": results}, ["torch", "sentence-transformers", "transformers"])


if __name__ == "__main__":
    main()
