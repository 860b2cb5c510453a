"""A transformer small enough to check by hand: its weights, its forward in numpy, and folders that hold it.

The graphs in ``data/`` compute the same from the same numbers (``data/make_graphs.py`` wrote them). Folders
are laid out as sentence-transformers saves them, in its old and in its new way.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import tokenizers
from numpy.typing import NDArray
from tokenizers import models, normalizers, pre_tokenizers, processors

DATA = Path(__file__).parent / "data"
DIMENSIONS = 8
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]"]
WORDS = [
    *(
        "cat",
        "dog",
        "bird",
        "fish",
        "horse",
        "card",
        "bank",
        "loan",
        "money",
        "fee",
        "bread",
        "dough",
        "oven",
    ),
    *("flour", "yeast", "star", "moon", "sun", "planet", "orbit", "rain", "snow", "wind", "cloud", "storm"),
    *("leaf", "root", "seed", "flower", "soil", "port", "file", "disk", "kernel", "shell", "doctor", "nurse"),
    *("pill", "fever", "cough", "query", "passage"),
]
VOCABULARY = [*SPECIAL, *WORDS, *(f"word{number}" for number in range(50 - len(SPECIAL) - len(WORDS)))]

Float = NDArray[np.float64]


def word_table() -> Float:
    """One vector a word ``[50, 8]``; components up to 3, so that a model without length 1 goes beyond 1."""
    word, column = np.meshgrid(np.arange(len(VOCABULARY)), np.arange(DIMENSIONS), indexing="ij")
    result: Float = 3 * np.sin(1.3 * word * (column + 1) + column)
    return result


def type_table() -> Float:
    """What the two token types add ``[2, 8]``."""
    return np.array([[0.1], [-0.2]]) * np.cos(np.arange(DIMENSIONS))


def position_step() -> Float:
    """What each further position adds ``[8]``."""
    return np.linspace(-0.175, 0.175, DIMENSIONS)


def pooler_weights() -> tuple[Float, Float]:
    """The matrix ``[8, 8]`` and the bias ``[8]`` of the layer on [CLS]."""
    row, column = np.meshgrid(np.arange(DIMENSIONS), np.arange(DIMENSIONS), indexing="ij")
    return 0.3 * np.cos(row + 2.0 * column), 0.1 * np.sin(np.arange(DIMENSIONS))


def forward(ids: Sequence[int]) -> tuple[Float, Float]:
    """Give what the graph ``transformer`` gives for one text: token vectors ``[S, 8]`` and the pooler's ``[8]``.

    Half the mean of all words is added to each token, so that the first token knows about the others.
    """
    words = word_table()[list(ids)] + type_table()[0]
    hidden = words + 0.5 * words.mean(axis=0) + np.outer(np.arange(1, len(ids) + 1), position_step())
    weight, bias = pooler_weights()
    return hidden, np.tanh(hidden[0] @ weight + bias)


def token_ids(text: str) -> list[int]:
    """Tokenise without the library: known words, [CLS] and [SEP]."""
    known = {word: number for number, word in enumerate(VOCABULARY)}
    inner = [known.get(word, known["[UNK]"]) for word in text.lower().split()]
    return [known["[CLS]"], *inner, known["[SEP]"]]


def make_tokenizer(*, lower_case: bool = True) -> tokenizers.Tokenizer:
    """Make the tokenizer as ``tokenizer.json`` holds it."""
    known = {word: number for number, word in enumerate(VOCABULARY)}
    tokenizer = tokenizers.Tokenizer(models.WordLevel(known, unk_token="[UNK]"))
    if lower_case:
        tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.WhitespaceSplit()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]", special_tokens=[(word, known[word]) for word in ("[CLS]", "[SEP]")]
    )
    # Saved with padding and truncation switched on, as many checkpoints are: the loader must not follow.
    tokenizer.enable_padding(length=12)
    tokenizer.enable_truncation(4)
    return tokenizer


OLD_TYPES = {name: f"sentence_transformers.models.{name}" for name in ("Transformer", "Pooling", "Normalize")}
NEW_TYPES = {
    "Transformer": "sentence_transformers.base.modules.transformer.Transformer",
    "Pooling": "sentence_transformers.sentence_transformer.modules.pooling.Pooling",
    "Normalize": "sentence_transformers.base.modules.normalize.Normalize",
}
OLD_MEAN = {
    "word_embedding_dimension": DIMENSIONS,
    "pooling_mode_cls_token": False,
    "pooling_mode_mean_tokens": True,
    "pooling_mode_max_tokens": False,
    "pooling_mode_mean_sqrt_len_tokens": False,
}


def new_pooling(mode: object) -> dict[str, object]:
    """Give a pooling's configuration as sentence-transformers 5.2 and later write it."""
    return {"embedding_dimension": DIMENSIONS, "pooling_mode": mode, "include_prompt": True}


NEW_MEAN = new_pooling("mean")


def write_json(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(value), encoding="utf-8")


def write_folder(
    folder: Path,
    *,
    graph: str | None = "transformer",
    graph_path: str = "onnx/model.onnx",
    pooling: Mapping[str, object] | None = NEW_MEAN,
    normalize: bool = True,
    old: bool = False,
    prompts: Mapping[str, str] | None = None,
    similarity: str | None = None,
    bert_config: Mapping[str, Any] | None = None,
    lower_case: bool = True,
) -> Path:
    """Write a model folder as sentence-transformers saves it; without ``pooling`` the transformer pools."""
    types = OLD_TYPES if old else NEW_TYPES
    # The old layout could keep the transformer in a folder of its own; the new one keeps it at the top.
    transformer = folder / "0_Transformer" if old else folder
    paths = {"Transformer": "0_Transformer" if old else ""}
    if pooling is not None:
        paths["Pooling"] = "1_Pooling"
        write_json(folder / "1_Pooling" / "config.json", pooling)
    if normalize:
        paths["Normalize"] = "2_Normalize"
    write_json(
        folder / "modules.json",
        [
            {"idx": number, "name": str(number), "path": path, "type": types[kind]}
            for number, (kind, path) in enumerate(paths.items())
        ],
    )
    write_json(
        folder / "config_sentence_transformers.json",
        {
            "__version__": {"sentence_transformers": "2.0.0" if old else "6.2.0"},
            "prompts": prompts or {"query": "", "document": ""},
            "default_prompt_name": None,
            "similarity_fn_name": similarity,
        },
    )
    write_json(transformer / "config.json", {"model_type": "bert", "max_position_embeddings": 64})
    write_json(transformer / "sentence_bert_config.json", bert_config or {"max_seq_length": 32})
    make_tokenizer(lower_case=lower_case).save(str(transformer / "tokenizer.json"))
    if graph is not None:
        target = transformer / graph_path
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(DATA / f"{graph}.onnx", target)
    return folder
