"""What may an ONNX graph hold? Known operators and its own data: no path, no loop, no lie about a shape.

There is no onnx package at run time, and ONNX Runtime follows the paths in a graph while it opens it. So
the protobuf is walked here first. The walk is stricter than protobuf where two readers could differ: a
field that is named once is there once, and has the wire type that it should have.

Source: onnx.proto of ONNX 1.23 (the field numbers); the protocol buffers encoding guide (wire types).
"""

from __future__ import annotations

import math
from collections import ChainMap, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from shortlist.errors import ModelError
from shortlist.models.safety import shown

__all__ = ["BOUND", "GraphFacts", "check_graph"]

BOUND = "bound-at-load"
"""The place that our own graphs give for initialisers that come from the weights file. Never a path."""

_FIELDS = 150_000  # a traced encoder of 24 layers has some 60,000; each costs Python 200 bytes, and some microseconds
_DEPTH = 8
_ELEMENTS = 1 << 26  # that a constant shape may ask for
_TENSOR_DIMENSIONS = 16

_DOMAINS = {"", "ai.onnx", "com.microsoft"}
# What ONNX Runtime declares in every graph that it saves. No operator of theirs is allowed.
_IMPORTS = _DOMAINS | {
    *("ai.onnx.ml", "ai.onnx.training", "ai.onnx.preview", "ai.onnx.preview.training"),
    *("com.microsoft.experimental", "com.microsoft.nchwc", "com.ms.internal.nhwc", "org.pytorch.aten"),
}
_REFUSED = {
    **dict.fromkeys(("Loop", "Scan", "SequenceMap"), "may never end"),
    **dict.fromkeys(("RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike"), "is random"),
    **dict.fromkeys(("Multinomial", "Bernoulli"), "is random"),
    **dict.fromkeys(("ImageDecoder", "TfIdfVectorizer", "StringNormalizer"), "is nothing for token ids"),
    **dict.fromkeys(("RegexFullMatch", "StringConcat", "StringSplit"), "is nothing for token ids"),
}
# Of com.microsoft what optimisers and quantisers of encoders write. Others read files (EPContext) or loop.
_MICROSOFT = set(
    """Attention BiasAdd BiasDropout BiasGelu BiasSoftmax BiasSplitGelu BitmaskDropout DequantizeLinear
    DequantizeWithOrder DynamicQuantizeLSTM DynamicQuantizeMatMul EmbedLayerNormalization FastGelu
    FusedConv FusedGemm FusedMatMul FusedMatMulActivation GatedRelativePositionBias GatherBlockQuantized
    GatherND Gelu GroupNorm GroupQueryAttention Inverse LongformerAttention MatMulBnb4 MatMulFpQ4
    MatMulInteger16 MatMulIntegerToFloat MatMulNBits MoE MulInteger MultiHeadAttention NhwcMaxPool
    PackedAttention PackedMultiHeadAttention QAttention QEmbedLayerNormalization QGemm QLinearAdd
    QLinearAveragePool QLinearConcat QLinearConv QLinearGlobalAveragePool QLinearLeakyRelu QLinearMul
    QLinearReduceMean QLinearSigmoid QLinearSoftmax QLinearWhere QMoE QOrderedAttention QOrderedGelu
    QOrderedLayerNormalization QOrderedMatMul QuantizeLinear QuantizeWithOrder QuickGelu
    RelativePositionBias RemovePadding RestorePadding RotaryEmbedding SimplifiedLayerNormalization
    SkipGroupNorm SkipLayerNormalization SkipSimplifiedLayerNormalization SparseAttention
    SparseToDenseMatMul TransposeMatMul Trilu""".split()  # noqa: SIM905
)
# Which inputs of an operator, if constant, say how much it makes: by their product, or by any of them.
_PRODUCTS = {"ConstantOfShape": (0,), "Resize": (3,), **dict.fromkeys(("Expand", "Tile", "Upsample"), (1,))}
_COUNTS = {"Range": (0, 1, 2), "Pad": (1,), "OneHot": (1,)}
_BITS = {1: 32, 2: 8, 3: 8, 4: 16, 5: 16, 6: 32, 7: 64, 9: 8, 10: 16, 11: 64, 12: 32, 13: 64, 16: 16}
_BITS |= {21: 4, 22: 4}
_TYPES = {1: "float32", 2: "uint8", 3: "int8"}  # that are bound from a weights file

