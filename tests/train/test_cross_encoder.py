"""A trained cross-encoder in torch, and the folder that is made of it on ONNX Runtime."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from onnx import TensorProto, helper
from safetensors.numpy import load_file, save_file

from shortlist import DataError, Encoder, ModelError
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.own_folder import DEFAULT
from shortlist.models.score_cache import ScoreCache
from shortlist.train import export as export_module
from shortlist.train.base import freeze
from shortlist.train.batches import pad
from shortlist.train.cross_encoder import (
    CrossEncoderModel,
    PairTokenizer,
    candidate_scores,
    joint_maxsim,
)
from shortlist.train.examples import Example
from shortlist.train.export import export_cross_encoder, write_description
from shortlist.train.loop import Schedule, train
from shortlist.train.losses import softmax_over_candidates
from tests.train.conftest import TOKENIZER, tiny_bert

PAIRS = [
    ("what is the moon", "The Moon is a ball of rock that turns about the Earth."),
    ("what is the moon", "Bread."),
    ("", "An empty question."),
    ("my card isn't working abroad", "International transaction declined: foreign use is blocked."),
    ("my card isn't working abroad", ""),
    ("too long " * 20, "A passage " * 40),
]


def made(head: str = "maxsim", labels: int = 1, seed: int = 0) -> CrossEncoderModel:
    model = CrossEncoderModel(tiny_bert(seed), head, labels)
    torch.nn.init.normal_(model.linear.weight, std=0.3)
    torch.nn.init.normal_(model.linear.bias)
    return model.eval()


def exported(model: CrossEncoderModel, folder: Path, labels: tuple[str, ...] = ("relevance",)) -> Path:
    export_cross_encoder(
        model, TOKENIZER, folder, name="tiny", max_tokens=48, max_query_tokens=16, labels=labels
    )
    return folder


def by_torch(model: CrossEncoderModel, pairs: list[tuple[str, str]]) -> np.ndarray:
    tokenizer = PairTokenizer(TOKENIZER, 48, 16)
    with torch.inference_mode():
        rows = tokenizer.rows([query for query, _ in pairs], [passage for _, passage in pairs])
        return np.stack([model(pad([row])).numpy()[0] for row in rows])


@pytest.mark.parametrize(("head", "labels"), [("cls", 1), ("maxsim", 1), ("cls", 3)])
def test_the_folder_scores_as_the_model_that_was_trained(tmp_path: Path, head: str, labels: int) -> None:
    model = made(head, labels)
    names = ("relevance",) if labels == 1 else ("same", "related", "other")
    folder = exported(model, tmp_path / "model", names)
    exact, fast = (CrossEncoder.load(folder, mode=mode).score_pairs(PAIRS) for mode in ("exact", "fast"))
    expected = by_torch(model, PAIRS)
    assert exact.scores.shape == expected.shape
    # int8 weights are the only difference in `exact`; their rounding moves random weights more than trained ones.
    spread = float(expected.std())
    assert np.abs(exact.scores - expected).max() < 0.1 * spread
    assert np.abs(fast.scores - exact.scores).max() < 0.25 * spread
    assert CrossEncoder.load(folder).settings.labels == names


def test_rounding_apart_the_graph_is_the_model(tmp_path: Path) -> None:
    model = made()
    folder = exported(model, tmp_path / "model")
    rounded = CrossEncoder.load(folder, mode="exact")
    from shortlist.models.weights import bind_weights, read_weights

    file = folder / "weights.safetensors"
    stored = bind_weights(read_weights(bytearray(file.read_bytes()), file), file, group=64, form="floats")
    state = model.backbone.state_dict()
    words = stored["embeddings.word.weight.i8"] * stored["embeddings.word.weight.scale"]
    state["embeddings.word_embeddings.weight"] = torch.tensor(words.reshape(len(words), -1))
    for number in range(2):
        old, new = f"encoder.layer.{number}", f"layer{number}"
        parts = np.split(stored[f"{new}.attention.qkv.weight"], 3)
        for part, value in zip(("query", "key", "value"), parts, strict=True):
            state[f"{old}.attention.self.{part}.weight"] = torch.tensor(value)
        for name in ("attention.output", "intermediate", "output"):
            state[f"{old}.{name}.dense.weight"] = torch.tensor(stored[f"{new}.{name}.weight"])
    model.backbone.load_state_dict(state)
    assert rounded.score_pairs(PAIRS).scores == pytest.approx(by_torch(model, PAIRS), abs=1e-4)


@pytest.mark.parametrize("mode", ["fast", "exact"])
def test_a_score_is_the_same_alone_in_any_batch_and_on_any_number_of_threads(
    tmp_path: Path, mode: str
) -> None:
    judge = CrossEncoder.load(exported(made(), tmp_path / "model"), mode=mode)
    pairs = [(query, f"{passage} {word}") for word in ("", "one", "two more") for query, passage in PAIRS]
    together = judge.score_pairs(pairs, threads=1).scores
    assert judge.score_pairs(pairs, threads=2).scores.tobytes() == together.tobytes()
    assert judge.score_pairs(pairs[::-1]).scores[::-1].tobytes() == together.tobytes()
    alone = [judge.score(query, [passage])[0] for query, passage in pairs]
    assert np.array(alone).tobytes() == together.tobytes()


def test_what_could_not_be_read_is_counted(tmp_path: Path) -> None:
    judge = CrossEncoder.load(exported(made(), tmp_path / "model"))
    counts = judge.score_pairs(
        [("moon", "moon"), ("moon " * 20, "moon"), ("moon", "moon " * 60)]
    ).truncated_tokens
    # 16 and 48 tokens are read: [CLS] and [SEP] belong to the query, another [SEP] to the passage.
    assert counts == (0, 20 + 2 - 16, 60 - (48 - 3 - 1))


def test_a_judge_that_keeps_the_default_model_s_words_shares_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = CrossEncoderModel(tiny_bert(hidden=384), "maxsim")
    stored = load_file(DEFAULT / "weights.safetensors")
    steps, scale = (
        stored["embeddings.word.weight.i8"],
        stored["embeddings.word.weight.scale"].astype(np.float32),
    )
    words = (steps.reshape(len(steps), -1, 64) * scale[..., None]).reshape(steps.shape)
    model.backbone.embeddings.word_embeddings.weight.data = torch.tensor(words)
    shared = exported(model.eval(), tmp_path / "shared")
    with monkeypatch.context() as patch:
        patch.setattr(export_module, "_without_shared", lambda tensors: (tensors, ""))
        own = exported(model, tmp_path / "own")
    assert "shared_weights" not in json.loads((own / "model.json").read_text())
    assert "embeddings.word.weight.i8" not in load_file(shared / "weights.safetensors")
    sizes = [(folder / "weights.safetensors").stat().st_size for folder in (own, shared)]
    assert sizes[0] - sizes[1] > 11_000_000
    scores = [CrossEncoder.load(folder).score_pairs(PAIRS).scores for folder in (own, shared)]
    assert scores[0].tobytes() == scores[1].tobytes()

    values = json.loads((shared / "model.json").read_text())
    (shared / "model.json").write_text(json.dumps({**values, "shared_weights": "0" * 64}))
    with pytest.raises(ModelError, match="weights from another default model"):
        CrossEncoder.load(shared)


def test_a_folder_of_another_kind_is_refused_by_name(tmp_path: Path) -> None:
    folder = exported(made(), tmp_path / "model")
    with pytest.raises(ModelError, match="is an encoder, expected a cross-encoder"):
        CrossEncoder.load(DEFAULT)
    with pytest.raises(ModelError, match="is a cross-encoder, expected an encoder"):
        Encoder.load(folder)
    with pytest.raises(ModelError, match="no model folder of a cross-encoder"):
        CrossEncoder.load(tmp_path / "none")
    with pytest.raises(ModelError, match="neither 'fast' nor 'exact'"):
        CrossEncoder.load(folder, mode="slow")


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"labels": []}, "labels is"),
        ({"labels": ["a", "b"]}, "names 2 labels"),
        ({"max_query_tokens": 47}, "leaves no room"),
        ({"max_tokens": 65}, "max_tokens is 65, the model has 64 positions"),
        ({"max_tokens": None}, "max_tokens is None"),
    ],
)
def test_a_description_that_makes_no_sense_is_refused(
    tmp_path: Path, change: dict[str, object], message: str
) -> None:
    folder = exported(made(), tmp_path / "model")
    values = json.loads((folder / "model.json").read_text())
    (folder / "model.json").write_text(json.dumps({**values, **change}))
    with pytest.raises(ModelError, match=message):
        CrossEncoder.load(folder)


@pytest.mark.parametrize(
    ("kind", "dims", "message"),
    [
        (TensorProto.FLOAT, [], "gives score as"),
        (TensorProto.INT64, ["B", 1], "gives score as"),
        (TensorProto.STRING, ["B", 1], "data type 8 is not supported"),
        (TensorProto.FLOAT, ["B", "S", 1], "gives score as"),
    ],
)
def test_a_graph_that_gives_no_scores_is_refused(
    tmp_path: Path, kind: TensorProto.DataType, dims: list[str | int | None], message: str
) -> None:
    folder = exported(made(), tmp_path / "model")
    value: Any = [b"1"] if kind == TensorProto.STRING else [1]
    constant = helper.make_tensor("score", kind, [1] * len(dims), value)
    inputs = [
        helper.make_tensor_value_info(n, TensorProto.INT64, ["B", "S"])
        for n in ("input_ids", "token_type_ids")
    ]
    keep = [helper.make_node("Identity", [one.name], [f"{one.name}.kept"]) for one in inputs]
    graph = helper.make_graph(
        [*keep, helper.make_node("Constant", [], ["score"], value=constant)],
        "odd",
        inputs,
        [helper.make_tensor_value_info("score", kind, dims)],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)
    (folder / "graph.fast.onnx").write_bytes(model.SerializeToString())
    write_description(folder, json.loads((folder / "model.json").read_text()))
    with pytest.raises(ModelError, match=message):
        CrossEncoder.load(folder, kernels=False)


def test_positions_without_rows_are_refused(tmp_path: Path) -> None:
    folder = exported(made(), tmp_path / "model")
    tensors = load_file(folder / "weights.safetensors")
    save_file(
        {**tensors, "embeddings.position.weight": np.array(0, np.float32)}, folder / "weights.safetensors"
    )
    write_description(folder, json.loads((folder / "model.json").read_text()))
    with pytest.raises(ModelError, match="max_tokens is 48"):
        CrossEncoder.load(folder)


def test_a_path_that_no_file_can_have_is_refused() -> None:
    for path in ("a" * 5000, "a\0b"):
        with pytest.raises(ModelError):
            CrossEncoder.load(path)


def test_texts_that_are_none_are_refused(tmp_path: Path) -> None:
    judge = CrossEncoder.load(exported(made(), tmp_path / "model"))
    with pytest.raises(DataError, match="is not UTF-8"):
        judge.score("moon", ["\ud800"])
    with pytest.raises(DataError, match="threads must be at least 1"):
        judge.score("moon", ["moon"], threads=0)
    assert judge.score("moon", []).shape == (0,)


def test_candidates_are_scored_as_one_by_one() -> None:
    model, tokenizer = made(), PairTokenizer(TOKENIZER, 48, 16)
    examples = [
        Example("what is the moon", "the Moon", ("bread " * 30, "rock")),
        Example("x", "a b c", ("d", "")),
    ]
    with torch.inference_mode():
        found = candidate_scores(model, tokenizer, examples).numpy()
    for row, example in zip(found, examples, strict=True):
        expected = by_torch(model, [(example.query, passage) for passage in example.passages])
        assert row == pytest.approx(expected, abs=1e-4)


def test_joint_maxsim_is_its_definition() -> None:
    hidden = torch.randn(2, 7, 8)
    pairs = pad([([1] * 7, 3), ([1] * 5, 2)])
    weights = torch.rand(2, 7) + 0.1
    found = joint_maxsim(hidden, weights, pairs).tolist()
    for index, (length, first) in enumerate(((7, 3), (5, 2))):
        vectors = torch.nn.functional.normalize(hidden[index, :length], dim=1)
        best = (vectors[:first] @ vectors[first:].T).max(dim=1).values
        expected = (best * weights[index, :first]).sum() / weights[index, :first].sum()
        assert found[index] == pytest.approx(float(expected), abs=1e-5)


def test_a_maxsim_head_starts_from_what_the_encoder_knows() -> None:
    model = CrossEncoderModel(tiny_bert(), "maxsim").eval()
    pairs = PairTokenizer(TOKENIZER, 48, 16)(["the moon"], ["the moon turns"])
    hidden = model.backbone(**pairs).last_hidden_state
    expected = joint_maxsim(hidden, torch.ones(hidden.shape[:2]), pairs)
    assert float(model(pairs).detach()) == pytest.approx(20 * float(expected.detach()), abs=1e-4)


def test_several_labels_have_no_maxsim_head() -> None:
    with pytest.raises(DataError, match="'maxsim' gives one score"):
        CrossEncoderModel(tiny_bert(), "maxsim", 3)


def test_training_learns_which_passage_answers(tmp_path: Path) -> None:
    topics = ["moon", "bread", "card", "garden", "shell", "kitchen"]
    examples = [
        Example(
            f"about the {topic}",
            f"all of {topic}",
            tuple(f"all of {other}" for other in topics if other != topic),
        )
        for topic in topics
    ]
    model, tokenizer = CrossEncoderModel(tiny_bert(), "cls"), PairTokenizer(TOKENIZER, 48, 16)
    freeze(model.backbone, 1)
    lowest = next(iter(model.backbone.encoder.layer.parameters()))
    frozen = lowest.clone()
    schedule = Schedule(steps=60, batch_size=6, part_size=3, learning_rate=3e-3, bf16=False)
    before = float(softmax_over_candidates(candidate_scores(model, tokenizer, examples)).detach())
    train(
        model,
        examples,
        lambda _, part: softmax_over_candidates(candidate_scores(model, tokenizer, part)),
        schedule,
        tmp_path,
    )
    after = softmax_over_candidates(candidate_scores(model, tokenizer, examples))
    assert float(after.detach()) < 0.5 * before
    assert torch.equal(frozen, lowest)


def test_a_pair_that_was_scored_is_not_scored_again(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = exported(made(), tmp_path / "model")
    cache = ScoreCache()
    plain, remembering = CrossEncoder.load(folder), CrossEncoder.load(folder, cache=cache)
    expected = plain.score_pairs(PAIRS)
    assert remembering.score_pairs(PAIRS[:3]).scores.tobytes() == expected.scores[:3].tobytes()
    ran: list[int] = []
    run = CrossEncoder._run

    def counting(self: CrossEncoder, rows: Any, threads: int | None) -> Any:
        ran.append(len(rows))
        return run(self, rows, threads)

    monkeypatch.setattr(CrossEncoder, "_run", counting)
    found = remembering.score_pairs(PAIRS)
    assert found.scores.tobytes() == expected.scores.tobytes()
    assert found.truncated_tokens == expected.truncated_tokens
    assert ran == [len(PAIRS) - 3]
    exact = CrossEncoder.load(folder, mode="exact", cache=cache)
    assert exact.score_pairs(PAIRS[:3]).scores.tobytes() != expected.scores[:3].tobytes()
