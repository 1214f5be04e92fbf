"""Triton's configuration as Nereid's three parts: signature, serving profile and details."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from typing import Any

from control_plane.domain.adoption.comparing import DEFAULT_CPU_INSTANCES, own_platform
from control_plane.domain.pipelines.ensemble_words import EnsembleWords
from control_plane.domain.registry.frameworks import CUSTOM

AUTO_MAX_BATCH = 4
"""What Triton takes for a batching model whose configuration names no size."""

SERVING = (
    "max_batch_size",
    "dynamic_batching",
    "sequence_batching",
    "instance_group",
    "optimization",
    "response_cache",
    "model_transaction_policy",
    "metric_tags",
    "model_metrics",
)
"""What a serving profile says, in the same words."""

CARRIED = (
    "default_model_filename",
    "cc_model_filenames",
    "runtime",
    "model_operations",
    "model_repository_agents",
)
"""What goes with each version as it stands."""

_CONTROL_TYPES = {
    "int32_false_true": "INT32",
    "fp32_false_true": "FP32",
    "bool_false_true": "BOOL",
}
_WHOLE = frozenset(
    {
        *("max_queue_delay_microseconds", "priority_levels", "default_priority_level"),
        *("default_timeout_microseconds", "max_sequence_idle_microseconds", "dims", "dim"),
        *("device_id", "versions"),
    }
)
"""Numbers of 64 bits: protobuf's JSON has them as texts."""


def profile_document(values: Mapping[str, Any], backend: str, *, completed: bool) -> dict[str, Any]:
    """The serving profile that says what the configuration says of serving.

    Args:
        values: the configuration, as protobuf's JSON has it.
        backend: by its present name.
        completed: Triton fills in what it does not say of tensors, and then batches, too.
    """
    found = {key: _numbers(values[key]) for key in SERVING if key in values}
    if completed and not found.get("max_batch_size"):
        found["max_batch_size"] = AUTO_MAX_BATCH
        if "sequence_batching" not in found:
            found.setdefault("dynamic_batching", {})
    groups = found.get("instance_group") or [{}]
    found["instance_group"] = [_group(group, backend) for group in groups]
    if "sequence_batching" in found:
        found["sequence_batching"] = _sequences(found["sequence_batching"])
    if not found.get("response_cache", {}).get("enable"):
        found.pop("response_cache", None)
    if not found.get("model_transaction_policy"):
        found.pop("model_transaction_policy", None)
    for memory in ("input_pinned_memory", "output_pinned_memory"):
        if memory in found.get("optimization", {}):
            found["optimization"][memory].setdefault("enable", False)
    return found


def details_document(
    values: Mapping[str, Any], framework: str, backend: str, usual: Collection[str] = ()
) -> dict[str, Any]:
    """What the configuration says of the model beside its signature and serving.

    Args:
        usual: what the model's file is called where nothing is said.
    """
    found: dict[str, Any] = {key: values[key] for key in CARRIED if values.get(key)}
    if found.get("default_model_filename") in usual:
        del found["default_model_filename"]
    if framework == CUSTOM:
        found["backend"] = backend
    if own_platform(platform := str(values.get("platform", "")), backend):
        found["platform"] = platform
    for side in ("input", "output"):
        if said := [one for t in values.get(side, ()) if len(one := _tensor_details(t)) > 1]:
            found[side] = said
    for name in ("batch_input", "batch_output"):
        if name in values:
            found[name] = _numbers(values[name])
    if "model_warmup" in values:
        found["model_warmup"] = _warmups(values)
    # Said or not: here it is not the newest version that serves, but the one that a policy names.
    found["version_policy"] = _numbers(values.get("version_policy")) or {"latest": {}}
    return found


def ensemble_document(values: Mapping[str, Any]) -> dict[str, Any]:
    """What an ensemble's configuration says of it beside its steps and tensors."""
    words = EnsembleWords.model_fields.keys() - {"output", "label_files"}
    found: dict[str, Any] = {key: values[key] for key in sorted(words) if key in values}
    if "parameters" in found:
        said = found["parameters"].items()
        found["parameters"] = {key: str(value.get("string_value", "")) for key, value in said}
    if not found.get("response_cache"):
        found.pop("response_cache", None)
    named = ("name", "label_filename")
    if said := [
        {key: t[key] for key in named} for t in values.get("output", ()) if all(map(t.get, named))
    ]:
        found["output"] = said
    return found


