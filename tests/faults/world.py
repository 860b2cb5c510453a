"""A small world in which faults happen: documents, an encoder without a model, and what a reader should see.

Real collections, real indexer, real search; only the encoder is made up, so that a commit takes milliseconds.
Its vectors depend on nothing but the words of a text.
"""

from __future__ import annotations

import re
import zlib
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, cast

import numpy as np

from shortlist.api import Collection
from shortlist.collection import Store, StoreSettings
from shortlist.collection.directory import Directory
from shortlist.errors import CollectionNotFoundError
from shortlist.indexing import repair
from shortlist.models import Encoder
from shortlist.models.encoder import QueryVectors, Views
from shortlist.models.settings import Settings
from shortlist.types import Document, MetadataValue
from shortlist.vectors import DenseVectors, TokenVectors

__all__ = [
    "NOTHING",
    "SETTINGS",
    "DisagreementError",
    "State",
    "assess",
    "collection",
    "document",
    "documents",
    "encoder",
    "look",
    "state_of",
]

DIMENSIONS, TOKEN_DIMENSIONS, MAX_TOKENS = 8, 4, 24
SETTINGS = StoreSettings(
    language="english",
    model="",
    model_name="made up",
    fingerprint="0123456789abcdef",
    mode="fast",
    similarity="cosine",
    dimensions=DIMENSIONS,
    dense_scale=1 / 127,
    token_dimensions=TOKEN_DIMENSIONS,
    token_scale=1 / 127,
)
WORDS = (
    "account", "balance", "bank", "card", "cash", "cheque", "credit", "currency", "debit", "deposit",
    "exchange", "fee", "foreign", "holiday", "interest", "international", "limit", "loan", "money", "payment",
    "pin", "purchase", "rate", "refund", "saving", "statement", "transaction", "transfer", "travel",
)  # fmt: skip

State = Mapping[str, Document]
"""What a collection should hold: documents by id."""

NOTHING: State = {}


class DisagreementError(AssertionError):
    """A collection is in none of the states that it may be in."""


class WordTokenizer:
    """Take words as tokens."""

    max_tokens = MAX_TOKENS
    overhead = 2

    def offsets(self, text: str) -> list[tuple[int, int]]:
        return [match.span() for match in re.finditer(r"\S+", text)]

    def count(self, text: str) -> int:
        return len(self.offsets(text))


class WordEncoder:
    """Give every word a vector of its own, and every text their sum."""

    settings = Settings(
        name=SETTINGS.model_name,
        dimensions=DIMENSIONS,
        token_dimensions=TOKEN_DIMENSIONS,
        max_tokens=MAX_TOKENS,
        pooling="mean",
        similarity=SETTINGS.similarity,
        dense_scale=SETTINGS.dense_scale,
        token_scale=SETTINGS.token_scale,
        fingerprint=SETTINGS.fingerprint,
    )
    tokenizer = WordTokenizer()
    mode = SETTINGS.mode

    def __init__(self) -> None:
        self.encoded = 0

    def views(self, texts: Sequence[str], **_: Any) -> Views:
        self.encoded += len(texts)
        rows = [np.array([_vector(word) for word in ["[CLS]", *text.split()]]) for text in texts]
        dense = np.array([row.sum(0) / np.linalg.norm(row.sum(0)) for row in rows], np.float32)
        offsets = np.cumsum([0, *map(len, rows)])
        tokens = np.concatenate([np.empty((0, DIMENSIONS)), *rows])[:, :TOKEN_DIMENSIONS].astype(np.float32)
        return Views(DenseVectors(dense), TokenVectors(tokens, offsets), (0,) * len(texts))

    def queries(self, texts: Sequence[str], **_: Any) -> list[QueryVectors]:
        found = self.views(texts)
        return [
            QueryVectors(dense, tokens) for dense, tokens in zip(found.dense.data, found.tokens, strict=True)
        ]


