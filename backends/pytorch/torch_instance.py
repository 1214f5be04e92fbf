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
from model_file import model_path
from request_batch import Arrays, Asked, InputError, RequestError, answer_all
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
            self.program.bind(
                [entry["name"] for entry in config["input"]],
                [entry["name"] for entry in config["output"]],
            )
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.batched = config.get("max_batch_size", 0) > 0
        self.inputs = {entry["name"]: entry for entry in config["input"]}

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        asked = [self._read(request) for request in requests]
        with self.settings.running():
            answers = answer_all(self.program.run, asked, batched=self.batched, arrays=ARRAYS)
            responses = [self._respond(answer) for answer in answers]
        if self.settings.clean_cache and self.program.device.type == "cuda":
            torch.cuda.empty_cache()
        return responses

    def _read(self, request: Any) -> Asked | RequestError:
        try:
            inputs = {tensor.name(): self._input(tensor) for tensor in request.inputs()}
        except RequestError as error:
            return error
        return Asked(inputs, tuple(request.requested_output_names()))

    def _input(self, tensor: Any) -> Any:
        entry = self.inputs[tensor.name()]
        if entry["data_type"] == "TYPE_STRING":
            return decoded(tensor.name(), tensor.as_numpy())
        # The same memory, on whatever device; and the one way to BF16, which numpy does not have.
        value = torch.from_dlpack(tensor.to_dlpack())
        if entry["data_type"] == "TYPE_BOOL":
            value = value.to(torch.bool)
        # What has no dimensions in the model is a vector of one to Triton, which reshapes batches.
        scalar = "reshape" in entry and not entry["reshape"].get("shape")
        return value.reshape(()) if scalar and not self.batched else value

    def _respond(self, answer: dict[str, Any] | RequestError) -> Any:
        if isinstance(answer, RequestError):
            kind = pb_utils.TritonError
            code = kind.INVALID_ARG if isinstance(answer, InputError) else kind.INTERNAL
            return pb_utils.InferenceResponse(error=kind(str(answer), code))
        tensors = [_output(name, value) for name, value in answer.items()]
        return pb_utils.InferenceResponse(output_tensors=tensors)


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


ARRAYS = Arrays(_join, _part)
