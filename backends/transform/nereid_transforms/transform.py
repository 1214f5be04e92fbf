"""A transform: its steps bound to each other and typed, and run over whole batches."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from pydantic import ValidationError

from .files import Files
from .op import ANY, Array, Op, PortError, named_by
from .spec import InputSpec, Ports, SpecError, StepSpec, TransformSpec, problems, read_spec
from .table import op_class
from .tensor_type import DATATYPES, MAX_RANK, MAX_SIZE, TensorType, fits, numpy_of, size_of

Batch = Array | list[Array]
"""A batch, or its rows one by one where their shapes differ."""


class RowError(ValueError):
    """A value that cannot be transformed; the message names the step and the tensor."""


@dataclass(frozen=True)
class Step:
    """An op with the tensors that it takes and gives, by port."""

    label: str
    op: Any
    takes: Mapping[str, str]
    gives: Mapping[str, str]


class Transform:
    """What a specification amounts to: types of all tensors, and `run`."""

    def __init__(self, spec: TransformSpec, files: Files) -> None:
        """Raises SpecError where the steps do not fit together; it names the tensor."""
        self.inputs = {given.name: _type_of(given) for given in spec.inputs}
        if len(self.inputs) != len(spec.inputs):
            raise SpecError("two inputs have the same name")
        self.types = dict(self.inputs)
        self.steps: list[Step] = []
        for number, said in enumerate(spec.steps, 1):
            self._add(_bound(f"step {number} ({said.op})", said, files))
        self.sources = {given.name: given.source for given in spec.outputs}
        if len(self.sources) != len(spec.outputs):
            raise SpecError("two outputs have the same name")
        for name, source in self.sources.items():
            if source not in self.types:
                raise SpecError(f"the output {name!r} is {source!r}: {self._there_is(source)}")
        self._check_used()
        self.outputs = {name: self.types[source] for name, source in self.sources.items()}

    @classmethod
    def read(cls, content: bytes, files: Files) -> Transform:
        """The transform in a file of YAML or JSON.

        Raises:
            SpecError: the file is none, or its steps do not fit together.
        """
        return cls(read_spec(content), files)

    def run(self, wanted: Sequence[str], inputs: Mapping[str, Array]) -> list[Array]:
        """The wanted outputs of a batch, in that order; steps that only lead elsewhere rest.

        Raises:
            RowError: a value cannot be transformed.
        """
        values: dict[str, Batch] = {name: self._checked(name, inputs) for name in self.inputs}
        if len(sizes := {len(value) for value in values.values()}) != 1:
            raise RowError(f"the inputs disagree on how many rows there are: {sorted(sizes)}")
        needed = self._needed(wanted)
        for step in self.steps:
            if needed.intersection(step.gives.values()):
                values |= self._run(step, values)
        return [self._stacked(name, values[self.sources[name]]) for name in wanted]

    def _add(self, step: Step) -> None:
        for tensor in step.takes.values():
            if tensor not in self.types:
                raise SpecError(f"{step.label} takes {tensor!r}: {self._there_is(tensor)}")
        for tensor in step.gives.values():
            if tensor in self.types:
                raise SpecError(
                    f"{step.label} gives {tensor!r}, which is there already: each tensor has a "
                    "name of its own"
                )
        self.types |= self._inferred(step)
        self.steps.append(step)

    def _there_is(self, tensor: str) -> str:
        close = ", ".join(list(self.types)[-20:])
        return f"no input and no step before it gives {tensor!r}; there are {close}"

    def _inferred(self, step: Step) -> dict[str, TensorType]:
        types = {port: self.types[tensor] for port, tensor in step.takes.items()}
        try:
            found = step.op.infer(types)
        except PortError as error:
            tensor = step.takes.get(error.port, error.port)
            raise SpecError(
                f"{step.label}: the tensor {tensor!r} is {types.get(error.port)}, and {error}"
            ) from None
        except Exception as error:  # an op of the operator's own may raise anything
            taken = ", ".join(f"{t} {self.types[t]}" for t in step.takes.values())
            raise SpecError(f"{step.label}: {error} (it takes {taken})") from None
        return {
            tensor: _checked_type(step, tensor, port, found) for port, tensor in step.gives.items()
        }

    def _check_used(self) -> None:
        used = {tensor for step in self.steps for tensor in step.takes.values()}
        used.update(self.sources.values())
        for step in self.steps:
            for tensor in step.gives.values():
                if tensor not in used:
                    raise SpecError(
                        f"{step.label} gives {tensor!r}, and nothing takes it: make it an output, "
                        "or leave it out"
                    )
        for name in self.inputs:
            if name not in used:
                raise SpecError(f"nothing takes the input {name!r}: leave it out")

    def _needed(self, wanted: Sequence[str]) -> set[str]:
        needed = {self.sources[name] for name in wanted}
        for step in reversed(self.steps):
            if needed.intersection(step.gives.values()):
                needed.update(step.takes.values())
        return needed

    def _checked(self, name: str, inputs: Mapping[str, Array]) -> Array:
        kind, value = self.inputs[name], inputs.get(name)
        if value is None:
            raise RowError(f"the input {name!r} is missing")
        if value.dtype != numpy_of(kind.datatype) or not fits(value.shape[1:], kind.dims):
            got = f"{value.dtype}{list(value.shape[1:])}"
            raise RowError(f"a row of the input {name!r} is {got}, and {kind} is asked for")
        return value

    def _run(self, step: Step, values: Mapping[str, Batch]) -> dict[str, Batch]:
        given = {port: values[tensor] for port, tensor in step.takes.items()}
        try:
            if any(isinstance(value, list) for value in given.values()):
                found: Mapping[str, Batch] = _row_by_row(step.op, given)
            else:
                found = step.op.run(given)
            return {tensor: self._held(tensor, found[port]) for port, tensor in step.gives.items()}
        except MemoryError:
            raise RowError(f"{step.label}: there is not enough memory for it") from None
        except Exception as error:  # an op of the operator's own may raise anything
            taken = ", ".join(repr(tensor) for tensor in step.takes.values())
            raise RowError(f"{step.label} of {taken}: {error}") from error

    def _held(self, tensor: str, value: Batch) -> Batch:
        """The value as its type says that it is, stacked where its rows are alike."""
        kind = numpy_of(self.types[tensor].datatype)
        if isinstance(value, list):
            rows = [np.asarray(row, kind) for row in value]
            alike = len({row.shape for row in rows}) == 1
            value = np.stack(rows) if alike else rows
        else:
            value = np.asarray(value, kind)
        shapes = [value.shape[1:]] if isinstance(value, np.ndarray) else [r.shape for r in value]
        if any(not fits(shape, self.types[tensor].dims) for shape in shapes):
            raise ValueError(f"it gives {tensor!r} as {shapes[0]}, and not {self.types[tensor]}")
        return value

    def _stacked(self, name: str, value: Batch) -> Array:
        if isinstance(value, np.ndarray):
            return value
        sizes = sorted({str(list(row.shape)) for row in value})
        raise RowError(
            f"rows of the output {name!r} have different shapes ({' and '.join(sizes[:4])}): send "
            "each in a request of its own, or bring them to one shape in the transform"
        )


def _type_of(given: InputSpec) -> TensorType:
    return TensorType(given.datatype, given.dims)


def _bound(label: str, said: StepSpec, files: Files) -> Step:
    try:
        kind = op_class(said.op)
        op = kind.model_validate(said.options)
        if isinstance(op, Op):
            op.open(files)
    except ValidationError as error:
        raise SpecError(f"{label} {problems(error, said.options, 'options')}") from None
    except (ValueError, TypeError) as error:
        raise SpecError(f"{label}: {error}") from None
    return Step(
        label,
        op,
        _ports(label, "takes", said.inputs, kind.takes, whole=True),
        _ports(label, "gives", said.outputs, named_by(op), whole=False),
    )


def _ports(
    label: str, verb: str, said: Ports, ports: Sequence[str], *, whole: bool
) -> dict[str, str]:
    """Port -> tensor, from whichever way it was written.

    Raises:
        SpecError: a port that the op does not have, or one that it needs is not said.
    """
    fixed, more = [port for port in ports if port != ANY], ANY in ports
    optional = [port.removesuffix("?") for port in fixed if port.endswith("?")]
    fixed = [port.removesuffix("?") for port in fixed]
    if isinstance(said, dict):
        found = dict(said)
    else:
        listed = [said] if isinstance(said, str) else list(said)
        # Where there may be any number, what is not named goes by the tensor's own name.
        names = [*fixed, *listed[len(fixed) :]] if more else fixed
        if len(set(names)) != len(names):
            raise SpecError(f"{label} {verb} a tensor twice: name them as a mapping")
        if len(listed) > len(names):
            raise SpecError(
                f"{label} {verb} at most {len(names)} tensors ({', '.join(names)}), and "
                f"{len(listed)} are named"
            )
        found = dict(zip(names, listed, strict=False))
    if not more and (unknown := [port for port in found if port not in fixed]):
        raise SpecError(f"{label} {verb} no {unknown[0]!r}, only {', '.join(fixed)}")
    missing = [port for port in fixed if port not in found and port not in optional]
    if whole and missing:
        raise SpecError(f"{label} {verb} {', '.join(fixed)}, and {missing[0]!r} is not named")
    if not found:
        raise SpecError(f"{label} {verb} no tensor at all: name at least one")
    if verb == "gives" and len(set(found.values())) != len(found):
        raise SpecError(f"{label} gives two tensors of one name")
    return found


def _checked_type(step: Step, tensor: str, port: str, found: Mapping[str, Any]) -> TensorType:
    """What an op says of a tensor that it gives, where that can be."""
    if port not in found:
        there = ", ".join(found)
        raise SpecError(f"{step.label} gives no {port!r} (as {tensor!r}); it gives {there}")
    datatype, dims = found[port]
    kind = TensorType(str(datatype), tuple(int(dim) for dim in dims))
    if kind.datatype not in DATATYPES or any(dim == 0 or dim < -1 for dim in kind.dims):
        raise SpecError(f"{step.label} gives {tensor!r} as {kind}, which no tensor is")
    if len(kind.dims) > MAX_RANK:
        raise SpecError(f"{step.label} gives {tensor!r} as {kind}: at most {MAX_RANK} dimensions")
    if size_of(kind.dims) > MAX_SIZE:
        raise SpecError(
            f"{step.label} gives {tensor!r} as {kind}: a row has at most {MAX_SIZE} values"
        )
    return kind


def _row_by_row(op: Any, given: Mapping[str, Batch]) -> dict[str, Batch]:
    """A batch whose rows have different shapes: each is a batch of one."""
    count = len(next(iter(given.values())))
    found: dict[str, list[Array]] = {}
    for index in range(count):
        row = {port: np.asarray(value[index])[None] for port, value in given.items()}
        for port, value in op.run(row).items():
            found.setdefault(port, []).append(value[0])
    return dict(found)
