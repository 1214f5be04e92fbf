"""Golden examples: inputs with the outputs that are expected of a version, wherever it runs.

`[{"inputs": {"image": [[…]]}, "outputs": {"logits": [[…]]}, "tolerance": 1e-4}]`, tensors as nested
lists with the batch dimension. An example may leave outputs out, never inputs.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from control_plane.domain.signature import Signature, Tensor
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import InvalidInputError, Violation

MAX_EXAMPLES = 32
MAX_VALUES = 1_000_000
"""Numbers and texts of all examples together: every server keeps and runs them."""

DEFAULT_TOLERANCE = 1e-4
_MAX_VIOLATIONS = 20

Value = float | int | bool | str


@dataclass(frozen=True)
class GoldenTensor:
    """A tensor with its values, row after row."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    values: tuple[Value, ...]


@dataclass(frozen=True)
class GoldenExample:
    """What goes in, what has to come out, and how far from it is near enough.

    A number is near enough when |got - expected| <= tolerance * max(1, |expected|): the tolerance
    is absolute for small numbers and relative for large ones. With 1e-4, 250.02 passes for 250.
    """

    inputs: tuple[GoldenTensor, ...]
    outputs: tuple[GoldenTensor, ...]
    tolerance: float


Outputs = Mapping[str, tuple[Sequence[int], Sequence[Value]]]
"""What a model answered: by tensor its shape and its values, row after row."""


def parse_golden(
    document: object, signature: Signature, where: str = "/golden", max_rows: int | None = None
) -> tuple[GoldenExample, ...]:
    """The examples, checked against what the version takes and gives.

    Args:
        max_rows: the most rows that its serving profile lets a batch have; None: any number.

    Raises:
        InvalidInputError: with a violation for each place that is not as it must be.
    """
    if not isinstance(document, Sequence) or isinstance(document, str):
        raise InvalidInputError([Violation(where, "type", "a list of examples")])
    if len(document) > MAX_EXAMPLES:
        detail = f"{len(document)} examples; at most {MAX_EXAMPLES} are kept"
        raise InvalidInputError([Violation(where, "too_many", detail)])
    reader = _Reader(signature, max_rows)
    examples = [reader.example(entry, f"{where}/{i}") for i, entry in enumerate(document)]
    if reader.values > MAX_VALUES:
        detail = f"{reader.values} values in all; at most {MAX_VALUES} are kept"
        reader.found.append(Violation(where, "too_many", detail))
    if reader.found:
        raise InvalidInputError(reader.found[:_MAX_VIOLATIONS])
    return tuple(example for example in examples if example)


def difference(example: GoldenExample, outputs: Outputs) -> str:
    """The first value that is not as expected, in words with its tensor and index; else empty."""
    for expected in example.outputs:
        if expected.name not in outputs:
            return f"the output {expected.name!r} is missing in the answer"
        shape, values = outputs[expected.name]
        if len(values) != len(expected.values):
            return (
                f"{expected.name} has the shape {list(shape)}, and {list(expected.shape)} was "
                "expected"
            )
        for i, (got, want) in enumerate(zip(values, expected.values, strict=True)):
            if not _near(got, want, example.tolerance):
                index = ", ".join(str(n) for n in _index(i, expected.shape))
                return (
                    f"{expected.name}[{index}] is {_word(got)}, and {_word(want)} was expected "
                    f"(tolerance {example.tolerance:g})"
                )
    return ""


def first_difference(
    examples: Sequence[GoldenExample], answer: Callable[[GoldenExample], Outputs]
) -> str:
    """Asks a model every example; what the first that fails got wrong, in words, else empty."""
    for number, example in enumerate(examples, 1):
        if problem := difference(example, answer(example)):
            return f"golden example {number} of {len(examples)}: {problem}"
    return ""


