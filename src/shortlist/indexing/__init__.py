"""Documents to passages to vectors to a committed generation."""

from shortlist.indexing.indexer import Indexer, Report
from shortlist.indexing.passages import fit_title, passage_text, split_passages

__all__ = ["Indexer", "Report", "fit_title", "passage_text", "split_passages"]