@lru_cache(100_000)
def _vector(word: str) -> Any:
    vector = np.random.default_rng(zlib.crc32(word.encode())).normal(size=DIMENSIONS)
    return vector / np.linalg.norm(vector)


def encoder() -> Encoder:
    """Give an encoder that needs no model."""
    return cast("Encoder", WordEncoder())


def document(number: int, version: int = 0) -> Document:
    """Make a document: the same number and version give the same one."""
    random = np.random.default_rng([number, version])
    text = " ".join(random.choice(WORDS, int(random.integers(3, 40))))
    metadata: dict[str, MetadataValue] = {
        "number": number,
        "version": version,
        "even": number % 2 == 0,
        "tags": ["all", f"t{number % 3}"],
    }
    return Document(f"d{number}", text, f"title {number}" if number % 4 else "", metadata)


def documents(numbers: Iterable[int], version: int = 0) -> list[Document]:
    """Make several documents."""
    return [document(number, version) for number in numbers]


def state_of(*batches: Iterable[Document]) -> State:
    """Give what a collection holds after adding batches one after the other."""
    return {one.doc_id: one for batch in batches for one in batch}


def collection(path: Path, directory: Directory | None = None) -> Collection:
    """Open a collection with the made-up encoder."""
    return Collection(Store(path, directory=directory), encoder(), None)


def create(path: Path, directory: Directory | None = None, *, unfinished: str = "") -> Collection:
    """Create a collection with the made-up encoder."""
    store = Store.create(path, SETTINGS, unfinished=unfinished, directory=directory)
    return Collection(store, encoder(), None)


QUERIES = ("international card payment", "holiday money title 3", "interest")
PIPELINES = ("bm25", "tfidf", "hybrid+late", "dense")
CONDITIONS = ("even = 1", "number >= 7 and not tags in (t1)", "exists(version)")


def look(opened: Collection) -> object:
    """Give what searches and counts say, in values that can be compared; not how it is stored."""
    hits = [
        [
            (hit.doc_id, hit.score, hit.span, dict(hit.stages), found.documents[hit.doc_id])
            for hit in found.ranking
        ]
        for query in QUERIES
        for pipeline in PIPELINES
        for found in [opened.search(query, 20, pipeline=pipeline)]
    ]
    return hits, [opened.count(condition) for condition in CONDITIONS], opened.count()


_oracle: dict[tuple[Any, ...], object] = {}


def oracle(state: State, scratch: Path) -> object:
    """Give what a collection says that was built afresh with these documents, in one commit."""
    key = tuple(sorted((one.doc_id, one.text) for one in state.values()))
    if key not in _oracle:
        path = scratch / f"oracle-{len(_oracle)}"
        with create(path) as fresh:
            fresh.add(list(state.values()))
            _oracle[key] = look(fresh)
    return _oracle[key]


def assess(path: Path, allowed: Sequence[State | None], scratch: Path, *, damaged: bool = False) -> int:
    """Find out which of the allowed states a collection is in, with all views agreeing; ``None``: there is none.

    Of one that may still be ``damaged`` only the documents are compared, if it is.

    Raises:
        DisagreementError: it is in none of them, or something is wrong with it.
    """
    try:
        opened = collection(path)
    except CollectionNotFoundError:
        if None in allowed:
            return list(allowed).index(None)
        raise DisagreementError("there is no collection") from None
    with opened:
        problems = [one for one in opened.check(deep=True) if "encoded by" not in one]
        if problems and not damaged:
            raise DisagreementError(f"check --deep: {problems}")
        found = read(opened)
        for number, state in enumerate(allowed):
            if state is not None and found == dict(state):
                if not problems and look(opened) != oracle(state, scratch):
                    raise DisagreementError("a search finds something else than in a collection built afresh")
                return number
    lost = [set(state) - set(found) for state in allowed if state is not None]
    extra = [set(found) - set(state) for state in allowed if state is not None]
    raise DisagreementError(f"{len(found)} documents; lost {lost}, extra {extra}")


