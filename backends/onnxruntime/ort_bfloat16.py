"""BF16, which NumPy does not have: carried as the 16 bits of each number.

Triton hands such tensors over by DLPack only, and ONNX Runtime takes and gives them only in values
of its own.
"""

from __future__ import annotations

import ctypes
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import onnxruntime
import triton_python_backend_utils as pb_utils
from ort_signature import MismatchError, Signature

_ONNX_BFLOAT16 = 16  # TensorProto.BFLOAT16
_NAME = "tensor(bfloat16)"
_Value = onnxruntime.capi.onnxruntime_pybind11_state.OrtValue


def read(tensor: Any) -> np.ndarray:
    """The bits of Triton's tensor, as UINT16."""
    return _bits(_Value.from_dlpack(tensor.to_dlpack()))


def write(name: str, bits: np.ndarray) -> Any:
    """Triton's tensor of these bits."""
    value = _ort_value(np.ascontiguousarray(bits))
    return pb_utils.Tensor.from_dlpack(name, value._ortvalue.to_dlpack())


def check(signature: Signature) -> None:
    """Refuses what ONNX Runtime's Python interface cannot run.

    Raises:
        MismatchError: the model gives BF16 and has texts beside it.
    """
    tensors = (*signature.takes, *signature.outputs)
    if any(info.data_type == "TYPE_BF16" for info in signature.outputs) and any(
        info.data_type == "TYPE_STRING" for info in tensors
    ):
        raise MismatchError(
            "the model gives BF16 and has texts beside it: that needs NVIDIA's native backend"
        )


def run(
    session: Any,
    wanted: Sequence[str],
    inputs: Mapping[str, np.ndarray],
    signature: Signature,
    options: Any,
) -> list[np.ndarray]:
    """One call of a session with BF16 among its tensors."""
    halves = {i.name for i in (*signature.takes, *signature.outputs) if i.data_type == "TYPE_BF16"}
    given = {name: _ort_value(v) if name in halves else v for name, v in inputs.items()}
    if not halves.intersection(wanted):
        return session.run(wanted, given, options)
    binding = session.io_binding()
    for name, value in given.items():
        if name in halves:
            binding.bind_ortvalue_input(name, value)
        else:
            binding.bind_cpu_input(name, value)
    for name in wanted:
        binding.bind_output(name)
    session.run_with_iobinding(binding, options)
    return [
        _bits(value._ortvalue) if value.data_type() == _NAME else value.numpy()
        for value in binding.get_outputs()
    ]


def _ort_value(bits: np.ndarray) -> Any:
    return onnxruntime.OrtValue.ortvalue_from_numpy_with_onnx_type(
        np.ascontiguousarray(bits), _ONNX_BFLOAT16
    )


def _bits(value: Any) -> np.ndarray:
    shape = tuple(value.shape())
    bits = np.empty(shape, np.uint16)
    ctypes.memmove(bits.ctypes.data, value.data_ptr(), bits.nbytes)
    return bits
