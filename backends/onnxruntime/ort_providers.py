"""Where a model runs: the execution providers that a configuration asks for, by NVIDIA's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import onnxruntime
from settings import SettingError, parameters

CUDA_PARAMETERS = (
    "cudnn_conv_algo_search",
    "cudnn_conv_use_max_workspace",
    "gpu_mem_limit",
    "arena_extend_strategy",
    "do_copy_in_default_stream",
)
"""NVIDIA's parameters of a model for its CUDA provider, by the names that the one here has."""

_CPU, _CUDA = "CPUExecutionProvider", "CUDAExecutionProvider"
_ACCELERATORS = {
    "gpu_execution_accelerator": {"tensorrt": "TensorrtExecutionProvider", "cuda": _CUDA},
    "cpu_execution_accelerator": {"openvino": "OpenVINOExecutionProvider"},
}
# NVIDIA's backend takes the numbers of ONNX Runtime's C interface, Python's takes its words.
_WORDS = {
    "cudnn_conv_algo_search": {"0": "EXHAUSTIVE", "1": "HEURISTIC", "2": "DEFAULT"},
    "arena_extend_strategy": {"0": "kNextPowerOfTwo", "1": "kSameAsRequested"},
}
_TENSORRT = {
    "max_workspace_size_bytes": "trt_max_workspace_size",
    "int8_calibration_table_name": "trt_int8_calibration_table_name",
    "int8_use_native_calibration_table": "trt_int8_use_native_calibration_table",
}
_PRECISIONS = {"FP32": {}, "FP16": {"trt_fp16_enable": "1"}, "INT8": {"trt_int8_enable": "1"}}


def providers(
    config: Mapping[str, Any],
    kind: str,
    device_id: int,
    warn: Callable[[str], None],
    available: Callable[[], list[str]] = onnxruntime.get_available_providers,
) -> list[Any]:
    """ONNX Runtime's providers for an instance, the preferred first; the CPU's is always the last.

    Accelerators for GPUs count on GPUs only. An instance on a GPU goes to the CPU with a warning
    where this ONNX Runtime has no CUDA.

    Raises:
        SettingError: an accelerator that is unknown, or that this ONNX Runtime does not have.
    """
    there = available()
    found: list[Any] = []
    if kind == "GPU":
        found += _accelerators(config, "gpu_execution_accelerator", device_id, there)
        if _CUDA not in there:
            warn("an instance on a GPU is asked for, and this ONNX Runtime has no CUDA: it is on "
                 "the CPU")  # fmt: skip
        elif _CUDA not in (name for name, _ in found):
            found.append((_CUDA, _cuda(parameters(config), device_id)))
    found += _accelerators(config, "cpu_execution_accelerator", device_id, there)
    return [*found, _CPU]


def _accelerators(
    config: Mapping[str, Any], field: str, device_id: int, there: list[str]
) -> list[tuple[str, dict[str, Any]]]:
    asked = config.get("optimization", {}).get("execution_accelerators", {}).get(field, ())
    return [_accelerator(one, field, config, device_id, there) for one in asked]


def _accelerator(
    asked: Mapping[str, Any],
    field: str,
    config: Mapping[str, Any],
    device_id: int,
    there: list[str],
) -> tuple[str, dict[str, Any]]:
    name, given = asked["name"], asked.get("parameters", {})
    known = _ACCELERATORS[field]
    if name not in known:
        raise SettingError(f"{field} {name!r} is not known; there is: {', '.join(known)}")
    provider = known[name]
    if provider not in there:
        raise SettingError(
            f"the accelerator {name!r} needs ONNX Runtime with {provider}, and the one on this "
            f"server has {', '.join(there)}: leave it out, or install the package that has it"
        )
    if name == "tensorrt":
        return provider, _tensorrt(given, device_id)
    if name == "cuda":
        return provider, _cuda(parameters(config) | given, device_id)
    return provider, dict(given)


def _cuda(given: Mapping[str, str], device_id: int) -> dict[str, Any]:
    chosen = {key: given[key] for key in CUDA_PARAMETERS if key in given}
    for key, words in _WORDS.items():
        if key in chosen:
            chosen[key] = words.get(chosen[key], chosen[key])
    return {"device_id": device_id, **chosen}


def _tensorrt(given: Mapping[str, str], device_id: int) -> dict[str, Any]:
    precision = given.get("precision_mode", "FP32")
    if precision not in _PRECISIONS:
        raise SettingError(
            f"the accelerator tensorrt's precision_mode is {', '.join(_PRECISIONS)}, not "
            f"{precision!r}"
        )
    rest = {
        _TENSORRT.get(key, key): value for key, value in given.items() if key != "precision_mode"
    }
    return {"device_id": device_id, **_PRECISIONS[precision], **rest}
