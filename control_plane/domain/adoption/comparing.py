"""Whether two model configurations mean the same to Triton, and where they do not.

Configurations are values in the JSON form of Triton's ModelConfig message. What a person writes,
what protobuf prints and what Nereid compiles differ in what is left out; Triton reads the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.planning.model_config import BACKENDS
from control_plane.domain.registry.frameworks import MAIN_FILES
from control_plane.domain.stored_json import pointer_part

PLATFORMS = {
    "onnxruntime_onnx": "onnxruntime",
    "pytorch_libtorch": "pytorch",
    "tensorrt_plan": "tensorrt",
    "tensorflow_savedmodel": "tensorflow",
    "tensorflow_graphdef": "tensorflow",
}
"""Older names of backends, which Triton still takes."""

_MAX_DIGITS = 20
"""Of the largest number of 64 bits."""

IDLE_MICROSECONDS = 1_000_000
"""A sequence's idle time where the configuration says none."""

DEFAULT_CPU_INSTANCES = {"onnxruntime": 2, "tensorflow": 2}
"""Triton starts so many instances on a CPU where nothing is said; one of all others."""

_DEFAULT_WORDS = frozenset(
    {
        *("TYPE_INVALID", "FORMAT_NONE", "KIND_AUTO", "PRIORITY_DEFAULT", "REJECT", "KIND_NVDLA"),
        *("CONTROL_SEQUENCE_START", "BATCH_ELEMENT_COUNT", "BATCH_SCATTER_WITH_INPUT_SHAPE"),
    }
)
"""The first word of each enumeration: protobuf leaves it out."""

_PRESENT = frozenset(
    {
        *("dynamic_batching", "sequence_batching", "direct", "oldest", "reshape", "all"),
        *("input_pinned_memory", "output_pinned_memory", "ensemble_scheduling"),
    }
)
"""Messages that say something by being there, however empty."""


@dataclass(frozen=True)
class Difference:
    """One place where two configurations say different things; None: it is not said."""

    pointer: str
    one: Any
    other: Any


def differences(one: Mapping[str, Any], other: Mapping[str, Any]) -> list[Difference]:
    """Where Triton would read `other` otherwise than `one`, in the order of the words."""
    return list(_differing(normalised(one), normalised(other), ""))


def normalised(values: Mapping[str, Any]) -> dict[str, Any]:
    """The configuration with what Triton fills in, and without what it would fill in anyway.

    The name is left out: it is that of the directory.
    """
    found: dict[str, Any] = _plain({k: v for k, v in values.items() if k != "name"})
    platform = str(found.pop("platform", ""))
    if platform == "ensemble":
        found["platform"] = platform
    elif platform:
        found.setdefault("backend", PLATFORMS.get(platform, platform))
    backend = str(found.get("backend", ""))
    if own_platform(platform, backend):
        found["platform"] = platform
    if found.get("default_model_filename") in usual_files(backend):
        found.pop("default_model_filename")
    for side in ("input", "output"):
        tensors = sorted(found.get(side, ()), key=lambda tensor: str(tensor.get("name")))
        if tensors:
            found[side] = tensors
    found.setdefault("version_policy", {"latest": {"num_versions": 1}})
    if "ensemble_scheduling" not in found:
        default = DEFAULT_CPU_INSTANCES.get(backend, 1)
        groups = found.get("instance_group") or [{}]
        found["instance_group"] = [_group(group, default) for group in groups]
    if "sequence_batching" in found:
        found["sequence_batching"] = _sequences(found["sequence_batching"])
    if "model_operations" in found:
        # The path to a library depends on where Triton is started: the name tells which it is.
        libraries = found["model_operations"].get("op_library_filename", ())
        named = [str(one).rpartition("/")[2] for one in libraries]
        found["model_operations"] = {"op_library_filename": named}
    for request in found.get("model_warmup", ()):
        request.setdefault("count", 1)
    return found


def own_platform(platform: str, backend: str) -> bool:
    """True where it tells the backend something, and is not only its name or file's kind."""
    return platform not in ("", "ensemble", backend) and platform not in PLATFORMS


def usual_files(backend: str) -> tuple[str, ...]:
    """What a backend calls its model's file, or folder, where the configuration does not say."""
    for framework, name in BACKENDS.items():
        if name == backend:
            names = MAIN_FILES[framework]
            # A program of torch.export has to be named: Triton looks for model.pt.
            found = names[:1] if framework == "pytorch" else names
            return tuple(one.partition("/")[0] for one in found)
    return ()


def _group(group: Mapping[str, Any], default: int) -> dict[str, Any]:
    on_cpu = group.get("kind") in (None, "KIND_CPU") and not group.get("gpus")
    return {**group, "count": group.get("count") or (default if on_cpu else 1)}


def _sequences(batching: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(batching)
    found.setdefault("max_sequence_idle_microseconds", IDLE_MICROSECONDS)
    if "oldest" not in found:
        found.setdefault("direct", {})
    if "state" in found:
        found["state"] = [_state(state) for state in found["state"]]
    return found


def _state(state: Mapping[str, Any]) -> dict[str, Any]:
    """Zeros are what a state begins with unless a file is named; Nereid says so, others may not."""
    first = [one for one in state.get("initial_state", ()) if "data_file" in one]
    return {**{k: v for k, v in state.items() if k != "initial_state"}, "initial_state": first}


def _plain(value: Any, key: str = "") -> Any:
    """Without defaults, and with whole numbers as numbers (protobuf's JSON has texts)."""
    if isinstance(value, Mapping):
        parts = {str(k): _plain(v, str(k)) for k, v in value.items()}
        kept = _PRESENT if key != "parameters" else frozenset(parts)
        return {k: v for k, v in parts.items() if k in kept or not _is_default(v)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    if isinstance(value, str) and key != "string_value":
        return int(value) if _is_whole(value) else value
    if isinstance(value, float) and value.is_integer():
        return int(value)
    return value


def _is_whole(text: str) -> bool:
    digits = text.removeprefix("-")
    # No number of a configuration has more digits, and Python reads no text of thousands.
    if len(digits) > _MAX_DIGITS or not (digits.isascii() and digits.isdecimal()):
        return False
    return str(int(digits)) == digits


def _is_default(value: Any) -> bool:
    if isinstance(value, str):
        return not value or value in _DEFAULT_WORDS
    return value in (0, None, False) or value in ({}, [])


def _differing(one: Any, other: Any, where: str) -> Iterator[Difference]:
    if isinstance(one, Mapping) and isinstance(other, Mapping):
        for key in sorted(one.keys() | other.keys()):
            place = f"{where}/{pointer_part(key)}"
            yield from _differing(one.get(key), other.get(key), place)
    elif isinstance(one, list) and isinstance(other, list) and len(one) == len(other):
        for i, (left, right) in enumerate(zip(one, other, strict=True)):
            yield from _differing(left, right, f"{where}/{i}")
    elif one != other:
        yield Difference(where, one, other)
