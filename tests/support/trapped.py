"""A version of the digits sample that fails the requests that a caller marks."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper

MARK = 1000.0
"""A pixel above this springs the trap: no picture has one by itself."""


def trapped(source: Path, target: Path) -> Path:
    """Writes the model with a trap in it; what it answers otherwise is what it answered.

    The largest pixel of the batch says which of one number is taken: the first, or one that is not
    there, at which ONNX Runtime fails the request.
    """
    model = onnx.load(source)
    graph = model.graph
    given, answer = graph.input[0].name, graph.output[0].name
    for node in graph.node:
        for i, name in enumerate(node.output):
            if name == answer:
                node.output[i] = f"{answer}_untrapped"
    graph.initializer.extend(
        [
            helper.make_tensor("trap_mark", TensorProto.FLOAT, [], [MARK]),
            helper.make_tensor("trap_nothing", TensorProto.FLOAT, [1], [0.0]),
        ]
    )
    graph.node.extend(
        [
            helper.make_node("ReduceMax", [given], ["trap_largest"], keepdims=0),
            helper.make_node("Greater", ["trap_largest", "trap_mark"], ["trap_sprung"]),
            helper.make_node("Cast", ["trap_sprung"], ["trap_index"], to=TensorProto.INT64),
            helper.make_node("Gather", ["trap_nothing", "trap_index"], ["trap_zero"]),
            helper.make_node("Add", [f"{answer}_untrapped", "trap_zero"], [answer]),
        ]
    )
    onnx.checker.check_model(model)
    target.parent.mkdir(parents=True, exist_ok=True)
    onnx.save(model, target)
    return target
