"""`backend: "transform"`: pre- and postprocessing that a `transform.yaml` describes.

A Python-based backend: Triton hands it each dynamic batch, and every step is run once for all of
it. It needs the standard library, numpy, pydantic and PyYAML, Pillow for images and tokenizers for
texts, and nothing of this repository but what lies in its own folder.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from nereid_transforms.files import Files
from nereid_transforms.spec import NAMES, SpecError
from nereid_transforms.tensor_type import TensorType
from nereid_transforms.transform import RowError, Transform
from request_batch import Asked, InputError, RequestError, answer_all
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

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        asked = [self._read(request) for request in requests]
        # A transform's first dimension is that of the batch, whether or not Triton makes any.
        answers = answer_all(self._run, asked, batched=True)
        return [self._respond(answer) for answer in answers]

    def _read(self, request: Any) -> Asked | RequestError:
        try:
            inputs = {
                tensor.name(): _row_shaped(tensor, self.transform.inputs[tensor.name()])
                for tensor in request.inputs()
            }
        except (UnicodeError, ValueError) as error:
            return InputError(str(error))
        return Asked(inputs, tuple(request.requested_output_names()))

    def _run(self, wanted: Sequence[str], inputs: Any) -> list[np.ndarray]:
        try:
            return self.transform.run(wanted, inputs)
        except RowError as error:
            raise InputError(str(error)) from None

    def _respond(self, answer: dict[str, np.ndarray] | RequestError) -> Any:
        if isinstance(answer, RequestError):
            kind = pb_utils.TritonError
            code = kind.INVALID_ARG if isinstance(answer, InputError) else kind.INTERNAL
            return pb_utils.InferenceResponse(error=kind(str(answer), code))
        tensors = [pb_utils.Tensor(name, self._output(name, answer[name])) for name in answer]
        return pb_utils.InferenceResponse(output_tensors=tensors)

    def _output(self, name: str, value: np.ndarray) -> np.ndarray:
        if self.transform.outputs[name].datatype == "BYTES":
            return encoded(value)
        return np.ascontiguousarray(value)


def _row_shaped(tensor: Any, kind: TensorType) -> np.ndarray:
    value: np.ndarray = tensor.as_numpy()
    # Without batches Triton reshapes nothing: a row of one value comes as a vector of one.
    return value.reshape(len(value)) if not kind.dims and value.ndim == 2 else value


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
