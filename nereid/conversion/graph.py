"""What is settled in a converter's graph: its inputs, outputs, types and a free batch dimension."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from nereid.conversion.table import MATRIX, Array
from nereid.errors import ConversionError

BATCH = "batch"
_INNER = "nereid_inner_"
_DTYPES = {
    "tensor(float)": np.dtype(np.float32),
    "tensor(double)": np.dtype(np.float64),
    "tensor(int64)": np.dtype(np.int64),
    "tensor(int32)": np.dtype(np.int32),
    "tensor(bool)": np.dtype(np.bool_),
    "tensor(string)": np.dtype(object),
}


def finished(
    model: Any, inputs: Mapping[str, Array], outputs: Sequence[str], *, joined: bool, round_: bool
) -> Any:
    """The model with these inputs, and its first outputs under these names.

    Args:
        joined: the inputs are the columns of the matrix that the model takes.
        round_: trees look at numbers in single precision, as scikit-learn's and XGBoost's do.

    Raises:
        ConversionError: it has fewer outputs.
    """
    import onnx

    if len(model.graph.output) < len(outputs):
        given = ", ".join(output.name for output in model.graph.output)
        raise ConversionError(f"its ONNX form gives {given}, and {', '.join(outputs)} are wanted")
    _say_each_opset_once(model)
    _name_outputs(model.graph, outputs)
    _feed(model.graph, inputs, joined)
    if round_:
        _round_for_trees(model)
    _type_outputs(model)
    for value in [*model.graph.input, *model.graph.output]:
        value.type.tensor_type.shape.dim[0].dim_param = BATCH
    _type_the_rest(model)
    onnx.checker.check_model(model, full_check=True)
    return model


def _say_each_opset_once(model: Any) -> None:
    versions = {one.domain: one.version for one in model.opset_import}
    del model.opset_import[:]
    for domain, version in sorted(versions.items()):
        model.opset_import.add(domain=domain, version=version)


def _name_outputs(graph: Any, names: Sequence[str]) -> None:
    """By nodes of their own: what the converter called them may be a name inside it."""
    from onnx import helper

    kept = list(graph.output)[: len(names)]
    del graph.output[:]
    for output, name in zip(kept, names, strict=True):
        if output.name != name:
            _rename(graph, name, _INNER + name)
            graph.node.append(helper.make_node("Identity", [output.name], [name]))
            output.name = name
        graph.output.append(output)


def _feed(graph: Any, inputs: Mapping[str, Array], joined: bool) -> None:
    """The inputs as callers send them; they are cast, and joined, to what the rest takes."""
    from onnx import helper

    kinds = {value.name: value.type.tensor_type.elem_type for value in graph.input}
    del graph.input[:]
    if joined:  # a column may be called as something inside
        for name in (MATRIX, *inputs):
            _rename(graph, name, _INNER + name)
    nodes, parts = [], []
    for index, (name, array) in enumerate(inputs.items()):
        wanted = kinds[MATRIX if joined else name]
        own = helper.np_dtype_to_tensor_dtype(array.dtype)
        graph.input.append(helper.make_tensor_value_info(name, own, [BATCH, array.shape[1]]))
        parts.append(name)
        if own != wanted:
            parts[-1] = f"nereid_column_{index}"
            nodes.append(helper.make_node("Cast", [name], [parts[-1]], to=wanted))
            if not joined:
                _rename(graph, name, parts[-1])
    if joined:
        nodes.append(helper.make_node("Concat", parts, [_INNER + MATRIX], axis=1))
    _put_first(graph, nodes)


def _round_for_trees(model: Any) -> None:
    """To single precision and back, so that no number falls to the other side of a threshold."""
    from onnx import TensorProto, helper

    kinds = _kinds(model)
    nodes = list(model.graph.node)
    del model.graph.node[:]
    for index, node in enumerate(nodes):
        given = node.input[0] if node.input else ""
        if node.op_type.startswith("TreeEnsemble") and kinds.get(given) == TensorProto.DOUBLE:
            single, node.input[0] = f"nereid_single_{index}", f"nereid_rounded_{index}"
            model.graph.node.extend(
                [
                    helper.make_node("Cast", [given], [single], to=TensorProto.FLOAT),
                    helper.make_node("Cast", [single], [node.input[0]], to=TensorProto.DOUBLE),
                ]
            )
        model.graph.node.append(node)


def _type_outputs(model: Any) -> None:
    """Says of each output the type that its operator gives: converters declare another at times."""
    kinds = _kinds(model)
    del model.graph.value_info[:]
    for output in model.graph.output:
        output.type.tensor_type.elem_type = kinds.get(output.name) or (
            output.type.tensor_type.elem_type
        )


def _type_the_rest(model: Any) -> None:
    """Says the types of what comes out of operators that tell none, such as OneHotEncoder.

    ONNX Runtime knows them; without them a server that infers shapes strictly stops there.
    """
    import onnx
    import onnxruntime

    kinds = _kinds(model)
    made = [name for node in model.graph.node for name in node.output if name]
    unknown = [name for name in made if not kinds.get(name)]
    if not unknown:
        return
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    del probe.graph.output[:]
    probe.graph.output.extend([onnx.ValueInfoProto(name=name) for name in unknown])
    session = onnxruntime.InferenceSession(probe.SerializeToString(), _quiet())
    for found in session.get_outputs():
        kind = onnx.helper.np_dtype_to_tensor_dtype(_DTYPES[found.type])
        model.graph.value_info.append(onnx.helper.make_tensor_value_info(found.name, kind, None))


def _quiet() -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    options.graph_optimization_level = onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL
    return options


def _kinds(model: Any) -> dict[str, int]:
    """The element type of each tensor, as far as operators tell."""
    import onnx

    bare = onnx.ModelProto()
    bare.CopyFrom(model)
    del bare.graph.value_info[:]
    for output in bare.graph.output:
        output.ClearField("type")
    graph = onnx.shape_inference.infer_shapes(bare).graph
    return {
        value.name: value.type.tensor_type.elem_type
        for value in [*graph.input, *graph.value_info, *graph.output]
    }


def _put_first(graph: Any, nodes: Sequence[Any]) -> None:
    rest = list(graph.node)
    del graph.node[:]
    graph.node.extend([*nodes, *rest])


def _rename(graph: Any, old: str, new: str) -> None:
    for node in graph.node:
        for names in (node.input, node.output):
            for index, name in enumerate(names):
                if name == old:
                    names[index] = new
    for value in [*graph.initializer, *graph.value_info, *graph.output]:
        if value.name == old:
            value.name = new
