"""Reads one ONNX file and prints what it is, as JSON; run as a process of its own.

    python -m control_plane.adapters.onnx_file signature|load PATH

Untrusted files are read here and nowhere else: a crash or an endless loop in a parser ends
this process, not the one that serves people.
"""

from __future__ import annotations

import json
import resource
import sys
from pathlib import Path
from typing import Any

MEMORY_LIMIT_BYTES = 8 << 30
CPU_LIMIT_S = 120

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


MAX_TENSOR_NAME = 255
"""Characters; clients spell these names in every request."""


class RefusedError(Exception):
    """Why the file is not served."""


def read_signature(path: Path) -> dict[str, Any]:
    """The signature document of the model in the file.

    Raises:
        RefusedError: not an ONNX model, or one that cannot be served from one file.
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
    if any(t.data_location == onnx.TensorProto.EXTERNAL for t in model.graph.initializer):
        raise RefusedError("its weights lie in other files; save it with all data in one file")
    try:
        onnx.checker.check_model(model)
    except Exception as error:  # the checker has several kinds of errors, all of them a no
        raise RefusedError(f"the ONNX checker says no: {error}") from error
    initializers = {t.name for t in model.graph.initializer}
    inputs = [_tensor(v) for v in model.graph.input if v.name not in initializers]
    outputs = [_tensor(v) for v in model.graph.output]
    if not inputs or not outputs:
        raise RefusedError("a model that serves has at least one input and one output")
    return {"inputs": inputs, "outputs": outputs}


def load(path: Path) -> dict[str, Any]:
    """Opens the model with ONNX Runtime.

    Raises:
        RefusedError: the runtime cannot open it.
    """
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    try:
        onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise RefusedError(f"ONNX Runtime cannot load it: {error}") from error
    return {}


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


def main(arguments: list[str]) -> int:
    what, path = arguments
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY_LIMIT_BYTES, MEMORY_LIMIT_BYTES))
    resource.setrlimit(resource.RLIMIT_CPU, (CPU_LIMIT_S, CPU_LIMIT_S))
    try:
        result = {"signature": read_signature, "load": load}[what](Path(path))
    except RefusedError as refusal:
        result = {"refused": str(refusal)}
    print(json.dumps(result))
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
