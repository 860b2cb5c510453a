"""Everything on disk: documents in SQLite, postings and vectors in immutable segments, generations."""

from shortlist.collection.analyzer import Analyzer
from shortlist.collection.filters import Filter, as_filter, parse_filter
from shortlist.collection.postings import Postings
from shortlist.collection.segment import Segment, SegmentData
from shortlist.collection.snapshot import Snapshot
from shortlist.collection.store import Store, StoreSettings, Writer

__all__ = [
    "Analyzer",
    "Filter",
    "Postings",
    "Segment",
    "SegmentData",
    "Snapshot",
    "Store",
    "StoreSettings",
    "Writer",
    "as_filter",
    "parse_filter",
]
