"""What a source of documents is: a name, about how many records it has, and the records themselves."""

import itertools
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field

from shortlist.errors import DataError
from shortlist.types import Document

__all__ = ["Rejected", "Source", "join_sources", "only_once"]


@dataclass(frozen=True, slots=True)
class Rejected:
    """Say where a record stands that can't be taken, and why.

    >>> str(Rejected("articles.jsonl:17", "empty document"))
    'articles.jsonl:17: empty document'
    """

    place: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.reason}"


@dataclass(frozen=True)
class Source:
    """Hold where documents come from; iterating reads them, in source order.

    ``expected`` is a cheap estimate of the number of records, for progress bars; ``None`` where only
    reading everything would tell. Iterating again reads again, except over a one-shot stream, which
    refuses (see :func:`only_once`).
    """

    name: str
    expected: int | None
    read: Callable[[], Iterator[Document | Rejected]] = field(repr=False)

    def __iter__(self) -> Iterator[Document | Rejected]:
        return self.read()


def join_sources(sources: Sequence[Source]) -> Source:
    """Read several sources one after the other, as one.

    >>> [str(r) for r in join_sources([Source("a", 0, lambda: iter([Rejected("a:1", "empty")]))])]
    ['a:1: empty']
    """
    counts = [source.expected for source in sources]
    known = [count for count in counts if count is not None]
    return Source(
        name=", ".join(source.name for source in sources),
        expected=sum(known) if len(known) == len(counts) else None,
        read=lambda: itertools.chain.from_iterable(sources),
    )


def only_once(
    read: Callable[[], Iterator[Document | Rejected]], name: str
) -> Callable[[], Iterator[Document | Rejected]]:
    """Wrap ``read`` so that a second call raises.

    A generator that has been read gives nothing the second time, which looks like an empty corpus. A
    copy of it would hold a corpus of any size in memory without being asked to.

    Raises:
        DataError: by the returned function, when it is called again.
    """
    calls = itertools.count()

    def read_first_time() -> Iterator[Document | Rejected]:
        if next(calls):
            raise DataError(
                f"{name}: this stream has been read already and can't be read again",
                hint="pass a list, a table or a file to read it more than once",
            )
        return read()

    return read_first_time
