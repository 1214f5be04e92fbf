"""One instance of a model: its program, and the answers to each dynamic batch."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
import torch_settings
import triton_python_backend_utils as pb_utils
from execution import Execution
from model_file import model_path
from request_batch import Arrays
from sequence_states import sequence_tensors
from settings import SettingError
from texts import decoded, encoded
from torch_program import Program


def _warn(message: str) -> None:
    pb_utils.Logger.log_warn(f"pytorch (Python-based): {message}")


class Instance:
    """What Triton calls for each batch."""

    def __init__(self, args: dict[str, str]) -> None:
        """Raises TritonModelException with the reason where the model cannot be loaded."""
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        try:
            self.settings = torch_settings.read_settings(config, _warn)
            self.settings.apply_threads()
            where = torch_settings.device(
                args["model_instance_kind"], int(args["model_instance_device_id"]), _warn
            )
            self.program = Program(model_path(config, folder), where)
            sequence = sequence_tensors(config)
            self.program.bind(
                [*(entry["name"] for entry in config["input"]), *sequence.inputs],
                [*(entry["name"] for entry in config["output"]), *sequence.outputs],
            )
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.types = sequence.types | {e["name"]: e["data_type"] for e in config["input"]}
        # What has no dimensions in the model is a vector of one to Triton, which reshapes batches.
        batched = config.get("max_batch_size", 0) > 0
        self.scalars = {
            entry["name"]
            for entry in config["input"]
            if not batched and "reshape" in entry and not entry["reshape"].get("shape")
        }
        self.execution = Execution(
            config, self.program.run, read=self._input, write=_output, arrays=ARRAYS
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        with self.settings.running():
            responses = self.execution(requests)
        if self.settings.clean_cache and self.program.device.type == "cuda":
            torch.cuda.empty_cache()
        return responses

    def _input(self, name: str, tensor: Any) -> Any:
        if self.types[name] == "TYPE_STRING":
            return decoded(name, tensor.as_numpy())
        # The same memory, on whatever device; and the one way to BF16, which numpy does not have.
        value = torch.from_dlpack(tensor.to_dlpack())
        if self.types[name] == "TYPE_BOOL":
            value = value.to(torch.bool)
        return value.reshape(()) if name in self.scalars else value


def _output(name: str, value: Any) -> Any:
    if isinstance(value, np.ndarray):
        return pb_utils.Tensor(name, encoded(value))
    value = value.detach()
    if value.ndim == 0:
        value = value.reshape(1)
    if value.dtype == torch.bool:  # DLPack as the Python backend reads it has none
        return pb_utils.Tensor(name, value.cpu().numpy())
    return pb_utils.Tensor.from_dlpack(name, torch.to_dlpack(value.contiguous()))


def _join(values: list[Any]) -> Any:
    return np.concatenate(values) if isinstance(values[0], np.ndarray) else torch.cat(values)


def _part(value: Any, sizes: list[int]) -> Sequence[Any]:
    if isinstance(value, np.ndarray):
        return np.split(value, np.cumsum(sizes)[:-1])
    return torch.split(value, sizes)


def _copy(value: Any) -> Any:
    return value.copy() if isinstance(value, np.ndarray) else value.detach().clone()


ARRAYS = Arrays(_join, _part, _copy)
