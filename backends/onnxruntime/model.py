"""`backend: "onnxruntime"` where NVIDIA's native backend is absent.

A Python-based backend: Triton finds this file in its backend directory and runs it in a
Python stub. It takes the native backend's file layout and parameter names, so the same
`config.pbtxt` runs on either. It needs numpy and onnxruntime, and nothing of Nereid.
"""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import onnxruntime as ort
import triton_python_backend_utils as pb_utils

from batches import compatible_groups, split_points
from session import ORT_TO_TRITON, ModelConfigError, session_options

_AUTO_BATCH_SIZE = 4
"""What the native backend's `default-max-batch-size` is when nobody sets one."""


class TritonPythonModel:
    """One instance of one ONNX model."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config):
        """Fills in what the configuration leaves open, from the ONNX file."""
        values = auto_complete_model_config.as_dict()
        if values["input"] and values["output"]:
            return auto_complete_model_config
        inputs, outputs = _tensors(_model_file_of_stub())
        batched = all(t["dims"][:1] == [-1] for t in (*inputs, *outputs))
        if batched:
            if values["max_batch_size"] == 0:
                auto_complete_model_config.set_max_batch_size(_AUTO_BATCH_SIZE)
            if "dynamic_batching" not in values:
                auto_complete_model_config.set_dynamic_batching()
        elif values["max_batch_size"] > 0:
            raise ModelConfigError(
                f"max_batch_size is {values['max_batch_size']}, but not every tensor of the model "
                "has a free first dimension"
            )
        given = {t["name"] for t in (*values["input"], *values["output"])}
        for add, tensors in (
            (auto_complete_model_config.add_input, inputs),
            (auto_complete_model_config.add_output, outputs),
        ):
            for tensor in tensors:
                if tensor["name"] not in given:
                    dims = tensor["dims"][1:] if batched else tensor["dims"]
                    add({**tensor, "dims": dims or [1]})
        return auto_complete_model_config

    def initialize(self, args):
        """Opens the model with the options of the configuration."""
        config = json.loads(args["model_config"])
        filename = config.get("default_model_filename") or "model.onnx"
        path = Path(args["model_repository"]) / args["model_version"] / filename
        options = session_options(config)
        self._session = ort.InferenceSession(str(path), options, providers=_providers(args))
        self._inputs = [i.name for i in self._session.get_inputs()]
        self._outputs = [o.name for o in self._session.get_outputs()]
        self._batched = config.get("max_batch_size", 0) > 0
        _check_names(config, self._inputs, self._outputs)

    def execute(self, requests):
        """Answers all requests of a dynamic batch, with one run for those that fit together."""
        responses = [None] * len(requests)
        arrays, wanted = [], []
        for position, request in enumerate(requests):
            try:
                arrays.append(self._arrays(request))
                wanted.append(position)
            except Exception as error:  # this request alone is at fault
                responses[position] = _failure(error)
        groups = compatible_groups(arrays) if self._batched else [[i] for i in range(len(arrays))]
        for group in groups:
            members = [wanted[i] for i in group]
            answers = self._run([arrays[i] for i in group], [requests[m] for m in members])
            for member, answer in zip(members, answers, strict=True):
                responses[member] = answer
        return responses

    def finalize(self):
        """Lets go of the session."""
        self._session = None

    def _arrays(self, request):
        found = {}
        for name in self._inputs:
            tensor = pb_utils.get_input_tensor_by_name(request, name)
            if tensor is not None:
                array = tensor.as_numpy()
                found[name] = array.astype(object) if array.dtype.kind in "SO" else array
        missing = [n for n in self._inputs if n not in found]
        if missing:
            raise ValueError(f"input {missing[0]!r} is missing")
        return found

    def _run(self, arrays, requests):
        """Runs a group as one batch; if that fails, each by itself, to find whose fault it is."""
        try:
            feed = arrays[0]
            if len(arrays) > 1:
                feed = {name: np.concatenate([a[name] for a in arrays]) for name in self._inputs}
            asked = {name for request in requests for name in request.requested_output_names()}
            names = [name for name in self._outputs if name in asked] or self._outputs
            results = dict(zip(names, self._session.run(names, feed), strict=True))
        except Exception as error:
            if len(arrays) == 1:
                return [_failure(error)]
            pairs = zip(arrays, requests, strict=True)
            return [self._run([a], [r])[0] for a, r in pairs]
        if len(arrays) == 1:
            parts = [results]
        else:
            points = split_points(arrays, self._inputs[0])
            split = {name: np.split(value, points) for name, value in results.items()}
            parts = [{name: split[name][i] for name in split} for i in range(len(arrays))]
        return [
            pb_utils.InferenceResponse(
                output_tensors=[
                    pb_utils.Tensor(name, part[name])
                    for name in part
                    if name in request.requested_output_names()
                ]
            )
            for part, request in zip(parts, requests, strict=True)
        ]


def _failure(error):
    return pb_utils.InferenceResponse(
        error=pb_utils.TritonError(str(error), pb_utils.TritonError.INVALID_ARG)
    )


def _providers(args):
    """CUDA for a GPU instance where this onnxruntime has it, else the CPU."""
    if args["model_instance_kind"] == "GPU":
        if "CUDAExecutionProvider" not in ort.get_available_providers():
            raise ModelConfigError(
                "instance_group asks for KIND_GPU, and this onnxruntime has no CUDA: install "
                "onnxruntime-gpu, or use KIND_CPU"
            )
        device = {"device_id": int(args["model_instance_device_id"])}
        return [("CUDAExecutionProvider", device), "CPUExecutionProvider"]
    return ["CPUExecutionProvider"]


def _check_names(config, inputs, outputs):
    for kind, known in (("input", inputs), ("output", outputs)):
        for tensor in config[kind]:
            if tensor["name"] not in known:
                raise ModelConfigError(
                    f"{kind} {tensor['name']!r} is not in the model, which has: {', '.join(known)}"
                )


def _tensors(path):
    """Inputs and outputs of an ONNX file as configuration values, batch dimension included."""
    session = ort.InferenceSession(str(path), providers=["CPUExecutionProvider"])
    return tuple(
        [
            {
                "name": value.name,
                "data_type": ORT_TO_TRITON[value.type],
                "dims": [d if isinstance(d, int) else -1 for d in value.shape],
            }
            for value in values
        ]
        for values in (session.get_inputs(), session.get_outputs())
    )


def _model_file_of_stub():
    """The model file that Triton started this stub for.

    `auto_complete_config` is told nothing of the file; the stub's command line is.
    """
    words = Path("/proc/self/cmdline").read_bytes().split(b"\0")
    return Path(words[1].decode())
