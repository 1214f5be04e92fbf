"""What an exported program takes and gives, in Triton's words."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import torch
from settings import SettingError

TRITON_TYPES = {
    torch.bool: "TYPE_BOOL",
    torch.uint8: "TYPE_UINT8",
    torch.int8: "TYPE_INT8",
    torch.int16: "TYPE_INT16",
    torch.int32: "TYPE_INT32",
    torch.int64: "TYPE_INT64",
    torch.float16: "TYPE_FP16",
    torch.float32: "TYPE_FP32",
    torch.float64: "TYPE_FP64",
    torch.bfloat16: "TYPE_BF16",
}

# What NVIDIA's backends take for a batching model whose configuration names no size.
DEFAULT_MAX_BATCH_SIZE = 4


def complete(config: dict[str, Any], path: Path) -> None:
    """Fill in what `config` leaves open from the exported program; edits `config`.

    Raises:
        SettingError: a tensor has a type that Triton does not have, or the model cannot batch
            where the configuration says that it does.
    """
    program = torch.export.load(str(path))
    values = {node.name: node.meta.get("val") for node in program.graph.nodes}
    inputs = [(str(name), values.get(name)) for name in program.graph_signature.user_inputs]
    outputs = [
        (f"OUTPUT__{i}", values.get(name))
        for i, name in enumerate(program.graph_signature.user_outputs)
    ]
    batches = all(
        len(getattr(value, "shape", ())) > 0 and not isinstance(value.shape[0], int)
        for _, value in (*inputs, *outputs)
    )
    if batches and config.get("max_batch_size", 0) == 0:
        config["max_batch_size"] = DEFAULT_MAX_BATCH_SIZE
        if "sequence_batching" not in config and "dynamic_batching" not in config:
            config["dynamic_batching"] = {}
    elif not batches and config.get("max_batch_size", 0) != 0:
        raise SettingError(
            f"model '{config['name']}' does not support batching "
            f"while its max_batch_size is {config['max_batch_size']}"
        )
    for side, tensors in (("input", inputs), ("output", outputs)):
        if not config.get(side):
            config[side] = [_describe(name, value, batches) for name, value in tensors]


def _describe(name: str, value: Any, batched: bool) -> dict[str, Any]:
    data_type = TRITON_TYPES.get(getattr(value, "dtype", None))
    if data_type is None:
        raise SettingError(f"'{name}' is no tensor of a type that Triton has")
    shape = list(value.shape)[1 if batched else 0 :]
    dims = [size if isinstance(size, int) else -1 for size in shape]
    described: dict[str, Any] = {"name": name, "data_type": data_type, "dims": dims or [1]}
    if not dims and batched:
        described["reshape"] = {"shape": []}
    return described
