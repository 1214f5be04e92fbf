"""Opening an ONNX model with the settings that a Triton configuration gives, by NVIDIA's names."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import onnxruntime
from ort_providers import CUDA_PARAMETERS
from settings import PYTHON_BACKEND, SettingError, boolean, integer, parameters

# `optimization { graph { level } }`: what NVIDIA's backend makes of each value; else everything.
_GRAPH_LEVELS = {
    -1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    1: onnxruntime.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    2: onnxruntime.GraphOptimizationLevel.ORT_DISABLE_ALL,
}
_INTEGERS = ("intra_op_thread_count", "inter_op_thread_count", "execution_mode")
_BOOLEANS = ("enable_mem_arena", "enable_mem_pattern")
_SPINNING = "session.intra_op.allow_spinning"
_SHRINKAGE = "memory.enable_memory_arena_shrinkage"
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
    known = {*_INTEGERS, *_BOOLEANS, *CUDA_PARAMETERS, *PYTHON_BACKEND}
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
        if key.startswith(_ENTRIES) and key not in (_SPINNING, _SHRINKAGE):
            options.add_session_config_entry(key, value)
    return options


def register_custom_ops(
    options: onnxruntime.SessionOptions, config: Mapping[str, Any], version_folder: Path
) -> None:
    """Loads the libraries with operators of the model's own.

    Raises:
        SettingError: one is not there, or ONNX Runtime cannot load it.
    """
    for name in config.get("model_operations", {}).get("op_library_filename", ()):
        path = _library_path(name, version_folder)
        try:
            options.register_custom_ops_library(str(path))
        except Exception as error:  # ONNX Runtime's errors share no class of their own
            raise SettingError(
                f"the custom-op library '{name}' cannot be loaded: {error}"
            ) from error


def _library_path(name: str, version_folder: Path) -> Path:
    """Where a library is: in the version's folder, beside it, or by its path from the repository.

    NVIDIA's backend hands the name to the system's loader, which looks from where Triton was
    started; that is the repository, where it is to serve the same configuration. An absolute path
    is that path.
    """
    model_folder = version_folder.parent
    places = [version_folder / name, model_folder / name, model_folder.parent / name]
    return next((place for place in places if place.is_file()), places[0])


def run_options(config: Mapping[str, Any]) -> onnxruntime.RunOptions | None:
    """What is said at every run: which arenas give memory back after it. None: nothing."""
    devices = parameters(config).get(_SHRINKAGE)
    if not devices:
        return None
    options = onnxruntime.RunOptions()
    options.add_run_config_entry(_SHRINKAGE, devices)
    return options


def open_session(
    path: Path, options: onnxruntime.SessionOptions, where: list[Any]
) -> onnxruntime.InferenceSession:
    try:
        return onnxruntime.InferenceSession(str(path), options, providers=where)
    except Exception as error:  # ONNX Runtime's errors share no class of their own
        raise SettingError(f"ONNX Runtime cannot load '{path.name}': {error}") from error
