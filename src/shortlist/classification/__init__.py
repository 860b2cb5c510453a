"""Classification of single texts (intents, topics): a linear head on an encoder's pooled vectors.

Training needs scikit-learn (``pip install 'shortlist[classify]'``); predicting needs what searching needs.
"""

from shortlist.classification.baseline import Baseline, train_baseline
from shortlist.classification.classifier import Classifier, encode_texts
from shortlist.classification.estimates import ClassifierComparison, compare_classifiers
from shortlist.classification.evaluation import Confusion, Evaluation, LabelScores, evaluate
from shortlist.classification.folder import load_head, save_head
from shortlist.classification.head import EncodedBy, Head, LabelProbability, Prediction, TrainingRecord
from shortlist.classification.labelled import (
    LabelledText,
    LabelledTexts,
    load_labelled,
    read_labelled,
    read_texts,
)
from shortlist.classification.training import train_head

__all__ = [
    "Baseline",
    "Classifier",
    "ClassifierComparison",
    "Confusion",
    "EncodedBy",
    "Evaluation",
    "Head",
    "LabelProbability",
    "LabelScores",
    "LabelledText",
    "LabelledTexts",
    "Prediction",
    "TrainingRecord",
    "compare_classifiers",
    "encode_texts",
    "evaluate",
    "load_head",
    "load_labelled",
    "read_labelled",
    "read_texts",
    "save_head",
    "train_baseline",
    "train_head",
]
