"""Opening an ONNX model with the settings that a Triton configuration gives, by NVIDIA's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from settings import PYTHON_BACKEND, SettingError, boolean, integer, parameters

# `optimization { graph { level } }`: what NVIDIA's backend makes of each value; else everything.
_GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_INTEGERS = ("intra_op_thread_count", "inter_op_thread_count", "execution_mode")
_BOOLEANS = ("enable_mem_arena", "enable_mem_pattern")
# NVIDIA's parameters for its CUDA provider, passed on to the one here by the same names.
_CUDA = (
    "cudnn_conv_algo_search",
    "gpu_mem_limit",
    "arena_extend_strategy",
    "do_copy_in_default_stream",
)
_SPINNING = "session.intra_op.allow_spinning"
# Handed to ONNX Runtime as they are: its own names of session settings.
_ENTRIES = ("session.", "optimization.", "memory.", "ep.")


def model_path(config: Mapping[str, Any], version_folder: Path) -> Path:
    """The ONNX file: the configured name or model.onnx; inside, where that is a folder."""
    path = version_folder / (config.get("default_model_filename") or "model.onnx")
    if path.is_dir():
        path = path / "model.onnx"
    if not path.is_file():
        raise SettingError(f"unable to find '{path}'")
    return path


def session_options(
    config: Mapping[str, Any], warn: Callable[[str], None]
) -> onnxruntime.SessionOptions:
    """The session's settings; a parameter nobody knows is named in a warning and does nothing."""
    given = parameters(config)
    numbers = {key: integer(key, given[key]) for key in _INTEGERS if key in given}
    switches = {key: boolean(key, given[key]) for key in _BOOLEANS if key in given}
    known = {*_INTEGERS, *_BOOLEANS, *_CUDA, *PYTHON_BACKEND}
    unknown = sorted(key for key in given if key not in known and not key.startswith(_ENTRIES))
    if unknown:
        warn(f"these parameters have no meaning here and are ignored: {', '.join(unknown)}")

    options = onnxruntime.SessionOptions()
    level = int(config.get("optimization", {}).get("graph", {}).get("level", 0))
    options.graph_optimization_level = _GRAPH_LEVELS.get(
        level, onnxruntime.GraphOptimizationLevel.ORT_ENABLE_ALL
    )
    mode = numbers.get("execution_mode", 0)
    if mode not in (0, 1):
        raise SettingError(f"parameter execution_mode must be 0 or 1, not {mode}")
    if mode == 1:
        options.execution_mode = onnxruntime.ExecutionMode.ORT_PARALLEL
    # 0 means "choose for me", to the official backend and to ONNX Runtime alike.
    options.intra_op_num_threads = max(0, numbers.get("intra_op_thread_count", 0))
    options.inter_op_num_threads = max(0, numbers.get("inter_op_thread_count", 0))
    options.enable_cpu_mem_arena = switches.get("enable_mem_arena", True)
    options.enable_mem_pattern = switches.get("enable_mem_pattern", True)
    # Every model instance is a process of its own here: threads that spin while they wait would
    # take the cores from the other models.
    options.add_session_config_entry(_SPINNING, given.get(_SPINNING, "0"))
    for key, value in given.items():
        if key.startswith(_ENTRIES) and key != _SPINNING:
            options.add_session_config_entry(key, value)
    return options


def providers(
    config: Mapping[str, Any], kind: str, device_id: int, warn: Callable[[str], None]
) -> list[Any]:
    """Where the model runs: the instance's GPU if this ONNX Runtime can use one, else the CPU."""
    accelerators = config.get("optimization", {}).get("execution_accelerators", {})
    if any(accelerators.values()):
        raise SettingError(
            "execution_accelerators need NVIDIA's native backend: "
            "this server runs the Python-based one"
        )
    if kind != "GPU":
        return ["CPUExecutionProvider"]
    if "CUDAExecutionProvider" not in onnxruntime.get_available_providers():
        warn("an instance on a GPU is asked for, but this ONNX Runtime has no CUDA: using the CPU")
        return ["CPUExecutionProvider"]
    given = parameters(config)
    settings = {"device_id": device_id} | {key: given[key] for key in _CUDA if key in given}
    return [("CUDAExecutionProvider", settings), "CPUExecutionProvider"]


def open_session(
    path: Path, options: onnxruntime.SessionOptions, where: list[Any]
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=where)
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        raise SettingError(f"ONNX Runtime cannot load '{path.name}': {error}") from error
