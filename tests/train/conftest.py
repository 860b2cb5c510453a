from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
import torch
from transformers import BertConfig, BertModel

from shortlist.models.own_folder import DEFAULT

TOKENIZER = DEFAULT / "tokenizer.json"


def tiny_bert(seed: int = 0, *, hidden: int = 64, layers: int = 2) -> BertModel:
    """A transformer with random weights that are large enough to tell texts apart."""
    torch.manual_seed(seed)
    config = BertConfig(
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=4,
        max_position_embeddings=64,
        hidden_dropout_prob=0.0,
        attention_probs_dropout_prob=0.0,
        initializer_range=0.2,
    )
    made: BertModel = BertModel(config, add_pooling_layer=False)
    made.train(False)
    return made


@pytest.fixture(autouse=True)
def one_thread() -> Iterator[None]:
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


@pytest.fixture(scope="session")
def tokenizer_file() -> Path:
    return TOKENIZER
