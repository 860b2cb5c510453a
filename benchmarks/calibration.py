"""Do a collection's own vectors say how far to look for what is near to a query? What two measurements rest on.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/calibration.py --data FOLDER --keep FOLDER

Signs (``sign_bits``) are searched as far as pairs of passages of some cosine differ: here are the signs in which
passages, questions and titles differ from passages of the same cosine. A graph's effort (``vector_graph``) is measured
with vectors that are turned until their cosine with what they were is ``COSINE``: here is what some efforts find for
questions, for titles, for such vectors and for vectors as they are, of the ten nearest of 20,000 passages, and where
each of a sixth of them stands six times, a little changed. Passages are those of ``scale.py``'s collection.
"""

from __future__ import annotations

import json
import os
import random
from pathlib import Path

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy reads them

import numpy as np
from measuring import arguments, data_folder, write_results
from numpy.typing import NDArray
from scale import queries

from shortlist.collection import Store
from shortlist.collection.sign_bits import sampled_rows
from shortlist.collection.vector_graph import COSINE, EFFORTS, VectorGraph, build_graph, turn_away
from shortlist.models import Encoder
from shortlist.scoring import best_products, bit_distances, sign_bits
from shortlist.vectors import quantize_rows

COSINES = (0.2, 0.3, 0.4, 0.5, 0.6)
WIDTH = 0.01  # pairs count whose cosine is as near to one of these
PASSAGES, TOP, TIMES, SAMPLES = 20_000, 10, 6, 100
Int8 = NDArray[np.int8]


def signs(stored: Int8, asked: Int8) -> dict[str, dict[str, float]]:
    """Give in how many signs vectors differ from passages of a cosine: the mean, and how much it varies."""
    bits, wide = sign_bits(stored), stored.astype(np.float32)
    wide /= np.linalg.norm(wide, axis=1, keepdims=True)
    found: dict[float, list[NDArray[np.int64]]] = {cosine: [] for cosine in COSINES}
    for vector in asked:
        cosines = wide @ (vector / np.linalg.norm(vector.astype(np.float32))).astype(np.float32)
        distances, _ = bit_distances(bits, sign_bits(vector[None])[0])
        for cosine, parts in found.items():
            parts.append(distances[np.abs(cosines - cosine) < WIDTH].astype(np.int64))
    every = {str(cosine): np.concatenate(parts) for cosine, parts in found.items()}
    return {
        cosine: {"pairs": len(some)}
        | ({"signs": round(some.mean(), 1), "deviation": round(some.std(), 1)} if len(some) else {})
        for cosine, some in every.items()
    }


def graph(stored: Int8, asked: dict[str, Int8]) -> dict[str, dict[str, float]]:
    """Give the share of the ten nearest that a graph leads to, with some efforts."""
    built = VectorGraph(build_graph(stored), len(stored), stored.shape[1], "the benchmark")

    result = {}
    for kind, vectors in asked.items():
        nearest = [
            rows[np.argsort(-products, kind="stable")[:TOP]]
            for rows, products in best_products(stored, vectors, TOP)
        ]
        result[kind] = {
            str(effort): round(
                float(np.mean([
                    np.isin(right, built.nearest(vector, TOP, effort)).mean()
                    for vector, right in zip(vectors, nearest, strict=True)
                ])),
                3,
            )
            for effort in EFFORTS[:4]
        }  # fmt: skip
    return result


def repeated(stored: Int8) -> Int8:
    """Give each of some of the vectors several times, each of its steps changed by up to 4; as many as there were."""
    some = np.repeat(stored[: len(stored) // TIMES], TIMES, axis=0).astype(np.int16)
    noise = np.random.default_rng(0).integers(-4, 5, some.shape)
    changed: Int8 = np.clip(some + noise, -127, 127).astype(np.int8)
    return changed


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--keep", type=Path, required=True, help="folder with the collection of scale.py")
    given = parser.parse_args()
    data = data_folder(given.data, parser)
    encoder = Encoder.load()
    asked = {
        kind: quantize_rows(encoder.encode([query.text for query in some], prompt="query"))[0]
        for kind, some in queries(data).items()
    }
    with Store(given.keep / "scale").snapshot() as snapshot:
        stored = np.concatenate([rows for segment in snapshot.segments for _, rows in segment.dense_blocks()])
    kinds = {"passages": stored[sampled_rows(len(stored), SAMPLES)]} | asked
    results: dict[str, object] = {
        "passages": len(stored),
        "signs": {kind: signs(stored, some) for kind, some in kinds.items()},
    }
    print(json.dumps(results, indent=1), flush=True)
    few = stored[sorted(random.Random(0).sample(range(len(stored)), PASSAGES))]
    for name, some in (
        (f"graph of {PASSAGES:,} passages", few),
        (f"graph of {PASSAGES // TIMES:,} passages, {TIMES} times each", repeated(few)),
    ):
        samples = some[sampled_rows(len(some), SAMPLES)]
        turned = {f"passages, turned to {COSINE}": turn_away(samples), "passages": samples}
        results[name] = graph(some, asked | turned)
        print(name, json.dumps(results[name], indent=1), flush=True)
    write_results("calibration", results, ["usearch"])


if __name__ == "__main__":
    main()
