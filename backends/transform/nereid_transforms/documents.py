"""JSON: what applications send and read."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from functools import cache
from typing import Annotated, Any, NoReturn

import numpy as np
from annotated_types import Ge, Le, Len
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, model_validator

from .op import (
    ANY,
    Array,
    Flag,
    Given,
    Op,
    Types,
    Values,
    Whole,
    integers,
    need_single,
    objects,
    texts_of,
)
from .shapes import Datatype
from .spec import Dim
from .tensor_type import FLOATS, INTEGERS, MAX_RANK, TensorType, numpy_of

_MISSING = object()


def _pointer(path: str) -> str:
    if len(path) > 1000 or (path and not path.startswith("/")):
        raise ValueError(f"{path[:80]!r} is no JSON pointer: those begin with /, as /customer/age")
    return path


Pointer = Annotated[str, AfterValidator(_pointer)]


class JsonField(BaseModel):
    """A value of a document, and the tensor that it becomes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    path: Pointer | None = Field(
        None, description="A JSON pointer, `/customer/age`; left out: the field's own name."
    )
    paths: Annotated[tuple[Pointer, ...], Len(1, 1 << 16)] | None = Field(
        None, description="In place of one: a row has the value of each, the columns of a table."
    )
    datatype: Datatype = Field("FP32", description="KServe v2's name.")
    dims: Annotated[tuple[Dim, ...], Len(1, MAX_RANK)] = Field(
        (1,), description="Of the list that it is; [1]: a single value, in a list or not."
    )
    default: Any = Field(
        None,
        description="For what is missing or null; left out: that is refused. Floats have `NaN`.",
    )

    @model_validator(mode="before")
    @classmethod
    def _not_a_number(cls, value: Any) -> Any:
        # JSON has no way to write it, and YAML only `.nan`.
        floats = isinstance(value, dict) and value.get("datatype", "FP32") in FLOATS
        return {**value, "default": math.nan} if floats and value.get("default") == "NaN" else value

    @model_validator(mode="after")
    def _default_fits(self) -> JsonField:
        if 0 in self.dims:
            raise ValueError("a dimension is -1 or above 0")
        if self.default is not None:
            _element(self.default, self.datatype, "the default")
        if self.paths is not None and (self.path is not None or self.dims != (1,)):
            raise ValueError("paths say how long a row is: they go without path and dims")
        if self.default is not None and -1 in self.dims:
            raise ValueError("a default needs dims that do not vary")
        return self

    @property
    def type(self) -> TensorType:
        """What it becomes."""
        return TensorType(self.datatype, (len(self.paths),) if self.paths else self.dims)

    def rows(self, documents: Sequence[Any], name: str) -> Array | list[Array]:
        """Its part of each document.

        Raises:
            ValueError: it is missing in one, or something else.
        """
        path = f"/{name}" if self.path is None else self.path
        if self.dims != (1,):
            return [_row(_at(document, path), self, path or "/") for document in documents]
        # What most fields are, and the whole batch in one array.
        paths = self.paths or (path,)
        values = [
            _single(_at(document, one), self, one or "/") for document in documents for one in paths
        ]
        return _array(values, (len(documents), len(paths)), self.datatype)


class ParseJson(Op):
    """A JSON document becomes a tensor for each of its fields.

    A field that is missing, or null, has its default; without one the request is refused, and so
    it is where a value is of another type. Numbers without a fraction go for integers.
    """

    shapes = "BYTES[1] → for each field its datatype and dims"
    gives = (ANY,)

    fields: Annotated[dict[str, JsonField], Len(1, 1024)] = Field(
        description="By name, which the step's `outputs` take."
    )

    @property
    def named(self) -> tuple[str, ...]:
        """The ports of what it gives."""
        return tuple(self.fields)

    def infer(self, types: Types) -> Types:
        need_single(types["input"], ["BYTES"])
        return {name: field.type for name, field in self.fields.items()}

    def run(self, values: Values) -> Given:
        documents = [_document(text) for text in texts_of(values["input"])]
        return {name: field.rows(documents, name) for name, field in self.fields.items()}


def _document(text: str) -> Any:
    try:
        return json.loads(text, parse_constant=_no_number)
    except RecursionError:
        raise ValueError("a document is nested too deep") from None
    except ValueError as error:
        raise ValueError(f"a text is no JSON: {str(error)[:200]}") from None


def _no_number(word: str) -> NoReturn:
    raise ValueError(f"{word} is no number there")


def _at(document: Any, pointer: str) -> Any:
    """What a JSON pointer (RFC 6901) leads to."""
    for key in _keys(pointer):
        if isinstance(document, dict) and key in document:
            document = document[key]
        elif isinstance(document, list) and key.isdecimal() and int(key) < len(document):
            document = document[int(key)]
        else:
            return _MISSING
    return _MISSING if document is None else document


@cache
def _keys(pointer: str) -> tuple[str, ...]:
    parts = pointer.split("/")[1:]
    return tuple(part.replace("~1", "/").replace("~0", "~") for part in parts)


