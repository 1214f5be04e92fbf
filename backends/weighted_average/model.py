"""`backend: "weighted_average"`: several models answer each batch at once, and their mean is given.

A Python-based backend over other models of the same server, by their physical names.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
import triton_python_backend_utils as pb_utils
from execution import Execution
from members import ask
from request_batch import NUMPY
from settings import SettingError, parameters
from weighted import read_weighted


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        try:
            self.weighted = read_weighted(parameters(config))
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        self.callers = ThreadPoolExecutor(len(self.weighted.members))
        self.execution = Execution(
            config,
            self._run,
            read=lambda _, tensor: tensor.as_numpy(),
            write=pb_utils.Tensor,
            arrays=NUMPY,
        )

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self.execution(requests)

    def _run(self, wanted: Sequence[str], inputs: Mapping[str, np.ndarray]) -> list[np.ndarray]:
        answers = list(
            self.callers.map(lambda member: ask(member, inputs, wanted), self.weighted.members)
        )
        return [self.weighted.mean([answer[name] for answer in answers]) for name in wanted]

    def finalize(self) -> None:
        self.callers.shutdown()
