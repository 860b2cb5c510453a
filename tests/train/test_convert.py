"""Checkpoints that other projects saved, converted: the same scores."""

from __future__ import annotations

import json
import shutil
import string
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from safetensors.numpy import load_file as numpy_load
from safetensors.torch import load_file, save_file
from transformers import BertConfig, BertForSequenceClassification, BertModel, BertTokenizer

from shortlist import Collection, DataError, Encoder, ModelError
from shortlist.cli.main import main
from shortlist.models.catalogue import summarize, verify
from shortlist.models.cross_encoder import CrossEncoder
from shortlist.models.own_folder import DEFAULT
from shortlist.models.weights import bind_weights
from shortlist.train.convert import PROBES, convert, fetch
from shortlist.train.foreign import read_foreign
from tests.train.conftest import TOKENIZER, tiny_bert

library = pytest.importorskip("sentence_transformers")


def config(**changes: Any) -> BertConfig:
    values = tiny_bert().config.to_dict() | {"initializer_range": 0.1} | changes
    return BertConfig(**{name: value for name, value in values.items() if name != "architectures"})


@pytest.fixture
def plain(tmp_path: Path) -> Path:
    """A transformer with its tokenizer, as transformers saves them."""
    folder = tmp_path / "plain"
    torch.manual_seed(5)
    BertModel(config()).save_pretrained(folder)
    save_tokenizer(folder)
    return folder


def save_tokenizer(folder: Path, tokens: tuple[str, ...] = ()) -> None:
    vocabulary = json.loads(TOKENIZER.read_text(encoding="utf-8"))["model"]["vocab"]
    tokenizer = BertTokenizer(vocab=vocabulary, model_max_length=64)
    tokenizer.add_tokens(list(tokens))
    tokenizer.save_pretrained(folder)


def sentence_transformer(plain: Path, folder: Path, pooling: str, similarity: str) -> Path:
    modules = library.sentence_transformer.modules
    transformer = library.base.modules.Transformer(str(plain))
    parts = [transformer, modules.Pooling(transformer.get_embedding_dimension(), pooling)]
    parts += [modules.Normalize()] if similarity == "cosine" else []
    prompts = {"query": "query: ", "document": ""}
    library.SentenceTransformer(
        modules=parts, prompts=prompts, similarity_fn_name=similarity, device="cpu"
    ).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize("pooling", ["mean", "cls", "max"])
@pytest.mark.parametrize("similarity", ["cosine", "dot"])
def test_a_bi_encoder_gives_its_scores(tmp_path: Path, plain: Path, pooling: str, similarity: str) -> None:
    source = sentence_transformer(plain, tmp_path / "st", pooling, similarity)
    found = convert(source, tmp_path / "ours", weights="float32")
    assert (found.kind, found.layout) == ("bi-encoder", "sentence-transformers SentenceTransformer")
    (agreement,) = found.agreements
    assert agreement.mode == "exact"
    assert agreement.difference < 1e-4 < agreement.spread
    encoder = Encoder.load(tmp_path / "ours", mode="exact")
    original = library.SentenceTransformer(str(source), device="cpu")
    texts = ["the moon", "a longer text about bread and the moon " * 12]
    for ours, theirs in (
        (encoder.encode(texts), original.encode_document(texts)),
        (encoder.encode(texts, prompt="query"), original.encode_query(texts)),
    ):
        assert np.abs(ours - theirs).max() < 1e-4 * max(1.0, np.abs(theirs).max())
    with pytest.raises(ModelError, match="has float32 weights, which run in mode 'exact' only"):
        Encoder.load(tmp_path / "ours")


def test_int8_costs_something_and_runs_in_both_modes(tmp_path: Path, plain: Path) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    found = convert(source, tmp_path / "ours", name="mine", licence="MIT")
    assert [one.mode for one in found.agreements] == ["exact", "fast"]
    assert all(0 < one.difference < one.spread / 4 for one in found.agreements)
    verified = verify(tmp_path / "ours")
    assert verified.modes == ("fast", "exact")
    about = summarize(tmp_path / "ours")
    assert (about.name, about.license, about.views) == ("mine", "MIT", ("dense",))


