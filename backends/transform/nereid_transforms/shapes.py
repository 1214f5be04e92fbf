"""Types and shapes: what changes no value, or only puts values elsewhere."""

from __future__ import annotations

from typing import Annotated, Any, Literal

import numpy as np
from annotated_types import Ge, Len
from pydantic import Field, model_validator

from .op import ANY, Array, Map, Op, PortError, Types, Values, Whole, integers, objects, texts_of
from .spec import Dim
from .tensor_type import (
    DATATYPES,
    INTEGERS,
    MAX_RANK,
    TensorType,
    axis_of,
    fits,
    numpy_of,
    size_of,
)

Datatype = Literal[tuple(DATATYPES)]  # type: ignore[valid-type]


class Cast(Map):
    """Values become values of another type.

    Floats lose their fraction on the way to integers. Texts are read as numbers, and numbers
    written as texts. What the type cannot hold is refused.
    """

    shapes = "any → the type named, same dims"

    to: Datatype = Field(description="KServe v2's name.")

    def infer_one(self, given: TensorType) -> TensorType:
        return TensorType(self.to, given.dims)

    def run_one(self, value: Array) -> Array:
        if self.to == "BYTES":
            return value if value.dtype == object else _written(value)
        if value.dtype == object:
            return self._read(value)
        if self.to in INTEGERS:
            _check_range(value, self.to)
        with np.errstate(over="ignore"):
            return value.astype(numpy_of(self.to))

    def _read(self, value: Array) -> Array:
        read = _truth if self.to == "BOOL" else int if self.to in INTEGERS else float
        found: list[Any] = []
        for text in texts_of(value):
            try:
                found.append(read(text))
            except ValueError:
                raise ValueError(f"{text[:80]!r} is no {self.to}") from None
        if self.to in INTEGERS:
            return integers(found, self.to).reshape(value.shape)
        return np.array(found, numpy_of(self.to)).reshape(value.shape)


def _truth(text: str) -> bool:
    known = {"true": True, "1": True, "false": False, "0": False}
    if (word := text.strip().lower()) not in known:
        raise ValueError(text)
    return known[word]


def _written(value: Array) -> Array:
    flat = value.reshape(-1).tolist()
    if value.dtype == np.bool_:
        flat = ["true" if each else "false" for each in flat]
    return objects([str(each) for each in flat], value.shape)


def _check_range(value: Array, datatype: str) -> None:
    limits = np.iinfo(numpy_of(datatype))
    if value.dtype == np.bool_ or not value.size:
        return
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise ValueError(f"NaN and the infinities are no {datatype}: fill_missing before it")
    # As Python's integers: floats would round the limits of 64 bits.
    lowest, highest = int(value.min()), int(value.max())
    if lowest < limits.min or highest > limits.max:
        wrong = lowest if lowest < limits.min else highest
        raise ValueError(f"{wrong} is beyond what {datatype} holds")


