"""Writing the graph of a decoder-only model, and its weights as they come out of the safetensors files.

One graph serves the prompt and every token after it: `input_ids` (rows, new tokens) follow what the caches
hold. `past.*` and `present.*` are meant to be the same buffers (rows, heads, room, head size).
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import Any, BinaryIO

import numpy as np
import onnx
from numpy.typing import DTypeLike, NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper

from ..request import NotPrepared
from .architecture import Architecture, Layer
from .blocks import BLOCK, fitting_block, pieces, rounded
from .tensors import Tensors

MICROSOFT = "com.microsoft"
PRECISIONS = ("fp32", "int8", "int4")
_BITS = {"int8": 8, "int4": 4}
_INLINE_BYTES = 1024
_ALIGNMENT = 4096
_EMBEDDING = "embed_tokens.weight"


@dataclass(frozen=True)
class Written:
    """dense: bytes of the weight file before what few read. block: how many weights of a row share a scale
    in most matrices, None in fp32."""

    dense: int
    block: int | None


def write_graph(
    tensors: Tensors,
    shape: Architecture,
    rotations: dict[str, tuple[NDArray[Any], NDArray[Any]]],
    path: Path,
    precision: str,
    *,
    block: int = BLOCK,
    has_head: bool = True,
    judged: Sequence[int] = (),
) -> Written:
    """Write the graph to `path` and its weights to `path` + ".data".

    block: most weights of a row that share a scale; rows that it does not divide have the half, or less.
    has_head: give logits; otherwise the normalised last hidden state, for embeddings.
    judged: give the logit of this one token, or of the first of two less that of the second.
    Raises NotPrepared where the widths do not divide into blocks.
    """
    widths = (shape.width, shape.heads * shape.head_size)
    if precision in _BITS and any(width % BLOCK for width in widths):
        raise NotPrepared(f"{precision} needs widths that are multiples of {BLOCK}, the model has {widths}")
    with path.with_name(f"{path.name}.data").open("wb") as file:
        graph = _Graph(tensors, shape, rotations, _Weights(file, f"{path.name}.data"), precision, block)
        model = graph.build(has_head and not judged, judged)
    path.write_bytes(model.SerializeToString())
    by_block = graph.weights_by_block
    return Written(graph.dense, max(by_block, key=lambda each: by_block[each], default=None))


class _Weights:
    """Initializers of the graph; all but the small ones go into one file, page by page."""

    def __init__(self, file: BinaryIO, name: str) -> None:
        self._file, self._name = file, name
        self.tensors: dict[str, TensorProto] = {}

    def add(self, name: str, array: NDArray[Any]) -> str:
        if array.nbytes < _INLINE_BYTES:
            self.tensors[name] = onnx.numpy_helper.from_array(np.ascontiguousarray(array), name)
            return name
        return self.stream(name, array.dtype, array.shape, [array])

    def stream(self, name: str, dtype: DTypeLike, shape: Iterable[int], parts: Iterable[NDArray[Any]]) -> str:
        """An initializer whose values come in parts, so that no more than one of them is in memory."""
        self._file.write(b"\0" * (-self._file.tell() % _ALIGNMENT))
        start = self._file.tell()
        for part in parts:
            np.ascontiguousarray(part).tofile(self._file)
        tensor = TensorProto(
            name=name, data_type=helper.np_dtype_to_tensor_dtype(np.dtype(dtype)), dims=shape
        )
        tensor.data_location = TensorProto.EXTERNAL
        for key, value in (("location", self._name), ("offset", start), ("length", self.written - start)):
            tensor.external_data.add(key=key, value=str(value))
        self.tensors[name] = tensor
        return name

    def alias(self, name: str, of: str, shape: Iterable[int]) -> str:
        """The bytes of `of` in another shape."""
        tensor = TensorProto()
        tensor.CopyFrom(self.tensors[of])
        tensor.name = name
        del tensor.dims[:]
        tensor.dims.extend(shape)
        self.tensors[name] = tensor
        return name

    @property
    def written(self) -> int:
        return int(self._file.tell())


class _Graph:
    def __init__(
        self,
        tensors: Tensors,
        shape: Architecture,
        rotations: dict[str, tuple[NDArray[Any], NDArray[Any]]],
        weights: _Weights,
        precision: str,
        block: int,
    ) -> None:
        self.tensors, self.shape, self.weights, self.precision = tensors, shape, weights, precision
        self.block, self.table_block = block, BLOCK
        self.weights_by_block: Counter[int] = Counter()
        # Rounding an embedding to 4 bits costs more quality than its few bytes are worth.
        self.table_bits = 8 if precision in _BITS else None
        self.nodes: list[NodeProto] = []
        self._rotations = rotations
        self.dense = 0

    def build(self, has_head: bool, judged: Sequence[int] = ()) -> ModelProto:
        if has_head and self.shape.is_tied:  # no other table is multiplied with, and wide blocks cost quality
            self.table_block = fitting_block(self.shape.width, self.block)
        embedded = self._embedded()
        stream: str = embedded
        pending: str | None = None  # the last block's output, not yet added to the stream
        for index, layer in enumerate(self.shape.layers):
            stream, pending = self._layer(index, layer, stream, pending)
        hidden, _ = self._normed(stream, pending, "norm.weight")
        chosen = self._node("GatherND", [hidden, "positions"], batch_dims=1)
        result = chosen
        if judged:
            result = self._judgement(chosen, judged)
        elif has_head:
            result = self._head(chosen)
        if not (has_head and self.shape.is_tied):
            self.dense = self.weights.written
        self._write_table()
        if has_head and self.shape.is_tied:
            self.dense = self.weights.written  # the head reads the whole table
        for kind, (cos, sin) in self._rotations.items():
            self.weights.add(f"cos.{kind}", cos), self.weights.add(f"sin.{kind}", sin)
        name = "logits" if has_head or judged else "hidden"
        self.nodes.append(helper.make_node("Identity", [result], [name]))
        width = self.shape.vocabulary if has_head else self.shape.width
        return self._model(name, 1 if judged else width)

    def _layer(self, index: int, layer: Layer, stream: str, pending: str | None) -> tuple[str, str | None]:
        """(residual stream, output of the last block that is still to be added to it)."""
        at, shape = f"layers.{index}.", self.shape
        if not shape.has_pre_norms:  # OLMo 2: blocks read the stream as it is
            attended = self._norm(
                self._attention(index, layer, stream), at + "post_attention_layernorm.weight"
            )
            stream = self._node("Add", [stream, attended])
            fed = self._norm(self._feed_forward(at, stream), at + "post_feedforward_layernorm.weight")
            return self._node("Add", [stream, fed]), None
        normed, stream = self._normed(stream, pending, at + "input_layernorm.weight")
        attended = self._attention(index, layer, normed)
        before = "post_attention_layernorm.weight"
        if shape.has_post_norms:
            attended = self._norm(attended, at + before)
            before = "pre_feedforward_layernorm.weight"
        normed, stream = self._normed(stream, attended, at + before)
        fed = self._feed_forward(at, normed)
        if shape.has_post_norms:
            fed = self._norm(fed, at + "post_feedforward_layernorm.weight")
        return stream, fed

    def _attention(self, index: int, layer: Layer, normed: str) -> str:
        shape, at = self.shape, f"layers.{index}.self_attn."
        if at + "qkv_proj.weight" in self.tensors:
            inputs = [self._matmul(normed, [at + "qkv_proj"]), "", ""]
        elif shape.family.query_key_norm:
            inputs = [self._matmul(normed, [at + f"{part}_proj"]) for part in "qkv"]
            for place, (part, heads) in enumerate((("q", shape.heads), ("k", shape.kv_heads))):
                inputs[place] = self._query_key_norm(inputs[place], at + f"{part}_norm.weight", heads)
        else:
            inputs = [self._matmul(normed, [at + f"{part}_proj" for part in "qkv"]), "", ""]
        attributes: dict[str, object] = {"scale": shape.attention_scale}
        rotated = ["", ""]
        if layer.rope is not None:
            rotated = [f"cos.{layer.rope}", f"sin.{layer.rope}"]
            attributes["do_rotary"] = 1
        if layer.window is not None:
            attributes["local_window_size"] = layer.window
        if shape.attention_softcap:
            attributes["softcap"] = shape.attention_softcap
        attended = f"attended.{index}"
        self.nodes.append(
            helper.make_node(
                "GroupQueryAttention",
                [*inputs, f"past.{index}.key", f"past.{index}.value", "last", "longest", *rotated],
                [attended, f"present.{index}.key", f"present.{index}.value"],
                domain=MICROSOFT,
                num_heads=shape.heads,
                kv_num_heads=shape.kv_heads,
                **attributes,
            )
        )
        return self._matmul(attended, [at + "o_proj"])

    def _query_key_norm(self, value: str, name: str, heads: int) -> str:
        if self.shape.family.query_key_norm == "whole":
            return self._norm(value, name)
        size = self.shape.head_size
        split = self._node("Reshape", [value, self._constant(f"split.{size}", [0, 0, -1, size])])
        joined = self._constant(f"join.{heads * size}", [0, 0, heads * size])
        return self._node("Reshape", [self._norm(split, name), joined])

    def _feed_forward(self, at: str, normed: str) -> str:
        if at + "mlp.gate_up_proj.weight" in self.tensors:
            both = self._matmul(normed, [at + "mlp.gate_up_proj"])
            gate, up = f"{at}gate", f"{at}up"
            self.nodes.append(helper.make_node("Split", [both], [gate, up], axis=-1, num_outputs=2))
        else:
            gate, up = (self._matmul(normed, [at + f"mlp.{part}_proj"]) for part in ("gate", "up"))
        if self.shape.activation == "silu":
            active = self._node("QuickGelu", [gate], domain=MICROSOFT, alpha=1.0)
        else:
            active = self._node(
                "Gelu", [gate], approximate="tanh" if self.shape.activation == "gelu_tanh" else "none"
            )
        return self._matmul(self._node("Mul", [active, up]), [at + "mlp.down_proj"])

    def _embedded(self) -> str:
        if self.table_bits:
            embedded = self._node(
                "GatherBlockQuantized",
                ["table", "input_ids", "table.scales"],
                domain=MICROSOFT,
                bits=self.table_bits,
                block_size=self.table_block,
                gather_axis=0,
                quantize_axis=1,
            )
        else:
            embedded = self._node("Gather", ["table", "input_ids"])
        if self.shape.family.scales_embedding:
            factor = self.weights.add("embedding_scale", np.array([self.shape.width**0.5], np.float32))
            embedded = self._node("Mul", [embedded, factor])
        return embedded

    def _write_table(self) -> None:
        """The embeddings: after everything that each token reads."""
        table, shape = self.tensors[_EMBEDDING], self.shape
        size = (shape.vocabulary, shape.width)
        if not self.table_bits:
            self.weights.stream("table", np.float32, size, pieces(table))
            return
        self._write_rounded("table", "table.scales", [table], size, self.table_bits, self.table_block)
        if "table.head" in {name for node in self.nodes for name in node.input}:
            block = self.table_block
            blocks = (shape.vocabulary, shape.width // block, block * self.table_bits // 8)
            self.weights.alias("table.head", "table", blocks)

    def _head(self, hidden: str) -> str:
        shape = self.shape
        if not shape.is_tied:
            precision = "int8" if self.table_bits else self.precision
            logits = self._matmul(hidden, ["lm_head"], precision=precision)
        elif self.table_bits:
            size = (shape.vocabulary, shape.width)
            logits = self._block_matmul(
                hidden, "table.head", "table.scales", size, self.table_bits, self.table_block
            )
        else:
            logits = self._node("FusedMatMul", [hidden, "table"], domain=MICROSOFT, transB=1)
        return self._capped(logits)

    def _judgement(self, hidden: str, tokens: Sequence[int]) -> str:
        """The logit of the first of `tokens`, less that of the second where there are two; always in fp32."""
        table = self.tensors[_EMBEDDING if self.shape.is_tied else "lm_head.weight"]
        rows = self.weights.add("judged", np.asarray(table[list(tokens)], np.float32))
        logits = self._capped(self._node("FusedMatMul", [hidden, rows], domain=MICROSOFT, transB=1))
        if len(tokens) == 1:
            return logits
        signs = self.weights.add("judged.signs", np.array([[1], [-1]], np.float32))
        return self._node("MatMul", [logits, signs])

    def _capped(self, logits: str) -> str:
        if not self.shape.logit_softcap:
            return logits
        cap = self.weights.add("logit_softcap", np.array([self.shape.logit_softcap], np.float32))
        return self._node("Mul", [self._node("Tanh", [self._node("Div", [logits, cap])]), cap])

    def _matmul(self, value: str, names: list[str], precision: str | None = None) -> str:
        """`value` times the weights of `names`, one under the other, plus their biases."""
        precision = precision or self.precision
        parts = [self.tensors[f"{name}.weight"] for name in names]
        rows, columns = sum(len(part) for part in parts), parts[0].shape[1]
        label = "+".join(names)
        if precision in _BITS:
            bits, block = _BITS[precision], fitting_block(columns, self.block)
            if block < BLOCK:
                rest = f"rows of {columns} weights, which blocks of {BLOCK} do not divide"
                raise NotPrepared(f"{label} has {rest}")
            size, scales = (rows, columns), f"{label}.scales"
            self._write_rounded(label, scales, parts, size, bits, block)
            result = self._block_matmul(value, label, scales, size, bits, block)
        else:
            every = chain.from_iterable(pieces(part) for part in parts)
            self.weights.stream(label, np.float32, (rows, columns), every)
            result = self._node("FusedMatMul", [value, label], domain=MICROSOFT, transB=1)
        if f"{names[0]}.bias" in self.tensors:
            bias = np.concatenate([self.tensors.fp32(f"{name}.bias") for name in names])
            result = self._node("Add", [result, self.weights.add(f"{label}.bias", bias)])
        return result

    def _block_matmul(
        self, value: str, matrix: str, scales: str, size: tuple[int, int], bits: int, block: int
    ) -> str:
        self.weights_by_block[block] += size[0] * size[1]
        # Level 4: activations in 8 bits too. Nothing may stand between the weights and this node: onnxruntime
        # then packs them at every token.
        return self._node(
            "MatMulNBits",
            [value, matrix, scales],
            domain=MICROSOFT,
            K=size[1],
            N=size[0],
            bits=bits,
            block_size=block,
            accuracy_level=4,
        )

    def _write_rounded(
        self,
        name: str,
        scales_name: str,
        parts: list[NDArray[Any]],
        size: tuple[int, int],
        bits: int,
        block: int,
    ) -> None:
        rows, columns = size
        scales = []

        def values() -> Iterator[NDArray[Any]]:
            for piece in chain.from_iterable(pieces(part) for part in parts):
                rounded_values, piece_scales = rounded(piece, bits, block)
                scales.append(piece_scales)
                yield rounded_values

        # GatherBlockQuantized wants a table as a matrix, MatMulNBits its weights by blocks.
        is_table = name == "table"
        blocks = (rows, columns * bits // 8) if is_table else (rows, columns // block, block * bits // 8)
        self.weights.stream(name, np.uint8, blocks, values())
        self.weights.add(scales_name, np.concatenate(scales))

    def _normed(self, stream: str, pending: str | None, name: str) -> tuple[str, str]:
        """The norm of `stream` + `pending`, and that sum."""
        if pending is None:
            return self._norm(stream, name), stream
        at = len(self.nodes)
        normed, total = f"normed.{at}", f"stream.{at}"
        self.nodes.append(
            helper.make_node(
                "SkipSimplifiedLayerNormalization",
                [pending, stream, self._norm_weight(name)],
                [normed, "", "", total],
                domain=MICROSOFT,
                epsilon=self.shape.norm_epsilon,
            )
        )
        return normed, total

    def _norm(self, value: str, name: str) -> str:
        weight = self._norm_weight(name)
        return self._node(
            "SimplifiedLayerNormalization", [value, weight], epsilon=self.shape.norm_epsilon, axis=-1
        )

    def _norm_weight(self, name: str) -> str:
        return self.weights.add(name, self.tensors.fp32(name) + np.float32(self.shape.family.norm_offset))

    def _constant(self, name: str, values: list[int]) -> str:
        return self.weights.add(name, np.array(values, np.int64))

    def _node(self, kind: str, inputs: list[str], domain: str = "", **attributes: object) -> str:
        output = f"value.{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], domain=domain, **attributes))
        return output

    def _model(self, output: str, width: int) -> ModelProto:
        shape, info = self.shape, helper.make_tensor_value_info
        inputs = [
            info("input_ids", TensorProto.INT64, ["rows", "new"]),
            info("last", TensorProto.INT32, ["rows"]),
            info("longest", TensorProto.INT32, []),
            info("positions", TensorProto.INT64, ["rows", "asked", 1]),
        ]
        outputs = [info(output, TensorProto.FLOAT, ["rows", "asked", width])]
        for index in range(len(shape.layers)):
            for part in ("key", "value"):
                cache = ["rows", shape.kv_heads, "room", shape.head_size]
                inputs.append(info(f"past.{index}.{part}", TensorProto.FLOAT, cache))
                outputs.append(info(f"present.{index}.{part}", TensorProto.FLOAT, cache))
        graph = helper.make_graph(self.nodes, "decoder", inputs, outputs, list(self.weights.tensors.values()))
        opsets = [helper.make_opsetid("", 21), helper.make_opsetid(MICROSOFT, 1)]
        return helper.make_model(graph, opset_imports=opsets, ir_version=10)