def read(opened: Collection) -> dict[str, Document]:
    """Read every document."""
    with opened.store.snapshot() as snapshot:
        return {one.doc_id: one for one in snapshot.documents(snapshot.live.nonzero()[0])}


def leftovers(path: Path) -> list[str]:
    """Name the files that the newest generation does not need."""
    with collection(path).store.snapshot() as snapshot:
        named = {f"segments/{entry.number:08d}.safetensors" for entry in snapshot.generation.segments}
    found = {str(one.relative_to(path)) for one in path.rglob("*") if one.is_file()}
    return sorted(found - named - {"generation.safetensors", "generation-copy.safetensors", "writer.lock"})


Act = Callable[[Path, Directory | None], object]


@dataclass(frozen=True)
class Scenario:
    """One thing to do to a collection: the state before, and the one after; ``damaged``: it mends damage."""

    name: str
    prepare: Callable[[Path], object]
    act: Act
    before: State | None
    after: State
    damaged: bool = False


def mending() -> dict[str, Scenario]:
    """Give what mends a damaged collection, by name."""
    batches = documents(range(12)), documents(range(12, 20))

    def damage(path: Path, *names: str) -> None:
        with create(path) as made:
            for batch in batches:
                made.add(batch)
        for name in names:
            content = bytearray((path / name).read_bytes())
            content[16_400] ^= 1
            (path / name).write_bytes(content)

    def act(path: Path, directory: Directory | None) -> object:
        return repair(path, lambda _: encoder(), directory=directory)

    both = state_of(*batches)
    segments = ("segments/00000001.safetensors", "segments/00000002.safetensors")
    return {
        "repair": Scenario("repair", lambda path: damage(path, *segments), act, both, both, damaged=True),
    }


def scenarios() -> dict[str, Scenario]:
    """Give what can be done to a collection, by name."""
    first, more, updated = documents(range(12)), documents(range(12, 20)), documents(range(5, 15), version=1)

    def add(batch: list[Document]) -> Act:
        def act(path: Path, directory: Directory | None) -> object:
            return collection(path, directory).add(batch)

        return act

    def two_commits(path: Path) -> None:
        with create(path) as made:
            made.add(first)
            made.add(more)

    def updated_and_deleted(path: Path) -> None:
        two_commits(path)
        with collection(path) as made:
            made.add(updated)
            made.delete([f"d{number}" for number in range(4)])

    def seven_commits(path: Path) -> None:
        with create(path) as made:
            for number in range(7):
                made.add(documents([number, 100 + number]))

    def build(path: Path, directory: Directory | None) -> object:
        with create(path, directory, unfinished="the first documents") as made:
            made.add(first)
            with made.store.writer() as writer:
                writer.finish()
        return None

    def delete(path: Path, directory: Directory | None) -> object:
        return collection(path, directory).delete([f"d{number}" for number in range(3, 16)])

    def compact(path: Path, directory: Directory | None) -> object:
        return collection(path, directory).compact()

    both = state_of(first, more)
    after_both = {
        k: v for k, v in state_of(first, more, updated).items() if k not in ("d0", "d1", "d2", "d3")
    }
    seven = state_of(*([document(number), document(100 + number)] for number in range(7)))
    made = [
        Scenario("first", lambda _: None, build, None, state_of(first)),
        Scenario(
            "append",
            two_commits,
            add(documents(range(30, 40))),
            both,
            state_of(both.values(), documents(range(30, 40))),
        ),
        Scenario("update", two_commits, add(updated), both, state_of(both.values(), updated)),
        Scenario(
            "delete", two_commits, delete, both, {k: v for k, v in both.items() if not 3 <= int(k[1:]) < 16}
        ),
        Scenario("compact", updated_and_deleted, compact, after_both, after_both),
        Scenario(
            "merge",
            seven_commits,
            add(documents([50, 51])),
            seven,
            state_of(seven.values(), documents([50, 51])),
        ),
    ]
    return {one.name: one for one in made}
