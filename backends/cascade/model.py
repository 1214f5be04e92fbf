"""`backend: "cascade"`: a cheap model answers what it is sure of, the next one the rest.

A Python-based backend over other models of the same server, by their physical names. It looks at
whole dynamic batches: the members after the first are sent the unsure rows of a batch in one call.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from cascade import read_cascade
from execution import Execution
from members import ask
from request_batch import NUMPY
from settings import SettingError, parameters


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        try:
            if config.get("max_batch_size", 0) < 1:
                raise SettingError(
                    "a cascade sends rows of a batch on: max_batch_size is 1 or more"
                )
            self.cascade = read_cascade(parameters(config))
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.execution = Execution(
            config,
            self._run,
            read=lambda _, tensor: tensor.as_numpy(),
            write=pb_utils.Tensor,
            arrays=NUMPY,
        )
        self.answered = _Answered(args["model_name"], self.cascade.members)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self.execution(requests)

    def _run(self, wanted: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        outputs, rows = self.cascade.answer(ask, wanted, inputs)
        self.answered.count(rows)
        return outputs


class _Answered:
    """How many rows each member answered, on Triton's /metrics."""

    def __init__(self, model: str, members: Sequence[str]) -> None:
        # Kept: Triton deletes a family's metrics with it.
        self._family = pb_utils.MetricFamily(
            name="nereid_cascade_rows_total",
            description="Rows that each member of a cascade answered",
            kind=pb_utils.MetricFamily.COUNTER,
        )
        self._counters = [
            self._family.Metric(labels={"model": model, "member": member}) for member in members
        ]

    def count(self, rows: np.ndarray) -> None:
        for counter, number in zip(self._counters, rows, strict=True):
            if number:
                counter.increment(int(number))
