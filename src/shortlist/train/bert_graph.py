"""Draw the ONNX graphs of BERT encoders and cross-encoders, without their weights.

The graph is written by hand instead of traced by torch, for three things a trace can't have: fused
attention and GELU from ONNX Runtime's contributed operators (twice the speed of the plain
trace on a CPU), no attention mask (the encoder never pads, see docs/decisions/0002-no-padding.md), and
initialisers that only have a name, so that one weights file serves every graph.

Shapes: B texts (or pairs) of the same length, S tokens, H dimensions, D dimensions of the token view, K labels.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import onnx
from onnx import TensorProto, helper

MICROSOFT = "com.microsoft"
GROUP = 64  # weights that share one scale


@dataclass
class Shape:
    """The sizes of a BERT encoder; ``token_dimensions`` are those of its token view."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int
    positions: int
    epsilon: float
    token_dimensions: int = 0


@dataclass
class Graph:
    """Collect nodes and the initialisers that the runtime will bind.

    ``alone``: rows of several texts are never in one batch, so that a product may look at all that it is given.
    """

    fast: bool
    floats: bool = False
    alone: bool = False
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    bound: list[onnx.TensorProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def bind(self, name: str, dtype: int, *dims: int) -> str:
        """Add an initialiser that the runtime will bind; give its name."""
        tensor = onnx.TensorProto(name=name, data_type=dtype, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="bound-at-load")
        self.bound.append(tensor)
        return name

    def constant(self, name: str, dtype: int, dims: list[int], values: list[float]) -> str:
        """Add an initialiser with its values; give its name."""
        self.constants.append(helper.make_tensor(name, dtype, dims, values))
        return name

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: Any) -> str:
        """Add a node with one output; give the output's name."""
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Multiply by a weight [outputs, inputs]: int8 in fast mode, float32 in exact mode."""
        if self.fast and self.alone:
            return self._by_rows(x, name, inputs, outputs)
        if self.fast:
            weight = self.bind(f"{name}.q8", TensorProto.UINT8, outputs, inputs // GROUP, GROUP)
            scale = self.bind(f"{name}.scale", TensorProto.FLOAT, outputs, inputs // GROUP)
            # accuracy_level 4: activations become int8 with a scale for each group of each token, so a
            # token's result depends on that token alone.
            return self.add("MatMulNBits", [x, weight, scale], f"{name}.out", MICROSOFT,
                            K=inputs, N=outputs, bits=8, block_size=GROUP, accuracy_level=4)  # fmt: skip
        weight = self.bind(name, TensorProto.FLOAT, outputs, inputs)
        return self.add("FusedMatMul", [x, weight], f"{name}.out", MICROSOFT, transB=1)

    def _by_rows(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Multiply int8 by int8, with one scale for each token and one for each output.

        ONNX Runtime's fastest product knows one scale for all activations, and tokens differ in size by tens: each is
        divided by its largest component before, and multiplied by it after.
        """
        weight = self.bind(f"{name}.i7", TensorProto.INT8, inputs, outputs)
        step = self.bind(f"{name}.step", TensorProto.FLOAT, outputs)
        if not any(one.name == "last" for one in self.constants):
            self.constant("last", TensorProto.INT64, [1], [-1])
            self.constant("tiny", TensorProto.FLOAT, [], [1e-9])
        largest = self.add("ReduceMax", [self.add("Abs", [x], f"{name}.abs"), "last"], f"{name}.largest")
        size = self.add("Max", [largest, "tiny"], f"{name}.size")
        unit = self.add("Div", [x, size], f"{name}.unit")
        product = self.add("DynamicQuantizeMatMul", [unit, weight, step], f"{name}.product", MICROSOFT)
        return self.add("Mul", [product, size], f"{name}.out")

    def embedding(self, ids: str, name: str, rows: int, hidden: int) -> str:
        """Look rows of an int8 table up and multiply them by their scales, one a group; or rows of a float table."""
        if self.floats:
            return self.add("Gather", [self.bind(name, TensorProto.FLOAT, rows, hidden), ids], f"{name}.rows")
        table = self.bind(f"{name}.i8", TensorProto.INT8, rows, hidden // GROUP, GROUP)
        scale = self.bind(f"{name}.scale", TensorProto.FLOAT, rows, hidden // GROUP, 1)
        steps = self.add("Cast", [self.add("Gather", [table, ids], f"{name}.steps")], f"{name}.float", to=1)
        grouped = self.add(
            "Mul", [steps, self.add("Gather", [scale, ids], f"{name}.scales")], f"{name}.grouped"
        )
        shape = self.constant(f"{name}.shape", TensorProto.INT64, [3], [0, 0, hidden])
        # Gather by [B, S] ids gives [B, S, groups, GROUP]: joining the last two gives [B, S, H].
        return self.add("Reshape", [grouped, shape], f"{name}.rows")


def draw_encoder(
    shape: Shape, *, fast: bool, pooler: bool = False, masked: bool = False, floats: bool = False
) -> onnx.ModelProto:
    """Draw ``input_ids [B, S] -> hidden [B, S, H], late [B, S, D], pooler_output [B, H]``, the last two if wanted.

    Names match the weights file. ``late`` is there if the token view has dimensions, ``pooler_output`` is BERT's layer
    on [CLS]. A ``masked`` graph has the input ``attention_mask [B, S]``. With ``floats`` the table of word embeddings
    is float32, not int8.
    """
    g = Graph(fast, floats)
    x = _backbone(g, shape, types=False, masked=masked)
    g.add("Identity", [x], "hidden")
    outputs: dict[str, list[str | int]] = {"hidden": ["B", "S", shape.hidden]}
    if shape.token_dimensions:
        late = g.bind("late.weight", TensorProto.FLOAT, shape.hidden, shape.token_dimensions)
        g.add("LpNormalization", [g.add("MatMul", [x, late], "late.raw")], "late", axis=-1, p=2)
        outputs["late"] = ["B", "S", shape.token_dimensions]
    if pooler:
        first = g.constant("pooler.first", TensorProto.INT64, [], [0])
        cls = g.add("Gather", [x, first], "pooler.cls", axis=1)
        product = g.linear(cls, "pooler.weight", shape.hidden, shape.hidden)
        bias = g.bind("pooler.bias", TensorProto.FLOAT, shape.hidden)
        g.add("Tanh", [g.add("Add", [product, bias], "pooler.sum")], "pooler_output")
        outputs["pooler_output"] = ["B", shape.hidden]
    return _model(g, ["input_ids", *(["attention_mask"] if masked else [])], outputs)


def draw_cross_encoder(
    shape: Shape, *, fast: bool, head: str, labels: int = 1, floats: bool = False
) -> onnx.ModelProto:
    """Draw ``input_ids [B, S], token_type_ids [B, S] -> score [B, K]``; token type 1 is the passage's.

    The head ``cls`` is a linear layer on [CLS]; ``maxsim`` adds to it the weighted mean over the query's tokens of the
    best cosine with a token of the passage, times ``head.factor``; ``pooler`` has BERT's layer on [CLS] before the
    linear one. Pairs run one by one: in fast mode the result of one depends on what else is in its batch.
    """
    g = Graph(fast, floats, alone=True)
    x = _backbone(g, shape, types=True)
    first = g.constant("head.first", TensorProto.INT64, [], [0])
    cls = g.add("Gather", [x, first], "head.cls", axis=1)
    if head == "pooler":
        dense = g.linear(cls, "pooler.weight", shape.hidden, shape.hidden)
        own = g.bind("pooler.bias", TensorProto.FLOAT, shape.hidden)
        cls = g.add("Tanh", [g.add("Add", [dense, own], "pooler.sum")], "pooler")
    weight = g.bind("head.weight", TensorProto.FLOAT, labels, shape.hidden)
    bias = g.bind("head.bias", TensorProto.FLOAT, labels)
    product = g.add("FusedMatMul", [cls, weight], "head.product", MICROSOFT, transB=1)
    score = g.add("Add", [product, bias], "head.linear")
    if head == "maxsim":
        scale = g.bind("head.factor", TensorProto.FLOAT, 1)
        score = g.add(
            "Add",
            [score, g.add("Mul", [_joint_maxsim(g, x, shape.hidden), scale], "head.scaled")],
            "head.sum",
        )
    g.add("Identity", [score], "score")
    return _model(g, ["input_ids", "token_type_ids"], {"score": ["B", labels]})


def _joint_maxsim(g: Graph, hidden: str, width: int) -> str:
    """Compare the query's tokens with the passage's, all as they come out of the joint input; give ``[B, 1]``."""
    one = g.constant("head.one", TensorProto.FLOAT, [], [1.0])
    away = g.constant("head.away", TensorProto.FLOAT, [], [4.0])  # further than any cosine from another
    rows = g.constant("head.rows", TensorProto.INT64, [1], [1])
    across = g.constant("head.across", TensorProto.INT64, [1], [2])
    vectors = g.add("LpNormalization", [hidden], "head.vectors", axis=-1, p=2)
    similarity = g.add(
        "MatMul", [vectors, g.add("Transpose", [vectors], "head.turned", perm=[0, 2, 1])], "head.sim"
    )
    passage = g.add("Cast", ["token_type_ids"], "head.passage", to=TensorProto.FLOAT)
    query = g.add("Sub", [one, passage], "head.query")
    weight = g.bind("head.query.weight", TensorProto.FLOAT, width, 1)
    bias = g.bind("head.query.bias", TensorProto.FLOAT, 1)
    linear = g.add("Add", [g.add("MatMul", [hidden, weight], "head.query.product"), bias], "head.query.raw")
    soft = g.add("Squeeze", [g.add("Softplus", [linear], "head.query.soft"), across], "head.query.weights")
    counted = g.add("Mul", [query, soft], "head.query.counted")
    outside = g.add("Mul", [g.add("Unsqueeze", [query, rows], "head.query.row"), away], "head.outside")
    best = g.add(
        "ReduceMax", [g.add("Sub", [similarity, outside], "head.inside"), across], "head.best", keepdims=0
    )
    kept = g.add("ReduceSum", [g.add("Mul", [best, counted], "head.kept"), rows], "head.total", keepdims=1)
    return g.add("Div", [kept, g.add("ReduceSum", [counted, rows], "head.count", keepdims=1)], "head.maxsim")


def _backbone(g: Graph, shape: Shape, *, types: bool, masked: bool = False) -> str:
    """Draw embeddings and layers; give the name of ``[B, S, H]``.

    With ``types`` the embeddings of ``token_type_ids`` are added; without, they are part of the positions'.
    """
    hidden = shape.hidden

    def norm_weights(name: str) -> list[str]:
        return [g.bind(f"{name}.{part}", TensorProto.FLOAT, hidden) for part in ("weight", "bias")]

    def add_and_norm(x: str, residual: str, name: str, bias: str) -> str:
        # Not ONNX Runtime's SkipLayerNormalization, which does the same in five times the time.
        biased = g.add("Add", [x, g.bind(bias, TensorProto.FLOAT, hidden)], f"{name}.biased")
        added = g.add("Add", [biased, residual], f"{name}.in")
        inputs = [added, *norm_weights(name)]
        return g.add("LayerNormalization", inputs, f"{name}.out", axis=-1, epsilon=shape.epsilon)

    words = g.embedding("input_ids", "embeddings.word.weight", shape.vocabulary, hidden)
    positions = g.bind("embeddings.position.weight", TensorProto.FLOAT, shape.positions, hidden)
    length = g.add("Shape", ["input_ids"], "length", start=1, end=2)
    zero = g.constant("zero", TensorProto.INT64, [1], [0])
    used = g.add("Slice", [positions, zero, length, zero], "positions.used")
    embedded = g.add("Add", [words, used], "embeddings")
    if types:
        table = g.bind("embeddings.type.weight", TensorProto.FLOAT, 2, hidden)
        typed = g.add("Gather", [table, "token_type_ids"], "embeddings.types")
        embedded = g.add("Add", [embedded, typed], "embeddings.typed")
    x = g.add("LayerNormalization", [embedded, *norm_weights("embeddings.norm")],
              "layer0.in", axis=-1, epsilon=shape.epsilon)  # fmt: skip

    mask = [g.add("Cast", ["attention_mask"], "mask", to=TensorProto.INT32)] if masked else []
    for number in range(shape.layers):
        layer = f"layer{number}"
        qkv = g.linear(x, f"{layer}.attention.qkv.weight", hidden, 3 * hidden)
        parts = [f"{layer}.{part}" for part in ("query", "key", "value")]
        g.nodes.append(helper.make_node("Split", [qkv], parts, axis=-1, num_outputs=3))
        bias = g.bind(f"{layer}.attention.qkv.bias", TensorProto.FLOAT, 3 * hidden)
        mixed = g.add(
            "MultiHeadAttention", [*parts, bias, *mask], f"{layer}.mixed", MICROSOFT, num_heads=shape.heads
        )
        out = g.linear(mixed, f"{layer}.attention.output.weight", hidden, hidden)
        x = add_and_norm(out, x, f"{layer}.attention.norm", f"{layer}.attention.output.bias")
        wide = g.linear(x, f"{layer}.intermediate.weight", hidden, shape.intermediate)
        bias = g.bind(f"{layer}.intermediate.bias", TensorProto.FLOAT, shape.intermediate)
        wide = g.add("BiasGelu", [wide, bias], f"{layer}.gelu", MICROSOFT)
        out = g.linear(wide, f"{layer}.output.weight", shape.intermediate, hidden)
        x = add_and_norm(out, x, f"{layer}.output.norm", f"{layer}.output.bias")

    return x


def _model(g: Graph, inputs: list[str], outputs: Mapping[str, Sequence[str | int]]) -> onnx.ModelProto:
    graph = helper.make_graph(
        g.nodes,
        "bert-fast" if g.fast else "bert-exact",
        [helper.make_tensor_value_info(name, TensorProto.INT64, ["B", "S"]) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, dims) for name, dims in outputs.items()],
        [*g.constants, *g.bound],
    )
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="shortlist")
