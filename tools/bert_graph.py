"""Draw the ONNX graphs of a BERT encoder, without its weights.

The graph is written by hand instead of traced by torch, for three things a trace can't have: fused
attention, GELU and layer norms from ONNX Runtime's contributed operators (twice the speed of the plain
trace on a CPU), no attention mask (the encoder never pads, see docs/decisions/0002-no-padding.md), and
initialisers that only have a name, so that one weights file serves every graph.

Shapes: B texts of the same length, S tokens, H dimensions, D dimensions of the token view.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, helper

MICROSOFT = "com.microsoft"
GROUP = 64  # weights that share one scale


@dataclass
class Shape:
    """The sizes of a BERT encoder and of its token view."""

    hidden: int
    intermediate: int
    layers: int
    heads: int
    vocabulary: int
    positions: int
    token_dimensions: int
    epsilon: float


@dataclass
class _Graph:
    """Collect nodes and the initialisers that the runtime will bind."""

    fast: bool
    nodes: list[onnx.NodeProto] = field(default_factory=list)
    bound: list[onnx.TensorProto] = field(default_factory=list)
    constants: list[onnx.TensorProto] = field(default_factory=list)

    def bind(self, name: str, dtype: int, *dims: int) -> str:
        tensor = onnx.TensorProto(name=name, data_type=dtype, dims=dims)
        tensor.data_location = TensorProto.EXTERNAL
        tensor.external_data.add(key="location", value="bound-at-load")
        self.bound.append(tensor)
        return name

    def constant(self, name: str, dtype: int, dims: list[int], values: list[float]) -> str:
        self.constants.append(helper.make_tensor(name, dtype, dims, values))
        return name

    def add(self, op: str, inputs: list[str], output: str, domain: str = "", **attributes: object) -> str:
        self.nodes.append(helper.make_node(op, inputs, [output], domain=domain, **attributes))
        return output

    def linear(self, x: str, name: str, inputs: int, outputs: int) -> str:
        """Multiply by a weight [outputs, inputs]: int8 by groups in fast mode, float32 in exact mode."""
        if self.fast:
            weight = self.bind(f"{name}.q8", TensorProto.UINT8, outputs, inputs // GROUP, GROUP)
            scale = self.bind(f"{name}.scale", TensorProto.FLOAT, outputs, inputs // GROUP)
            # accuracy_level 4: activations become int8 with a scale for each group of each token, so a
            # token's result depends on that token alone.
            return self.add("MatMulNBits", [x, weight, scale], f"{name}.out", MICROSOFT,
                            K=inputs, N=outputs, bits=8, block_size=GROUP, accuracy_level=4)  # fmt: skip
        weight = self.bind(name, TensorProto.FLOAT, outputs, inputs)
        return self.add("FusedMatMul", [x, weight], f"{name}.out", MICROSOFT, transB=1)

    def embedding(self, ids: str, name: str, rows: int, hidden: int) -> str:
        """Look rows of an int8 table up and multiply them by their scales, one a group."""
        table = self.bind(f"{name}.i8", TensorProto.INT8, rows, hidden // GROUP, GROUP)
        scale = self.bind(f"{name}.scale", TensorProto.FLOAT, rows, hidden // GROUP, 1)
        steps = self.add("Cast", [self.add("Gather", [table, ids], f"{name}.steps")], f"{name}.float", to=1)
        grouped = self.add(
            "Mul", [steps, self.add("Gather", [scale, ids], f"{name}.scales")], f"{name}.grouped"
        )
        shape = self.constant(f"{name}.shape", TensorProto.INT64, [3], [0, 0, hidden])
        # Gather by [B, S] ids gives [B, S, groups, GROUP]: joining the last two gives [B, S, H].
        return self.add("Reshape", [grouped, shape], f"{name}.rows")


def draw(shape: Shape, *, fast: bool) -> onnx.ModelProto:
    """Draw ``input_ids [B, S] -> hidden [B, S, H], late [B, S, D]``; names match the weights file."""
    g = _Graph(fast)
    hidden = shape.hidden

    def norm_weights(name: str) -> list[str]:
        return [g.bind(f"{name}.{part}", TensorProto.FLOAT, hidden) for part in ("weight", "bias")]

    def add_and_norm(x: str, residual: str, name: str, bias: str) -> str:
        inputs = [x, residual, *norm_weights(name), g.bind(bias, TensorProto.FLOAT, hidden)]
        return g.add("SkipLayerNormalization", inputs, f"{name}.out", MICROSOFT, epsilon=shape.epsilon)

    words = g.embedding("input_ids", "embeddings.word.weight", shape.vocabulary, hidden)
    positions = g.bind("embeddings.position.weight", TensorProto.FLOAT, shape.positions, hidden)
    length = g.add("Shape", ["input_ids"], "length", start=1, end=2)
    zero = g.constant("zero", TensorProto.INT64, [1], [0])
    used = g.add("Slice", [positions, zero, length, zero], "positions.used")
    x = g.add("LayerNormalization", [g.add("Add", [words, used], "embeddings"), *norm_weights("embeddings.norm")],
              "layer0.in", axis=-1, epsilon=shape.epsilon)  # fmt: skip

    for number in range(shape.layers):
        layer = f"layer{number}"
        qkv = g.linear(x, f"{layer}.attention.qkv.weight", hidden, 3 * hidden)
        parts = [f"{layer}.{part}" for part in ("query", "key", "value")]
        g.nodes.append(helper.make_node("Split", [qkv], parts, axis=-1, num_outputs=3))
        bias = g.bind(f"{layer}.attention.qkv.bias", TensorProto.FLOAT, 3 * hidden)
        mixed = g.add(
            "MultiHeadAttention", [*parts, bias], f"{layer}.mixed", MICROSOFT, num_heads=shape.heads
        )
        out = g.linear(mixed, f"{layer}.attention.output.weight", hidden, hidden)
        x = add_and_norm(out, x, f"{layer}.attention.norm", f"{layer}.attention.output.bias")
        wide = g.linear(x, f"{layer}.intermediate.weight", hidden, shape.intermediate)
        bias = g.bind(f"{layer}.intermediate.bias", TensorProto.FLOAT, shape.intermediate)
        wide = g.add("BiasGelu", [wide, bias], f"{layer}.gelu", MICROSOFT)
        out = g.linear(wide, f"{layer}.output.weight", shape.intermediate, hidden)
        x = add_and_norm(out, x, f"{layer}.output.norm", f"{layer}.output.bias")

    g.add("Identity", [x], "hidden")
    late = g.bind("late.weight", TensorProto.FLOAT, hidden, shape.token_dimensions)
    g.add("LpNormalization", [g.add("MatMul", [x, late], "late.raw")], "late", axis=-1, p=2)

    graph = helper.make_graph(
        g.nodes,
        "bert-fast" if fast else "bert-exact",
        [helper.make_tensor_value_info("input_ids", TensorProto.INT64, ["B", "S"])],
        [helper.make_tensor_value_info("hidden", TensorProto.FLOAT, ["B", "S", hidden]),
         helper.make_tensor_value_info("late", TensorProto.FLOAT, ["B", "S", shape.token_dimensions])],
        [*g.constants, *g.bound],
    )  # fmt: skip
    opsets = [helper.make_opsetid("", 18), helper.make_opsetid(MICROSOFT, 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=10, producer_name="shortlist")
