"""Golden examples' tensors as NumPy arrays, and arrays as plain values."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import numpy.typing as npt

from control_plane.domain.registry.golden import GoldenTensor, Value

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


def flat(array: npt.NDArray[Any]) -> list[Value]:
    """The array's values, row after row, as Python has them."""
    values = array.ravel().tolist()
    return [v.decode(errors="replace") if isinstance(v, bytes) else v for v in values]
