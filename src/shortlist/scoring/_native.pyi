"""The kernels of native/, as native/module.cpp shows them."""

from typing import Any

import numpy as np
from numpy.typing import NDArray

Found = tuple[NDArray[np.int64], NDArray[np.float32]]

def available() -> list[str]: ...
def transformers() -> list[str]: ...

class Native:
    def __init__(self, name: str) -> None: ...
    @property
    def name(self) -> str: ...
    def maxsim(
        self,
        query: NDArray[np.int8],
        tokens: NDArray[np.int8],
        offsets: NDArray[np.int64],
        weights: NDArray[np.float64] | None = ...,
        threads: int = ...,
    ) -> NDArray[np.float64]: ...
    def maxsim_codes(
        self,
        query: NDArray[np.int8],
        rows: NDArray[np.uint8],
        offsets: NDArray[np.int64],
        bits: int,
        length: float,
        weights: NDArray[np.float64] | None = ...,
        threads: int = ...,
    ) -> NDArray[np.float64]: ...
    def dot_products(
        self, vectors: NDArray[np.int8], queries: NDArray[np.int8], threads: int = ...
    ) -> NDArray[np.float32]: ...
    def best_products(
        self,
        vectors: NDArray[np.int8],
        queries: NDArray[np.int8],
        k: int,
        firsts: NDArray[np.int64] | None = ...,
        allowed: NDArray[np.bool_] | None = ...,
        threads: int = ...,
    ) -> list[Found]: ...
    def bit_distances(
        self, bits: NDArray[np.uint64], query: NDArray[np.uint64], threads: int = ...
    ) -> tuple[NDArray[np.int16], NDArray[np.int64]]: ...
    def rows_within(self, distances: NDArray[np.int16], reach: int) -> NDArray[np.int64]: ...
    def nearest(
        self, vectors: NDArray[np.int8], centroids: NDArray[np.int8], threads: int = ...
    ) -> NDArray[np.int32]: ...
    def best_listed(
        self,
        passages: NDArray[np.int32],
        offsets: NDArray[np.int64],
        probes: NDArray[np.int32],
        gains: NDArray[np.float32],
        count: int,
        k: int,
        allowed: NDArray[np.bool_] | None = ...,
    ) -> Found: ...
    def checksums(
        self, data: NDArray[np.uint8], offsets: NDArray[np.int64], threads: int = ...
    ) -> NDArray[np.uint32]: ...
    def best_bm25(
        self,
        documents: list[NDArray[np.int32]],
        frequencies: list[NDArray[np.uint8]] | list[NDArray[np.uint16]] | list[NDArray[np.uint32]],
        weights: list[float],
        relative_lengths: NDArray[np.float64],
        k1: float,
        k: int,
        allowed: NDArray[np.bool_] | None = ...,
    ) -> tuple[NDArray[np.int64], NDArray[np.float64]]: ...

class Transformer:
    def __init__(
        self, kernels: str, tensors: dict[str, NDArray[Any]], layers: int, heads: int, epsilon: float
    ) -> None: ...
    @property
    def hidden(self) -> int: ...
    @property
    def has_types(self) -> bool: ...
    def __call__(
        self,
        ids: NDArray[np.int32],
        offsets: NDArray[np.int64],
        types: NDArray[np.uint8] | None = ...,
    ) -> NDArray[np.float32]: ...
    def joint_maxsim(
        self, vectors: NDArray[np.float32], first: int, weight: NDArray[np.float32], bias: float
    ) -> float: ...
    def project(self, vectors: NDArray[np.float32], matrix: NDArray[np.float32]) -> NDArray[np.float32]: ...