@pytest.mark.parametrize("labels", [1, 3])
def test_a_cross_encoder_gives_its_scores(tmp_path: Path, labels: int) -> None:
    plain, source = tmp_path / "plain", tmp_path / "ce"
    torch.manual_seed(2)
    BertForSequenceClassification(config(num_labels=labels)).save_pretrained(plain)
    save_tokenizer(plain)
    library.CrossEncoder(str(plain), device="cpu").save_pretrained(str(source))
    found = convert(source, tmp_path / "ours", weights="float32")
    assert found.kind == "cross-encoder"
    assert found.agreements[0].difference < 1e-4
    ours = CrossEncoder.load(tmp_path / "ours", mode="exact")
    theirs = library.CrossEncoder(str(source), device="cpu").predict(list(PROBES))
    assert np.abs(ours.score_pairs(PROBES).scores - theirs).max() < 1e-4
    assert ours.settings.labels == (("relevance",) if labels == 1 else ("LABEL_0", "LABEL_1", "LABEL_2"))
    assert ours.settings.activation == ("sigmoid" if labels == 1 else "identity")
    assert ours.highest == (1.0 if labels == 1 else float("inf"))
    assert verify(tmp_path / "ours").modes == ("exact",)
    # A plain folder of transformers is read as sentence-transformers reads it.
    assert convert(plain, tmp_path / "again", weights="float32").agreements[0].difference < 1e-4


def multi_vector(plain: Path, folder: Path, **settings: Any) -> Path:
    mve = library.multi_vector_encoder.modules
    transformer = library.base.modules.Transformer(str(plain), **settings)
    dense = library.base.modules.Dense(
        64, 32, bias=False, activation_function=torch.nn.Identity(),
        module_input_name="token_embeddings", module_output_name="token_embeddings",
    )  # fmt: skip
    mask = mve.MultiVectorMask(skiplist_words=list(string.punctuation))
    normalize = library.base.modules.Normalize("token_embeddings", "token_embeddings")
    library.MultiVectorEncoder(
        modules=[transformer, dense, mask, normalize],
        prompts={"query": "query: ", "document": ""},
        device="cpu",
    ).save_pretrained(str(folder))
    return folder


@pytest.mark.parametrize(
    "expansion",
    [
        None,
        {"strategy": "fixed", "length": 24, "attend": False, "token": None},
        {"strategy": "fixed", "length": 24, "attend": True, "token": "[MASK]"},
    ],
)
def test_a_multi_vector_encoder_gives_its_scores(
    tmp_path: Path, plain: Path, expansion: dict[str, Any] | None
) -> None:
    source = multi_vector(plain, tmp_path / "mv", document_length=40, query_expansion=expansion)
    found = convert(source, tmp_path / "ours", weights="float32")
    assert (found.kind, found.layout) == (
        "late-interaction",
        "sentence-transformers MultiVectorEncoder",
    )
    assert found.agreements[0].difference < 1e-4 * max(1, found.agreements[0].spread)
    encoder = Encoder.load(tmp_path / "ours", mode="exact")
    original = library.MultiVectorEncoder(str(source), device="cpu")
    text = "What, about the moon; is it made of bread?"
    (ours,), (theirs,) = encoder.views([text]).tokens, original.encode_document([text])
    assert ours.shape == tuple(theirs.shape)
    assert np.abs(ours - np.asarray(theirs)).max() < 1e-4
    (query,), (asked,) = encoder.queries([text]), original.encode_query([text])
    assert query.tokens.shape == tuple(asked.shape)
    assert np.abs(query.tokens - np.asarray(asked)).max() < 1e-4


def late_folder(tmp_path: Path, tokens: tuple[str, ...]) -> tuple[Path, torch.Tensor]:
    """The files that PyLate and Stanford ColBERT have in common."""
    folder = tmp_path / "late"
    torch.manual_seed(4)
    vocabulary = 30522 + len(tokens)
    BertModel(config(vocab_size=vocabulary)).save_pretrained(folder)
    save_tokenizer(folder, tokens)
    return folder, torch.randn(32, 64) * 0.2


