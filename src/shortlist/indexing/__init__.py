"""Documents to passages to vectors to commits."""

from shortlist.indexing.indexer import DOCUMENTS_A_COMMIT, Indexer, Report
from shortlist.indexing.repair import Repair, repair

__all__ = ["DOCUMENTS_A_COMMIT", "Indexer", "Repair", "Report", "repair"]
