"""The values of a `config.pbtxt`, as the JSON form of Triton's ModelConfig message.

Values only: the text is printed by `adapters.triton.pbtxt` from a protobuf message, so
what is not a valid configuration cannot be written.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import Any

from control_plane.domain.pipelines.ensemble_words import EnsembleWords
from control_plane.domain.pipelines.members import Key, WiredStep, Wiring
from control_plane.domain.registry.frameworks import CUSTOM, MAIN_FILES, NOT_RUN_HERE
from control_plane.domain.serving.callers import callers_signature
from control_plane.domain.serving.details import NO_DETAILS, Details, TensorDetails
from control_plane.domain.serving.instances import groups_on
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.serving.warmup import Shapes
from control_plane.domain.signature import Signature, Tensor

Config = Mapping[str, Any]

ROUTER_BACKEND = "traffic"

ACCELERATORS = ("cpu", "gpu")
"""The kinds of server a configuration is compiled for; one digest covers them all."""

ANY_SERVER = "any"
"""No kind of server in particular: what is left open is for whichever server loads it."""

BACKENDS = {
    "onnx": "onnxruntime",
    "pytorch": "pytorch",
    "python": "python",
    "transform": "transform",
    **{name: name for name in sorted(NOT_RUN_HERE)},
}
"""The backend that runs a framework's files."""

WITHOUT_BATCHES = frozenset({"vllm"})
"""They batch by themselves, and answer a request piece by piece."""


def version_config(
    framework: str,
    signature: Signature,
    profile: ServingProfile,
    accelerator: str,
    *,
    main_file: str = "",
    parameters: Mapping[str, str] = MappingProxyType({}),
    details: Details = NO_DETAILS,
    golden: Sequence[Shapes] = (),
    libraries: Sequence[str] = (),
) -> Config:
    """Serving values for a version, for NVIDIA's backend of its framework and for ours alike.

    Args:
        signature: of the model, with what the sequence batcher fills and keeps.
        accelerator: the kind of server, or `ANY_SERVER`.
        main_file: the model's own file in the version's folder; empty: the framework's usual one.
        parameters: the version's own, which the profile's go before.
        details: what is said of the model beside all that.
        golden: the shapes of the version's examples, which a warm-up may take its data from.
        libraries: where those of operators lie in the model's directory; none: as they are called.
    """
    batched = signature.batched and framework not in WITHOUT_BATCHES
    max_batch_size = profile.max_batch_size if batched else 0
    seen = callers_signature(signature, profile)
    config: dict[str, Any] = {
        "backend": details.backend or BACKENDS[framework],
        **_file(framework, main_file or MAIN_FILES[framework][0], details),
        **_carried(details, accelerator, libraries or details.libraries),
        "max_batch_size": max_batch_size,
        "input": _described(seen.inputs, details.input, max_batch_size > 0, details.filled),
        "output": _described(seen.outputs, details.output, max_batch_size > 0),
        "instance_group": groups_on(profile.instance_group, _where(framework, accelerator)),
    }
    for name in ("batch_input", "batch_output"):
        if given := getattr(details, name):
            config[name] = [one.values(exclude_defaults=False) for one in given]
    if profile.dynamic_batching and _queues(profile, max_batch_size):
        config["dynamic_batching"] = profile.dynamic_batching.values()
    if profile.sequence_batching:
        config["sequence_batching"] = profile.sequence_batching.values()
    if said := {**parameters, **profile.parameters}:
        config["parameters"] = {key: {"string_value": said[key]} for key in sorted(said)}
    if profile.model_transaction_policy.decoupled or framework in WITHOUT_BATCHES:
        config["model_transaction_policy"] = {"decoupled": True}
    if profile.optimization and (optimization := profile.optimization.values()):
        config["optimization"] = optimization
    if requests := _warmup(framework, signature, profile, details, max_batch_size, golden):
        config["model_warmup"] = requests
    if profile.response_cache and profile.response_cache.enable:
        config["response_cache"] = {"enable": True}
    if profile.metric_tags:
        config["metric_tags"] = dict(profile.metric_tags)
    if profile.model_metrics:
        config["model_metrics"] = profile.model_metrics.values()
    return config


def _queues(profile: ServingProfile, max_batch_size: int) -> bool:
    """Whether the dynamic batcher has anything to do.

    Where a profile asks for no batches it is about the order and number of what waits; where the
    model takes none, the profile was not made for it.
    """
    batching = profile.dynamic_batching
    asked = not profile.max_batch_size and batching and not batching.preferred_batch_size
    return max_batch_size > 0 or bool(asked)


