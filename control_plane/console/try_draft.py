"""A request as the try-it form holds it: what is offered, and what was sent back."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np

from control_plane.console.tensor_values import (
    WRITTEN,
    ValueRefusedError,
    filled,
    nested,
    read_shape,
    read_values,
    values_of,
)
from control_plane.domain.registry.golden import GoldenExample, GoldenTensor
from control_plane.domain.routing.headers import ForwardedHeaders
from control_plane.domain.signature import Signature, Tensor
from control_plane.ports.inference import Scalar, TensorData

FILLS = (
    ("written", "as written below"),
    ("random", "random, from 0 to 1"),
    ("zeros", "all zeros"),
    ("ones", "all ones"),
)
MAX_LINES = 32
MAX_VALUE = 2048
OURS = ("binary_data", "shared_memory", "classification")
"""Parameters that say how tensors travel: the console says that itself."""


@dataclass
class InputField:
    """One input of the endpoint as the form has it."""

    tensor: Tensor
    key: str
    shape: str
    fill: str
    data: str
    error: str = ""

    @classmethod
    def of(cls, tensor: Tensor, key: str, golden: GoldenTensor | None = None) -> InputField:
        """What the form begins with: a golden example, or one of everything that may vary."""
        if golden is not None and len(golden.values) <= WRITTEN:
            shape = tuple(golden.shape)
            text = ", ".join(str(dim) for dim in shape)
            return cls(tensor, key, text, "written", nested(golden.values, shape))
        shape = tuple(1 if dim < 0 else dim for dim in tensor.shape)
        text = ", ".join(str(dim) for dim in shape)
        if math.prod(shape) > WRITTEN:
            return cls(tensor, key, text, "random", "")
        return cls(tensor, key, text, "written", _example(tensor, shape))

    @classmethod
    def from_post(cls, tensor: Tensor, key: str, posted: Mapping[str, str]) -> InputField:
        return cls(
            tensor,
            key,
            posted.get(f"shape.{key}", ""),
            posted.get(f"fill.{key}", "written"),
            posted.get(f"data.{key}", ""),
        )

    def read(self) -> TensorData | None:
        """The tensor; None where there is an error, which is noted."""
        tensor = self.tensor
        try:
            shape = read_shape(self.shape, tensor.shape)
            if self.fill == "written":
                return read_values(tensor.name, tensor.datatype, shape, self.data)
            return filled(tensor.name, tensor.datatype, shape, self.fill)
        except ValueRefusedError as refusal:
            self.error = str(refusal)
            return None


@dataclass
class TryDraft:
    """The whole form. `version` is one that is asked directly; None asks the endpoint."""

    inputs: list[InputField]
    headers: str = ""
    parameters: str = ""
    version: int | None = None
    server: str = ""
    errors: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, signature: Signature, golden: GoldenExample | None = None) -> TryDraft:
        given = {tensor.name: tensor for tensor in golden.inputs} if golden else {}
        fields = [
            InputField.of(tensor, str(i), given.get(tensor.name))
            for i, tensor in enumerate(signature.inputs)
        ]
        return cls(fields)

    @classmethod
    def from_post(cls, signature: Signature, posted: Mapping[str, str]) -> TryDraft:
        version = posted.get("version", "")
        return cls(
            inputs=[
                InputField.from_post(tensor, str(i), posted)
                for i, tensor in enumerate(signature.inputs)
            ],
            headers=posted.get("headers", ""),
            parameters=posted.get("parameters", ""),
            version=int(version) if version.isascii() and version.isdigit() else None,
            server=posted.get("server", ""),
        )

    def tensors(self) -> list[TensorData]:
        """Every input; those that cannot be read note it, and are in `wrong`."""
        read = [each.read() for each in self.inputs]
        return [tensor for tensor in read if tensor is not None]

    def read_headers(self, forwarded: ForwardedHeaders) -> dict[str, str]:
        """`name: value` lines, of headers that reach the router; any other is an error."""
        found = {}
        for name, value in self._lines(self.headers, "header"):
            refusal = forwarded.refusal(name)
            if not refusal and not (value.isprintable() and value.isascii()):
                refusal = f"the value of the header {name!r} has letters that no header may have"
            if refusal:
                self.errors.append(refusal)
            found[name.lower()] = value
        return found

    def read_parameters(self) -> dict[str, Scalar]:
        """`name: value` lines; a number, true and false are that, anything else is a text."""
        found: dict[str, Scalar] = {}
        for name, value in self._lines(self.parameters, "parameter"):
            if name.startswith(OURS):
                self.errors.append(f"the parameter {name!r} is the console's own to set")
            found[name] = _scalar(value)
        return found

    @property
    def wrong(self) -> list[tuple[str, str]]:
        """(What, why not) of everything that cannot be sent."""
        fields = [(each.tensor.name, each.error) for each in self.inputs if each.error]
        return [*fields, *(("", error) for error in self.errors)]

    def _lines(self, text: str, what: str) -> Iterator[tuple[str, str]]:
        lines = [line for line in text.splitlines() if line.strip()]
        if len(lines) > MAX_LINES:
            self.errors.append(f"at most {MAX_LINES} {what}s")
        for line in lines[:MAX_LINES]:
            name, colon, value = (part.strip() for part in line.partition(":"))
            if not colon or not name:
                self.errors.append(f"{line[:60]!r} is no {what}: write it as name: value")
            elif len(value) > MAX_VALUE:
                self.errors.append(f"the {what} {name[:60]!r} is longer than {MAX_VALUE} letters")
            else:
                yield name, value


def _scalar(text: str) -> Scalar:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return text
    # Triton's parameters are 64-bit whole numbers, booleans and texts.
    fits = isinstance(value, bool | str) or (isinstance(value, int) and abs(value) < 1 << 63)
    return value if fits else text


def _example(tensor: Tensor, shape: tuple[int, ...]) -> str:
    """Values to begin with: the same at each visit, and not all equal, so that arms differ."""
    count = math.prod(shape)
    if tensor.datatype == "BYTES":
        return nested(["text"] * count, shape)
    try:
        zeros = values_of(filled(tensor.name, tensor.datatype, shape, "zeros"))
    except ValueRefusedError:
        return ""
    if tensor.datatype.startswith("FP"):
        drawn = np.random.default_rng(1).random(count).round(2).tolist()
        return nested(drawn, shape)
    return nested(zeros, shape)
