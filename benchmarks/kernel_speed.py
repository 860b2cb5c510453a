"""How fast are the inner loops beside other libraries'? One thread, in turn in one process, the best of several.

    OMP_NUM_THREADS=1 OPENBLAS_NUM_THREADS=1 python benchmarks/kernel_speed.py [--vectors N]

MaxSim of 1,000 passages of 100 tokens of 128 numbers with 32 query tokens: every instruction set of this machine, the
reference in numpy, token vectors in 4 and 2 bits, torch in float32, NumKong's maxsim (packed beforehand, float16 and
float32). Dense: the first 100 of a million vectors of 384 numbers: int8 scan, sign bits and then int8 of the nearest
1,000, faiss' IndexFlatIP. The numbers are random: what is timed here does not depend on them.

Portable kernels run on x86 processors without AVX2. What numpy takes where its BLAS has SSE 4.2 alone, as most of these
do, is said by a process beside this one, in turn with the rest.

It is not called kernels.py: transformers would import that as a package of this name, and with it one thread.
"""

from __future__ import annotations

import os

for variable in ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS"):
    os.environ[variable] = "1"  # before numpy, faiss and torch read them

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from multiprocessing import get_context
from unittest import mock

import faiss
import numkong
import numpy as np
import threadpoolctl
import torch
from measuring import arguments, interleaved, write_results

from shortlist.scoring import CODE_BITS, TokenCodes, dense, encode_tokens, late
from shortlist.scoring.kernels import NUMPY, available, native_named

PASSAGES, TOKENS, DIMENSIONS, QUERY_TOKENS = 1000, 100, 128, 32
WIDTH, FIRST, OVERSAMPLED = 384, 100, 1000
OLD_CORE = "Nehalem"
OLD_BLAS = f"{NUMPY}, BLAS with SSE 4.2 alone"


def main() -> None:
    parser = arguments(__doc__.splitlines()[0])
    parser.add_argument("--vectors", type=int, default=1_000_000, metavar="N")
    given = parser.parse_args()
    torch.set_num_threads(1)
    faiss.omp_set_num_threads(1)
    with old_blas() as apply:
        results = {"maxsim": maxsim(apply), "dense": vectors(given.vectors, apply)}
    write_results("kernels", results, ["faiss-cpu", "torch", "numkong"])


Apply = Callable[..., object]
"""Run a function of this module with arguments in another process."""


@contextmanager
def old_blas() -> Iterator[Apply | None]:
    """Start a process whose numpy multiplies as on a processor with SSE 4.2 and no more; ``None`` if it would not."""
    with mock.patch.dict(os.environ, {"OPENBLAS_CORETYPE": OLD_CORE}):
        pool = get_context("spawn").Pool(1)
    with pool:
        yield (lambda function, *given: pool.apply(function, given)) if pool.apply(has_old_blas) else None


def has_old_blas() -> bool:
    return any(library.get("architecture") == OLD_CORE for library in threadpoolctl.threadpool_info())


@cache
def maxsim_input() -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    random = np.random.default_rng(0)
    query = random.integers(-127, 128, (QUERY_TOKENS, DIMENSIONS), dtype=np.int8)
    tokens = random.integers(-127, 128, (PASSAGES * TOKENS, DIMENSIONS), dtype=np.int8)
    return query, tokens, np.arange(PASSAGES + 1, dtype=np.int64) * TOKENS


@cache
def dense_input(count: int) -> tuple[np.ndarray, np.ndarray]:
    random = np.random.default_rng(1)
    stored = random.integers(-127, 128, (count, WIDTH), dtype=np.int8)
    return stored, random.integers(-127, 128, (1, WIDTH), dtype=np.int8)


def reference_maxsim() -> None:
    late.maxsim(*maxsim_input())


def reference_dense(count: int) -> None:
    dense.best_products(*dense_input(count), FIRST)


