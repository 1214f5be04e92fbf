"""What the nvidia-pytriton wheel carries, and which Python and NumPy it fits."""

from __future__ import annotations

import importlib.metadata
import importlib.util
import sys
from pathlib import Path

from stack.triton_leftovers import STUB

TOO_NEW_NUMPY = 2


class TritonUnavailableError(RuntimeError):
    """The embedded Triton cannot be launched, or did not become ready."""


def wheel_root() -> Path:
    """The folder of the nvidia-pytriton wheel that holds the server."""
    spec = importlib.util.find_spec("pytriton")
    if spec is None or not spec.submodule_search_locations:
        raise TritonUnavailableError(
            "nvidia-pytriton is not installed: run `make serve`, or set NEREID_TRITON_URL"
        )
    return Path(next(iter(spec.submodule_search_locations))) / "tritonserver"


def wheel_libraries() -> Path:
    return wheel_root().parent.parent / "nvidia_pytriton.libs"


def check_numpy() -> None:
    """Raises TritonUnavailableError where the models' NumPy is one that the stub cannot read.

    It was built for NumPy 1: an array of NumPy 2 has no bytes to it, and so a model would answer
    every request with status 200 and an empty tensor.
    """
    version = importlib.metadata.version("numpy")
    if int(version.partition(".")[0]) >= TOO_NEW_NUMPY:
        raise TritonUnavailableError(
            f"NumPy {version} is installed, and the Python backend of nvidia-pytriton reads arrays "
            "of NumPy 1 only: its models would answer without values. "
            f"Run `pip install 'numpy<{TOO_NEW_NUMPY}'`"
        )


def python_stub() -> Path:
    """The stub built for the Python that runs this: another one cannot import our packages."""
    version = f"{sys.version_info.major}.{sys.version_info.minor}"
    stub = wheel_root() / "python_backend_stubs" / version / STUB
    if not stub.exists():
        raise TritonUnavailableError(f"nvidia-pytriton has no Python stub for Python {version}")
    return stub
