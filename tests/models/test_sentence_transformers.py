"""Folders that sentence-transformers saved with an ONNX graph, in its old and its new layout."""

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from shortlist import DataError, Encoder, ModelError
from shortlist.models.folders import fingerprint
from tests.models.tiny_model import (
    NEW_TYPES,
    OLD_MEAN,
    OLD_TYPES,
    forward,
    make_tokenizer,
    new_pooling,
    token_ids,
    write_folder,
    write_json,
)

Float = NDArray[np.float64]

TEXTS = ["cat", "the Cat and a dog", "loan money", "", "bread dough oven flour yeast", "unheard words"]

POOLINGS: dict[str, Callable[[Float, Float], Float]] = {
    "cls": lambda hidden, _: hidden[0],
    "mean": lambda hidden, _: hidden.mean(axis=0),
    "max": lambda hidden, _: hidden.max(axis=0),
    "pooler": lambda _, pooler: pooler,
}
NEW_LAYOUT: dict[str, dict[str, Any]] = {
    "cls": {"pooling": new_pooling("cls")},
    "mean": {"pooling": new_pooling("mean")},
    "max": {"pooling": new_pooling("max")},
    "pooler": {
        "pooling": None,
        "bert_config": {
            "max_seq_length": 32,
            "modality_config": {"text": {"method": "forward", "method_output_name": "pooler_output"}},
        },
    },
}
OLD_LAYOUT: dict[str, dict[str, Any]] = {
    "cls": {"pooling": OLD_MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_cls_token": True}},
    "mean": {"pooling": OLD_MEAN},
    "max": {"pooling": OLD_MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_max_tokens": True}},
}
LAYOUTS = [
    *(pytest.param(mode, False, values, id=f"{mode}-new") for mode, values in NEW_LAYOUT.items()),
    *(pytest.param(mode, True, values, id=f"{mode}-old") for mode, values in OLD_LAYOUT.items()),
]


def expected_vectors(mode: str, *, length_1: bool) -> Float:
    vectors = np.stack([POOLINGS[mode](*forward(token_ids(text))) for text in TEXTS])
    return vectors / np.linalg.norm(vectors, axis=1, keepdims=True) if length_1 else vectors


def load(folder: Path) -> Encoder:
    return Encoder.load(folder, mode="exact")


@pytest.mark.parametrize(("mode", "old", "values"), LAYOUTS)
def test_pooling_gives_what_numpy_gives(tmp_path: Path, mode: str, old: bool, values: dict[str, Any]) -> None:
    encoder = load(write_folder(tmp_path, old=old, **values))
    assert (encoder.settings.pooling, encoder.settings.similarity) == (mode, "cosine")
    np.testing.assert_allclose(encoder.encode(TEXTS), expected_vectors(mode, length_1=True), atol=1e-5)


@pytest.mark.parametrize(("mode", "old", "values"), LAYOUTS)
def test_vectors_to_be_compared_by_dot_keep_their_length(
    tmp_path: Path, mode: str, old: bool, values: dict[str, Any]
) -> None:
    encoder = load(write_folder(tmp_path, old=old, normalize=False, similarity="dot", **values))
    assert encoder.settings.similarity == "dot"
    np.testing.assert_allclose(encoder.encode(TEXTS), expected_vectors(mode, length_1=False), atol=1e-5)


def test_token_vectors_are_those_of_the_graph_at_length_1(tmp_path: Path) -> None:
    views = load(write_folder(tmp_path)).views(TEXTS)
    for text, found in zip(TEXTS, views.tokens, strict=True):
        hidden, _ = forward(token_ids(text))
        expected = hidden / np.linalg.norm(hidden, axis=1, keepdims=True)
        np.testing.assert_allclose(found, expected, atol=1e-5)


def test_vectors_are_the_same_bytes_alone_and_in_a_batch(tmp_path: Path) -> None:
    encoder = load(write_folder(tmp_path))
    together = encoder.views(TEXTS, threads=2)
    for index, text in enumerate(TEXTS):
        alone = encoder.views([text])
        assert alone.dense.data.tobytes() == together.dense.data[index].tobytes()
        assert alone.tokens.data.tobytes() == together.tokens[index].tobytes()


@pytest.mark.parametrize(
    ("normalize", "stated", "expected"),
    [
        (True, "cosine", "cosine"),
        (True, None, "cosine"),
        (True, "dot", "cosine"),  # the same number on vectors of length 1
        (False, "cosine", "cosine"),
        (False, "dot", "dot"),
        (False, None, "cosine"),  # as sentence-transformers compares vectors where nothing is said
    ],
)
def test_similarity_is_what_sentence_transformers_would_use(
    tmp_path: Path, normalize: bool, stated: str | None, expected: str
) -> None:
    encoder = load(write_folder(tmp_path, normalize=normalize, similarity=stated))
    assert encoder.settings.similarity == expected
    lengths = np.linalg.norm(encoder.encode(TEXTS), axis=1)
    assert np.allclose(lengths, 1, atol=1e-5) == (expected == "cosine")


def test_a_similarity_that_is_not_supported_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="similarity 'euclidean' is neither 'cosine' nor 'dot'"):
        load(write_folder(tmp_path, normalize=False, similarity="euclidean"))


def test_a_folder_of_sentence_transformers_2_without_its_later_settings_loads(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, old=True, pooling=OLD_MEAN)
    (folder / "config_sentence_transformers.json").unlink()
    vectors = load(folder).encode(TEXTS)
    np.testing.assert_allclose(vectors, expected_vectors("mean", length_1=True), atol=1e-5)


def test_a_graph_may_lie_beside_the_transformer(tmp_path: Path) -> None:
    encoder = load(write_folder(tmp_path, graph_path="model.onnx"))
    np.testing.assert_allclose(encoder.encode(TEXTS), expected_vectors("mean", length_1=True), atol=1e-5)


def test_a_graph_that_asks_for_ids_alone_loads(tmp_path: Path) -> None:
    assert load(write_folder(tmp_path, graph="words")).encode(TEXTS).shape == (len(TEXTS), 8)


def test_a_graph_that_does_not_declare_its_dimensions_loads(tmp_path: Path) -> None:
    declared = load(write_folder(tmp_path / "declared", graph="words"))
    found = load(write_folder(tmp_path / "undeclared", graph="undeclared"))
    assert found.settings.dimensions == 8
    assert np.array_equal(found.encode(TEXTS), declared.encode(TEXTS))


def test_prompts_are_put_before_queries_and_documents(tmp_path: Path) -> None:
    prompts = {"query": "query ", "document": "passage "}
    prompted = load(write_folder(tmp_path / "prompted", prompts=prompts))
    plain = load(write_folder(tmp_path / "plain"))
    assert np.array_equal(prompted.encode(["cat"], prompt="query"), plain.encode(["query cat"]))
    assert np.array_equal(prompted.encode(["cat"], prompt="document"), plain.encode(["passage cat"]))
    assert np.array_equal(prompted.encode(["cat"]), prompted.encode(["cat"], prompt="document"))
    assert not np.array_equal(prompted.encode(["cat"]), plain.encode(["cat"]))


def test_a_prompt_is_cut_with_its_text_at_the_limit(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, prompts={"query": "query "}, bert_config={"max_seq_length": 5})
    views = load(folder).views(["cat dog bird"], prompt="query")
    assert views.truncated_tokens == (1,)


@pytest.mark.parametrize("old", [False, True])
def test_max_seq_length_is_honoured(tmp_path: Path, old: bool) -> None:
    encoder = load(write_folder(tmp_path, old=old, bert_config={"max_seq_length": 5}))
    views = encoder.views(["cat dog bird", "cat dog bird fish horse", "cat"])
    assert encoder.settings.max_tokens == 5
    assert views.truncated_tokens == (0, 2, 0)
    assert [len(tokens) for tokens in views.tokens] == [5, 5, 3]
    # [CLS] and [SEP] stay when a text is cut.
    hidden, _ = forward(token_ids("cat dog bird"))
    pooled = hidden.mean(axis=0)
    np.testing.assert_allclose(views.dense.data[:2], [pooled / np.linalg.norm(pooled)] * 2, atol=1e-5)


@pytest.mark.parametrize(
    ("stated", "tokenizer", "positions", "expected"),
    [
        (7, 9, 64, 7),
        (None, 9, 64, 9),
        (None, 10**30, 64, 64),
        (100, 9, 64, 64),
        (None, None, 64, 64),
        (7, None, None, 7),
    ],
)
def test_the_limit_is_the_one_that_sentence_transformers_finds(
    tmp_path: Path, stated: int | None, tokenizer: int | None, positions: int | None, expected: int
) -> None:
    folder = write_folder(tmp_path, bert_config={"max_seq_length": stated})
    if tokenizer is not None:
        write_json(folder / "tokenizer_config.json", {"model_max_length": tokenizer})
    write_json(folder / "config.json", {"max_position_embeddings": positions})
    assert load(folder).settings.max_tokens == expected


def test_a_model_without_any_limit_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path, bert_config={"max_seq_length": None})
    write_json(folder / "config.json", {})
    with pytest.raises(ModelError, match="no max_seq_length, model_max_length or max_position_embeddings"):
        load(folder)


