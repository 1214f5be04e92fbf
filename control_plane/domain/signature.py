"""A model's inputs and outputs in Triton's terms."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from control_plane.domain.violations import InvalidInputError, Violation

DATATYPES = frozenset(
    {
        *("BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
        *("FP16", "FP32", "FP64", "BF16", "BYTES"),
    }
)
"""The KServe v2 names of what a tensor holds."""

MAX_TENSOR_NAME = 255
"""Characters; clients spell these names in every request."""

MAX_TENSORS = 256
MAX_DIMENSIONS = 16
_MAX_SIZE = 1 << 62


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


def narrowed(whole: Signature, said: Signature) -> tuple[Signature, list[str]]:
    """The signature with what was said of it, and what does not fit, in words.

    Less may be said than the model can: a size where its own varies, and not every output.
    """
    inputs, problems = _narrowed(whole.inputs, said.inputs, "input")
    left_out = [t for t in whole.inputs if t.name not in {tensor.name for tensor in said.inputs}]
    problems += [f"input {tensor} is missing" for tensor in left_out]
    outputs, more = _narrowed(whole.outputs, said.outputs, "output")
    return Signature(inputs, outputs), problems + more


def _narrowed(
    whole: tuple[Tensor, ...], said: tuple[Tensor, ...], kind: str
) -> tuple[tuple[Tensor, ...], list[str]]:
    theirs = {tensor.name: tensor for tensor in said}
    known = {tensor.name: tensor for tensor in whole}
    problems = [f"{kind} {t} is new" for name, t in theirs.items() if name not in known]
    found = []
    for name, tensor in known.items():
        if name not in theirs:
            continue
        one = theirs[name]
        fits = len(one.shape) == len(tensor.shape) and all(
            own in (-1, size) for own, size in zip(tensor.shape, one.shape, strict=True)
        )
        if one.datatype != tensor.datatype or not fits:
            problems.append(f"{kind} is {tensor}, not {one}")
        found.append(one)
    return tuple(found), problems


def read_signature(document: object, where: str = "/signature") -> Signature:
    """A signature that a person wrote: `{"inputs": [{name, datatype, shape}], "outputs": […]}`.

    Raises:
        InvalidInputError: with a violation for each place that is not as it must be.
    """
    if not isinstance(document, dict) or not {"inputs", "outputs"} <= document.keys():
        detail = 'a signature is {"inputs": […], "outputs": […]}'
        raise InvalidInputError([Violation(where, "type", detail)])
    found: list[Violation] = []
    for side in ("inputs", "outputs"):
        tensors = document[side]
        if not isinstance(tensors, list) or not 0 < len(tensors) <= MAX_TENSORS:
            detail = f"a list of 1 to {MAX_TENSORS} tensors"
            found.append(Violation(f"{where}/{side}", "type", detail))
            continue
        for i, tensor in enumerate(tensors):
            if problem := _tensor_problem(tensor):
                found.append(Violation(f"{where}/{side}/{i}", "tensor", problem))
        if not found and len({tensor["name"] for tensor in tensors}) != len(tensors):
            found.append(Violation(f"{where}/{side}", "twice", "two tensors have the same name"))
    if found:
        raise InvalidInputError(found[:20])
    return Signature.from_document(document)


def _tensor_problem(tensor: object) -> str:
    """Why it is none, in words; empty when it is one."""
    if not isinstance(tensor, dict) or not {"name", "datatype", "shape"} <= tensor.keys():
        return 'a tensor is {"name": …, "datatype": "FP32", "shape": [-1, 8]}'
    name, shape = tensor["name"], tensor["shape"]
    if not isinstance(name, str) or not 0 < len(name) <= MAX_TENSOR_NAME or not name.isprintable():
        return f"a tensor's name has 1 to {MAX_TENSOR_NAME} printable characters"
    if not isinstance(tensor["datatype"], str) or tensor["datatype"] not in DATATYPES:
        return f"its datatype is one of {', '.join(sorted(DATATYPES))}"
    if not isinstance(shape, list) or len(shape) > MAX_DIMENSIONS:
        return f"its shape is a list of at most {MAX_DIMENSIONS} sizes"
    if any(
        isinstance(size, bool)
        or not isinstance(size, int)
        or not (size == -1 or 0 < size < _MAX_SIZE)
        for size in shape
    ):
        return "a size is a whole number above 0, or -1 where it varies"
    return ""


def _tensor_document(tensor: Tensor) -> dict[str, Any]:
    return {"name": tensor.name, "datatype": tensor.datatype, "shape": list(tensor.shape)}


def _tensor(document: Mapping[str, Any]) -> Tensor:
    return Tensor(document["name"], document["datatype"], tuple(document["shape"]))
