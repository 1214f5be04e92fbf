"""Numbers: arithmetic, limits, and the statistics that a model was trained with."""

from __future__ import annotations

import numpy as np
from pydantic import Field, model_validator

from .op import (
    Array,
    Flag,
    Map,
    Number,
    Numbers,
    NumbersAbove0,
    Op,
    PortError,
    Types,
    Values,
    need,
    need_per_column,
)
from .tensor_type import FLOATS, NUMBERS, TensorType, fits


class StandardScale(Map):
    """`(x - mean) / std`, by column: scikit-learn's StandardScaler."""

    shapes = "any numbers [..., n] → FP32 (FP64 stays FP64), same dims"

    mean: Numbers = Field(description="Of the training data: one value, or one a column.")
    std: NumbersAbove0 = Field(description="The same; 1 for a column that never varies.")

    def infer_one(self, given: TensorType) -> TensorType:
        return _scaled(given, mean=self.mean, std=self.std)

    def run_one(self, value: Array) -> Array:
        return _linear(value, 1 / np.array(self.std), -np.array(self.mean) / np.array(self.std))


class MinMaxScale(Map):
    """What was between `min` and `max` comes between `low` and `high`: MinMaxScaler."""

    shapes = "any numbers [..., n] → FP32 (FP64 stays FP64), same dims"

    min: Numbers = Field(description="Of the training data: one value, or one a column.")
    max: Numbers = Field(description="The same, above `min`.")
    low: Number = Field(0.0, description="What `min` becomes.")
    high: Number = Field(1.0, description="What `max` becomes.")
    clip: Flag = Field(False, description="What lay outside is brought to the limits.")

    @model_validator(mode="after")
    def _in_order(self) -> MinMaxScale:
        if len(self.min) != len(self.max):
            raise ValueError("min and max have as many values")
        if any(low >= high for low, high in zip(self.min, self.max, strict=True)):
            raise ValueError("each max is above its min; for a column that never varies min + 1")
        if self.low >= self.high:
            raise ValueError("high is above low")
        return self

    def infer_one(self, given: TensorType) -> TensorType:
        return _scaled(given, min=self.min, max=self.max)

    def run_one(self, value: Array) -> Array:
        factor = (self.high - self.low) / (np.array(self.max) - np.array(self.min))
        found = _linear(value, factor, self.low - np.array(self.min) * factor)
        return found.clip(self.low, self.high) if self.clip else found


def _scaled(given: TensorType, **lists: tuple[float, ...]) -> TensorType:
    need(given, NUMBERS)
    for what, values in lists.items():
        need_per_column(values, given, what)
    return TensorType("FP64" if given.datatype == "FP64" else "FP32", given.dims)


def _linear(value: Array, factor: Array, plus: Array) -> Array:
    """In double precision: what is subtracted may be much larger than what is left."""
    found = value.astype(np.float64) * factor + plus
    return found if value.dtype == np.float64 else found.astype(np.float32)


class Clip(Map):
    """What is below `min` becomes `min`, what is above `max` becomes `max`."""

    shapes = "any numbers → the same type and dims"

    min: Number | None = Field(None, description="Left out: no limit.")
    max: Number | None = Field(None, description="Left out: no limit.")

    @model_validator(mode="after")
    def _in_order(self) -> Clip:
        if self.min is None and self.max is None:
            raise ValueError("it has a min, a max or both")
        if self.min is not None and self.max is not None and self.min > self.max:
            raise ValueError("max is not below min")
        return self

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, NUMBERS)
        for name, limit in (("min", self.min), ("max", self.max)):
            _need_exact(limit, given, name)
        return given

    def run_one(self, value: Array) -> Array:
        low = None if self.min is None else value.dtype.type(self.min)
        high = None if self.max is None else value.dtype.type(self.max)
        return value.clip(low, high)