def test_a_folder_that_asks_for_lower_case_gets_it(tmp_path: Path) -> None:
    # sentence-transformers puts a Lowercase before a tokenizer.json that has none.
    settings = {"max_seq_length": 32, "do_lower_case": True}
    encoder = load(write_folder(tmp_path, lower_case=False, bert_config=settings))
    assert np.array_equal(encoder.encode(["CAT dog"]), encoder.encode(["cat dog"]))


# -- what is refused ----------------------------------------------------------------------------------------


def with_module(folder: Path, kind: str, path: str = "") -> Path:
    """Add a module to a folder's modules.json."""
    write_folder(folder)
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", [*modules, {"idx": 9, "name": "9", "path": path, "type": kind}])
    return folder


@pytest.mark.parametrize(
    "kind",
    [
        "sentence_transformers.models.Dense",
        "sentence_transformers.models.WordEmbeddings",
        "sentence_transformers.models.LayerNorm",
        "my_package.Evil",
        "my_package.Pooling",
        "sentence_transformers_evil.Pooling",
        "Pooling",
        "",
    ],
)
def test_an_unknown_module_is_refused_by_name(tmp_path: Path, kind: str) -> None:
    with pytest.raises(ModelError, match=f"module '{kind}' is not supported") as caught:
        load(with_module(tmp_path, kind))
    assert "Transformer, Pooling and Normalize" in caught.value.hint


