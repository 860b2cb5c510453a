"""How text, queries, runs and judgements come in from files and from Python, and go out again.

A bad *record* never stops a reader: it is yielded as :class:`Rejected`, in its place among the good
ones. A bad *source* (a path that doesn't exist, a damaged file, a table without an id column) raises
``DataError``. Importing this package loads neither numpy nor pyarrow.
"""

from shortlist.formats.beir import read_corpus
from shortlist.formats.opening import open_source
from shortlist.formats.qrels import read_qrels, write_qrels
from shortlist.formats.queries import read_queries
from shortlist.formats.records import document_from_mapping
from shortlist.formats.runs import read_run, write_run
from shortlist.formats.source import Rejected, Source, join_sources

__all__ = [
    "Rejected",
    "Source",
    "document_from_mapping",
    "join_sources",
    "open_source",
    "read_corpus",
    "read_qrels",
    "read_queries",
    "read_run",
    "write_qrels",
    "write_run",
]
