"""`backend: "onnxruntime"` where NVIDIA's native backend is absent.

A Python-based backend: Triton hands it each dynamic batch, it makes one ONNX Runtime call of it.
It takes NVIDIA's names for every setting, so the same config.pbtxt runs on either. It needs the
standard library, numpy and onnxruntime, and nothing of this repository.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ort_session
import triton_python_backend_utils as pb_utils
from execution import Execution
from ort_signature import MismatchError, check, complete, read_signature
from request_batch import NUMPY
from settings import SettingError
from texts import decoded, encoded


def _warn(message: str) -> None:
    pb_utils.Logger.log_warn(f"onnxruntime (Python-based): {message}")


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        config = auto_complete_model_config.as_dict()
        if config.get("input") and config.get("output"):
            return auto_complete_model_config
        try:
            path = ort_session.model_path(config, _version_folder())
            options = ort_session.session_options(config, lambda _: None)
            session = ort_session.open_session(path, options, ["CPUExecutionProvider"])
            # as_dict() is the configuration itself; the setters know no reshape.
            complete(config, read_signature(session))
        except (SettingError, MismatchError) as error:
            raise pb_utils.TritonModelException(str(error)) from None
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        try:
            where = ort_session.providers(
                config, args["model_instance_kind"], int(args["model_instance_device_id"]), _warn
            )
            self.session = ort_session.open_session(
                ort_session.model_path(config, folder),
                ort_session.session_options(config, _warn),
                where,
            )
            self.signature = read_signature(self.session)
            check(config, self.signature)
        except (SettingError, MismatchError) as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.inputs = {info.name: info for info in self.signature.inputs}
        self.strings = {
            info.name for info in self.signature.outputs if info.data_type == "TYPE_STRING"
        }
        self.execution = Execution(
            config, self.session.run, read=self._input, write=self._output, arrays=NUMPY
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self.execution(requests)

    def _input(self, tensor: Any) -> np.ndarray:
        value = tensor.as_numpy()
        info = self.inputs[tensor.name()]
        if not info.dims and value.shape == (1,):
            value = value.reshape(())
        return decoded(info.name, value) if info.data_type == "TYPE_STRING" else value

    def _output(self, name: str, value: np.ndarray) -> Any:
        if value.ndim == 0:
            value = value.reshape(1)
        value = encoded(value) if name in self.strings else np.ascontiguousarray(value)
        return pb_utils.Tensor(name, value)


def _version_folder() -> Path:
    """The folder of the version being loaded."""
    return Path(pb_utils.get_model_dir())
