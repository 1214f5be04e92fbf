"""What becomes of a batch's answers: each is written for itself."""

from __future__ import annotations

import sys
from types import ModuleType, SimpleNamespace
from typing import Any

import numpy as np
import pytest

from tests.support.python_based import imported


@pytest.fixture
def execution(monkeypatch: pytest.MonkeyPatch) -> Any:
    """The module, with the names that Triton's stub puts beside it."""
    triton: Any = ModuleType("triton_python_backend_utils")
    triton.TritonError = type(
        "TritonError",
        (),
        {"INVALID_ARG": 1, "INTERNAL": 2, "__init__": lambda self, said, code: _set(self, said)},
    )
    triton.InferenceResponse = lambda output_tensors=(), error=None: SimpleNamespace(
        tensors=list(output_tensors), error=error
    )
    monkeypatch.setitem(sys.modules, "triton_python_backend_utils", triton)
    monkeypatch.delitem(sys.modules, "execution", raising=False)
    yield imported("execution")
    sys.modules.pop("execution", None)


def _set(error: Any, said: str) -> None:
    error.said = said.encode().decode()  # Triton takes UTF-8 alone


class Request:
    def __init__(self, value: int) -> None:
        self.value = value

    def inputs(self) -> list[Any]:
        return [SimpleNamespace(name=lambda: "x", value=np.array([[self.value]]))]

    def requested_output_names(self) -> list[str]:
        return ["x"]


def test_an_answer_that_cannot_be_written_fails_its_own_request_alone(execution: Any) -> None:
    def write(name: str, value: np.ndarray) -> int:
        if value.item() < 0:
            raise ValueError("\ud83d is no text")
        return int(value.item())

    run = execution.Execution(
        {"max_batch_size": 8},
        lambda wanted, inputs: [inputs[name] for name in wanted],
        read=lambda _, tensor: tensor.value,
        write=write,
        arrays=imported("request_batch").NUMPY,
    )
    answers = run([Request(1), Request(-1), Request(2)])
    assert [answer.tensors for answer in answers] == [[1], [], [2]]
    assert answers[1].error.said == r"its answer cannot be written: \ud83d is no text"