def _need_exact(value: float | None, given: TensorType, what: str) -> None:
    """Integers stay integers: what is done to them is one of theirs."""
    if value is None or given.datatype in FLOATS:
        return
    limits = np.iinfo(given.datatype.lower())
    if value != int(value) or not limits.min <= value <= limits.max:
        raise PortError("input", f"{what} {value:g} is no {given.datatype}: cast it to FP32 first")


class FillMissing(Map):
    """Values for what is missing: NaN."""

    shapes = "FP16, FP32 or FP64 [..., n] → the same type and dims"

    value: Numbers = Field(description="One value, or one a column.")

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, FLOATS)
        need_per_column(self.value, given, "value")
        return given

    def run_one(self, value: Array) -> Array:
        return np.where(np.isnan(value), np.array(self.value, value.dtype), value)


class Arithmetic(Op):
    """Two tensors, or a tensor and constants.

    Two tensors have the same type and number of dimensions; a dimension of 1 goes with any.
    """

    takes = ("input", "other?")
    shapes = "numbers, and numbers of the same type → the same type"

    value: Numbers | None = Field(
        None, description="In place of a second tensor: one value, or one a column."
    )

    def infer(self, types: Types) -> Types:
        given, other = types["input"], types.get("other")
        need(given, NUMBERS)
        if (other is None) == (self.value is None):
            raise ValueError("it takes a second tensor, or the option value: one of the two")
        if other is None:
            return {"output": self._with_constants(given)}
        if other.datatype != given.datatype:
            raise PortError("other", f"the first tensor is {given.datatype}: cast one of them")
        return {"output": TensorType(given.datatype, _together(given, other))}

    def _with_constants(self, given: TensorType) -> TensorType:
        constants = self.value or ()
        need_per_column(constants, given, "value")
        for value in constants:
            _need_exact(value, given, "value")
        return given

    def run(self, values: Values) -> dict[str, Array]:
        value = values["input"]
        other = values.get("other")
        if other is None:
            other = np.array(self.value, value.dtype)
        elif other.ndim != value.ndim:
            raise ValueError(f"rows of {value.ndim - 1} and of {other.ndim - 1} dimensions")
        with np.errstate(all="ignore"):
            return {"output": self._computed(value, other)}

    def _computed(self, value: Array, other: Array) -> Array:
        raise NotImplementedError


def _together(one: TensorType, other: TensorType) -> tuple[int, ...]:
    alike = len(one.dims) == len(other.dims) and all(
        1 in pair or fits(pair[:1], pair[1:]) for pair in zip(one.dims, other.dims, strict=True)
    )
    if not alike:
        raise PortError("other", f"the first tensor is {one}: dims are alike, or 1")
    return tuple(
        left if right == 1 else right if left == 1 else max(left, right)
        for left, right in zip(one.dims, other.dims, strict=True)
    )


class Add(Arithmetic):
    """`input + other`. Integers that grow beyond their type start over."""

    def _computed(self, value: Array, other: Array) -> Array:
        return np.asarray(value + other)


class Subtract(Arithmetic):
    """`input - other`."""

    def _computed(self, value: Array, other: Array) -> Array:
        return np.asarray(value - other)


class Multiply(Arithmetic):
    """`input * other`."""

    def _computed(self, value: Array, other: Array) -> Array:
        return np.asarray(value * other)


class Divide(Arithmetic):
    """`input / other`; of floats alone, and by 0 it is an infinity, or NaN."""

    shapes = "FP16, FP32 or FP64, and the same type → the same type"

    def infer(self, types: Types) -> Types:
        need(types["input"], FLOATS)
        return super().infer(types)

    def _computed(self, value: Array, other: Array) -> Array:
        return np.asarray(value / other)


OPS: dict[str, type[Op]] = {
    "standard_scale": StandardScale,
    "min_max_scale": MinMaxScale,
    "clip": Clip,
    "fill_missing": FillMissing,
    "add": Add,
    "subtract": Subtract,
    "multiply": Multiply,
    "divide": Divide,
}
