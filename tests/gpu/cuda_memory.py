"""A piece of GPU memory that Triton reads and writes in place: CUDA shared memory, by PyTorch."""

from __future__ import annotations

import base64
import ctypes
from pathlib import Path
from typing import Any

import numpy as np
import torch

from tests.support.triton import RunningTriton


class _IpcHandle(ctypes.Structure):
    _fields_ = (("reserved", ctypes.c_char * 64),)


class CudaRegion:
    """`size` bytes on GPU 0, registered with the server under `name`."""

    def __init__(self, server: RunningTriton, name: str, size: int) -> None:
        self.name, self.size, self._server = name, size, server
        runtime = ctypes.CDLL(_runtime())
        self._runtime = runtime
        # An allocation of its own: a handle always stands for the whole of one.
        self._pointer = ctypes.c_void_p()
        torch.cuda.init()
        _check(runtime.cudaMalloc(ctypes.byref(self._pointer), ctypes.c_size_t(size)))
        handle = _IpcHandle()
        _check(runtime.cudaIpcGetMemHandle(ctypes.byref(handle), self._pointer))
        self._ask("register", self._registration(bytes(handle)))

    def _registration(self, handle: bytes) -> dict[str, Any]:
        encoded = base64.b64encode(handle).decode()
        return {"raw_handle": {"b64": encoded}, "device_id": 0, "byte_size": self.size}

    def write(self, value: np.ndarray) -> None:
        self._copy(self._pointer, value.ctypes.data, value.nbytes)

    def read(self, shape: tuple[int, ...], dtype: Any) -> np.ndarray:
        value = np.empty(shape, dtype)
        self._copy(value.ctypes.data, self._pointer, value.nbytes)
        return value

    def close(self) -> None:
        self._ask("unregister", {})
        _check(self._runtime.cudaFree(self._pointer))

    def _copy(self, target: Any, source: Any, size: int) -> None:
        pointers = (ctypes.c_void_p(getattr(p, "value", p)) for p in (target, source))
        _check(self._runtime.cudaMemcpy(*pointers, ctypes.c_size_t(size), ctypes.c_int(4)))

    def _ask(self, verb: str, body: dict[str, Any]) -> None:
        path = f"/v2/cudasharedmemory/region/{self.name}/{verb}"
        status, answer = self._server.call(path, body, headers=self._server.shm["http"])
        assert status == 200, answer


def _runtime() -> str:
    """The CUDA runtime that PyTorch has loaded into this process."""
    for line in Path("/proc/self/maps").read_text().splitlines():
        if "libcudart" in line:
            return line.split(maxsplit=5)[5]
    raise RuntimeError("PyTorch has not loaded a CUDA runtime")


def _check(status: int) -> None:
    assert status == 0, f"CUDA error {status}"
