"""The networks that everybody serves: one that costs nothing, one that costs a core some 5 ms."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

SEED = 20
CLASSES = 10


@dataclass(frozen=True)
class Network:
    """A network by its name, the shape of one row of `x`, and how it is best served.

    `threads` and `instances` are per server: a CNN takes both cores by threads of one session.
    """

    name: str
    words: str
    row: tuple[int, ...]
    threads: int

    def write(self, path: Path) -> int:
        """Writes the ONNX file, and says how many floating-point operations a row takes."""
        layers = _Layers()
        (_mlp if len(self.row) == 1 else _cnn)(layers, self.row)
        graph = helper.make_graph(
            layers.nodes,
            self.name,
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["batch", *self.row])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["batch", CLASSES])],
            layers.constants,
        )
        model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)])
        model.ir_version = 8
        onnx.checker.check_model(model)
        path.write_bytes(model.SerializeToString())
        return layers.operations

    def sample(self) -> np.ndarray:
        """One row, with three decimals: what JSON says of it is what it is."""
        values = np.random.default_rng(SEED).uniform(0, 1, self.row)
        return np.round(values, 3).astype(np.float32)


TINY = Network("tiny", "an MLP of 64-64-10", (64,), threads=1)
CNN = Network("cnn", "a CNN of six convolutions", (3, 32, 32), threads=2)
NETWORKS = (TINY, CNN)


class _Layers:
    """Nodes one after another, with weights that keep the scale of what goes through."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []
        self.operations = 0
        self.last = "x"
        self._rng = np.random.default_rng(SEED)

    def add(self, kind: str, weights: tuple[int, ...] | None = None, **attributes: object) -> None:
        inputs, output = [self.last], f"t{len(self.nodes)}"
        if weights is not None:
            fan_in = weights[0] if len(weights) == 2 else int(np.prod(weights[1:]))
            values = self._rng.normal(0, (2 / fan_in) ** 0.5, weights).astype(np.float32)
            self.constants.append(numpy_helper.from_array(values, f"w{len(self.nodes)}"))
            inputs.append(f"w{len(self.nodes)}")
        self.nodes.append(helper.make_node(kind, inputs, [output], **attributes))
        self.last = output

    def dense(self, rows: int, columns: int) -> None:
        self.add("MatMul", (rows, columns))
        self.operations += 2 * rows * columns

    def convolution(self, before: int, after: int, side: int) -> None:
        self.add("Conv", (after, before, 3, 3), pads=[1, 1, 1, 1])
        self.add("Relu")
        self.operations += 2 * 9 * before * after * side * side

    def end(self) -> None:
        self.nodes[-1].output[0] = "y"


def _mlp(layers: _Layers, row: tuple[int, ...]) -> None:
    layers.dense(row[0], 64)
    layers.add("Relu")
    layers.dense(64, CLASSES)
    layers.end()


def _cnn(layers: _Layers, row: tuple[int, ...]) -> None:
    channels, side, _ = row
    for width, twice in ((64, True), (128, True), (256, False)):
        layers.convolution(channels, width, side)
        if twice:
            layers.convolution(width, width, side)
        layers.add("MaxPool", kernel_shape=[2, 2], strides=[2, 2])
        channels, side = width, side // 2
    layers.convolution(channels, channels // 4, side)
    layers.add("GlobalAveragePool")
    layers.add("Flatten")
    layers.dense(channels // 4, CLASSES)
    layers.end()
