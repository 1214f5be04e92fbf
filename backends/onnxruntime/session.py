"""The native backend's parameters as onnxruntime's session options."""

from __future__ import annotations

import onnxruntime as ort

ORT_TO_TRITON = {
    "tensor(bool)": "TYPE_BOOL",
    "tensor(uint8)": "TYPE_UINT8",
    "tensor(uint16)": "TYPE_UINT16",
    "tensor(uint32)": "TYPE_UINT32",
    "tensor(uint64)": "TYPE_UINT64",
    "tensor(int8)": "TYPE_INT8",
    "tensor(int16)": "TYPE_INT16",
    "tensor(int32)": "TYPE_INT32",
    "tensor(int64)": "TYPE_INT64",
    "tensor(float16)": "TYPE_FP16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}

_GRAPH_LEVELS = {
    "-1": ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
    "0": ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    "1": ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
    "2": ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
}

# Everything else with a dot is handed to onnxruntime as it is, as the native backend does.
_CONFIG_ENTRY_PREFIXES = ("session.", "memory.", "optimization.", "ep.")


class ModelConfigError(ValueError):
    """The configuration asks for what this backend cannot do."""


def session_options(config):
    """Session options from `parameters` and `optimization.graph.level`.

    Raises:
        ModelConfigError: an unknown parameter, or a value that makes no sense; it is named.
    """
    options = ort.SessionOptions()
    # A stub shares its cores with Triton and its neighbours: idle threads sleep.
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    level = str(config.get("optimization", {}).get("graph", {}).get("level", 0))
    if level not in _GRAPH_LEVELS:
        raise ModelConfigError(f"optimization.graph.level is {level}; known are -1, 0, 1 and 2")
    options.graph_optimization_level = _GRAPH_LEVELS[level]
    for name, value in config.get("parameters", {}).items():
        _apply(options, name, value["string_value"])
    return options


def _apply(options, name, value):
    if name == "intra_op_thread_count":
        options.intra_op_num_threads = _count(name, value)
    elif name == "inter_op_thread_count":
        options.inter_op_num_threads = _count(name, value)
    elif name == "execution_mode":
        parallel = _one_of(name, value, ("0", "1")) == "1"
        modes = ort.ExecutionMode
        options.execution_mode = modes.ORT_PARALLEL if parallel else modes.ORT_SEQUENTIAL
    elif name == "enable_mem_arena":
        options.enable_cpu_mem_arena = _one_of(name, value, ("0", "1")) == "1"
    elif name == "enable_mem_pattern":
        options.enable_mem_pattern = _one_of(name, value, ("0", "1")) == "1"
    elif name.startswith(_CONFIG_ENTRY_PREFIXES):
        options.add_session_config_entry(name, value)
    else:
        raise ModelConfigError(
            f"unknown parameter {name!r}; known are intra_op_thread_count, "
            "inter_op_thread_count, execution_mode, enable_mem_arena, enable_mem_pattern and "
            f"those that begin with {', '.join(_CONFIG_ENTRY_PREFIXES)}"
        )


def _count(name, value):
    if not value.isdigit():
        raise ModelConfigError(f"parameter {name} is {value!r}, not a number of threads")
    return int(value)


def _one_of(name, value, known):
    if value not in known:
        raise ModelConfigError(f"parameter {name} is {value!r}; known are {', '.join(known)}")
    return value
