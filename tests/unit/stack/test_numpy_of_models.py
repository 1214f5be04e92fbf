"""Models whose NumPy the stub cannot read would answer nothing, with status 200."""

from __future__ import annotations

import importlib.metadata

import pytest

from stack import triton_wheel


@pytest.mark.parametrize("version", ["2.0.0", "2.5.2", "10.1.0"])
def test_a_numpy_that_the_stub_cannot_read_is_refused(
    monkeypatch: pytest.MonkeyPatch, version: str
) -> None:
    monkeypatch.setattr(importlib.metadata, "version", lambda _: version)
    with pytest.raises(triton_wheel.TritonUnavailableError, match=f"NumPy {version}.*'numpy<2'"):
        triton_wheel.check_numpy()


def test_the_installed_one_is_fine() -> None:
    triton_wheel.check_numpy()