def maxsim(apply: Apply | None) -> dict[str, object]:
    query, tokens, offsets = maxsim_input()
    runs: dict[str, Callable[[], object]] = {}
    for name in available():
        kernels = native_named(name)
        if kernels is not None:
            runs[name] = lambda kernels=kernels: kernels.maxsim(query, tokens, offsets)
            runs[f"{name}, two threads"] = lambda kernels=kernels: kernels.maxsim(
                query, tokens, offsets, None, 2
            )
            if name == available()[0]:
                for bits in CODE_BITS:
                    codes = TokenCodes(DIMENSIONS, bits, 300.0)
                    rows = encode_tokens(tokens, codes)
                    runs[f"{name}, {bits} bits"] = lambda rows=rows, bits=bits, kernels=kernels: (
                        kernels.maxsim_codes(query, rows, offsets, bits, 300.0)
                    )
    runs[NUMPY] = reference_maxsim
    if apply is not None:
        runs[OLD_BLAS] = lambda: apply(reference_maxsim)
    wide = torch.tensor(tokens, dtype=torch.float32).reshape(PASSAGES, TOKENS, DIMENSIONS)
    asked = torch.tensor(query, dtype=torch.float32)
    runs["torch, float32"] = lambda: (asked @ wide.transpose(1, 2)).amax(dim=2).mean(dim=1)
    for kind, dtype in (("f32", np.float32), ("f16", np.float16)):
        parts = tokens.reshape(PASSAGES, TOKENS, DIMENSIONS).astype(dtype)
        packed = [numkong.maxsim_pack(part, kind) for part in parts]
        its = numkong.maxsim_pack(query.astype(dtype), kind)
        runs[f"NumKong, {kind}"] = lambda its=its, packed=packed: [
            numkong.maxsim_packed(its, one) for one in packed
        ]
    reference = late.maxsim(query, tokens, offsets)
    for name in available():
        kernels = native_named(name)
        assert kernels is None or kernels.maxsim(query, tokens, offsets).tobytes() == reference.tobytes()
    return times(runs, 15, available()[0])


def vectors(count: int, apply: Apply | None) -> dict[str, object]:
    stored, query = dense_input(count)
    flat = faiss.IndexFlatIP(WIDTH)
    for start in range(0, count, 100_000):
        flat.add(stored[start : start + 100_000].astype(np.float32))
    asked = query.astype(np.float32)
    bits = np.packbits(stored >= 0, axis=1, bitorder="little").view(np.uint64)
    query_bits = np.packbits(query >= 0, axis=1, bitorder="little").view(np.uint64)[0]
    eight = np.concatenate([query] * 8)
    runs: dict[str, Callable[[], object]] = {"faiss IndexFlatIP": lambda: flat.search(asked, FIRST)}
    for name in available():
        kernels = native_named(name)
        if kernels is None:
            continue

        def signs_first(kernels: object = kernels) -> object:
            distances, counts = kernels.bit_distances(bits, query_bits)  # type: ignore[attr-defined]
            reach = int(np.searchsorted(np.cumsum(counts), OVERSAMPLED))
            rows = kernels.rows_within(distances, reach)  # type: ignore[attr-defined]
            products = kernels.dot_products(stored[rows], query)[0]  # type: ignore[attr-defined]
            return rows[np.argsort(-products, kind="stable")[:FIRST]]

        runs[name] = lambda kernels=kernels: kernels.best_products(stored, query, FIRST)
        runs[f"{name}, two threads"] = lambda kernels=kernels: kernels.best_products(
            stored, query, FIRST, threads=2
        )
        runs[f"{name}, 8 queries in one pass"] = lambda kernels=kernels: kernels.best_products(
            stored, eight, FIRST
        )
        runs[f"{name}, 8 queries in one pass, two threads"] = lambda kernels=kernels: kernels.best_products(
            stored, eight, FIRST, threads=2
        )
        runs[f"{name}, sign bits first"] = signs_first
    runs[NUMPY] = lambda: reference_dense(count)
    if apply is not None:
        runs[OLD_BLAS] = lambda: apply(reference_dense, count)
    return {"vectors": count} | times(runs, 7, available()[0])


def times(runs: dict[str, Callable[[], object]], rounds: int, best: str) -> dict[str, object]:
    found = {name: min(seconds) * 1000 for name, seconds in interleaved(runs, rounds).items()}
    for name, milliseconds in found.items():
        print(f"{name:34} {milliseconds:9.2f} ms  {milliseconds / found[best]:7.2f} times {best}", flush=True)
    return {
        "ms": {name: round(value, 3) for name, value in found.items()},
        f"times {best}": {name: round(value / found[best], 2) for name, value in found.items()},
    }


if __name__ == "__main__":
    main()
