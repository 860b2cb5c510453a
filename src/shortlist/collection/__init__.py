"""Everything on disk: documents with their postings and vectors in immutable segments, generations."""

from shortlist.collection.analyzer import Analyzer
from shortlist.collection.array_file import Section
from shortlist.collection.filters import Filter, as_filter, parse_filter
from shortlist.collection.generation import StoreSettings
from shortlist.collection.metadata import keys_of
from shortlist.collection.postings import Postings
from shortlist.collection.segment import Segment
from shortlist.collection.segment_data import SegmentData, Texts, Views, document_bytes
from shortlist.collection.sign_bits import SignBits
from shortlist.collection.snapshot import Snapshot
from shortlist.collection.store import Store, Writer
from shortlist.collection.token_lists import TokenLists
from shortlist.collection.vector_graph import VectorGraph

__all__ = [
    "Analyzer",
    "Filter",
    "Postings",
    "Section",
    "Segment",
    "SegmentData",
    "SignBits",
    "Snapshot",
    "Store",
    "StoreSettings",
    "Texts",
    "TokenLists",
    "VectorGraph",
    "Views",
    "Writer",
    "as_filter",
    "document_bytes",
    "keys_of",
    "parse_filter",
]
