"""Documents to passages to vectors to a committed generation."""

from shortlist.indexing.indexer import Indexer, Report
from shortlist.indexing.passages import passage_text, split_passages

__all__ = ["Indexer", "Report", "passage_text", "split_passages"]