def write(folder: Path, files: dict[str, Any]) -> None:
    for name, content in files.items():
        (folder / name).parent.mkdir(exist_ok=True)
        (folder / name).write_text(json.dumps(content))


def test_a_pylate_checkpoint_gives_its_scores(tmp_path: Path) -> None:
    folder, projection = late_folder(tmp_path, ("[Q] ", "[D] "))
    dense = {"in_features": 64, "out_features": 32, "bias": False}
    write(
        folder,
        {
            "modules.json": [
                {"idx": 0, "name": "0", "path": "", "type": "sentence_transformers.models.Transformer"},
                {"idx": 1, "name": "1", "path": "1_Dense", "type": "pylate.models.Dense.Dense"},
            ],
            "1_Dense/config.json": dense | {"activation_function": "torch.nn.modules.linear.Identity"},
            "sentence_bert_config.json": {"max_seq_length": 60, "do_lower_case": False},
            "config_sentence_transformers.json": {
                "model_type": "ColBERT", "query_prefix": "[Q] ", "document_prefix": "[D] ", "query_length": 32,
                "document_length": 48, "attend_to_expansion_tokens": False, "do_query_expansion": True,
                "skiplist_words": list(string.punctuation), "similarity_fn_name": "MaxSim", "prompts": {},
            },
        },
    )  # fmt: skip
    save_file({"linear.weight": projection}, folder / "1_Dense" / "model.safetensors")
    found = convert(folder, tmp_path / "ours", weights="float32")
    assert found.layout == "PyLate"
    assert found.agreements[0].difference < 1e-4 * max(1, found.agreements[0].spread)
    late = Encoder.load(tmp_path / "ours", mode="exact").settings.late
    assert late is not None
    assert (late.query_marker, late.document_marker, late.query_tokens) == ("[Q] ", "[D] ", 32)
    assert len(late.skip) == 32


def test_a_stanford_checkpoint_gives_its_scores_and_is_searched_with(tmp_path: Path) -> None:
    folder, projection = late_folder(tmp_path, ())
    tensors = {f"bert.{name}": value for name, value in load_file(folder / "model.safetensors").items()}
    save_file(tensors | {"linear.weight": projection}, folder / "model.safetensors", {"format": "pt"})
    values = json.loads((folder / "config.json").read_text()) | {"architectures": ["HF_ColBERT"]}
    meta = {"query_token_id": "[unused0]", "doc_token_id": "[unused1]", "query_maxlen": 32, "doc_maxlen": 50}
    meta |= {"dim": 32, "mask_punctuation": True, "similarity": "cosine", "attend_to_mask_tokens": False}
    write(folder, {"config.json": values, "artifact.metadata": meta})
    found = convert(folder, tmp_path / "ours", weights="float32")
    assert found.layout == "Stanford ColBERT"
    assert found.agreements[0].difference < 1e-4 * max(1, found.agreements[0].spread)
    convert(folder, tmp_path / "int8")
    with Collection.create(tmp_path / "c", model=tmp_path / "int8") as collection:
        collection.add([{"id": str(n), "text": passage} for n, (_, passage) in enumerate(PROBES)])
        assert collection.search(PROBES[3][1], 1, pipeline="late").ranking[0].doc_id == "3"
    checkpoint = read_foreign(folder)
    assert checkpoint.max_tokens == 50
    assert checkpoint.late is not None
    assert checkpoint.late.expansion_token == 103