def _single(value: Any, field: JsonField, path: str) -> Any:
    """The value of a row that has one, in a list or not."""
    if isinstance(value, list):
        if len(value) != 1:
            raise ValueError(f"{path} has the shape [{len(value)}], and [1] is asked for")
        value = _MISSING if value[0] is None else value[0]
    return _element(_default(field, path) if value is _MISSING else value, field.datatype, path)


def _default(field: JsonField, path: str) -> Any:
    if field.default is None:
        raise ValueError(f"{path} is missing, and there is no default for it")
    return field.default


def _row(value: Any, field: JsonField, path: str) -> Array:
    """One row of the field's tensor, where it has a list's dims."""
    if value is _MISSING:
        default = _element(_default(field, path), field.datatype, path)
        [single] = _array([default], (1,), field.datatype)
        return np.full(field.dims, single, numpy_of(field.datatype))
    shape: list[int] = []
    nested = value
    while isinstance(nested, list) and len(shape) < len(field.dims):
        shape.append(len(nested))
        nested = nested[0] if nested else None
    elements = []
    if not _flatten(value, shape, elements):
        raise ValueError(f"{path} is a list whose rows are not alike")
    if len(shape) != len(field.dims) or any(
        wanted not in (-1, size) for size, wanted in zip(shape, field.dims, strict=True)
    ):
        raise ValueError(f"{path} has the shape {shape}, and {list(field.dims)} is asked for")
    known = [
        field.default if each is None and field.default is not None else each for each in elements
    ]
    return _array([_element(each, field.datatype, path) for each in known], shape, field.datatype)


def _flatten(nested: Any, shape: Sequence[int], elements: list[Any]) -> bool:
    if not shape:
        elements.append(nested)
        return True
    if not isinstance(nested, list) or len(nested) != shape[0]:
        return False
    return all(_flatten(part, shape[1:], elements) for part in nested)


def _element(value: Any, datatype: str, where: str) -> Any:
    """The value as it goes into the tensor.

    Raises:
        ValueError: it is of another type.
    """
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if datatype == "BYTES" and isinstance(value, str):
        if not value.isascii():
            _check_text(value, where)
        return value
    if datatype == "BOOL" and isinstance(value, bool):
        return value
    if datatype in FLOATS and number:
        try:
            found = float(value)
        except OverflowError:
            raise _beyond(where, datatype) from None
        if math.isinf(found):  # what 1e400 is read as
            raise _beyond(where, datatype)
        return found
    if datatype in INTEGERS and number and math.isfinite(value) and value == int(value):
        return int(value)
    shown = json.dumps(value, default=str)
    shown = shown if len(shown) <= 60 else f"{shown[:59]}…"
    raise ValueError(f"{where} is {shown}, which is no {datatype}")


def _check_text(text: str, where: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError:
        raise ValueError(f"{where} has half a character (\\ud800 to \\udfff alone)") from None


def _beyond(where: str, datatype: str) -> ValueError:
    return ValueError(f"{where} is a number beyond what {datatype} holds")


def _array(elements: list[Any], shape: Sequence[int], datatype: str) -> Array:
    if datatype == "BYTES":
        return objects(elements, shape)
    if datatype in INTEGERS:
        return integers(elements, datatype).reshape(shape)
    with np.errstate(over="ignore"):
        found = np.array(elements, numpy_of(datatype)).reshape(shape)
    if datatype in FLOATS and np.isinf(found).any():
        raise ValueError(f"a number is beyond what {datatype} holds")
    return found


class BuildJson(Op):
    """Tensors become a JSON document, each under the name by which the step takes it.

    A row of one value is written as that value alone; NaN and the infinities are null.
    """

    takes = (ANY,)
    shapes = "any number of any → BYTES[1]"

    lists: Flag = Field(False, description="Rows of one value are lists as well.")
    decimals: Annotated[Whole, Ge(0), Le(17)] | None = Field(
        None, description="Numbers are rounded to so many; left out: all there are."
    )

    def infer(self, types: Types) -> Types:
        return {"output": TensorType("BYTES", (1,))}

    def run(self, values: Values) -> dict[str, Array]:
        columns = {port: self._plain(value) for port, value in values.items()}
        count = len(next(iter(values.values())))
        texts = [
            json.dumps({port: rows[i] for port, rows in columns.items()}, ensure_ascii=False)
            for i in range(count)
        ]
        return {"output": objects(texts, (count, 1))}

    def _plain(self, value: Array) -> list[Any]:
        """A plain value for each row."""
        if value.dtype == object:
            value = objects(texts_of(value), value.shape)
        elif value.dtype.kind == "f":
            if self.decimals is not None:
                value = value.astype(np.float64).round(self.decimals)
            held = value.astype(object)
            held[~np.isfinite(value)] = None
            value = held
        rows: list[Any] = value.tolist()
        if value.shape[1:] == (1,) and not self.lists:
            return [row[0] for row in rows]
        return rows


OPS: dict[str, type[Op]] = {"parse_json": ParseJson, "build_json": BuildJson}
