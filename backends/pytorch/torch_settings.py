"""How PyTorch is to run a model: the parameters of NVIDIA's PyTorch backend, by its names."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import torch
from settings import PYTHON_BACKEND, boolean, integer, parameters

_BOOLEANS = {
    "INFERENCE_MODE": True,
    "DISABLE_OPTIMIZED_EXECUTION": False,
    "ENABLE_CACHE_CLEANING": False,
}
_INTEGERS = ("INTRA_OP_THREAD_COUNT", "INTER_OP_THREAD_COUNT")
# Of fusers that PyTorch no longer has, and of sharing between instances: processes share nothing.
_WITHOUT_EFFECT = ("ENABLE_NVFUSER", "ENABLE_TENSOR_FUSER", "ENABLE_WEIGHT_SHARING")


@dataclass(frozen=True)
class TorchSettings:
    """Switches of an execution; a thread count of 0 leaves it to PyTorch."""

    inference_mode: bool
    optimized: bool
    clean_cache: bool
    intra_op_threads: int
    inter_op_threads: int

    @contextlib.contextmanager
    def running(self) -> Iterator[None]:
        """In here the model is run: without gradients, as the settings say."""
        gradients = torch.inference_mode() if self.inference_mode else torch.no_grad()
        with gradients, torch.jit.optimized_execution(self.optimized):
            yield

    def apply_threads(self) -> None:
        """Once in a process, before anything ran."""
        if self.intra_op_threads:
            torch.set_num_threads(self.intra_op_threads)
        if self.inter_op_threads:
            torch.set_num_interop_threads(self.inter_op_threads)


def read_settings(config: Mapping[str, Any], warn: Callable[[str], None]) -> TorchSettings:
    """The settings; a parameter nobody knows is named in a warning and does nothing.

    Raises:
        SettingError: a value that cannot be.
    """
    given = parameters(config)
    switches = {key: boolean(key, given.get(key, str(off))) for key, off in _BOOLEANS.items()}
    numbers = {key: max(0, integer(key, given.get(key, "0"))) for key in _INTEGERS}
    known = {*_BOOLEANS, *_INTEGERS, *PYTHON_BACKEND}
    if ignored := sorted(given.keys() - known):
        named = [key for key in ignored if key in _WITHOUT_EFFECT]
        if unknown := [key for key in ignored if key not in named]:
            warn(f"these parameters have no meaning here and are ignored: {', '.join(unknown)}")
        if named:
            warn(f"these parameters have no effect in this backend: {', '.join(named)}")
    return TorchSettings(
        inference_mode=switches["INFERENCE_MODE"],
        optimized=not switches["DISABLE_OPTIMIZED_EXECUTION"],
        clean_cache=switches["ENABLE_CACHE_CLEANING"],
        intra_op_threads=numbers["INTRA_OP_THREAD_COUNT"],
        inter_op_threads=numbers["INTER_OP_THREAD_COUNT"],
    )


def device(kind: str, device_id: int, warn: Callable[[str], None]) -> torch.device:
    """Where the instance runs: its GPU if this PyTorch can use one, else the CPU."""
    if kind != "GPU":
        return torch.device("cpu")
    if not torch.cuda.is_available():
        warn("an instance on a GPU is asked for, but this PyTorch has no CUDA: using the CPU")
        return torch.device("cpu")
    return torch.device("cuda", device_id)
