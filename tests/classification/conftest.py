from pathlib import Path

import pytest

from shortlist import Encoder
from shortlist.classification import Classifier, LabelledTexts, load_labelled

INTENTS = Path(__file__).parent.parent.parent / "examples" / "intents" / "intents.jsonl"


@pytest.fixture(scope="session")
def training_texts() -> LabelledTexts:
    return load_labelled(INTENTS, split="train", strict=True)


@pytest.fixture(scope="session")
def test_texts() -> LabelledTexts:
    return load_labelled(INTENTS, split="test", strict=True)


@pytest.fixture(scope="session")
def classifier(training_texts: LabelledTexts, encoder: Encoder) -> Classifier:
    pytest.importorskip("sklearn")
    return Classifier.train(training_texts.texts, training_texts.labels, encoder, threads=1)
