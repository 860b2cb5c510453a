"""Search your own text by meaning: shortlist fast, read the best closely.

>>> import shortlist
>>> sorted(shortlist.__all__)[:3]
['BM25', 'Collection', 'CollectionBusyError']

Everything is loaded when it is first used, so that ``import shortlist`` and ``shortlist --help`` cost
nothing.
"""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

from shortlist.version import VERSION

if TYPE_CHECKING:
    from shortlist.api import Collection as Collection
    from shortlist.api import Info as Info
    from shortlist.errors import CollectionBusyError as CollectionBusyError
    from shortlist.errors import CollectionDamagedError as CollectionDamagedError
    from shortlist.errors import CollectionError as CollectionError
    from shortlist.errors import CollectionExistsError as CollectionExistsError
    from shortlist.errors import CollectionFormatError as CollectionFormatError
    from shortlist.errors import CollectionNotFoundError as CollectionNotFoundError
    from shortlist.errors import CollectionStorageError as CollectionStorageError
    from shortlist.errors import DataError as DataError
    from shortlist.errors import FilterError as FilterError
    from shortlist.errors import MeasureError as MeasureError
    from shortlist.errors import MissingExtraError as MissingExtraError
    from shortlist.errors import ModelError as ModelError
    from shortlist.errors import ModelMismatchError as ModelMismatchError
    from shortlist.errors import PipelineError as PipelineError
    from shortlist.errors import ShortlistError as ShortlistError
    from shortlist.indexing import Repair as Repair
    from shortlist.indexing import Report as Report
    from shortlist.models import Encoder as Encoder
    from shortlist.search import BM25 as BM25
    from shortlist.search import TFIDF as TFIDF
    from shortlist.search import Cross as Cross
    from shortlist.search import Dense as Dense
    from shortlist.search import Fuse as Fuse
    from shortlist.search import MaxSim as MaxSim
    from shortlist.search import Poly as Poly
    from shortlist.search import Rerank as Rerank
    from shortlist.search import Result as Result
    from shortlist.search import parse as parse
    from shortlist.similarity import Duplicates as Duplicates
    from shortlist.similarity import Pair as Pair
    from shortlist.similarity import PairScores as PairScores
    from shortlist.similarity import read_pairs as read_pairs
    from shortlist.similarity import score_pairs as score_pairs
    from shortlist.types import Document as Document
    from shortlist.types import Hit as Hit
    from shortlist.types import Passage as Passage
    from shortlist.types import Qrels as Qrels
    from shortlist.types import Query as Query
    from shortlist.types import Ranking as Ranking
    from shortlist.types import Run as Run

__version__ = VERSION

_HOMES = {
    "shortlist.api": ("Collection", "Info"),
    "shortlist.errors": (
        "CollectionBusyError", "CollectionDamagedError", "CollectionError", "CollectionExistsError",
        "CollectionFormatError", "CollectionNotFoundError", "CollectionStorageError", "DataError", "FilterError",
        "MeasureError", "MissingExtraError", "ModelError", "ModelMismatchError", "PipelineError", "ShortlistError",
    ),
    "shortlist.indexing": ("Repair", "Report"),
    "shortlist.models": ("Encoder",),
    "shortlist.search": (
        "BM25", "TFIDF", "Cross", "Dense", "Fuse", "MaxSim", "Poly", "Rerank", "Result", "parse",
    ),
    "shortlist.similarity": ("Duplicates", "Pair", "PairScores", "read_pairs", "score_pairs"),
    "shortlist.types": ("Document", "Hit", "Passage", "Qrels", "Query", "Ranking", "Run"),
}  # fmt: skip
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names}

__all__ = list(_HOME_OF)


def __getattr__(name: str) -> Any:
    if name not in _HOME_OF:
        raise AttributeError(f"module 'shortlist' has no attribute {name!r}")
    value = getattr(importlib.import_module(_HOME_OF[name]), name)
    globals()[name] = value
    return value
