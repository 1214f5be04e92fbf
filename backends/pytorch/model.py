"""`backend: "pytorch"` where NVIDIA's native backend is absent: TorchScript and torch.export.

A Python-based backend: Triton hands it each dynamic batch, it makes one PyTorch call of it. It
takes NVIDIA's names for every setting, so the same config.pbtxt runs on either. It needs the
standard library, numpy and torch, and nothing of this repository.
"""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import triton_python_backend_utils as pb_utils
from model_file import is_exported, model_path
from settings import SettingError

# Triton completes each configuration in a process of its own: PyTorch, seconds to import, is
# imported where there is something to complete, and where the model runs.


class TritonPythonModel:
    """What the Python backend looks up in a model.py; one object for each model instance."""

    @staticmethod
    def auto_complete_config(auto_complete_model_config: Any) -> Any:
        config = auto_complete_model_config.as_dict()
        if config.get("input") and config.get("output"):
            return auto_complete_model_config
        try:
            path = model_path(config, Path(pb_utils.get_model_dir()))
            if not is_exported(path):
                raise SettingError(
                    "a TorchScript file does not say types and shapes: its configuration has to "
                    "name input and output"
                )
            from torch_signature import complete

            complete(config, path)
        except SettingError as error:
            raise pb_utils.TritonModelException(str(error)) from None
        return auto_complete_model_config

    def initialize(self, args: dict[str, str]) -> None:
        from torch_instance import Instance

        self._instance = Instance(args)

    def execute(self, requests: Sequence[Any]) -> list[Any]:
        return self._instance.execute(requests)
