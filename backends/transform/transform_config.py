"""What a transform takes and gives, in Triton's words, and how a configuration must fit it."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from nereid_transforms.spec import SpecError
from nereid_transforms.tensor_type import TensorType, fits
from nereid_transforms.transform import Transform

DEFAULT_MAX_BATCH_SIZE = 64
"""Where a configuration names none: rows of pre- and postprocessing are light."""


def complete(config: dict[str, Any], transform: Transform) -> None:
    """Fill in what `config` leaves open; edits `config`."""
    if config.get("max_batch_size", 0) == 0:
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
    if "sequence_batching" not in config and "dynamic_batching" not in config:
        config["dynamic_batching"] = {}
    if not config.get("input"):
        config["input"] = [_described(name, kind) for name, kind in transform.inputs.items()]
    if not config.get("output"):
        config["output"] = [_described(name, kind) for name, kind in transform.outputs.items()]


def _described(name: str, kind: TensorType) -> dict[str, Any]:
    described: dict[str, Any] = {"name": name, "data_type": _data_type(kind)}
    if kind.dims:
        return described | {"dims": list(kind.dims)}
    # A configuration has no way to write a scalar: it is a vector of one, reshaped.
    return described | {"dims": [1], "reshape": {"shape": []}}


def _data_type(kind: TensorType) -> str:
    return "TYPE_STRING" if kind.datatype == "BYTES" else f"TYPE_{kind.datatype}"


def check(config: Mapping[str, Any], transform: Transform) -> None:
    """Refuses a configuration of other tensors, types or shapes than the transform's.

    Raises:
        SpecError: with both sides.
    """
    batched = config.get("max_batch_size", 0) > 0
    _check_side("input", config.get("input", []), transform.inputs, batched)
    _check_side("output", config.get("output", []), transform.outputs, batched)
    given = {entry["name"] for entry in config.get("input", [])}
    if missing := [name for name in transform.inputs if name not in given]:
        raise SpecError(f"the transform's inputs {missing} are missing in its configuration")


def _check_side(
    side: str, entries: Iterable[Mapping[str, Any]], kinds: Mapping[str, TensorType], batched: bool
) -> None:
    for entry in entries:
        name = entry["name"]
        kind = kinds.get(name)
        if kind is None:
            raise SpecError(f"the transform has no {side} '{name}', only {sorted(kinds)}")
        shape = entry["reshape"].get("shape", []) if "reshape" in entry else entry["dims"]
        dims = [int(dim) for dim in shape]
        rows = dims if batched else dims[1:]
        if entry["data_type"] != _data_type(kind) or not (
            fits(rows, kind.dims) or (not kind.dims and rows == [1])
        ):
            raise SpecError(
                f"{side} '{name}' is {kind} in the transform, and {entry['data_type']} {dims} in "
                f"its configuration{'' if batched else ', where the batch comes first'}"
            )
