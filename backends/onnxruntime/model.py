"""`backend: "onnxruntime"` where NVIDIA's native backend is absent.

A Python-based backend: Triton hands it each dynamic batch, it makes one ONNX Runtime call of it.
It takes NVIDIA's names for every setting, so the same config.pbtxt runs on either. It needs the
standard library, numpy and onnxruntime, and nothing of this repository.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import ort_bfloat16
import ort_session
import triton_python_backend_utils as pb_utils
from execution import Execution
from ort_providers import providers
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
            ort_session.register_custom_ops(options, config, _version_folder())
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
            where = providers(
                config, args["model_instance_kind"], int(args["model_instance_device_id"]), _warn
            )
            options = ort_session.session_options(config, _warn)
            ort_session.register_custom_ops(options, config, folder)
            path = ort_session.model_path(config, folder)
            self.session = ort_session.open_session(path, options, where)
            self.run_options = ort_session.run_options(config)
            self.signature = read_signature(self.session)
            check(config, self.signature)
            ort_bfloat16.check(self.signature)
        except (SettingError, MismatchError) as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.inputs = {info.name: info for info in self.signature.takes}
        self.plain = {
            info.name
            for info in self.signature.takes
            if info.dims and info.data_type not in ("TYPE_STRING", "TYPE_BF16")
        }
        self.output_types = {info.name: info.data_type for info in self.signature.outputs}
        tensors = (*self.signature.takes, *self.signature.outputs)
        mixed = any(info.data_type == "TYPE_BF16" for info in tensors)
        self.execution = Execution(
            config,
            self._run_with_halves if mixed else self._run,
            read=self._input,
            write=self._output,
            arrays=NUMPY,
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self.execution(requests)

    def _run(self, wanted: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        return self.session.run(wanted, inputs, self.run_options)

    def _run_with_halves(
        self, wanted: Sequence[str], inputs: Mapping[str, np.ndarray]
    ) -> list[np.ndarray]:
        return ort_bfloat16.run(self.session, wanted, inputs, self.signature, self.run_options)

    def _input(self, name: str, tensor: Any) -> np.ndarray:
        if name in self.plain:
            return tensor.as_numpy()
        info = self.inputs[name]
        value = ort_bfloat16.read(tensor) if info.data_type == "TYPE_BF16" else tensor.as_numpy()
        if not info.dims and value.shape == (1,):
            value = value.reshape(())
        return decoded(info.name, value) if info.data_type == "TYPE_STRING" else value

    def _output(self, name: str, value: np.ndarray) -> Any:
        if value.ndim == 0:
            value = value.reshape(1)
        kind = self.output_types[name]
        if kind == "TYPE_BF16":
            return ort_bfloat16.write(name, value)
        # What ONNX Runtime gives lies in a row, and so do the rows of a batch that are cut from it.
        return pb_utils.Tensor(name, encoded(value) if kind == "TYPE_STRING" else value)


def _version_folder() -> Path:
    """The folder of the version being loaded."""
    return Path(pb_utils.get_model_dir())