def test_a_command_converts_and_says_how_near_it_is(
    tmp_path: Path, plain: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    capsys.readouterr()
    command = ["models", "convert", str(source), "-o", str(tmp_path / "ours")]
    assert main(command) == 0
    captured = capsys.readouterr()
    assert "sentence-transformers SentenceTransformer: bi-encoder, int8 weights" in captured.err
    assert captured.out.startswith("exact: scores differ from the original's by at most 0.0")
    assert main(command) == 1
    assert "there is something at this path already" in capsys.readouterr().err
    assert (
        main(["models", "convert", str(source), "-o", str(tmp_path / "f"), "--weights", "float32", "--json"])
        == 0
    )
    assert json.loads(capsys.readouterr().out)["agreements"][0]["difference"] < 1e-4


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"config.json": {"model_type": "roberta"}}, "its transformer is 'roberta'"),
        ({"config.json": {"hidden_act": "relu"}}, "its transformer is 'bert' with 'relu'"),
        ({"config.json": {"auto_map": {"AutoModel": "x.Y"}}}, "code"),
        (
            {"modules.json": [{"type": "sentence_transformers.models.LSTM", "path": ""}]},
            "LSTM' is not supported",
        ),
        ({"modules.json": [{"type": "os.system", "path": ""}]}, "is not supported"),
        ({"modules.json": [{"type": "sentence_transformers.models.Pooling", "path": "../x"}]}, "leads out"),
        ({"modules.json": {}}, "expected a list of modules"),
        ({"1_Pooling/config.json": {"pooling_mode": "lasttoken"}}, "pools by \\['lasttoken'\\]"),
        ({"1_Pooling/config.json": {"include_prompt": False}}, "without the prompt's tokens"),
        (
            {"config_sentence_transformers.json": {"similarity_fn_name": "euclidean"}},
            "compares by 'euclidean'",
        ),
    ],
)
def test_what_has_no_counterpart_is_refused(
    tmp_path: Path, plain: Path, changes: dict[str, Any], message: str
) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    for name, content in changes.items():
        file = source / name
        before = json.loads(file.read_text())
        file.write_text(
            json.dumps(
                before | content if isinstance(content, dict) and isinstance(before, dict) else content
            )
        )
    with pytest.raises(ModelError, match=message):
        convert(source, tmp_path / "ours", original=lambda _: np.zeros(len(PROBES)))
    assert not (tmp_path / "ours").exists()


def test_pickles_and_nothing_are_refused(tmp_path: Path, plain: Path) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    shutil.move(source / "model.safetensors", source / "pytorch_model.bin")
    with pytest.raises(ModelError, match=r"no model\.safetensors"):
        convert(source, tmp_path / "ours")
    with pytest.raises(ModelError, match="no such folder"):
        convert(tmp_path / "none", tmp_path / "ours")
    with pytest.raises(ModelError, match=r"neither modules\.json nor an architecture that is known"):
        convert(plain, tmp_path / "ours")
    with pytest.raises(DataError, match="weights must be 'int8' or 'float32'"):
        convert(plain, tmp_path / "ours", weights="int4")


def test_a_model_is_had_from_the_hub_if_that_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    import huggingface_hub

    asked: dict[str, Any] = {}

    def download(name: str, **options: Any) -> str:
        asked.update(options, name=name)
        Path(options["local_dir"]).mkdir()
        (Path(options["local_dir"]) / "config.json").write_text("{}")
        return str(options["local_dir"])

    monkeypatch.setattr(huggingface_hub, "snapshot_download", download)
    with fetch("hub:someone/model") as folder:
        assert folder.name == "model"
        assert (folder / "config.json").is_file()
    assert not folder.exists()
    assert asked["name"] == "someone/model"
    assert not any(pattern.endswith((".bin", ".pt", ".py")) for pattern in asked["allow_patterns"])
    asked.clear()
    with fetch("someone/model") as folder:  # a path that isn't there is no reason to ask the network
        assert folder == Path("someone/model")
    assert asked == {}

    def fails(name: str, **_: Any) -> str:
        raise OSError(f"can't reach {name}")

    monkeypatch.setattr(huggingface_hub, "snapshot_download", fails)
    with (
        pytest.raises(ModelError, match="can't be had from the hub: OSError: can't reach someone/model"),
        fetch("hub:someone/model"),
    ):
        pass