def _warmup(
    framework: str,
    signature: Signature,
    profile: ServingProfile,
    details: Details,
    max_batch_size: int,
    golden: Sequence[Shapes],
) -> list[dict[str, Any]]:
    """What each instance is sent before callers come: the model's own, or what the profile says."""
    if details.model_warmup:
        return [one.values(exclude_none=True) for one in details.model_warmup]
    if not profile.model_warmup:
        return []
    # Zeros are no picture and no JSON: a transform would fail at its load, and it has nothing that
    # is slow once.
    if framework == "transform" and not (golden and profile.model_warmup.data == "golden"):
        return []
    asked = callers_signature(signature, profile, details)
    sent = {tensor.name for tensor in asked.inputs} | details.filled
    hidden = [tensor for tensor in signature.inputs if tensor.name not in sent]
    return profile.model_warmup.values_for(asked, max_batch_size, filled=hidden, golden=golden)


def _file(framework: str, main_file: str, details: Details) -> dict[str, Any]:
    """What a backend is told of the model's file: one that has a single name is told nothing."""
    if framework == "vllm":
        return {}
    found: dict[str, Any] = {}
    top, _, inside = main_file.partition("/")
    if framework == "tensorflow":
        found["platform"] = "tensorflow_savedmodel" if inside else "tensorflow_graphdef"
    elif details.platform:
        found["platform"] = details.platform
    if details.cc_model_filenames:
        found["cc_model_filenames"] = dict(details.cc_model_filenames)
    # A model may have files for some GPUs, and none for any other.
    unsaid = framework == CUSTOM or (
        details.cc_model_filenames and main_file not in MAIN_FILES[framework]
    )
    if details.default_model_filename or not unsaid:
        found["default_model_filename"] = top
    return found


def _carried(details: Details, accelerator: str, libraries: Sequence[str]) -> dict[str, Any]:
    """What brings code of its own: the backend's library, those of operators, agents."""
    found: dict[str, Any] = {}
    if runtime := details.runtime if accelerator == ANY_SERVER else details.own_runtime:
        found["runtime"] = runtime
    if libraries:
        found["model_operations"] = {"op_library_filename": list(libraries)}
    if details.model_repository_agents:
        found["model_repository_agents"] = details.model_repository_agents.values()
    return found


def _where(framework: str, accelerator: str) -> str:
    """A transform computes nothing that a GPU would do, and would only take its memory."""
    return "cpu" if framework == "transform" else accelerator


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
    # What one arm needs, every caller has to send.
    optional = frozenset.intersection(*map(optional_inputs, arm_configs))
    config: dict[str, Any] = {
        "backend": ROUTER_BACKEND,
        "max_batch_size": max_batch_size,
        # A dimension that an arm reshapes away is the arm's own affair: the router hands
        # on the shape that the caller sent.
        "input": [
            tensor_values(t, batched, reshape=False)
            | ({"optional": True} if t.name in optional else {})
            for t in signature.inputs
        ],
        "output": [tensor_values(t, batched, reshape=False) for t in signature.outputs],
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


def optional_inputs(config: Config) -> frozenset[str]:
    """The inputs that callers may leave out."""
    return frozenset(tensor["name"] for tensor in config["input"] if tensor.get("optional"))


def ensemble_config(
    wiring: Wiring,
    steps: Sequence[WiredStep],
    physical: Mapping[Key, str],
    words: EnsembleWords | None = None,
) -> Config:
    """A pipeline's values: a Triton ensemble whose members are pinned.

    Args:
        steps: of the wiring, written out: each runs a version.
        physical: by (model, number), the physical names of the members.
        words: what it says of itself.
    """
    batched = wiring.max_batch_size > 0
    labels = words.labels if words else {}
    config: dict[str, Any] = {
        "platform": "ensemble",
        "max_batch_size": wiring.max_batch_size,
        # What a member reshapes away is its own affair, as with the router.
        "input": [tensor_values(t, batched, reshape=False) for t in wiring.signature.inputs],
        "output": [
            tensor_values(t, batched, reshape=False)
            | ({"label_filename": labels[t.name]} if t.name in labels else {})
            for t in wiring.signature.outputs
        ],
        "ensemble_scheduling": {
            "step": [
                {
                    "model_name": physical[step.runs.key],
                    "model_version": "1",
                    "input_map": dict(step.inputs),
                    "output_map": dict(step.outputs),
                }
                for step in steps
            ]
        },
    }
    if wiring.decoupled:
        config["model_transaction_policy"] = {"decoupled": True}
    return config | (words.in_config() if words else {})


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


def _described(
    tensors: Sequence[Tensor],
    said: Sequence[TensorDetails],
    batched: bool,
    hidden: frozenset[str] = frozenset(),
) -> list[dict[str, Any]]:
    """The tensors that callers see, each with what else is said of it."""
    details = {one.name: one for one in said}
    found = []
    for tensor in tensors:
        if tensor.name in hidden:
            continue
        values = tensor_values(tensor, batched, reshape=True)
        if one := details.get(tensor.name):
            values |= one.values(exclude={"name", "dims"})
            if one.dims is not None:
                own = tensor.shape[1:] if batched else tensor.shape
                values |= {"dims": [str(d) for d in one.dims]}
                values["reshape"] = {"shape": [str(d) for d in own]}
        found.append(values)
    return found


def tensor_values(tensor: Tensor, batched: bool, *, reshape: bool) -> dict[str, Any]:
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
