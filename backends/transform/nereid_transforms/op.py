"""What an op is: options that are checked, shapes that follow from shapes, values from values."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, ClassVar, Protocol

import numpy as np
import numpy.typing as npt
from annotated_types import Len
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, Strict

from .files import Files
from .tensor_type import TensorType, numpy_of

Array = npt.NDArray[Any]
Types = Mapping[str, TensorType]
Values = Mapping[str, Array]
Given = Mapping[str, "Array | list[Array]"]
"""What an op gives: a batch, or its rows one by one where their shapes may differ."""

ANY = "*"
"""As the last port: any number of tensors more. A port that ends in `?` may be left out."""

Flag = Annotated[bool, Strict()]
Whole = Annotated[int, Strict()]


def _no_truth(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError(f"a number, not {str(value).lower()}")
    return value


def _listed(value: Any) -> Any:
    return [value] if isinstance(value, int | float | str) else value


Number = Annotated[float, Field(allow_inf_nan=False), BeforeValidator(_no_truth)]
Above0 = Annotated[Number, Field(gt=0)]

_OneOrMore = BeforeValidator(_listed)
Numbers = Annotated[tuple[Number, ...], Len(1, 1 << 16), _OneOrMore]
"""One number, or a list of them."""

NumbersAbove0 = Annotated[tuple[Above0, ...], Len(1, 1 << 16), _OneOrMore]


class PortError(ValueError):
    """A tensor is not what the op takes; the step says which tensor that is."""

    def __init__(self, port: str, reason: str) -> None:
        super().__init__(reason)
        self.port = port


class OpClass(Protocol):
    """What an op has, ours or one of the operator's own: a pydantic model with these."""

    takes: ClassVar[tuple[str, ...]]
    gives: ClassVar[tuple[str, ...]]

    def infer(self, types: Types) -> Mapping[str, tuple[str, Sequence[int]]]:
        """The types of what it gives, by port; raises ValueError where it cannot take these."""
        ...

    def run(self, values: Values) -> Given:
        """What it gives for a batch, by port; raises ValueError where a value is at fault.

        Values have the batch as their first dimension, and rows do not depend on each other.
        """
        ...


def named_by(op: Any) -> tuple[str, ...]:
    """The ports of what it gives: of some ops they depend on the options."""
    named: tuple[str, ...] = getattr(op, "named", ()) or op.gives
    return named


class Op(BaseModel):
    """An op of ours: its fields are its options, its first line says what it does."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    takes: ClassVar[tuple[str, ...]] = ("input",)
    gives: ClassVar[tuple[str, ...]] = ("output",)
    shapes: ClassVar[str] = ""
    """Types in and out, in words, for the reference."""

    def open(self, files: Files) -> None:
        """Reads the files that its options name, before all else.

        Raises:
            ValueError: one is not there, or is no such file.
        """

    def infer(self, types: Types) -> Types:
        """The types of what it gives, by port.

        Raises:
            ValueError, PortError: it cannot take these.
        """
        raise NotImplementedError

    def run(self, values: Values) -> Given:
        """What it gives for a batch, by port.

        Raises:
            ValueError: a value is at fault.
        """
        raise NotImplementedError


class Map(Op):
    """An op that makes one tensor of one."""

    def infer(self, types: Types) -> Types:
        return {"output": self.infer_one(types["input"])}

    def run(self, values: Values) -> Given:
        return {"output": self.run_one(values["input"])}

    def infer_one(self, given: TensorType) -> TensorType:
        raise NotImplementedError

    def run_one(self, value: Array) -> Array | list[Array]:
        raise NotImplementedError


def need(
    given: TensorType, datatypes: Sequence[str], *, rank: int | None = None, port: str = "input"
) -> None:
    """Refuses other datatypes, and another number of dimensions.

    Raises:
        PortError: it is one of these.
    """
    if given.datatype not in datatypes:
        hint = ": cast it first" if given.datatype != "BYTES" and "BYTES" not in datatypes else ""
        raise PortError(port, f"it takes {' or '.join(datatypes)}{hint}")
    if rank is not None and len(given.dims) != rank:
        raise PortError(port, f"it takes rows of {rank} dimensions")


def need_single(given: TensorType, datatypes: Sequence[str], *, port: str = "input") -> None:
    """Refuses what has more than one value in a row.

    Raises:
        PortError: it may have.
    """
    need(given, datatypes, port=port)
    if given.dims not in ((), (1,)):
        raise PortError(port, "it takes one value a row: dims [1]")


def need_per_column(values: Sequence[Any], given: TensorType, what: str) -> None:
    """Refuses a list of options that does not fit the last dimension.

    Raises:
        PortError: it has neither one value nor one for each column.
    """
    if len(values) == 1:
        return
    columns = given.dims[-1] if given.dims else 1
    if columns not in (-1, len(values)):
        raise PortError("input", f"{what} has {len(values)} values, and a row {columns} columns")


def texts_of(value: Array) -> list[str]:
    """The texts of a tensor of BYTES, flat.

    Raises:
        ValueError: one of them is not UTF-8.
    """
    try:
        return [
            each.decode() if isinstance(each, bytes) else str(each) for each in value.reshape(-1)
        ]
    except UnicodeDecodeError as error:
        raise ValueError(f"a text is not UTF-8: {error}") from None


def integers(values: Sequence[int], datatype: str) -> Array:
    """Python's integers as an array; numpy would wrap around what is too large.

    Raises:
        ValueError: one is beyond what the type holds.
    """
    limits = np.iinfo(numpy_of(datatype))
    if values and not limits.min <= min(values) <= max(values) <= limits.max:
        wrong = min(values) if min(values) < limits.min else max(values)
        raise ValueError(f"{str(wrong)[:40]} is beyond what {datatype} holds")
    return np.array(values, numpy_of(datatype))


def objects(values: Sequence[Any], shape: Sequence[int]) -> Array:
    """An array of texts: numpy would make fixed-width text of them by itself."""
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(tuple(shape))