# name: (number, wire types, whether repeated) of what is looked at. Wire types: 0 a varint, 1 and 5 eight
# and four bytes, 2 a length and so many bytes.
_Spec = Mapping[int, tuple[str, tuple[int, ...], bool]]
_MODEL: _Spec = {
    7: ("graph", (2,), False),
    8: ("opset_import", (2,), True),
    14: ("metadata_props", (2,), True),
    20: ("training_info", (2,), True),
    25: ("functions", (2,), True),
}
_ENTRY: _Spec = {1: ("key", (2,), False), 2: ("value", (2,), False)}
_OPSET: _Spec = {1: ("domain", (2,), False), 2: ("version", (0,), False)}
_GRAPH: _Spec = {
    1: ("node", (2,), True),
    5: ("initializer", (2,), True),
    15: ("sparse_initializer", (2,), True),
}
_NODE: _Spec = {
    1: ("input", (2,), True),
    2: ("output", (2,), True),
    4: ("op_type", (2,), False),
    5: ("attribute", (2,), True),
    7: ("domain", (2,), False),
}
_ATTRIBUTE: _Spec = {
    5: ("t", (2,), False),
    6: ("g", (2,), False),
    10: ("tensors", (2,), True),
    11: ("graphs", (2,), True),
    22: ("sparse_tensor", (2,), False),
    23: ("sparse_tensors", (2,), True),
}
_TENSOR: _Spec = {
    1: ("dims", (0, 2), True),
    2: ("data_type", (0,), False),
    3: ("segment", (2,), False),
    4: ("float_data", (2, 5), True),
    5: ("int32_data", (0, 2), True),
    6: ("string_data", (2,), True),
    7: ("int64_data", (0, 2), True),
    8: ("name", (2,), False),
    9: ("raw_data", (2,), False),
    10: ("double_data", (1, 2), True),
    11: ("uint64_data", (0, 2), True),
    13: ("external_data", (2,), True),
    14: ("data_location", (0,), False),
}
_Values = defaultdict[str, list[int | memoryview]]


@dataclass(frozen=True)
class GraphFacts:
    """Say what a graph needs from outside.

    ``bound`` gives dtype and shape of the initialisers that it expects to be bound; ``rows`` the number of
    rows of the table that token ids are looked up in, where that can be seen.
    """

    bound: Mapping[str, tuple[str, tuple[int, ...]]]
    rows: int | None


@dataclass(frozen=True)
class _Tensor:
    name: str
    dims: tuple[int, ...]
    integers: tuple[int, ...] = ()  # the values of a small int64 tensor


def check_graph(data: bytes, where: Path, *, own: bool) -> GraphFacts:
    """Check an ONNX file; ``own`` allows initialisers that are bound from a weights file.

    Raises:
        ModelError: it is no ONNX graph, or holds what is not allowed.
    """
    return _Walk(where, own).model(memoryview(data))


