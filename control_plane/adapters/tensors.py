"""Golden examples' tensors as NumPy arrays, and arrays as plain values."""

from __future__ import annotations

import struct
from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from control_plane.domain.registry.golden import GoldenTensor, Value
from control_plane.ports.inference import TensorData

Arrays = Mapping[str, npt.NDArray[Any]]

_TYPES: Mapping[str, Any] = {
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BF16": np.float32,  # NumPy has none: clients send and get it as FP32
    "BOOL": np.bool_,
    "BYTES": np.object_,
}


def array_of(tensor: GoldenTensor) -> npt.NDArray[Any]:
    """The tensor as NumPy has it; texts are Python strings, as ONNX Runtime takes them."""
    kind = _TYPES.get(tensor.datatype) or np.dtype(tensor.datatype.lower())
    return np.array(tensor.values, dtype=kind).reshape(tensor.shape)


def data_of(tensor: GoldenTensor) -> TensorData:
    """The tensor as the v2 protocol's binary form has it."""
    array = array_of(tensor)
    if tensor.datatype == "BYTES":
        texts = [str(value).encode() for value in tensor.values]
        data = b"".join(struct.pack("<I", len(text)) + text for text in texts)
    elif tensor.datatype == "BF16":  # the upper half of an FP32
        data = (array.astype("<f4").view("<u4") >> 16).astype("<u2").tobytes()
    else:
        data = array.astype(array.dtype.newbyteorder("<")).tobytes()
    return TensorData(tensor.name, tensor.datatype, tensor.shape, data)


def values_of(tensor: TensorData) -> list[Value]:
    """The values of a tensor that came back.

    Raises:
        ValueError: its data is not what its datatype has.
    """
    if tensor.datatype == "BYTES":
        return _texts(tensor.data)
    if tensor.datatype == "BF16":
        halves = np.frombuffer(tensor.data, "<u2").astype("<u4") << 16
        return flat(halves.view("<f4"))
    kind = np.dtype(_TYPES.get(tensor.datatype) or tensor.datatype.lower())
    return flat(np.frombuffer(tensor.data, kind.newbyteorder("<")))


def _texts(data: bytes) -> list[Value]:
    found: list[Value] = []
    place = 0
    while place < len(data):
        [length] = struct.unpack_from("<I", data, place) if place + 4 <= len(data) else [len(data)]
        text = data[place + 4 : place + 4 + length]
        if len(text) != length:
            raise ValueError("a text is cut off")
        found.append(text.decode(errors="replace"))
        place += 4 + length
    return found


def flat(array: npt.NDArray[Any]) -> list[Value]:
    """The array's values, row after row, as Python has them."""
    values = array.ravel().tolist()
    return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in values]
