"""The values of a `config.pbtxt`, as the JSON form of Triton's ModelConfig message.

Values only: the text is printed by `adapters.triton.pbtxt` from a protobuf message, so
what is not a valid configuration cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from control_plane.domain.planning.profile import ServingProfile
from control_plane.domain.signature import Signature, Tensor

Config = Mapping[str, Any]

ACCELERATORS = ("cpu", "gpu")
"""The kinds of server a configuration is compiled for; one digest covers them all."""

_INSTANCE_KIND = {"cpu": "KIND_CPU", "gpu": "KIND_GPU"}


def onnx_config(signature: Signature, profile: ServingProfile, accelerator: str) -> Config:
    """Serving values for an ONNX version, for NVIDIA's backend and for ours alike."""
    max_batch_size = profile.max_batch_size if signature.batched else 0
    batched = max_batch_size > 0
    config: dict[str, Any] = {
        "backend": "onnxruntime",
        "default_model_filename": "model.onnx",
        "max_batch_size": max_batch_size,
        "input": [_tensor(t, batched, reshape=True) for t in signature.inputs],
        "output": [_tensor(t, batched, reshape=True) for t in signature.outputs],
        "instance_group": [{"count": profile.instance_count, "kind": _INSTANCE_KIND[accelerator]}],
    }
    if max_batch_size and profile.dynamic_batching:
        config["dynamic_batching"] = {
            "preferred_batch_size": list(profile.preferred_batch_size),
            "max_queue_delay_microseconds": str(profile.max_queue_delay_microseconds),
            **_priorities(profile.priority_levels, profile.default_priority_level),
        }
    if profile.parameters:
        config["parameters"] = {
            key: {"string_value": value} for key, value in sorted(profile.parameters.items())
        }
    return config


def router_config(
    signature: Signature, arm_configs: Sequence[Config], endpoint: str, generation: int
) -> Config:
    """The router's values: what its arms agree on, so that a caller sees one model.

    `max_batch_size` is the smallest of the arms', so that every arm takes every batch.
    The generation is a parameter for people and for reading back what a server holds.
    Priorities are declared here, too: Triton takes them off requests to a model without, and
    gives one without a priority the router's default, so the arms have the same
    (`planning.arm_checks`). That brings in Triton's dynamic batcher, which with a single
    instance now and then oversleeps a request by half a second; with two it does not.
    """
    max_batch_size = min(config["max_batch_size"] for config in arm_configs)
    batched = max_batch_size > 0
    levels, default = priorities_of(arm_configs[0])
    config: dict[str, Any] = {
        "backend": "traffic",
        "max_batch_size": max_batch_size,
        # A dimension that an arm reshapes away is the arm's own affair: the router hands
        # on the shape that the caller sent.
        "input": [_tensor(t, batched, reshape=False) for t in signature.inputs],
        "output": [_tensor(t, batched, reshape=False) for t in signature.outputs],
        "version_policy": {"all": {}},
        "instance_group": [{"count": 2 if levels else 1, "kind": "KIND_CPU"}],
        "parameters": {
            "nereid_endpoint": {"string_value": endpoint},
            "nereid_generation": {"string_value": str(generation)},
        },
    }
    if levels:
        config["dynamic_batching"] = _priorities(levels, default)
    if any(is_decoupled(one) for one in arm_configs):
        config["model_transaction_policy"] = {"decoupled": True}
    return config


def is_decoupled(config: Config) -> bool:
    """True when a request may have any number of responses, none among them."""
    return bool(config.get("model_transaction_policy", {}).get("decoupled", False))


def priorities_of(config: Config) -> tuple[int, int]:
    """How many priorities a model has and which one a request without any gets; (0, 0): none."""
    batching = config.get("dynamic_batching", {})
    return int(batching.get("priority_levels", 0)), int(batching.get("default_priority_level", 0))


def _priorities(levels: int, default: int) -> dict[str, str]:
    """Nothing where there are no levels: names are digests of what stands here."""
    if not levels:
        return {}
    return {"priority_levels": str(levels), "default_priority_level": str(default)}


def _tensor(tensor: Tensor, batched: bool, *, reshape: bool) -> dict[str, Any]:
    """A tensor's values; the batch dimension is left out, as Triton wants it."""
    dims = list(tensor.shape[1:] if batched else tensor.shape)
    data_type = "TYPE_STRING" if tensor.datatype == "BYTES" else f"TYPE_{tensor.datatype}"
    values: dict[str, Any] = {"name": tensor.name, "data_type": data_type}
    if dims:
        return {**values, "dims": [str(d) for d in dims]}
    # Triton has no tensors without dimensions: a scalar per row is [1], reshaped to [].
    values["dims"] = ["1"]
    if reshape:
        values["reshape"] = {"shape": []}
    return values
