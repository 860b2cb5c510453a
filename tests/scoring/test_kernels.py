"""The kernels in C++ against the reference in numpy: the same bytes, for every instruction set of this machine."""

import math
import os
import shutil
import subprocess
import sys
import zlib
from collections.abc import Iterator
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray

from shortlist.errors import ShortlistError
from shortlist.scoring import (
    CODE_BITS,
    TokenCodes,
    dense,
    fast,
    kernels,
    late,
    lexical,
    lists,
)
from shortlist.scoring import bits as scoring_bits
from shortlist.scoring.kernels import NUMPY, VARIABLE, available, native_named

NATIVE = [name for name in available() if name != NUMPY]

every_set = pytest.mark.usefixtures("name")

SEEDS = st.integers(0, 2**32 - 1)
DIMENSIONS = st.integers(1, 200) | st.sampled_from([64, 128, 384])
THREADS = st.sampled_from([1, 2, 3])


@pytest.fixture(params=NATIVE, scope="module")
def name(request: pytest.FixtureRequest) -> Iterator[str]:
    """Let the functions run on one of the instruction sets."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(VARIABLE, request.param)
        yield request.param


def int8(random: np.random.Generator, *shape: int) -> NDArray[np.int8]:
    return random.integers(-128, 128, shape, dtype=np.int8)


def at_odd_places(values: NDArray[Any]) -> NDArray[Any]:
    """Copy an array to where no vector instruction would want it: one item beyond an aligned address."""
    raw = np.empty(values.nbytes + 128, np.uint8)
    start = -raw.ctypes.data % 64 + values.itemsize
    copy = raw[start : start + values.nbytes].view(values.dtype).reshape(values.shape)
    copy[...] = values
    return copy


@every_set
@given(
    seed=SEEDS,
    tokens=st.integers(0, 70),
    lengths=st.lists(st.integers(0, 40), max_size=12),
    dimensions=DIMENSIONS,
    weighed=st.booleans(),
    threads=THREADS,
)
def test_maxsim(
    seed: int, tokens: int, lengths: list[int], dimensions: int, weighed: bool, threads: int
) -> None:
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    query = at_odd_places(int8(random, tokens, dimensions))
    passages = at_odd_places(int8(random, int(offsets[-1]), dimensions))
    weights = random.random(tokens).astype(np.float32) if weighed else None
    found = fast.maxsim(query, passages, offsets, weights, threads=threads)
    assert found.tobytes() == late.maxsim(query, passages, offsets, weights).tobytes()


@every_set
def test_maxsim_of_more_passages_than_one_thread_takes_at_once() -> None:
    random = np.random.default_rng(1)
    offsets = np.cumsum([0, *random.integers(0, 30, 1000)], dtype=np.int64)
    query, passages = int8(random, 32, 128), int8(random, int(offsets[-1]), 128)
    expected = late.maxsim(query, passages, offsets).tobytes()
    assert [fast.maxsim(query, passages, offsets, threads=n).tobytes() for n in (1, 2, 5)] == [expected] * 3


@every_set
@given(
    seed=SEEDS,
    tokens=st.integers(0, 40),
    lengths=st.lists(st.integers(0, 40), max_size=12),
    dimensions=DIMENSIONS,
    bits=st.sampled_from(CODE_BITS),
    weighed=st.booleans(),
    threads=THREADS,
)
def test_maxsim_of_codes(
    seed: int, tokens: int, lengths: list[int], dimensions: int, bits: int, weighed: bool, threads: int
) -> None:
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    codes = TokenCodes(dimensions, bits, 302.9)
    query = at_odd_places(int8(random, tokens, dimensions))
    rows = at_odd_places(random.integers(0, 256, (int(offsets[-1]), codes.width), dtype=np.uint8))
    weights = random.random(tokens) if weighed else None
    found = fast.maxsim(query, rows, offsets, weights, codes=codes, threads=threads)
    assert found.tobytes() == late.maxsim(query, rows, offsets, weights, codes=codes).tobytes()


@every_set
def test_codes_of_other_sizes_are_refused() -> None:
    kernels, offsets = native_named(NATIVE[0]), np.array([0, 2])
    assert kernels is not None
    query, rows = np.zeros((1, 128), np.int8), np.zeros((2, 64), np.uint8)
    for bits, width, says in ((3, 64, "4 or 2 bits"), (2, 64, "as wide as"), (4, 63, "as wide as")):
        with pytest.raises(ValueError, match=says):
            kernels.maxsim_codes(query, rows[:, :width].copy(), offsets, bits, 302.9)
    with pytest.raises(ValueError, match="offsets must ascend"):
        kernels.maxsim_codes(query, rows, np.array([0, 3]), 4, 302.9)


@every_set
@given(seed=SEEDS, rows=st.integers(0, 40), queries=st.integers(0, 9), dimensions=DIMENSIONS, threads=THREADS)
def test_dot_products(seed: int, rows: int, queries: int, dimensions: int, threads: int) -> None:
    random = np.random.default_rng(seed)
    vectors = at_odd_places(int8(random, rows, dimensions))
    asked = at_odd_places(int8(random, queries, dimensions))
    found = fast.dot_products(vectors, asked, threads=threads)
    assert found.dtype == np.float32
    assert found.shape == (queries, rows)
    assert found.tobytes() == dense.dot_products(vectors, asked).tobytes()


@every_set
@pytest.mark.parametrize("sign", [-1, 1])
@pytest.mark.parametrize("dimensions", [1040, 1003])
def test_the_largest_products_that_can_occur_are_exact(sign: int, dimensions: int) -> None:
    vectors, asked = np.full((5, dimensions), 127, np.int8), np.full((3, dimensions), sign * 127, np.int8)
    assert (fast.dot_products(vectors, asked) == sign * 127 * 127 * dimensions).all()
    assert (fast.maxsim(asked, vectors, np.array([0, 5])) == sign * 127 * 127 * dimensions).all()


@every_set
@given(
    seed=SEEDS,
    rows=st.integers(0, 600),
    centroids=st.integers(1, 20),
    dimensions=DIMENSIONS,
    values=st.sampled_from([2, 128]),
    threads=THREADS,
)
def test_nearest(seed: int, rows: int, centroids: int, dimensions: int, values: int, threads: int) -> None:
    random = np.random.default_rng(seed)
    vectors = at_odd_places(random.integers(-values, values, (rows, dimensions), dtype=np.int8))
    centres = at_odd_places(random.integers(-values, values, (centroids, dimensions), dtype=np.int8))
    found = fast.nearest(vectors, centres, threads=threads)
    assert found.dtype == np.int32
    assert found.tobytes() == lists.nearest(vectors, centres).tobytes()


@every_set
@given(
    seed=SEEDS,
    sizes=st.lists(st.integers(0, 30), min_size=1, max_size=20),
    queries=st.integers(0, 6),
    probed=st.integers(0, 5),
    count=st.integers(1, 100),
    k=st.integers(1, 40),
    filtered=st.booleans(),
)
def test_best_listed(
    seed: int, sizes: list[int], queries: int, probed: int, count: int, k: int, filtered: bool
) -> None:
    random = np.random.default_rng(seed)
    offsets = np.cumsum([0, *sizes], dtype=np.int64)
    passages = random.integers(0, count, int(offsets[-1]), dtype=np.int32)
    probes = random.integers(0, len(sizes), (queries, probed), dtype=np.int32)
    gains = random.integers(0, 4, (queries, probed)).astype(np.float32)
    allowed = random.random(count) < 0.5 if filtered else None
    found = fast.best_listed(passages, offsets, probes, gains, count, k, allowed)
    expected = lists.best_listed(passages, offsets, probes, gains, count, k, allowed)
    assert [part.tobytes() for part in found] == [part.tobytes() for part in expected]
    assert found[1].dtype == np.float32


@every_set
@given(seed=SEEDS, lengths=st.lists(st.integers(0, 300) | st.just(20_000), max_size=40), threads=THREADS)
def test_checksums(name: str, seed: int, lengths: list[int], threads: int) -> None:
    offsets = np.cumsum([0, *lengths], dtype=np.int64)
    data = at_odd_places(np.random.default_rng(seed).integers(0, 256, int(offsets[-1]), np.uint8))
    kernels = native_named(name)
    assert kernels is not None
    expected = [zlib.crc32(data[first:last].tobytes()) for first, last in pairwise(offsets.tolist())]
    assert kernels.checksums(data, offsets, threads).tolist() == expected


@every_set
@given(
    seed=SEEDS,
    counts=st.lists(st.integers(1, 4), max_size=60),
    queries=st.integers(1, 5),
    values=st.sampled_from([2, 128]),
    k=st.integers(1, 70),
    filtered=st.booleans(),
    threads=THREADS,
)
def test_best_products(
    seed: int, counts: list[int], queries: int, values: int, k: int, filtered: bool, threads: int
) -> None:
    random = np.random.default_rng(seed)
    firsts = np.cumsum([0, *counts], dtype=np.int64)
    vectors = random.integers(-values, values, (int(firsts[-1]), 3), dtype=np.int8)  # many tie
    asked = random.integers(-values, values, (queries, 3), dtype=np.int8)
    allowed = random.random(len(counts)) < 0.5 if filtered else None
    found = fast.best_products(vectors, asked, k, firsts, allowed, threads=threads)
    expected = dense.best_products(vectors, asked, k, firsts, allowed)
    assert same(found, expected)
    if all(count == 1 for count in counts):
        assert same(fast.best_products(vectors, asked, k, None, allowed), expected)


@every_set
@pytest.mark.parametrize("share", [None, 0.001, 0.5])
def test_many_documents_of_several_rows(share: float | None) -> None:
    """More than are worked on at a time, so that parts, threads and documents that end in a part are joined."""
    random = np.random.default_rng(4)
    count = 9000
    firsts = np.cumsum(np.concatenate([[0], random.integers(1, 4, count)])).astype(np.int64)
    vectors = random.integers(-3, 4, (int(firsts[-1]), 16), dtype=np.int8)  # many tie
    asked = random.integers(-3, 4, (2, 16), dtype=np.int8)
    allowed = None if share is None else random.random(count) < share
    for k in (1, 70):
        expected = dense.best_products(vectors, asked, k, firsts, allowed)
        for threads in (1, 2, 4):
            assert same(fast.best_products(vectors, asked, k, firsts, allowed, threads=threads), expected)


@every_set
def test_arrays_that_the_reference_takes_are_taken() -> None:
    random = np.random.default_rng(5)
    vectors, asked = int8(random, 40, 24), int8(random, 3, 24)
    firsts = np.arange(0, 41, 2, dtype=np.int32)
    allowed = (random.random(40) < 0.5)[::2]
    found = fast.best_products(vectors, asked[::2], 5, firsts, allowed)  # type: ignore[arg-type]
    assert same(found, dense.best_products(vectors, asked[::2], 5, firsts, allowed))  # type: ignore[arg-type]
    assert fast.dot_products(vectors[:, :0], asked[:, :0]).tolist() == np.zeros((3, 40)).tolist()


@every_set
@pytest.mark.parametrize("share", [0.0, 0.001, 0.5, 1.0])
def test_best_products_of_many_documents(share: float) -> None:
    random = np.random.default_rng(2)
    vectors, asked = int8(random, 20_000, 96), int8(random, 3, 96)
    allowed = random.random(len(vectors)) < share
    expected = dense.best_products(vectors, asked, 100, None, allowed)
    for threads in (1, 2, 4):
        assert same(fast.best_products(vectors, asked, 100, None, allowed, threads=threads), expected)


@every_set
@given(
    seed=SEEDS,
    rows=st.integers(0, 60) | st.just(9000),
    words=st.sampled_from([1, 5, 6, 8, 12, 16, 20]),
    same_rows=st.booleans(),
    threads=THREADS,
)
def test_bit_distances(seed: int, rows: int, words: int, same_rows: bool, threads: int) -> None:
    random = np.random.default_rng(seed)
    drawn = random.integers(0, 2**64, (1 if same_rows and rows else rows, words), dtype=np.uint64)
    stored = at_odd_places(np.broadcast_to(drawn, (rows, words)))
    asked = random.integers(0, 2**64, words, dtype=np.uint64)
    found = fast.bit_distances(stored, asked, threads=threads)
    assert same([found], [scoring_bits.bit_distances(stored, asked)])
    distances, counts = found
    some = slice(None, None, max(1, rows // 60))
    assert distances[some].tolist() == [
        sum(int(word).bit_count() for word in row) for row in stored[some] ^ asked
    ]
    assert counts.tolist() == [int((distances == distance).sum()) for distance in range(64 * words + 1)]


@every_set
@given(
    seed=SEEDS,
    documents=st.integers(0, 300),
    shares=st.lists(st.sampled_from([0.0, 0.01, 0.3, 1.0]), max_size=5),
    kind=st.sampled_from([np.uint8, np.uint16, np.uint32]),
    k=st.integers(1, 40),
    k1=st.sampled_from([0.0, 0.9, 1.2]),
    filtered=st.booleans(),
)
def test_best_bm25(
    seed: int, documents: int, shares: list[float], kind: Any, k: int, k1: float, filtered: bool
) -> None:
    random = np.random.default_rng(seed)
    postings: list[Any] = []
    for share in shares:
        having = np.flatnonzero(random.random(documents) < share).astype(np.int32)
        postings.append((having, random.integers(1, 4, len(having)).astype(kind)))
    idfs = random.random(len(shares)).tolist()
    lengths = 0.25 + random.integers(0, 3, documents) / 4
    allowed = random.random(documents) < 0.5 if filtered else None
    found = fast.best_bm25(postings, idfs, lengths, k, allowed, k1=k1)
    assert same([found], [lexical.best_bm25(postings, idfs, lengths, k, allowed, k1=k1)])


@every_set
def test_best_bm25_of_many_documents() -> None:
    random = np.random.default_rng(3)
    count = 30_000
    postings = []
    for share in (0.001, 0.5, 0.03):
        having = np.flatnonzero(random.random(count) < share).astype(np.int32)
        postings.append((having, random.integers(1, 9, len(having)).astype(np.uint8)))
    lengths = 0.25 + random.integers(0, 4, count) / 4
    for k, allowed in ((1, None), (200, None), (40_000, None), (200, random.random(count) < 0.3)):
        found = fast.best_bm25(postings, [6.0, 0.7, 3.5], lengths, k, allowed, k1=1.2)
        assert same([found], [lexical.best_bm25(postings, [6.0, 0.7, 3.5], lengths, k, allowed, k1=1.2)])


@every_set
@given(
    seed=SEEDS,
    rows=st.integers(0, 300),
    highest=st.sampled_from([3, 40, 384, 32000]),
    reach=st.integers(-3, 400) | st.sampled_from([-32769, -32768, 31999, 32000, 32767, 32768, 10**9]),
)
def test_rows_within(seed: int, rows: int, highest: int, reach: int) -> None:
    distances = np.random.default_rng(seed).integers(0, highest + 1, rows, dtype=np.int16)
    found = fast.rows_within(distances, reach)
    assert found.dtype == np.int64
    assert found.tolist() == scoring_bits.rows_within(distances, reach).tolist()
    assert found.tolist() == [row for row, distance in enumerate(distances.tolist()) if distance <= reach]


def same(found: Any, expected: Any) -> bool:
    return [(a.tolist(), b.tobytes()) for a, b in found] == [(a.tolist(), b.tobytes()) for a, b in expected]


WRONG: dict[str, Any] = {
    "dimensions": lambda n: n.maxsim(zeros(2, 3), zeros(4, 5), np.array([0, 4])),
    "beyond": lambda n: n.maxsim(zeros(2, 3), zeros(4, 3), np.array([0, 5])),
    "descending": lambda n: n.maxsim(zeros(2, 3), zeros(4, 3), np.array([0, 5, 3, 4])),
    "no offsets": lambda n: n.maxsim(zeros(2, 3), zeros(4, 3), np.empty(0, np.int64)),
    "weights": lambda n: n.maxsim(zeros(2, 3), zeros(4, 3), np.array([0, 4]), np.ones(3)),
    "too many dimensions": lambda n: n.dot_products(zeros(1, 40_000), zeros(1, 40_000)),
    "allowed": lambda n: n.best_products(zeros(4, 3), zeros(1, 3), 1, None, np.ones(3, np.bool_)),
    "firsts": lambda n: n.best_products(zeros(4, 3), zeros(1, 3), 1, np.array([0, 3]), None),
    "no k": lambda n: n.best_products(zeros(4, 3), zeros(1, 3), 0),
    "bits": lambda n: n.bit_distances(np.zeros((4, 3), np.uint64), np.zeros(2, np.uint64)),
    "a document beyond": lambda n: bm25(n, [7]),
    "a document below": lambda n: bm25(n, [-1]),
    "documents that descend": lambda n: bm25(n, [5, 4097, 4]),
}  # fmt: skip


def zeros(*shape: int) -> NDArray[np.int8]:
    return np.zeros(shape, np.int8)


def bm25(native: Any, documents: list[int]) -> Any:
    counts = np.ones(len(documents), np.uint8)
    count = 7 if len(documents) == 1 else 5000
    return native.best_bm25([np.array(documents, np.int32)], [counts], [1.0], np.ones(count), 1.2, 3)


@every_set
@pytest.mark.parametrize("what", WRONG)
def test_what_would_read_elsewhere_is_refused(what: str) -> None:
    with pytest.raises((ValueError, TypeError)):
        WRONG[what](native_named(NATIVE[0]))


@every_set
def test_an_array_of_another_kind_is_refused() -> None:
    native: Any = native_named(NATIVE[0])
    with pytest.raises(TypeError):
        native.dot_products(np.zeros((2, 3)), zeros(1, 3))


def test_the_variable_chooses_and_a_wrong_one_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in NATIVE:
        monkeypatch.setenv(VARIABLE, name)
        found = kernels.native()
        assert found is not None
        assert found.name == name
    monkeypatch.setenv(VARIABLE, NUMPY)
    assert kernels.native() is None
    monkeypatch.setenv(VARIABLE, "mmx")
    with pytest.raises(ShortlistError, match="SHORTLIST_KERNELS=mmx"):
        kernels.native()


def test_without_the_extension_numpy_does_the_work() -> None:
    code = (
        "import sys; sys.modules['shortlist.scoring._native'] = None\n"
        "import numpy as np; from shortlist.scoring import dot_products, kernels\n"
        "print(kernels.available(), dot_products(np.ones((2, 3), np.int8), np.ones((1, 3), np.int8)).tolist())"
    )
    environment = {name: value for name, value in os.environ.items() if name != VARIABLE}
    found = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, env=environment
    )
    assert found.stdout.split("\n")[0] == "('numpy',) [[3.0, 3.0]]"


@pytest.mark.skipif(not any(map(shutil.which, ("c++", "g++", "clang++"))), reason="no compiler here")
def test_where_there_is_a_compiler_there_are_kernels() -> None:
    assert available() != (NUMPY,)


def test_scores_of_no_tokens_are_minus_infinity() -> None:
    found = fast.maxsim(zeros(0, 4), zeros(3, 4), np.array([0, 3]))
    assert found.tolist() == [-math.inf]