class Reshape(Map):
    """The same values in rows of another shape."""

    shapes = "any → the same type, the dims named"

    dims: Annotated[tuple[Dim, ...], Len(0, MAX_RANK)] = Field(
        description="Of a row; one may be -1 and follows from the others."
    )

    @model_validator(mode="after")
    def _at_most_one(self) -> Reshape:
        if self.dims.count(-1) > 1 or 0 in self.dims:
            raise ValueError("one of the dims may be -1, the others are above 0")
        return self

    def infer_one(self, given: TensorType) -> TensorType:
        size = size_of(given.dims)
        if size == -1:
            return TensorType(given.datatype, self.dims)
        known = abs(size_of([dim for dim in self.dims if dim != -1]))
        if size % known or (-1 not in self.dims and size != known):
            raise PortError("input", f"its {size} values do not make rows of {list(self.dims)}")
        dims = tuple(size // known if dim == -1 else dim for dim in self.dims)
        return TensorType(given.datatype, dims)

    def run_one(self, value: Array) -> Array:
        size = int(np.prod(value.shape[1:], dtype=np.int64))
        known = int(np.prod([dim for dim in self.dims if dim != -1], dtype=np.int64))
        if size % known or (-1 not in self.dims and size != known):
            raise ValueError(f"{size} values do not make rows of {list(self.dims)}")
        dims = [size // known if dim == -1 else dim for dim in self.dims]
        return value.reshape(len(value), *dims)


class Transpose(Map):
    """The dimensions of a row in another order."""

    shapes = "any → the same type, dims in that order"

    order: Annotated[tuple[Annotated[Whole, Ge(0)], ...], Len(1, MAX_RANK)] = Field(
        description="[2, 0, 1] brings the last dimension to the front."
    )

    @model_validator(mode="after")
    def _each_once(self) -> Transpose:
        if sorted(self.order) != list(range(len(self.order))):
            raise ValueError(f"it names each of 0 to {len(self.order) - 1} once")
        return self

    def infer_one(self, given: TensorType) -> TensorType:
        if len(given.dims) != len(self.order):
            raise PortError("input", f"the order is one of {len(self.order)} dimensions")
        return TensorType(given.datatype, tuple(given.dims[axis] for axis in self.order))

    def run_one(self, value: Array) -> Array:
        return value.transpose(0, *(axis + 1 for axis in self.order))


class Concat(Op):
    """Tensors one after the other along a dimension."""

    takes = (ANY,)
    shapes = "any number of one type, alike but for the axis → the same type, the axis added up"

    axis: Whole = Field(-1, description="Of a row: 0 is its first dimension, -1 its last.")

    def infer(self, types: Types) -> Types:
        (_, kind), *others = types.items()
        axis = axis_of(self.axis, len(kind.dims))
        dims = [list(each.dims) for each in types.values()]
        for port, other in others:
            if other.datatype != kind.datatype:
                raise PortError(port, f"the first tensor is {kind.datatype}: cast one of them")
            if len(other.dims) != len(kind.dims):
                raise PortError(port, f"the first tensor has {len(kind.dims)} dimensions")
            rest = [*other.dims[:axis], *other.dims[axis + 1 :]]
            if not fits(rest, [*kind.dims[:axis], *kind.dims[axis + 1 :]]):
                raise PortError(port, f"the first is {kind}: only the axis {axis} may differ")
        joined = [max(sizes) for sizes in zip(*dims, strict=True)]
        along = [each[axis] for each in dims]
        joined[axis] = -1 if -1 in along else sum(along)
        return {"output": TensorType(kind.datatype, tuple(joined))}

    def run(self, values: Values) -> dict[str, Array]:
        axis = self.axis if self.axis < 0 else self.axis + 1
        return {"output": np.concatenate(list(values.values()), axis=axis)}


class Select(Map):
    """Some columns, in the order named; one may come twice."""

    shapes = "any [..., n] → the same type [..., as many as named]"

    columns: Annotated[tuple[Annotated[Whole, Ge(0)], ...], Len(1, 1 << 16)] = Field(
        description="By number, from 0."
    )
    axis: Whole = Field(-1, description="The dimension of a row that they are counted along.")

    def infer_one(self, given: TensorType) -> TensorType:
        dims = list(given.dims)
        axis = axis_of(self.axis, len(dims))
        if dims[axis] != -1 and max(self.columns) >= dims[axis]:
            raise PortError("input", f"it has {dims[axis]} columns, from 0: no {max(self.columns)}")
        dims[axis] = len(self.columns)
        return TensorType(given.datatype, tuple(dims))

    def run_one(self, value: Array) -> Array:
        axis = self.axis if self.axis < 0 else self.axis + 1
        if max(self.columns) >= value.shape[axis]:
            raise ValueError(f"a row has {value.shape[axis]} columns: no {max(self.columns)}")
        return np.take(value, self.columns, axis=axis)


OPS: dict[str, type[Op]] = {
    "cast": Cast,
    "reshape": Reshape,
    "transpose": Transpose,
    "concat": Concat,
    "select": Select,
}