def test_no_code_in_a_model_folder_runs(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder, proof = with_module(tmp_path / "model", "my_package.Evil"), tmp_path / "proof"
    code = f"open({str(proof)!r}, 'w')\nclass Evil: pass\n"
    for name in ("my_package.py", "modeling_my.py", "__init__.py"):
        (folder / name).write_text(code, encoding="utf-8")
    write_json(folder / "config.json", {"auto_map": {"AutoModel": "modeling_my.Evil"}})
    monkeypatch.chdir(folder)
    monkeypatch.syspath_prepend(str(folder))
    with pytest.raises(ModelError):
        load(folder)
    assert not proof.exists()
    assert not {"my_package", "modeling_my"} & set(sys.modules)


@pytest.mark.parametrize("path", ["../elsewhere", "/etc", "1_Pooling/../../elsewhere"])
@pytest.mark.parametrize("kind", ["Transformer", "Pooling", "Normalize"])
def test_a_module_path_that_leads_out_of_the_folder_is_refused(tmp_path: Path, kind: str, path: str) -> None:
    folder = write_folder(tmp_path / "model")
    # What the path leads to would load.
    shutil.copytree(folder, tmp_path / "elsewhere")
    write_json(tmp_path / "elsewhere" / "config.json", new_pooling("mean") | {"max_position_embeddings": 64})
    paths = {"Transformer": "", "Pooling": "1_Pooling", "Normalize": "2_Normalize"} | {kind: path}
    modules = [{"type": NEW_TYPES[name], "path": where} for name, where in paths.items()]
    write_json(folder / "modules.json", modules)
    with pytest.raises(ModelError, match=f"module path '{path}' leads out of the folder"):
        load(folder)


def test_a_folder_without_a_graph_is_refused_with_the_command_that_makes_one(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"no ONNX graph \(onnx/model\.onnx or model\.onnx\)") as caught:
        load(write_folder(tmp_path, graph=None))
    assert "backend='onnx'" in caught.value.hint


def test_a_folder_without_a_fast_tokenizer_is_refused(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").unlink()
    with pytest.raises(ModelError, match=r"no tokenizer\.json"):
        load(folder)


def test_fast_mode_is_refused_with_the_mode_that_works(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    with pytest.raises(ModelError, match="runs in mode 'exact' only, not 'fast'") as caught:
        Encoder.load(folder)
    assert "exact" in caught.value.hint


@pytest.mark.parametrize(
    "values",
    [
        {"pooling": new_pooling(["cls", "mean"])},
        {"pooling": OLD_MEAN | {"pooling_mode_cls_token": True}, "old": True},
    ],
    ids=["new", "old"],
)
def test_joined_poolings_are_refused_by_name(tmp_path: Path, values: dict[str, Any]) -> None:
    with pytest.raises(ModelError, match=r"joins the poolings \['cls', 'mean'\], one is supported"):
        load(write_folder(tmp_path, **values))


@pytest.mark.parametrize(
    ("values", "name"),
    [
        ({"pooling": new_pooling("lasttoken")}, "lasttoken"),
        ({"pooling": new_pooling("weightedmean")}, "weightedmean"),
        (
            {
                "pooling": OLD_MEAN | {"pooling_mode_mean_tokens": False, "pooling_mode_lasttoken": True},
                "old": True,
            },
            "lasttoken",
        ),
        (
            {
                "pooling": OLD_MEAN
                | {"pooling_mode_mean_tokens": False, "pooling_mode_mean_sqrt_len_tokens": True},
                "old": True,
            },
            "mean_sqrt_len_tokens",
        ),
    ],
)
def test_an_unknown_pooling_is_refused_by_name(tmp_path: Path, values: dict[str, Any], name: str) -> None:
    with pytest.raises(ModelError, match=f"pooling '{name}' is not supported"):
        load(write_folder(tmp_path, **values))


def test_a_pooler_that_the_graph_does_not_have_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match="its graph has no pooler_output"):
        load(write_folder(tmp_path, graph="words", **NEW_LAYOUT["pooler"]))


def test_a_folder_that_does_not_say_how_to_pool_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ModelError, match=r"names no Pooling"):
        load(write_folder(tmp_path, pooling=None))


def test_pooling_without_the_tokens_of_a_prompt_is_refused(tmp_path: Path) -> None:
    pooling = new_pooling("mean") | {"include_prompt": False}
    with pytest.raises(ModelError, match="include_prompt"):
        load(write_folder(tmp_path, pooling=pooling, prompts={"query": "query "}))


@pytest.mark.parametrize(
    ("graph", "message"),
    [("pixels", "asks for .*pixel_values"), ("logits", r"gives \['logits'\], expected last_hidden_state")],
)
def test_a_graph_of_another_kind_is_refused(tmp_path: Path, graph: str, message: str) -> None:
    with pytest.raises(ModelError, match=message):
        load(write_folder(tmp_path, graph=graph))


@pytest.mark.parametrize("content", [b"", b"no graph", b"\x08\x08"])
def test_a_file_that_is_no_graph_is_refused_by_name(tmp_path: Path, content: bytes) -> None:
    folder = write_folder(tmp_path)
    (folder / "onnx" / "model.onnx").write_bytes(content)
    with pytest.raises(ModelError, match=r"model\.onnx: (can't be read|it holds no graph)"):
        load(folder)


@pytest.mark.parametrize("content", ["", "{}", '{"model": {"type": "Nonsense"}}'])
def test_a_file_that_is_no_tokenizer_is_refused_by_name(tmp_path: Path, content: str) -> None:
    folder = write_folder(tmp_path)
    (folder / "tokenizer.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=r"tokenizer\.json: can't be read"):
        load(folder)


@pytest.mark.parametrize(
    ("content", "message"),
    [
        ("{", r"modules\.json: can't be read"),
        ("[1]", r"modules\.json: can't be read"),
        ('[{"type": "x"}]', r"modules\.json: can't be read"),
        ("[" * 100_000, r"modules\.json: can't be read"),
        ("[]", "names no Transformer"),
        (json.dumps([{"type": OLD_TYPES["Pooling"], "path": ""}]), "names no Transformer"),
    ],
    ids=["cut off", "no mapping", "no path", "deep", "empty", "pooling alone"],
)
def test_a_modules_json_that_is_malformed_is_refused(tmp_path: Path, content: str, message: str) -> None:
    folder = write_folder(tmp_path)
    (folder / "modules.json").write_text(content, encoding="utf-8")
    with pytest.raises(ModelError, match=message):
        load(folder)


def test_a_configuration_that_is_missing_is_named(tmp_path: Path) -> None:
    folder = write_folder(tmp_path)
    (folder / "1_Pooling" / "config.json").unlink()
    with pytest.raises(ModelError, match=r"1_Pooling: no config\.json"):
        load(folder)


def test_a_model_that_gives_nan_is_named_with_the_text(tmp_path: Path) -> None:
    encoder = load(write_folder(tmp_path, graph="words"))
    with pytest.raises(DataError, match="gave a bad vector: vector 1 holds NaN"):
        encoder.encode(["fever", "cough", "pill"])


# -- what counts as another model ---------------------------------------------------------------------------


def changed_pooling(folder: Path) -> None:
    write_json(folder / "1_Pooling" / "config.json", new_pooling("cls"))


def changed_limit(folder: Path) -> None:
    write_json(next(folder.rglob("sentence_bert_config.json")), {"max_seq_length": 5})


def changed_positions(folder: Path) -> None:
    write_json(
        next(path for path in folder.rglob("config.json") if "Pooling" not in str(path)),
        {"max_position_embeddings": 5},
    )


def changed_prompts(folder: Path) -> None:
    write_json(folder / "config_sentence_transformers.json", {"prompts": {"query": "query "}})


def changed_tokenizer(folder: Path) -> None:
    make_tokenizer(lower_case=False).save(str(next(folder.rglob("tokenizer.json"))))


def changed_modules(folder: Path) -> None:
    modules = json.loads((folder / "modules.json").read_text(encoding="utf-8"))
    write_json(folder / "modules.json", modules[:2])  # no Normalize


def changed_graph(folder: Path) -> None:
    write_folder(folder.parent / "other", graph="words")
    shutil.copyfile(folder.parent / "other/onnx/model.onnx", next(folder.rglob("model.onnx")))


CHANGES = [
    changed_pooling,
    changed_limit,
    changed_positions,
    changed_prompts,
    changed_tokenizer,
    changed_modules,
    changed_graph,
]


@pytest.mark.parametrize("old", [False, True], ids=["new", "old"])
@pytest.mark.parametrize("change", CHANGES, ids=lambda change: change.__name__)
def test_whatever_changes_vectors_changes_the_fingerprint(
    tmp_path: Path, old: bool, change: Callable[[Path], None]
) -> None:
    folder = write_folder(
        tmp_path / "model", old=old, pooling=OLD_MEAN if old else new_pooling("mean"), similarity="dot"
    )
    before = fingerprint(folder)
    assert load(folder).settings.fingerprint == before
    change(folder)
    assert fingerprint(folder) != before


def test_a_copy_of_a_folder_has_the_same_fingerprint(tmp_path: Path) -> None:
    folder = write_folder(tmp_path / "model")
    shutil.copytree(folder, tmp_path / "copy")
    assert fingerprint(tmp_path / "copy") == fingerprint(folder)
