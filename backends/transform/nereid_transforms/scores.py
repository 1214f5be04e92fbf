"""Scores: from what a model gives to what somebody can read."""

from __future__ import annotations

from typing import Annotated

import numpy as np
from annotated_types import Ge, Gt, Len
from pydantic import Field, PrivateAttr

from .files import Files, Word, Words
from .op import (
    Array,
    Map,
    Number,
    Numbers,
    Op,
    PortError,
    Types,
    Values,
    Whole,
    need,
    need_per_column,
    objects,
)
from .tensor_type import FLOATS, NUMBERS, TensorType, axis_of


class Softmax(Map):
    """Scores become shares that add up to 1: `exp(x / temperature)` over their sum."""

    shapes = "FP16, FP32 or FP64 → the same type and dims"

    axis: Whole = Field(-1, description="Of a row.")
    temperature: Annotated[Number, Gt(0)] = Field(1.0, description="Above 1 evens them out.")

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, FLOATS)
        axis_of(self.axis, len(given.dims))
        return given

    def run_one(self, value: Array) -> Array:
        axis = self.axis if self.axis < 0 else self.axis + 1
        kind = np.float64 if value.dtype == np.float64 else np.float32
        # The largest becomes 0, so that none grows beyond what a float holds; before they are
        # scaled, so that large ones lose nothing.
        below = value.astype(kind) - value.max(axis=axis, keepdims=True).astype(kind)
        raised = np.exp(below / kind(self.temperature))
        return np.asarray(raised / raised.sum(axis=axis, keepdims=True))


class _Labelled(Op):
    """Classes along the last dimension, which may have names."""

    labels: Words | None = Field(
        None, description="The classes' names, written out or `{file: labels.txt}`."
    )
    _labels: tuple[str, ...] = PrivateAttr(())

    def open(self, files: Files) -> None:
        self._labels = files.words(self.labels) if self.labels is not None else ()

    def check_classes(self, given: TensorType) -> int:
        """How many classes there are, -1 where that varies."""
        need(given, FLOATS)
        if not given.dims:
            raise PortError("input", "it takes rows of at least one dimension: [classes]")
        if self._labels and given.dims[-1] not in (-1, len(self._labels)):
            raise PortError(
                "input", f"there are {len(self._labels)} labels for {given.dims[-1]} classes"
            )
        return given.dims[-1]

    def label_names(self, indices: Array) -> Array:
        if indices.size and int(indices.max()) >= len(self._labels):
            raise ValueError(f"class {int(indices.max())} is beyond the {len(self._labels)} labels")
        return objects([self._labels[i] for i in indices.reshape(-1).tolist()], indices.shape)


class ArgMax(_Labelled):
    """The class with the highest score, the first of several; NaN is never it."""

    gives = ("index", "label")
    shapes = (
        "FP16, FP32 or FP64 [..., classes] → index INT64[...] and label BYTES[...], at least [1]"
    )

    def infer(self, types: Types) -> Types:
        self.check_classes(types["input"])
        dims = types["input"].dims[:-1] or (1,)
        found = {"index": TensorType("INT64", dims)}
        return found | ({"label": TensorType("BYTES", dims)} if self._labels else {})

    def run(self, values: Values) -> dict[str, Array]:
        value = values["input"]
        index = np.argmax(np.where(np.isnan(value), -np.inf, value), axis=-1)
        if value.ndim == 2:
            index = index[:, None]
        found = {"index": index.astype(np.int64)}
        return found | ({"label": self.label_names(index)} if self._labels else {})


class TopK(_Labelled):
    """The k highest scores, highest first, and whose they are; NaN comes last."""

    gives = ("values", "indices", "labels")
    shapes = (
        "FP16, FP32 or FP64 [..., classes] → values [..., k] of that type, indices INT64[..., k] "
        "and labels BYTES[..., k]"
    )

    k: Annotated[Whole, Ge(1)] = Field(description="As many as there are classes at most.")

    def infer(self, types: Types) -> Types:
        given = types["input"]
        classes = self.check_classes(given)
        if -1 < classes < self.k:
            raise PortError("input", f"it has {classes} classes, and the {self.k} best are wanted")
        dims = (*given.dims[:-1], self.k)
        found = {"values": TensorType(given.datatype, dims), "indices": TensorType("INT64", dims)}
        return found | ({"labels": TensorType("BYTES", dims)} if self._labels else {})

    def run(self, values: Values) -> dict[str, Array]:
        value = values["input"]
        if value.shape[-1] < self.k:
            raise ValueError(f"a row has {value.shape[-1]} classes: fewer than {self.k}")
        # Stable: of equal scores the first class comes first, whatever the batch.
        indices = np.argsort(-value, axis=-1, kind="stable")[..., : self.k]
        found = {"values": np.take_along_axis(value, indices, -1), "indices": indices}
        return found | ({"labels": self.label_names(indices)} if self._labels else {})


class Threshold(Map):
    """Whether a score reaches a threshold: true from it on."""

    shapes = "any numbers [..., n] → BOOL, or BYTES where there are labels, same dims"

    at: Numbers = Field(description="One value, or one a column.")
    labels: Annotated[tuple[Word, ...], Len(2, 2)] | None = Field(
        None, description="Two texts in place of false and true."
    )

    def infer_one(self, given: TensorType) -> TensorType:
        need(given, NUMBERS)
        need_per_column(self.at, given, "at")
        return TensorType("BYTES" if self.labels else "BOOL", given.dims)

    def run_one(self, value: Array) -> Array:
        reached = np.asarray(value >= np.array(self.at))
        if self.labels is None:
            return reached
        return np.array(self.labels, object)[reached.astype(np.int64)]


OPS: dict[str, type[Op]] = {
    "softmax": Softmax,
    "argmax": ArgMax,
    "top_k": TopK,
    "threshold": Threshold,
}