def test_nothing_is_left_behind_by_a_conversion_that_fails(tmp_path: Path, plain: Path) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    before = sorted(tmp_path.iterdir())
    with pytest.raises(ModelError, match="its scores can't be had again: they differ by up to"):
        convert(
            source,
            tmp_path / "ours",
            weights="float32",
            original=lambda _: np.linspace(0.0, 5.0, len(PROBES)),
        )
    assert sorted(tmp_path.iterdir()) == before


def test_the_default_model_s_own_transformer_can_be_kept_in_float(tmp_path: Path) -> None:
    """Its small tensors are the default's byte for byte, its matrices are the default's before rounding."""
    stored = {name: np.array(value) for name, value in numpy_load(DEFAULT / "weights.safetensors").items()}
    default = bind_weights(stored, DEFAULT, group=64, form="floats")
    torch.manual_seed(0)
    model = BertModel(config(
        hidden_size=384, intermediate_size=1536, num_hidden_layers=6, num_attention_heads=12,
        max_position_embeddings=512,
    ))  # fmt: skip
    state = model.state_dict()
    state["embeddings.position_embeddings.weight"] = torch.tensor(default["embeddings.position.weight"])
    state["embeddings.token_type_embeddings.weight"] *= 0
    for name in ("weight", "bias"):
        state[f"embeddings.LayerNorm.{name}"] = torch.tensor(default[f"embeddings.norm.{name}"])
    for number in range(6):
        old, new = f"encoder.layer.{number}", f"layer{number}"
        parts = {name: np.split(default[f"{new}.attention.qkv.{name}"], 3) for name in ("weight", "bias")}
        for name, three in parts.items():
            for part, value in zip(("query", "key", "value"), three, strict=True):
                state[f"{old}.attention.self.{part}.{name}"] = torch.tensor(value)
        for part in ("attention.output", "intermediate", "output"):
            for name in ("weight", "bias"):
                state[f"{old}.{part}.dense.{name}"] = torch.tensor(default[f"{new}.{part}.{name}"])
        for part in ("attention", ""):
            for name in ("weight", "bias"):
                place = f"{old}.{part}.output" if part else f"{old}.output"
                norm = f"{new}.{part}.norm" if part else f"{new}.output.norm"
                state[f"{place}.LayerNorm.{name}"] = torch.tensor(default[f"{norm}.{name}"])
    model.load_state_dict(state)
    model.save_pretrained(tmp_path / "plain")
    save_tokenizer(tmp_path / "plain")
    source = sentence_transformer(tmp_path / "plain", tmp_path / "st", "mean", "cosine")
    for weights in ("float32", "int8"):
        found = convert(source, tmp_path / weights, weights=weights)
        assert found.agreements[0].difference < (1e-4 if weights == "float32" else 0.05)
    assert "shared_weights" not in json.loads((tmp_path / "float32" / "model.json").read_text())
    assert "shared_weights" in json.loads((tmp_path / "int8" / "model.json").read_text())


@pytest.mark.parametrize("missing", ["hidden_size", "max_position_embeddings", "num_hidden_layers"])
def test_a_config_without_a_size_is_refused(tmp_path: Path, plain: Path, missing: str) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    values = json.loads((source / "config.json").read_text())
    del values[missing]
    (source / "config.json").write_text(json.dumps(values))
    with pytest.raises(ModelError):
        convert(source, tmp_path / "ours", original=lambda _: np.zeros(len(PROBES)))
    assert not (tmp_path / "ours").exists()


@pytest.mark.parametrize("name", ["tokenizer.json", "config.json", "model.safetensors"])
def test_a_link_that_leads_out_is_refused(tmp_path: Path, plain: Path, name: str) -> None:
    source = sentence_transformer(plain, tmp_path / "st", "mean", "cosine")
    shutil.move(source / name, tmp_path / name)
    (source / name).symlink_to(tmp_path / name)
    with pytest.raises(ModelError, match="a link that leads out of the folder"):
        convert(source, tmp_path / "ours", original=lambda _: np.zeros(len(PROBES)))
