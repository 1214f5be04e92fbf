"""What an ONNX model takes and gives, in Triton's words, and how a configuration must fit it."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from sequence_states import sequence_tensors

# ONNX Runtime's name of a type -> the name in config.pbtxt.
TRITON_TYPES = {
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
    "tensor(bfloat16)": "TYPE_BF16",
    "tensor(float)": "TYPE_FP32",
    "tensor(double)": "TYPE_FP64",
    "tensor(string)": "TYPE_STRING",
}

# What NVIDIA's backend takes for a batching model whose configuration names no size.
DEFAULT_MAX_BATCH_SIZE = 4


class MismatchError(ValueError):
    """The model and its configuration contradict each other; the message names both sides."""


@dataclass(frozen=True)
class TensorInfo:
    """One input or output of the model; -1 stands for a dimension that varies."""

    name: str
    data_type: str
    dims: tuple[int, ...]


@dataclass(frozen=True)
class Signature:
    """`defaults` are inputs with a value of the model's own: a request may leave them out."""

    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    defaults: tuple[TensorInfo, ...] = ()

    @property
    def takes(self) -> tuple[TensorInfo, ...]:
        """Whatever may be sent."""
        return (*self.inputs, *self.defaults)

    @property
    def can_batch(self) -> bool:
        """Every tensor has a first dimension that varies: the official backend's rule."""
        return all(info.dims[:1] == (-1,) for info in (*self.inputs, *self.outputs))


def read_signature(session: Any) -> Signature:
    """The signature of an ONNX Runtime session."""
    return Signature(
        tuple(_tensor_info(value) for value in session.get_inputs()),
        tuple(_tensor_info(value) for value in session.get_outputs()),
        # Of initializers that callers could name, the types that Triton does not have stay ours.
        tuple(
            _tensor_info(value)
            for value in session.get_overridable_initializers()
            if value.type in TRITON_TYPES
        ),
    )


def _tensor_info(value: Any) -> TensorInfo:
    data_type = TRITON_TYPES.get(value.type)
    if data_type is None:
        raise MismatchError(f"tensor '{value.name}' has type {value.type}, which is not supported")
    dims = tuple(dim if isinstance(dim, int) else -1 for dim in value.shape)
    return TensorInfo(value.name, data_type, dims)


def complete(config: dict[str, Any], signature: Signature) -> None:
    """Fill in what `config` leaves open, as the official backend does; edits `config`.

    A configuration with both inputs and outputs is left as it stands.
    """
    if config.get("input") and config.get("output"):
        return
    if signature.can_batch:
        if config.get("max_batch_size", 0) == 0:
            config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
        scheduled = "sequence_batching" in config or "dynamic_batching" in config
        if config["max_batch_size"] > 1 and not scheduled:
            config["dynamic_batching"] = {}
    elif config.get("max_batch_size", 0) != 0:
        raise MismatchError(
            f"model '{config['name']}' does not support batching "
            f"while its max_batch_size is {config['max_batch_size']}"
        )
    batched = config.get("max_batch_size", 0) > 0
    sequence = sequence_tensors(config)
    if not config.get("input"):
        config["input"] = _described(signature.inputs, sequence.inputs, batched)
    if not config.get("output"):
        config["output"] = _described(signature.outputs, sequence.outputs, batched)


def _described(
    infos: Iterable[TensorInfo], hidden: Collection[str], batched: bool
) -> list[dict[str, Any]]:
    """Without what the sequence batcher fills and keeps: callers neither send nor get that."""
    return [_describe(info, batched) for info in infos if info.name not in hidden]


def _describe(info: TensorInfo, batched: bool) -> dict[str, Any]:
    dims = list(info.dims[1:] if batched else info.dims)
    described: dict[str, Any] = {"name": info.name, "data_type": info.data_type}
    if dims:
        return described | {"dims": dims}
    # A configuration has no way to write a scalar: it is a vector of one, reshaped.
    described["dims"] = [1]
    if batched:
        described["reshape"] = {"shape": []}
    return described


def check(config: Mapping[str, Any], signature: Signature) -> None:
    """Refuse a configuration that names tensors, types or shapes that the model does not have."""
    batched = config.get("max_batch_size", 0) > 0
    _check_side("input", config.get("input", []), signature.takes, batched)
    _check_side("output", config.get("output", []), signature.outputs, batched)
    sequence = sequence_tensors(config)
    for name, side, infos in (
        *((name, "input", signature.takes) for name in sequence.inputs),
        *((name, "output", signature.outputs) for name in sequence.outputs),
    ):
        if name not in {info.name for info in infos}:
            raise MismatchError(
                f"the sequence batcher fills or keeps the {side} '{name}', and the model has "
                f"none of that name, only {sorted(info.name for info in infos)}"
            )
    given = {*sequence.inputs, *(entry["name"] for entry in config.get("input", []))}
    missing = [info.name for info in signature.inputs if info.name not in given]
    if missing:
        raise MismatchError(f"the model's inputs {missing} are missing in its configuration")


def _check_side(
    side: str, entries: Iterable[Mapping[str, Any]], infos: Iterable[TensorInfo], batched: bool
) -> None:
    known = {info.name: info for info in infos}
    for entry in entries:
        name = entry["name"]
        info = known.get(name)
        if info is None:
            raise MismatchError(f"the model has no {side} '{name}', only {sorted(known)}")
        if entry["data_type"] != info.data_type:
            raise MismatchError(
                f"{side} '{name}' is {info.data_type} in the model "
                f"but {entry['data_type']} in its configuration"
            )
        shape = entry["reshape"].get("shape", []) if "reshape" in entry else entry["dims"]
        dims = ([-1] if batched else []) + [int(dim) for dim in shape]
        if not _fits(dims, info.dims):
            raise MismatchError(
                f"{side} '{name}' has shape {list(info.dims)} in the model "
                f"but {dims} in its configuration (batch dimension included)"
            )


def _fits(configured: list[int], actual: tuple[int, ...]) -> bool:
    if not actual:
        return configured in ([], [1])
    return len(configured) == len(actual) and all(
        -1 in (ours, theirs) or ours == theirs
        for ours, theirs in zip(configured, actual, strict=True)
    )
