"""Which settings an uploaded model may bring along: an allow-list, because settings load code.

Nereid compiles the configuration that serves by itself. What an upload's config.pbtxt says of
tensors is its signature; its parameters have to be known here; the rest of it is refused, so that
nobody believes it was obeyed. An operator adds to the lists (`allowed_parameters`).
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from control_plane.domain.registry.allowed_parameters import how_to_allow, in_force
from control_plane.domain.registry.frameworks import AGENT, CUSTOM, ENVIRONMENT, LIBRARY
from control_plane.domain.signature import DATATYPES, MAX_TENSOR_NAME

BACKENDS = {
    "onnx": ("onnxruntime", "onnxruntime_onnx"),
    "pytorch": ("pytorch", "pytorch_libtorch"),
    "python": ("python",),
    "transform": ("transform",),
    "tensorrt": ("tensorrt", "tensorrt_plan"),
    "tensorflow": ("tensorflow", "tensorflow_savedmodel", "tensorflow_graphdef"),
    "openvino": ("openvino",),
    "vllm": ("vllm",),
    "dali": ("dali",),
    "custom": (),
    "remote": ("remote",),
}

PARAMETERS = {
    "onnx": frozenset(
        {
            "intra_op_thread_count",
            "inter_op_thread_count",
            "execution_mode",
            "enable_mem_arena",
            "enable_mem_pattern",
            "memory.enable_memory_arena_shrinkage",
            "cudnn_conv_algo_search",
            "cudnn_conv_use_max_workspace",
            "gpu_mem_limit",
            "arena_extend_strategy",
            "do_copy_in_default_stream",
        }
    ),
    "pytorch": frozenset(
        {
            "DISABLE_OPTIMIZED_EXECUTION",
            "INFERENCE_MODE",
            "ENABLE_NVFUSER",
            "ENABLE_WEIGHT_SHARING",
            "ENABLE_CACHE_CLEANING",
            "INTER_OP_THREAD_COUNT",
            "INTRA_OP_THREAD_COUNT",
        }
    ),
    "python": frozenset({"EXECUTION_ENV_PATH", "FORCE_CPU_ONLY_INPUT_TENSORS"}),
    "transform": frozenset(),
    "tensorrt": frozenset({"execution_context_allocation_strategy"}),
    "tensorflow": frozenset(
        {
            "TF_NUM_INTRA_THREADS",
            "TF_NUM_INTER_THREADS",
            "TF_USE_PER_SESSION_THREADS",
            "TF_GRAPH_TAG",
            "TF_SIGNATURE_DEF",
            "MAX_SESSION_SHARE_COUNT",
        }
    ),
    # Not CPU_EXTENSION_PATH, which is a library.
    "openvino": frozenset(
        {
            "INFERENCE_NUM_THREADS",
            "COMPILATION_NUM_THREADS",
            "HINT_BF16",
            "NUM_STREAMS",
            "SKIP_OV_DYNAMIC_BATCHSIZE",
            "ENABLE_BATCH_PADDING",
            "RESHAPE_IO_LAYERS",
        }
    ),
    "vllm": frozenset({"REPORT_CUSTOM_METRICS"}),
    "dali": frozenset({"num_threads"}),
    "custom": frozenset(),
    "remote": frozenset(),
}

_OWN = re.compile(r"(?!(?:LD|DYLD)_)[A-Za-z][A-Za-z0-9_.-]{0,62}")
"""What a Python model, or one of a backend of its own, may call parameters: it is code, and does
with them what it likes.
Words of the dynamic loader are none that a model needs.
"""

_KNOWN = frozenset(
    {
        *("name", "backend", "platform", "max_batch_size", "input", "output", "parameters"),
        *("model_repository_agents", "model_operations", "default_model_filename"),
    }
)
_CARRIED = ("model_operations", "model_repository_agents")
_ENVIRONMENT = re.compile(r"(?:\$\$TRITON_MODEL_DIRECTORY/)?([^/$]+\.(?:tar\.gz|tgz))")
_MAX_VALUE = 4096


class ConfigRefusedError(ValueError):
    """It sets what an upload may not set; the message names it."""


def signature_of(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """The signature document that input, output and max_batch_size amount to; None without both.

    Raises:
        ConfigRefusedError: a tensor has a type or shape that cannot be.
    """
    if not values.get("input") or not values.get("output"):
        return None
    batched = int(values.get("max_batch_size", 0)) > 0
    return {
        "inputs": [_tensor(entry, batched) for entry in values["input"]],
        "outputs": [_tensor(entry, batched) for entry in values["output"]],
    }


def code_of(values: Mapping[str, Any], framework: str, names: Collection[str]) -> tuple[str, ...]:
    """What the configuration names that can carry code, in words, after all of it was checked.

    Args:
        names: the members of the archive.

    Raises:
        ConfigRefusedError: a setting that is not on the list, or one that points elsewhere.
    """
    if unknown := sorted(values.keys() - _KNOWN):
        raise ConfigRefusedError(
            f"{unknown[0]!r} is nothing that an upload sets; batching, instances and the rest "
            "come from the serving profile"
        )
    for key in ("backend", "platform"):
        said = values.get(key)
        if said and framework != CUSTOM and said not in BACKENDS[framework]:
            raise ConfigRefusedError(f"{key} {said!r} does not serve the framework {framework}")
    found = [AGENT] if values.get("model_repository_agents") else []
    for library in values.get("model_operations", {}).get("op_library_filename", ()):
        if library not in names:
            raise ConfigRefusedError(f"the library {library[:200]!r} is no file of the archive")
        found.append(LIBRARY)
    return (*found, *_parameters(values.get("parameters", {}), framework, names))


def parameters_in(
    values: Mapping[str, Any], framework: str, names: Collection[str]
) -> dict[str, str]:
    """The parameters of a model's configuration, checked.

    Args:
        names: the files that come with the model.

    Raises:
        ConfigRefusedError: one is not on the list, or names a file that is not there.
    """
    list(_parameters(values.get("parameters", {}), framework, names))
    return parameters_of(values)


def parameters_of(values: Mapping[str, Any]) -> dict[str, str]:
    """What the backend is told of the model, after `code_of` found nothing to refuse.

    An execution environment lies beside the model's other files, in its version's folder.
    """
    found = {
        name: str(entry.get("string_value", ""))
        for name, entry in values.get("parameters", {}).items()
    }
    if match := _ENVIRONMENT.fullmatch(found.get("EXECUTION_ENV_PATH", "")):
        found["EXECUTION_ENV_PATH"] = f"$$TRITON_MODEL_DIRECTORY/1/{match[1]}"
    return found


def details_of(values: Mapping[str, Any], framework: str) -> dict[str, Any]:
    """What goes with the version as it stands, after `code_of` found nothing to refuse."""
    found = {key: values[key] for key in _CARRIED if values.get(key)}
    return found | ({"backend": values.get("backend", "")} if framework == CUSTOM else {})


def _parameters(
    parameters: Mapping[str, Any], framework: str, names: Collection[str]
) -> Iterable[str]:
    for name, entry in sorted(parameters.items()):
        value = str(entry.get("string_value", ""))
        own = framework in ("python", CUSTOM) and _OWN.fullmatch(name)
        if name not in PARAMETERS[framework] and not own and not in_force().names(framework, name):
            known = ", ".join(sorted(PARAMETERS[framework])) or "none"
            raise ConfigRefusedError(
                f"the parameter {name[:80]!r} is not on the list for {framework} ({known}); "
                f"{how_to_allow(framework, name)}"
            )
        if len(value) > _MAX_VALUE:
            raise ConfigRefusedError(f"the parameter {name!r} has over {_MAX_VALUE} characters")
        if name == "EXECUTION_ENV_PATH":
            match = _ENVIRONMENT.fullmatch(value)
            if match is None or match[1] not in names:
                raise ConfigRefusedError(
                    f"EXECUTION_ENV_PATH {value[:200]!r} names no *.tar.gz of the archive; write "
                    "$$TRITON_MODEL_DIRECTORY/NAME.tar.gz"
                )
            yield ENVIRONMENT


def _tensor(entry: Mapping[str, Any], batched: bool) -> dict[str, Any]:
    name = str(entry.get("name", ""))
    if not 0 < len(name) <= MAX_TENSOR_NAME or not name.isprintable():
        raise ConfigRefusedError(f"{name[:80]!r} cannot name a tensor")
    kind = str(entry.get("data_type", "TYPE_INVALID")).removeprefix("TYPE_")
    datatype = "BYTES" if kind == "STRING" else kind
    if datatype not in DATATYPES:
        raise ConfigRefusedError(f"{name!r} has the data_type {kind!r}, which is none")
    shape = entry["reshape"].get("shape", []) if "reshape" in entry else entry.get("dims", [])
    dims = [int(size) for size in shape]
    if any(size == 0 or size < -1 for size in dims):
        raise ConfigRefusedError(f"{name!r} has the dims {dims}: a dimension is -1 or above 0")
    return {"name": name, "datatype": datatype, "shape": [*([-1] if batched else []), *dims]}
