"""How alike texts are: pairs of them, held to what people said, and near-duplicates in a collection."""

from shortlist.similarity.duplicates import Cluster, DocumentPair, Duplicates, Member, find_duplicates
from shortlist.similarity.pairs import Pair, read_pairs
from shortlist.similarity.scores import Measured, PairScores, judge_pairs, score_pairs

__all__ = [
    "Cluster",
    "DocumentPair",
    "Duplicates",
    "Measured",
    "Member",
    "Pair",
    "PairScores",
    "find_duplicates",
    "judge_pairs",
    "read_pairs",
    "score_pairs",
]
