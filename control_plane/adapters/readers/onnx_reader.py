"""Reading an ONNX file: its signature, and whether all it needs is there."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from control_plane.adapters.readers.refusal import RefusedError
from control_plane.domain.signature import MAX_TENSOR_NAME

# ONNX TensorProto.DataType -> KServe v2 datatype.
DATATYPES = {
    1: "FP32",
    2: "UINT8",
    3: "INT8",
    4: "UINT16",
    5: "INT16",
    6: "INT32",
    7: "INT64",
    8: "BYTES",
    9: "BOOL",
    10: "FP16",
    11: "FP64",
    12: "UINT32",
    13: "UINT64",
    16: "BF16",
}


def read_signature(path: Path, files: Mapping[str, Path]) -> dict[str, Any]:
    """The signature document of the model in the file.

    Args:
        files: the other members of its archive, by name, among them its external data.

    Raises:
        RefusedError: not an ONNX model, or one that cannot be served from these files.
    """
    import onnx
    from google.protobuf.message import DecodeError

    try:
        model = onnx.load(str(path), load_external_data=False)
    except (DecodeError, ValueError) as error:
        raise RefusedError(f"not an ONNX file, or cut short: {error}") from error
    except RecursionError as error:
        raise RefusedError("its graphs are nested too deep") from error
    if not model.HasField("graph") or not model.graph.node:
        raise RefusedError("not an ONNX file, or cut short: there is no graph in it")
    try:
        for tensor in _tensors(model):
            if tensor.data_location == onnx.TensorProto.EXTERNAL:
                _check_external(tensor, files)
    except RecursionError as error:
        raise RefusedError("its graphs are nested too deep") from error
    _check_opsets(model)
    model = _checked(model, path, with_data=bool(files))
    initializers = {t.name for t in model.graph.initializer}
    inputs = [_tensor(v) for v in model.graph.input if v.name not in initializers]
    outputs = [_tensor(v) for v in model.graph.output]
    if not inputs or not outputs:
        raise RefusedError("a model that serves has at least one input and one output")
    return {"inputs": inputs, "outputs": outputs}


def _check_opsets(model: Any) -> None:
    """Operators of a set that nobody here knows are not looked at by the checker."""
    import onnx

    newest = {"": onnx.defs.onnx_opset_version(), "ai.onnx": onnx.defs.onnx_opset_version()}
    for opset in model.opset_import:
        known = newest.get(opset.domain)
        if known is not None and not 1 <= opset.version <= known:
            raise RefusedError(
                f"it needs opset {opset.version}, and {known} is the newest here: export it with "
                "an older one"
            )


def _checked(model: Any, path: Path, *, with_data: bool) -> Any:
    """The model with its inferred shapes; the checker has its say about the opset, too."""
    import onnx

    try:
        # By path it follows external data, which has been seen to lie beside the model.
        onnx.checker.check_model(str(path) if with_data else model)
    except Exception as error:  # the checker has several kinds of errors, all of them a no
        raise RefusedError(f"the ONNX checker says no: {error}") from error
    try:
        return onnx.shape_inference.infer_shapes(model, strict_mode=True)
    except Exception as error:  # as above
        raise RefusedError(f"its shapes contradict each other: {error}") from error


def _tensors(model: Any) -> Iterator[Any]:
    """Every constant of the model: those of its graphs, and of graphs and functions inside."""
    yield from _graph_tensors(model.graph)
    for function in model.functions:
        for node in function.node:
            yield from _node_tensors(node)
    for training in model.training_info:
        yield from _graph_tensors(training.initialization)
        yield from _graph_tensors(training.algorithm)


def _graph_tensors(graph: Any) -> Iterator[Any]:
    yield from graph.initializer
    for sparse in graph.sparse_initializer:
        yield from (sparse.values, sparse.indices)
    for node in graph.node:
        yield from _node_tensors(node)


def _node_tensors(node: Any) -> Iterator[Any]:
    for attribute in node.attribute:
        if attribute.HasField("t"):
            yield attribute.t
        yield from attribute.tensors
        sparse = [
            *attribute.sparse_tensors,
            *([attribute.sparse_tensor] if attribute.HasField("sparse_tensor") else []),
        ]
        for one in sparse:
            yield from (one.values, one.indices)
        graphs = [*attribute.graphs, *([attribute.g] if attribute.HasField("g") else [])]
        for graph in graphs:
            yield from _graph_tensors(graph)


def _check_external(tensor: Any, files: Mapping[str, Path]) -> None:
    """External data lies in a member of the same archive, as far as it says it goes.

    Raises:
        RefusedError: it lies elsewhere, or is not all there.
    """
    said = {entry.key: entry.value for entry in tensor.external_data}
    location = said.get("location", "")
    if not files:
        raise RefusedError(
            f"its weights lie in other files ({location[:80]!r}): send a zip or tar of model.onnx "
            "and those files, or save it with all data in one file"
        )
    data = files.get(location.removeprefix("./"))
    if data is None:
        raise RefusedError(
            f"the weights {tensor.name[:80]!r} lie in {location[:200]!r}, which is no file of the "
            f"archive beside model.onnx; there are: {', '.join(sorted(files)[:20])}"
        )
    try:
        offset, length = int(said.get("offset") or 0), int(said.get("length") or 0)
    except ValueError as error:
        raise RefusedError(
            f"the weights {tensor.name[:80]!r} say no number for their place: {error}"
        ) from error
    if offset < 0 or length < 0 or offset + length > data.stat().st_size:
        raise RefusedError(
            f"the weights {tensor.name[:80]!r} go beyond the end of {location[:200]!r}"
        )


def _tensor(value: Any) -> dict[str, Any]:
    if not 0 < len(value.name) <= MAX_TENSOR_NAME or not value.name.isprintable():
        raise RefusedError(
            f"{value.name[:80]!r} cannot name a tensor: that takes 1 to {MAX_TENSOR_NAME} "
            "printable characters"
        )
    kind = value.type.WhichOneof("value")
    if kind != "tensor_type":
        raise RefusedError(f"{value.name!r} is a {kind or 'value without a type'}, not a tensor")
    tensor = value.type.tensor_type
    if tensor.elem_type not in DATATYPES:
        raise RefusedError(f"{value.name!r} has an element type that Triton does not have")
    if not tensor.HasField("shape"):
        raise RefusedError(f"{value.name!r} has no shape: export the model with shapes")
    shape = [d.dim_value if d.HasField("dim_value") else -1 for d in tensor.shape.dim]
    if any(size == 0 or size < -1 for size in shape):
        raise RefusedError(f"{value.name!r} has the shape {shape}: a dimension is -1 or above 0")
    return {"name": value.name, "datatype": DATATYPES[tensor.elem_type], "shape": shape}
