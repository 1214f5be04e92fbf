"""Asking a served model one question, as any client does."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Protocol

Scalar = str | int | float | bool


class InferenceRefusedError(Exception):
    """The server answered with an error: its status and its own words."""

    def __init__(self, status: int, message: str) -> None:
        super().__init__(message)
        self.status = status


class NoAnswerError(Exception):
    """No whole answer came, and why: nobody there, too late, too large."""


@dataclass(frozen=True)
class TensorData:
    """A tensor with its contents: row-major, little-endian, as the v2 protocol's binary form.

    Of BYTES, each element is its length in four bytes and then itself.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class InferenceAnswer:
    """What came back; `elapsed_s` is from the call to the last byte, as a client sees it."""

    outputs: Sequence[TensorData]
    parameters: Mapping[str, Scalar]
    elapsed_s: float

    @property
    def arm(self) -> str:
        """The physical model that answered; empty where no router did."""
        return str(self.parameters.get("nereid_arm", ""))


class TritonInference(Protocol):
    """Inference at one Triton."""

    def infer(
        self,
        model: str,
        inputs: Sequence[TensorData],
        *,
        version: int | None = None,
        headers: Mapping[str, str] | None = None,
        parameters: Mapping[str, Scalar] | None = None,
    ) -> InferenceAnswer:
        """One request.

        Raises:
            InferenceRefusedError: the server said no.
            NoAnswerError: it said nothing that can be read, or not in time.
        """
        ...