def signature_document(values: Mapping[str, Any]) -> dict[str, Any] | None:
    """All that the model takes and gives, what its batchers fill and keep included.

    None where the configuration does not say both sides.
    """
    if not values.get("input") or not values.get("output"):
        return None
    rows = [-1] if int(values.get("max_batch_size", 0)) > 0 else []
    inputs = [_tensor(t, rows) for t in values["input"]]
    outputs = [_tensor(t, rows) for t in values["output"]]
    batching = values.get("sequence_batching", {})
    inputs += [_control(given, rows) for given in batching.get("control_input", ())]
    for state in batching.get("state", ()):
        shape = [*rows, *(int(d) for d in state.get("dims", ()))]
        datatype = datatype_of(state.get("data_type", ""))
        inputs.append({"name": state.get("input_name", ""), "datatype": datatype, "shape": shape})
        outputs.append({"name": state.get("output_name", ""), "datatype": datatype, "shape": shape})
    known = {one["name"] for one in inputs}
    for given in values.get("batch_input", ()):
        datatype = datatype_of(given.get("data_type", ""))
        shape = [-1, -1] if given.get("kind") == "BATCH_ITEM_SHAPE" else [-1]
        added = [name for name in given.get("target_name", ()) if name not in known]
        inputs += [{"name": name, "datatype": datatype, "shape": shape} for name in added]
        known.update(added)
    return {"inputs": inputs, "outputs": outputs}


def datatype_of(data_type: str) -> str:
    """`TYPE_STRING` -> `BYTES`; the other names differ in their beginning alone."""
    kind = data_type.removeprefix("TYPE_")
    return "BYTES" if kind == "STRING" else kind


def _tensor(entry: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    shape = entry["reshape"].get("shape", ()) if "reshape" in entry else entry.get("dims", ())
    return {
        "name": entry.get("name", ""),
        "datatype": datatype_of(entry.get("data_type", "")),
        "shape": [*rows, *(int(d) for d in shape)],
    }


def _tensor_details(entry: Mapping[str, Any]) -> dict[str, Any]:
    told = {k: v for k, v in entry.items() if k not in ("data_type", "dims", "reshape") and v}
    if "reshape" in entry:
        own = [int(d) for d in entry["reshape"].get("shape", ())]
        dims = [int(d) for d in entry.get("dims", ())]
        # A scalar in each row is written so by Nereid, too.
        if (dims, own) != ([1], []):
            told["dims"] = dims
    return told


def _control(given: Mapping[str, Any], rows: list[int]) -> dict[str, Any]:
    datatype = "INT32"
    for control in given.get("control", ()):
        for key, name in _CONTROL_TYPES.items():
            datatype = name if control.get(key) else datatype
        datatype = datatype_of(control.get("data_type", "")) or datatype
    return {"name": given.get("name", ""), "datatype": datatype, "shape": [*rows, 1]}


def _group(group: Mapping[str, Any], backend: str) -> dict[str, Any]:
    found = {k: v for k, v in group.items() if v and (k, v) != ("kind", "KIND_AUTO")}
    if not found.get("count"):
        on_cpu = found.get("kind") in (None, "KIND_CPU") and not found.get("gpus")
        found["count"] = DEFAULT_CPU_INSTANCES.get(backend, 1) if on_cpu else 1
    return found


def _sequences(batching: Mapping[str, Any]) -> dict[str, Any]:
    found = {k: v for k, v in batching.items() if v or k in ("direct", "oldest")}
    for given in found.get("control_input", ()):
        for control in given.get("control", ()):
            # The first word of an enumeration is left out by protobuf.
            control.setdefault("kind", "CONTROL_SEQUENCE_START")
    return found


def _warmups(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [_warmup(request) for request in _numbers(values["model_warmup"])]


def _warmup(request: Mapping[str, Any]) -> dict[str, Any]:
    found = dict(request)
    for given in found.get("inputs", {}).values():
        given.setdefault("dims", [])
    return found


def _numbers(value: Any, key: str = "") -> Any:
    """A copy with 64-bit integers as numbers."""
    if isinstance(value, Mapping):
        return {k: _numbers(v, k) for k, v in value.items()}
    if isinstance(value, list | tuple):
        return [_numbers(one, key) for one in value]
    return int(value) if key in _WHOLE and isinstance(value, str) else value
