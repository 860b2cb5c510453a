"""What ``import shortlist`` gives: a collection with its encoder, from first document to last hit."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from weakref import WeakSet

from shortlist.collection import Analyzer, Filter, Snapshot, Store, StoreSettings, as_filter
from shortlist.collection.array_file import FORMAT
from shortlist.collection.check import find_problems
from shortlist.collection.format_1 import upgrading
from shortlist.collection.generation import MAX_NAME
from shortlist.collection.vector_graph import require_usearch
from shortlist.errors import (
    CollectionError,
    CollectionExistsError,
    CollectionNotFoundError,
    DataError,
    ModelError,
    ModelMismatchError,
    ShortlistError,
)
from shortlist.formats import Source, open_source
from shortlist.indexing import Indexer, Repair, Report, repair
from shortlist.indexing.token_pooling import MOST_POOLED
from shortlist.memory import as_bytes
from shortlist.models import Encoder
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.encoder import Mode
from shortlist.models.folders import DEFAULT, fingerprint
from shortlist.models.own_folder import JUDGES
from shortlist.models.score_cache import ScoreCache
from shortlist.protocols import Progress
from shortlist.scoring import CODE_BITS, MAX_DIMENSIONS
from shortlist.search import Pipeline, Result, Searcher, default_pipeline, name_of, parse
from shortlist.similarity import Duplicates, find_duplicates
from shortlist.types import Document, Query, Run, check_text

__all__ = ["Collection", "Info"]

Condition = Filter | str | Mapping[str, Any] | None
Memory = int | str | None


@dataclass(frozen=True)
class Info:
    """Describe a collection: what is in it, what made it, what it takes on disk."""

    path: str
    generation: int
    documents: int
    deleted_documents: int
    passages: int
    token_vectors: int
    segments: int
    size_bytes: Mapping[str, int]
    language: str
    model: str
    fingerprint: str
    mode: str
    token_pooling: int
    token_bits: int
    hnsw: bool
    default_pipeline: str
    format: int
    unfinished: str
    """The source of a first build that was interrupted, or empty."""


class Collection:
    """A folder of documents that can be searched by words and by meaning.

    >>> import tempfile, pathlib
    >>> path = pathlib.Path(tempfile.mkdtemp()) / "help.shortlist"
    >>> with Collection.create(path) as collection:
    ...     _ = collection.add([
    ...         {"id": "a", "title": "International transaction declined", "text": "Foreign use is blocked."},
    ...         {"id": "b", "title": "Order a card", "text": "A new card takes five working days."},
    ...     ])
    ...     collection.search("my payment in Spain was refused").ranking[0].doc_id
    'a'
    """

    def __init__(self, store: Store, encoder: Encoder | None, model: Path | None) -> None:
        self._store = store
        self._encoder = encoder
        self._model = model
        self._snapshot: Snapshot | None = None
        self._users: Counter[Snapshot] = Counter()
        self._lock = threading.Lock()
        self._judges: dict[str, CrossEncoder] = {}
        self._judges_lock = threading.Lock()
        self.analyzer = Analyzer(store.settings.language)
        _all.add(self)

    @classmethod
    def create(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | None = None,
        mode: Mode = "fast",
        language: str = "english",
        token_vectors: bool = True,
        token_pooling: int = 1,
        token_bits: int = 8,
        hnsw: bool = False,
        memory: Memory = None,
    ) -> Collection:
        """Create an empty collection in a folder of its own.

        ``model`` is a model folder (default: the model that comes with shortlist), ``mode`` how it runs,
        ``language`` that of the stemmer. Without ``token_vectors`` the collection takes about a fiftieth of
        the space and has no late interaction; ``token_pooling`` from 2 to 4 joins as many token vectors that say nearly
        the same into one, and ``token_bits`` of 4 or 2 in place of 8 round them more. With ``hnsw``
        segments of two million passages or more get a graph, for ``recall`` below 1 in collections of millions (needs
        ``shortlist[hnsw]``). None of these can be changed later. ``memory`` is a limit that this process keeps to; see
        :meth:`open`.

        Raises:
            CollectionExistsError: there is something at ``path`` already.
            ModelError: the model can't be used.
            CollectionError: there is no stemmer for ``language``, or ``token_pooling`` or ``token_bits`` can't be.
        """
        encoder, settings = _settings(model, mode, language, token_vectors, token_pooling, token_bits, hnsw)
        store = Store.create(Path(path), settings, memory=as_bytes(memory))
        return cls(store, encoder, None if model is None else Path(model))

    @classmethod
    def build(
        cls,
        path: str | os.PathLike[str],
        documents: str | os.PathLike[str] | Iterable[Document | Mapping[str, object]] | Any,
        *,
        model: str | os.PathLike[str] | None = None,
        mode: Mode = "fast",
        language: str = "english",
        token_vectors: bool = True,
        token_pooling: int = 1,
        token_bits: int = 8,
        hnsw: bool = False,
        strict: bool = False,
        memory: Memory = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> tuple[Collection, Report]:
        """Create a collection and add a source's documents; or go on where the same build was interrupted.

        Documents that are there already are counted as ``unchanged`` and not encoded again. If it fails before
        anything was committed, nothing is left at ``path``. For the arguments see :meth:`create` and :meth:`add`.

        Raises:
            CollectionExistsError: there is something else at ``path``.
            CollectionStorageError: the disk has no room for what is to come, or refuses a file.
        """
        source = open_source(documents)
        encoder, settings = _settings(model, mode, language, token_vectors, token_pooling, token_bits, hnsw)
        folder = None if model is None else Path(model)
        try:
            store = Store.create(Path(path), settings, unfinished=source.name, memory=as_bytes(memory))
        except CollectionExistsError as refused:
            try:
                store = Store(Path(path), memory=as_bytes(memory))
            except CollectionNotFoundError:  # something else is there
                raise refused from None
            if not store.unfinished:
                raise
            if (store.unfinished, store.settings) != (source.name[:MAX_NAME], settings):
                raise CollectionExistsError(
                    f"{path}: its first build, from {store.unfinished}, was interrupted",
                    hint="index the same source with the same options to go on, or remove the folder",
                ) from None
        collection = cls(store, encoder, folder)
        try:
            report = collection.add(source, strict=strict, threads=threads, progress=progress)
            collection._finish()
        except BaseException:
            with suppress(ShortlistError, OSError):
                collection.discard_if_empty()  # don't leave it in the way of the next try
            collection.close()
            raise
        return collection, report

    @classmethod
    def upgrade(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | None = None,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Bring a collection of an older format to this one, in place; its documents are encoded again.

        What the model that came along then had encoded is encoded by the one that comes along now.

        Until the new files are whole the old ones stay, and an interrupted upgrade can be run again.

        Raises:
            CollectionNotFoundError: there is no collection of an older format at ``path``.
        """
        folder, report = Path(path), Report()
        with upgrading(folder, _of_today) as work:
            if work is not None:
                store, documents = work
                source = Source(f"format 1 of {folder}", None, lambda: documents)
                chosen = model or store.settings.model or None
                collection = cls(store, None, None if chosen is None else Path(chosen))
                report = collection.add(source, threads=threads, progress=progress)
                collection._finish()
        if work is None:  # an interrupted upgrade had come this far
            with Store(folder).snapshot() as snapshot:
                report.unchanged = snapshot.document_count
        return report

    @classmethod
    def repair(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | None = None,
        drop: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Repair:
        """Make what is damaged again: postings and vectors from the documents, the generation from its copy.

        Raises:
            CollectionDamagedError: documents are lost and ``drop`` doesn't say to go on without them; or
                neither the newest generation nor its copy can be read.
            CollectionBusyError: another process or thread is writing.
        """

        def encoder(store: Store) -> Encoder:
            chosen = model or store.settings.model or None
            return cls(store, None, None if chosen is None else Path(chosen)).encoder

        return repair(Path(path), encoder, drop=drop, threads=threads, progress=progress)

    @classmethod
    def open(
        cls,
        path: str | os.PathLike[str],
        *,
        model: str | os.PathLike[str] | None = None,
        memory: Memory = None,
    ) -> Collection:
        """Open a collection; ``model`` says where its model is now, if it moved.

        ``memory`` (``"500MB"``, or a number of bytes) is about what searching, adding and joining segments may take:
        text vectors that would not fit are then read for every search, commits are smaller, segments that would not fit
        are not joined, and what can't be done in so little is refused with an estimate.

        Raises:
            CollectionNotFoundError: there is no collection at ``path``.
            DataError: ``memory`` is no size.
            ModelMismatchError: it was encoded by another model than this one.
        """
        store = Store(Path(path), memory=as_bytes(memory))
        folder = (
            Path(model) if model is not None else Path(store.settings.model) if store.settings.model else None
        )
        collection = cls(store, None, folder)
        if model is not None:
            try:
                collection._check_model()
            except BaseException:
                collection.close()
                raise
        return collection

    @property
    def store(self) -> Store:
        """What is on disk."""
        return self._store

    @property
    def encoder(self) -> Encoder:
        """The collection's encoder, loaded when first needed."""
        if self._encoder is None:
            settings = self._store.settings
            try:
                self._check_model()
                self._encoder = Encoder.load(self._model, mode=settings.mode)  # type: ignore[arg-type]
            except ModelError as error:
                hint = (
                    error.hint or "if the collection's model has moved, name its folder with --model FOLDER"
                )
                raise type(error)(f"{self._store.path}: {error}", hint=hint) from error
        return self._encoder

    @property
    def model(self) -> Path | None:
        """The folder of its model, ``None`` for the one that comes along."""
        return self._model

    def _check_model(self) -> None:
        settings, folder = self._store.settings, self._model or DEFAULT
        found = fingerprint(folder)
        if found != settings.fingerprint:
            raise ModelMismatchError(
                f"encoded by {settings.model_name} ({settings.fingerprint}), not by {folder.name} ({found})",
                hint="name its model with --model FOLDER, or index into a new collection",
            )

    def add(
        self,
        documents: str | os.PathLike[str] | Iterable[Document | Mapping[str, object]] | Any,
        *,
        strict: bool = False,
        threads: int | None = None,
        progress: Progress | None = None,
    ) -> Report:
        """Add or update documents from a path, an iterable of documents or mappings, or a data frame.

        A document with a known id replaces the old one. Bad records are counted and listed in the report;
        with ``strict`` they raise before anything is committed.

        Raises:
            DataError: the source can't be read; or, with ``strict``, a record is bad.
            CollectionBusyError: another process is writing.
            CollectionError: the limit of memory is too low.
        """
        source = open_source(documents)
        self._let_go()
        return Indexer(self._store, self.encoder, threads=threads).add(
            source, strict=strict, progress=progress
        )

    def delete(self, doc_ids: Iterable[str] = (), *, condition: Condition = None) -> int:
        """Delete documents by id, or all that a filter lets through; give how many there were.

        Raises:
            CollectionBusyError: another process is writing.
            FilterError: the condition makes no sense.
        """
        if isinstance(doc_ids, str):
            raise DataError(f"ids must be a list of ids, not the text {doc_ids!r}")
        chosen = [check_text(doc_id, "an id") for doc_id in doc_ids]
        self._let_go()
        with self._store.writer() as writer:
            if condition is not None:
                with self._store.snapshot() as snapshot:
                    positions = snapshot.allowed(as_filter(condition)).nonzero()[0]
                    chosen += snapshot.doc_ids(positions)
            return writer.delete(chosen)

    def count(self, condition: Condition = None) -> int:
        """Count the documents, or those that a filter lets through."""
        with self._store.snapshot() as snapshot:
            return int(snapshot.allowed(as_filter(condition)).sum())

    def search(
        self,
        query: str,
        k: int = 10,
        *,
        pipeline: Pipeline | str | None = None,
        condition: Condition = None,
        threads: int | None = None,
        recall: float | None = None,
    ) -> Result:
        """Find the ``k`` best documents in the newest generation.

        ``pipeline`` is a value, its text form or a short name (default: what :meth:`info` says); ``condition``
        restricts the search to documents whose metadata it lets through. What is worth it runs on ``threads`` (default:
        all cores). With ``recall`` (.98, say) dense stages find about that share of a large collection's nearest, in a
        fraction of the time; without it they compare all.

        Raises:
            PipelineError, FilterError: the pipeline or the condition makes no sense.
            CollectionError: the limit of memory is too low.
        """
        chosen, checked = _pipeline(pipeline), as_filter(condition)
        with self._searching() as searcher:
            return searcher.search(
                query, k, pipeline=chosen, condition=checked, threads=threads, recall=recall
            )

    def run(
        self,
        queries: Sequence[Query],
        k: int = 1000,
        *,
        pipeline: Pipeline | str | None = None,
        condition: Condition = None,
        threads: int | None = None,
        progress: Progress | None = None,
        recall: float | None = None,
    ) -> Run:
        """Rank documents for many queries: the same rankings as one search each, in less time."""
        chosen, checked = _pipeline(pipeline), as_filter(condition)
        with self._searching() as searcher:
            return searcher.run(
                queries,
                k,
                pipeline=chosen,
                condition=checked,
                threads=threads,
                progress=progress,
                recall=recall,
            )

    def run_all(
        self,
        queries: Sequence[Query],
        pipelines: Sequence[Pipeline | str],
        k: int | Sequence[int] = 1000,
        *,
        condition: Condition = None,
        threads: int | None = None,
        progress: Progress | None = None,
        recall: float | None = None,
    ) -> list[Run]:
        """Rank documents for many queries with several pipelines; what they share is computed once a query.

        ``k`` is one for all, or one for each. The rankings are those of :meth:`run`; their hits carry neither the
        stages' scores nor passages.
        """
        chosen = [parse(value) if isinstance(value, str) else value for value in pipelines]
        checked = as_filter(condition)
        with self._searching() as searcher:
            return searcher.run_all(
                queries, chosen, k, condition=checked, threads=threads, progress=progress, recall=recall
            )

    def duplicates(
        self,
        threshold: float = 0.9,
        *,
        top_k: int | None = None,
        limit: int = 1000,
        condition: Condition = None,
        progress: Progress | None = None,
    ) -> Duplicates:
        """Find documents of the newest generation that say nearly the same, as pairs and as clusters.

        For the arguments see :func:`~shortlist.similarity.find_duplicates`.

        Raises:
            DataError: ``threshold`` is no cosine, or ``top_k`` or ``limit`` is below 1.
            FilterError: the condition makes no sense.
        """
        checked = as_filter(condition)
        with self._store.snapshot() as snapshot:
            return find_duplicates(
                snapshot, threshold=threshold, top_k=top_k, limit=limit, condition=checked, progress=progress
            )

    def info(self) -> Info:
        """Describe the newest generation."""
        settings = self._store.settings
        with self._store.snapshot() as snapshot:
            sizes: dict[str, int] = {"generation": self._store.generation_bytes()}
            for segment in snapshot.segments:
                for name, size in segment.sizes.items():
                    sizes[name] = sizes.get(name, 0) + size
            return Info(
                path=str(self._store.path),
                generation=snapshot.generation.number,
                documents=snapshot.document_count,
                deleted_documents=snapshot.size - snapshot.document_count,
                passages=sum(segment.passage_count for segment in snapshot.segments),
                token_vectors=sum(len(segment.tokens) for segment in snapshot.segments if segment.has_tokens),
                segments=len(snapshot.segments),
                size_bytes=sizes,
                language=settings.language,
                model=settings.model or settings.model_name,
                fingerprint=settings.fingerprint,
                mode=settings.mode,
                token_pooling=settings.token_pooling,
                token_bits=settings.token_bits,
                hnsw=settings.hnsw,
                default_pipeline=name_of(default_pipeline(settings)),
                format=FORMAT,
                unfinished=snapshot.generation.unfinished,
            )

    def check(self, *, deep: bool = False) -> list[str]:
        """Give what is wrong with the collection, a line each; nothing, if nothing is.

        Looks at what every opening does, for all files: that they are there, whole by their size, and the ones
        that were committed; and that the model is at hand. ``deep`` reads every byte.
        """
        problems = find_problems(self._store.directory, deep=deep)
        try:
            self._check_model()
        except ModelError as error:
            problems.append(str(error))
        return problems

    def compact(self) -> bool:
        """Join all segments into one without deleted documents; give whether there was anything to do.

        Raises:
            CollectionBusyError: another process or thread is writing.
            CollectionStorageError: the disk has no room for the new segment beside the old ones.
            CollectionError: the limit of memory is too low.
        """
        self._let_go()
        with self._store.writer() as writer:
            return writer.compact()

    def close(self) -> None:
        """Let go of files, and of the judges that were loaded."""
        self._let_go()
        with self._judges_lock:
            self._judges.clear()

    def discard_if_empty(self) -> None:
        """Remove the collection if nothing has ever been committed to it."""
        self._let_go()
        self._store.discard_if_empty()

    def _forget_threads(self) -> None:
        """Start afresh in a process forked from the one that opened this: its threads are not here."""
        self._lock = threading.Lock()
        self._judges_lock = threading.Lock()
        self._judges.clear()  # a lock of theirs may be held by a thread that isn't here
        self._users.clear()

    def _finish(self) -> None:
        """Say that the first build has come to its end."""
        with self._store.writer() as writer:
            writer.finish()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    @contextmanager
    def _searching(self) -> Iterator[Searcher]:
        """Lend a searcher on the newest generation; a snapshot closes when its last user has gone."""
        with self._lock:
            if self._snapshot is not None and not self._snapshot.is_newest():
                self._retire()
            if self._snapshot is None:
                self._snapshot = self._store.snapshot(self._store.memory)
            snapshot = self._snapshot
            self._users[snapshot] += 1
        try:
            yield Searcher(snapshot, self._store.settings, self.analyzer, lambda: self.encoder, self._judge)
        finally:
            with self._lock:
                self._users[snapshot] -= 1
                if not self._users[snapshot]:
                    del self._users[snapshot]  # a Counter would keep it, and all that it has read
                    if snapshot is not self._snapshot:
                        snapshot.close()

    def _judge(self, name: str) -> CrossEncoder:
        """Give a cross-encoder, loaded when first needed, in the mode of the collection's encoder."""
        folder = JUDGES.get(name) or Path(os.path.realpath(name))
        with self._judges_lock:
            if str(folder) not in self._judges:
                self._judges[str(folder)] = CrossEncoder.load(
                    folder, mode=self._store.settings.mode, cache=ScoreCache()
                )
            return self._judges[str(folder)]

    def forget_scores(self) -> None:
        """Forget what judges said, which they remember while the collection is open: to time them again."""
        with self._judges_lock:
            for judge in self._judges.values():
                if judge.cache is not None:
                    judge.cache.clear()

    def _let_go(self) -> None:
        """Give the current snapshot up, so that a writer can remove what only it needs."""
        with self._lock:
            self._retire()

    def _retire(self) -> None:
        if self._snapshot is not None and not self._users[self._snapshot]:
            self._snapshot.close()
        self._snapshot = None


_all: WeakSet[Collection] = WeakSet()


def _start_afresh_in_child() -> None:
    """Forget, in a child made by ``fork``, which threads of the parent were searching."""
    for collection in list(_all):
        collection._forget_threads()


os.register_at_fork(after_in_child=_start_afresh_in_child)


def _settings(
    model: str | os.PathLike[str] | None,
    mode: Mode,
    language: str,
    token_vectors: bool,
    token_pooling: int,
    token_bits: int,
    hnsw: bool,
) -> tuple[Encoder, StoreSettings]:
    """Load the encoder of a new collection and say what is fixed by it."""
    Analyzer(language)
    if type(token_pooling) is not int or not 1 <= token_pooling <= MOST_POOLED:
        raise CollectionError(f"token_pooling must be from 1 to {MOST_POOLED}, not {token_pooling!r}")
    if type(token_bits) is not int or token_bits not in (8, *CODE_BITS):
        raise CollectionError(f"token_bits must be 8, 4 or 2, not {token_bits!r}")
    for name, given, usual in (("token_pooling", token_pooling, 1), ("token_bits", token_bits, 8)):
        if given != usual and not token_vectors:
            raise CollectionError(f"{name} is of token vectors, and token_vectors is False")
    if hnsw:
        require_usearch()
    encoder = Encoder.load(model, mode=mode)
    about = encoder.settings
    if max(about.dimensions, about.token_dimensions) > MAX_DIMENSIONS:
        raise ModelError(
            f"model {about.name} has {about.dimensions} dimensions, a collection holds up to {MAX_DIMENSIONS}"
        )
    return encoder, StoreSettings(
        language=language,
        model="" if model is None else str(Path(model).resolve()),
        model_name=about.name,
        fingerprint=about.fingerprint,
        mode=mode,
        similarity=about.similarity,
        dimensions=about.dimensions,
        dense_scale=about.dense_scale,
        token_dimensions=about.token_dimensions if token_vectors else 0,
        token_scale=about.token_scale,
        token_pooling=token_pooling,
        token_bits=token_bits,
        hnsw=hnsw,
    )


def _of_today(settings: StoreSettings) -> StoreSettings:
    """Give the settings of a collection with the model that comes along now, if it had the one that came along then."""
    if settings.model:
        return settings
    mode, tokens = settings.mode, bool(settings.token_dimensions)
    language, pooling, bits = settings.language, settings.token_pooling, settings.token_bits
    return _settings(None, mode, language, tokens, pooling, bits, settings.hnsw)[1]  # type: ignore[arg-type]


def _pipeline(value: Pipeline | str | None) -> Pipeline | None:
    return parse(value) if isinstance(value, str) else value
