"""A model's inputs and outputs in Triton's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Tensor:
    """One input or output: KServe v2 `datatype` (`FP32`, `BYTES`, …) and full `shape`.

    -1 is a dimension of any size; the batch dimension is part of the shape.
    """

    name: str
    datatype: str
    shape: tuple[int, ...]

    def __str__(self) -> str:
        dims = ",".join(str(d) for d in self.shape)
        return f"{self.name} {self.datatype}[{dims}]"


@dataclass(frozen=True)
class Signature:
    """What a version takes and gives, in the order of its file."""

    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]

    @property
    def batched(self) -> bool:
        """True when the first dimension of every tensor is free: Triton may batch over it."""
        tensors = (*self.inputs, *self.outputs)
        return bool(tensors) and all(t.shape and t.shape[0] == -1 for t in tensors)

    def to_document(self) -> dict[str, Any]:
        """The JSON form: `{"inputs": [{name, datatype, shape}], "outputs": […], "batched"}`."""
        return {
            "inputs": [_tensor_document(t) for t in self.inputs],
            "outputs": [_tensor_document(t) for t in self.outputs],
            "batched": self.batched,
        }

    @classmethod
    def from_document(cls, document: Mapping[str, Any]) -> Signature:
        """The inverse of `to_document`; raises KeyError on a document that is not one."""
        return cls(
            inputs=tuple(_tensor(t) for t in document["inputs"]),
            outputs=tuple(_tensor(t) for t in document["outputs"]),
        )


def differences(one: Signature, other: Signature) -> list[str]:
    """How `other` differs from `one`, in words; empty when a caller cannot tell them apart.

    Order does not count: the v2 protocol addresses tensors by name.
    """
    found: list[str] = []
    for kind, ours, theirs in (
        ("input", one.inputs, other.inputs),
        ("output", one.outputs, other.outputs),
    ):
        left = {t.name: t for t in ours}
        right = {t.name: t for t in theirs}
        for name in sorted(left.keys() - right.keys()):
            found.append(f"{kind} {left[name]} is missing")
        for name in sorted(right.keys() - left.keys()):
            found.append(f"{kind} {right[name]} is new")
        for name in sorted(left.keys() & right.keys()):
            if left[name] != right[name]:
                found.append(f"{kind} is {right[name]}, not {left[name]}")
    return found


def _tensor_document(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _tensor(document: Mapping[str, Any]) -> Tensor:
    return Tensor(document["name"], document["datatype"], tuple(document["shape"]))
