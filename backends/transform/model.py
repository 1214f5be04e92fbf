"""`backend: "transform"`: pre- and postprocessing that a `transform.yaml` describes.

A Python-based backend: Triton hands it each dynamic batch, and every step is run once for all of
it. It needs the standard library, numpy, pydantic and PyYAML, Pillow for images and tokenizers for
texts, and nothing of this repository but what lies in its own folder.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from execution import Execution
from nereid_transforms.files import Files
from nereid_transforms.spec import NAMES, SpecError
from nereid_transforms.transform import RowError, Transform
from request_batch import NUMPY, InputError
from settings import PYTHON_BACKEND, SettingError, parameters
from texts import encoded
from transform_config import check, complete


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        config = auto_complete_model_config.as_dict()
        if config.get("input") and config.get("output"):
            return auto_complete_model_config
        try:
            # as_dict() is the configuration itself; the setters know no reshape.
            complete(config, _opened(config, Path(pb_utils.get_model_dir())))
        except (SettingError, SpecError) as error:
            raise pb_utils.TritonModelException(str(error)) from None
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        try:
            self.transform = _opened(config, folder)
            check(config, self.transform)
        except (SettingError, SpecError) as error:
            raise pb_utils.TritonModelException(str(error)) from None
        if unknown := sorted(parameters(config).keys() - set(PYTHON_BACKEND)):
            pb_utils.Logger.log_warn(
                f"transform: these parameters have no meaning here: {', '.join(unknown)}"
            )
        self.execution = Execution(
            config, self._run, read=self._input, write=self._output, arrays=NUMPY
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self.execution(requests)

    def _run(self, wanted: Sequence[str], inputs: Mapping[str, Any]) -> list[np.ndarray]:
        try:
            return self.transform.run(wanted, inputs)
        except RowError as error:
            raise InputError(str(error)) from None

    def _input(self, name: str, tensor: Any) -> np.ndarray:
        value: np.ndarray = tensor.as_numpy()
        # Where Triton reshapes nothing, a row of one value comes as a vector of one.
        single = not self.transform.inputs[name].dims and value.ndim == 2
        return value.reshape(len(value)) if single else value

    def _output(self, name: str, value: np.ndarray) -> Any:
        is_text = self.transform.outputs[name].datatype == "BYTES"
        return pb_utils.Tensor(name, encoded(value) if is_text else np.ascontiguousarray(value))


def _opened(config: dict[str, Any], folder: Path) -> Transform:
    name = config.get("default_model_filename") or next(
        (name for name in NAMES if (folder / name).is_file()), NAMES[0]
    )
    try:
        content = (folder / name).read_bytes()
    except OSError as error:
        raise SettingError(f"the transform '{name}' cannot be read: {error}") from None
    try:
        return Transform.read(content, Files.of_folder(folder))
    except SpecError as error:
        raise SpecError(f"{name}: {error}") from None
