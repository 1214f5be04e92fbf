"""One real Triton on a machine with an NVIDIA GPU; elsewhere these tests are skipped."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterator

import pytest

from tests.support.triton import RunningTriton, running_triton


def _gpus() -> list[str]:
    found = shutil.which("nvidia-smi")
    if found is None:
        return []
    listed = subprocess.run([found, "-L"], capture_output=True, text=True, check=False)
    return [line for line in listed.stdout.splitlines() if line.startswith("GPU ")]


@pytest.fixture(scope="session")
def server() -> Iterator[RunningTriton]:
    if not _gpus():
        pytest.skip("needs an NVIDIA GPU")
    with running_triton("gpu") as running:
        yield running