@dataclass
class _Walk:
    where: Path
    own: bool
    fields: int = 0
    bound: dict[str, tuple[str, tuple[int, ...]]] = field(default_factory=dict)
    rows: list[int] = field(default_factory=list)

    def model(self, data: memoryview) -> GraphFacts:
        found = self._message(data, _MODEL)
        for name in ("training_info", "functions"):
            if found[name]:
                raise self._error(f"{name} in a graph is not supported", "export it for inference, inlined")
        for entry in found["opset_import"]:
            domain = self._text(self._message(entry, _OPSET), "domain")
            if domain not in _IMPORTS:
                raise self._error(f"operators of {shown(domain)} are not supported")
        for entry in found["metadata_props"]:
            if self._text(self._message(entry, _ENTRY), "key") == "ort_config":
                raise self._error("a graph that brings settings for the runtime is not supported")
        if not found["graph"]:
            raise self._error("it holds no graph")
        self._graph(found["graph"][0], ChainMap(), 0)
        return GraphFacts(self.bound, min(self.rows, default=None))

    def _graph(self, data: int | memoryview, outer: ChainMap[str, _Tensor], depth: int) -> None:
        if depth > _DEPTH:
            raise self._error(f"graphs inside graphs, deeper than {_DEPTH}")
        found = self._message(data, _GRAPH)
        if found["sparse_initializer"]:
            raise self._error("sparse initialisers are not supported")
        known = outer.new_child()
        for one in found["initializer"]:
            tensor = self._tensor(one, may_be_bound=self.own and depth == 0)
            known[tensor.name] = tensor
        for one in found["node"]:
            self._node(one, known, depth)

    def _node(self, data: int | memoryview, known: ChainMap[str, _Tensor], depth: int) -> None:
        found = self._message(data, _NODE)
        operator, domain = self._text(found, "op_type"), self._text(found, "domain")
        if domain not in _DOMAINS or (domain == "com.microsoft" and operator not in _MICROSOFT):
            raise self._error(f"operator {shown(operator)} of {shown(domain)} is not supported")
        if domain != "com.microsoft" and operator in _REFUSED:
            raise self._error(f"operator {operator} is not supported: it {_REFUSED[operator]}")
        constants: list[_Tensor] = []
        for one in found["attribute"]:
            attribute = self._message(one, _ATTRIBUTE)
            if attribute["sparse_tensor"] or attribute["sparse_tensors"]:
                raise self._error("sparse tensors are not supported")
            constants += [self._tensor(t) for t in (*attribute["t"], *attribute["tensors"])]
            for graph in (*attribute["g"], *attribute["graphs"]):
                self._graph(graph, known, depth + 1)
        inputs = [self._decode(name) for name in found["input"]]
        if operator == "Constant" and constants and found["output"]:
            known[self._decode(found["output"][0])] = constants[0]
        self._check_size(operator, inputs, known)
        table = {"Gather": 0, "EmbedLayerNormalization": 2}.get(operator)
        if table is not None and "input_ids" in inputs and len(inputs) > table and inputs[table] in known:
            self.rows += known[inputs[table]].dims[:1]

    def _check_size(self, operator: str, inputs: list[str], known: Mapping[str, _Tensor]) -> None:
        combine = math.prod if operator in _PRODUCTS else max
        for index in (_PRODUCTS | _COUNTS).get(operator, ()):
            constant = known.get(inputs[index]) if index < len(inputs) else None
            if constant and combine([1, *(max(1, abs(value)) for value in constant.integers)]) > _ELEMENTS:
                raise self._error(
                    f"{operator} to {shown(list(constant.integers))}, more than {_ELEMENTS:,} elements"
                )

    def _tensor(self, data: int | memoryview, *, may_be_bound: bool = False) -> _Tensor:
        found = self._message(data, _TENSOR)
        name, dtype = self._text(found, "name"), self._number(found, "data_type")
        if dtype not in _BITS:
            raise self._error(f"tensor {shown(name)}: data type {dtype} is not supported")
        if found["segment"] or found["string_data"]:
            raise self._error(f"tensor {shown(name)}: segments and texts are not supported")
        dims = tuple(value for part in found["dims"] for value in self._varints(part))
        if len(dims) > _TENSOR_DIMENSIONS or any(value >= 1 << 40 for value in dims):
            raise self._error(f"tensor {shown(name)}: shape {shown(list(dims))} is negative or absurd")
        if self._number(found, "data_location") or found["external_data"]:
            self._bind(found, name, dtype, dims, may_be_bound=may_be_bound)
            return _Tensor(name, dims)
        elements, bits = math.prod(dims), _BITS[dtype]
        parts = {kind: found[kind] for kind in _COUNTED if kind in found}
        if raw := found["raw_data"]:
            held, expected = len(_view(raw[0])), -(-elements * bits // 8)
            unit = "bytes"
        else:
            held = sum(_COUNTED[kind](one) for kind, values in parts.items() for one in values)
            expected, unit = -(-elements // 2) if bits == 4 else elements, "values"
        if held != expected or (raw and parts):
            shape = shown(list(dims))
            raise self._error(
                f"tensor {shown(name)}: shape {shape} takes {expected:,} {unit}, it has {held:,}"
            )
        integers: tuple[int, ...] = ()
        if dtype == 7 and elements <= 64:
            integers = tuple(
                np.frombuffer(_view(raw[0]), "<i8").tolist()
                if raw
                else (_signed(v) for part in found["int64_data"] for v in self._varints(part))
            )
        return _Tensor(name, dims, integers)

    def _bind(
        self, found: _Values, name: str, dtype: int, dims: tuple[int, ...], *, may_be_bound: bool
    ) -> None:
        entries = [self._message(one, _ENTRY) for one in found["external_data"]]
        said = [(self._text(entry, "key"), self._text(entry, "value")) for entry in entries]
        held = any(found[kind] for kind in (*_COUNTED, "raw_data"))
        if not may_be_bound or said != [("location", BOUND)] or self._number(found, "data_location") != 1:
            raise self._error(
                f"tensor {shown(name)} lies outside of the graph, at {shown(said)}",
                "save the graph with its weights inside: save_as_external_data=False",
            )
        if held or name in self.bound or dtype not in _TYPES:
            raise self._error(
                f"tensor {shown(name)} can't be bound: it is there twice or of data type {dtype}"
            )
        self.bound[name] = _TYPES[dtype], dims

    # -- protobuf ----------------------------------------------------------------------------------------

    def _message(self, data: int | memoryview, spec: _Spec) -> _Values:
        """Give the fields of a message by name; skip what ``spec`` doesn't name."""
        view, at = _view(data), 0
        size, found = len(view), _Values(list)
        while at < size:
            self.fields += 1
            if self.fields > _FIELDS:
                raise self._error(f"more than {_FIELDS:,} fields")
            key, at = self._varint(view, at)
            number, wire = key >> 3, key & 7
            value: int | memoryview = 0
            if wire == 0:
                value, at = self._varint(view, at)
            elif wire in (1, 2, 5):
                width, at = self._varint(view, at) if wire == 2 else (8 if wire == 1 else 4, at)
                value, at = view[at : at + width], at + width
            if wire not in (0, 1, 2, 5) or at > size or not number:
                raise self._error("can't be read: it is no ONNX graph, or cut off")
            if number in spec:
                name, wires, repeated = spec[number]
                if wire not in wires or (not repeated and name in found):
                    raise self._error(f"can't be read: field {name} is malformed, or there twice")
                found[name].append(value)
        return found

    def _varint(self, view: memoryview, at: int) -> tuple[int, int]:
        if at < len(view) and view[at] < 0x80:  # nearly all
            return view[at], at + 1
        value = 0
        for shift, byte in enumerate(view[at : at + 10]):
            value |= (byte & 0x7F) << 7 * shift
            if byte < 0x80:
                return value & (1 << 64) - 1, at + shift + 1
        raise self._error("can't be read: it is no ONNX graph, or cut off")

    def _varints(self, part: int | memoryview) -> Iterable[int]:
        if isinstance(part, int):
            return [part]
        if len(part) > 10 * 64:
            raise self._error("a list of more than 64 dimensions")
        values, at = [], 0
        while at < len(part):
            value, at = self._varint(part, at)
            values.append(value)
        return values

    def _text(self, found: _Values, name: str) -> str:
        return self._decode(found[name][0]) if found[name] else ""

    def _number(self, found: _Values, name: str) -> int:
        value = found[name][0] if found[name] else 0
        return value if isinstance(value, int) else 0

    def _decode(self, value: int | memoryview) -> str:
        try:
            return str(_view(value), "utf-8")
        except UnicodeDecodeError:
            raise self._error("can't be read: a name that is no text") from None

    def _error(self, message: str, hint: str = "") -> ModelError:
        return ModelError(f"{self.where}: {message}", hint=hint)


def _view(value: int | memoryview) -> memoryview:
    return value if isinstance(value, memoryview) else memoryview(b"")


def _signed(value: int) -> int:
    return value - (1 << 64) if value >> 63 else value


def _count_varints(part: int | memoryview) -> int:
    if isinstance(part, int):
        return 1
    return int(np.count_nonzero(np.frombuffer(part, np.uint8) < 0x80))


def _count_fixed(size_bytes: int, part: int | memoryview) -> int:
    whole, rest = divmod(len(_view(part)), size_bytes)
    return -1 if rest else whole


# How many values a field of a tensor holds.
_COUNTED = {
    "float_data": lambda part: _count_fixed(4, part),
    "double_data": lambda part: _count_fixed(8, part),
    **dict.fromkeys(("int32_data", "int64_data", "uint64_data"), _count_varints),
}
