"""`backend: "remote"`: a model that another process serves, asked over gRPC for every request.

What a person bound in a process of their own (with PyTriton, or any server of the v2 protocol) is
a model here like any other: it can be an arm, with a share of the traffic. A Python-based backend
that needs the standard library, numpy, grpcio and tritonclient, and nothing of this repository.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from remote_address import read_address
from remote_call import RemoteModel
from settings import SettingError


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        # What it takes and gives was read from the process when it was adopted.
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        config = json.loads(args["model_config"])
        folder = Path(args["model_repository"]) / args["model_version"]
        try:
            address = read_address(folder / (config.get("default_model_filename") or "remote.json"))
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        # Nobody is asked yet: this model is there, and says so, while its process is away.
        self._remote = RemoteModel(address)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        # All are on their way before the first is waited for: the process batches as it likes.
        calls = [self._remote.begin(request) for request in requests]
        return [call.answer() for call in calls]

    def finalize(self) -> None:
        self._remote.close()