class _Reader:
    """Reads examples one after the other; what is wrong gathers in `found`."""

    def __init__(self, signature: Signature, max_rows: int | None) -> None:
        self._inputs = {tensor.name: tensor for tensor in signature.inputs}
        self._outputs = {tensor.name: tensor for tensor in signature.outputs}
        self._max_rows = max_rows if signature.batched else None
        self.found: list[Violation] = []
        self.values = 0

    def example(self, entry: object, where: str) -> GoldenExample | None:
        if not isinstance(entry, Mapping) or not {"inputs", "outputs"} <= entry.keys():
            self._say(where, "type", 'an example is {"inputs": {…}, "outputs": {…}}')
            return None
        if unknown := sorted(entry.keys() - {"inputs", "outputs", "tolerance"}):
            self._say(f"{where}/{pointer_part(unknown[0])}", "unknown", "unknown field")
        inputs = self._side(entry["inputs"], self._inputs, f"{where}/inputs")
        outputs = self._side(entry["outputs"], self._outputs, f"{where}/outputs")
        for name in sorted(self._inputs.keys() - {tensor.name for tensor in inputs}):
            if isinstance(entry["inputs"], Mapping) and name not in entry["inputs"]:
                self._say(f"{where}/inputs", "required", f"the input {name!r} is missing")
        if isinstance(entry["outputs"], Mapping) and not entry["outputs"]:
            self._say(f"{where}/outputs", "required", "at least one output is expected")
        rows = {tensor.shape[0] for tensor in inputs if tensor.shape}
        if self._max_rows is not None and rows and max(rows) > max(1, self._max_rows):
            detail = f"{max(rows)} rows, and its serving profile takes at most {self._max_rows}"
            self._say(f"{where}/inputs", "rows", detail)
        return GoldenExample(tuple(inputs), tuple(outputs), self._tolerance(entry, where))

    def _tolerance(self, entry: Mapping[str, Any], where: str) -> float:
        given = entry.get("tolerance", DEFAULT_TOLERANCE)
        if isinstance(given, bool) or not isinstance(given, int | float) or not 0 <= given < 1e30:
            self._say(f"{where}/tolerance", "range", "a number from 0")
            return DEFAULT_TOLERANCE
        return float(given)

    def _side(self, side: object, known: Mapping[str, Tensor], where: str) -> list[GoldenTensor]:
        if not isinstance(side, Mapping):
            self._say(where, "type", "an object of tensors by name")
            return []
        read = []
        for name, nested in side.items():
            place = f"{where}/{pointer_part(name)}"
            if name not in known:
                self._say(place, "not_found", f"there is none; there are: {', '.join(known)}")
                continue
            if tensor := self._tensor(known[name], nested, place):
                read.append(tensor)
        return read

    def _tensor(self, tensor: Tensor, nested: object, where: str) -> GoldenTensor | None:
        shape = _shape_of(nested)
        fits = len(shape) == len(tensor.shape) and all(
            wanted in (-1, size) for size, wanted in zip(shape, tensor.shape, strict=True)
        )
        if not fits or 0 in shape:
            self._say(where, "shape", f"has the shape {list(shape)}, and {tensor} is asked for")
            return None
        values: list[Any] = []
        if not _flatten(nested, shape, values):
            self._say(where, "shape", "its rows are not all of the same length")
            return None
        self.values += len(values)
        if (wrong := next((v for v in values if not _is_of(v, tensor.datatype)), None)) is not None:
            self._say(where, "value", f"{str(wrong)[:40]!r} is no value of {tensor.datatype}")
            return None
        return GoldenTensor(tensor.name, tensor.datatype, shape, tuple(values))

    def _say(self, where: str, code: str, detail: str) -> None:
        self.found.append(Violation(where, code, detail))


def _shape_of(nested: object) -> tuple[int, ...]:
    shape = []
    while isinstance(nested, list):
        shape.append(len(nested))
        nested = nested[0] if nested else None
    return tuple(shape)


def _flatten(nested: Any, shape: Sequence[int], values: list[Any]) -> bool:
    if not shape:
        values.append(nested)
        return not isinstance(nested, list | dict) and nested is not None
    if not isinstance(nested, list) or len(nested) != shape[0]:
        return False
    return all(_flatten(part, shape[1:], values) for part in nested)


def _is_of(value: object, datatype: str) -> bool:
    if datatype == "BYTES":
        return isinstance(value, str)
    if datatype == "BOOL":
        return isinstance(value, bool)
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    if datatype.startswith(("INT", "UINT")):
        bits = int(datatype.lstrip("UINT"))
        low, high = (0, 1 << bits) if datatype[0] == "U" else (-(1 << bits - 1), 1 << bits - 1)
        return isinstance(value, int) and low <= value < high
    return True


def _near(got: Value, want: Value, tolerance: float) -> bool:
    if isinstance(want, str | bool) or isinstance(got, str | bool):
        return got == want
    if math.isnan(got) or math.isinf(got):
        return False
    return abs(got - want) <= tolerance * max(1.0, abs(want))


def _index(place: int, shape: Sequence[int]) -> list[int]:
    index = []
    for size in reversed(shape):
        place, remainder = divmod(place, size)
        index.append(remainder)
    return index[::-1]


def _word(value: Value) -> str:
    return f"{value:.9g}" if isinstance(value, float) else repr(value)[:80]
