"""Tensors as people write and read them: JSON in a form, figures in a table."""

from __future__ import annotations

import json
import math
import struct
from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from control_plane.ports.inference import TensorData

Array = npt.NDArray[Any]

NUMPY_OF = {
    "BOOL": np.dtype("?"),
    "UINT8": np.dtype("u1"),
    "UINT16": np.dtype("<u2"),
    "UINT32": np.dtype("<u4"),
    "UINT64": np.dtype("<u8"),
    "INT8": np.dtype("i1"),
    "INT16": np.dtype("<i2"),
    "INT32": np.dtype("<i4"),
    "INT64": np.dtype("<i8"),
    "FP16": np.dtype("<f2"),
    "FP32": np.dtype("<f4"),
    "FP64": np.dtype("<f8"),
}
MAX_ELEMENTS = 4_000_000
WRITTEN = 1024
"""Up to this many values are written out for a person to edit."""

_LENGTH = struct.Struct("<I")


class ValueRefusedError(ValueError):
    """What was written is no tensor of that kind, and why."""


def read_shape(text: str, declared: Sequence[int]) -> tuple[int, ...]:
    """`1, 1, 8, 8` or `[1, 1, 8, 8]`, which has to fit what the model declares.

    Raises:
        ValueRefusedError: it does not.
    """
    parts = text.strip().removeprefix("[").removesuffix("]").split(",")
    try:
        shape = tuple(int(part) for part in parts if part.strip())
    except ValueError:
        raise ValueRefusedError(f"{text[:60]!r} is no shape: write it as 1, 8, 8") from None
    wanted = ", ".join("any" if dim < 0 else str(dim) for dim in declared)
    fits = len(shape) == len(declared) and all(
        have >= 0 and want in (-1, have) for have, want in zip(shape, declared, strict=True)
    )
    if not fits:
        raise ValueRefusedError(f"the shape is {list(shape)}, and the model takes [{wanted}]")
    if math.prod(shape) > MAX_ELEMENTS:
        raise ValueRefusedError(f"more than {MAX_ELEMENTS:,} values: send these with a client")
    return shape


def read_values(name: str, datatype: str, shape: tuple[int, ...], text: str) -> TensorData:
    """A tensor from JSON: nested lists, or all values in one, in row-major order.

    Raises:
        ValueRefusedError: it is no JSON, or not these values.
    """
    try:
        flat = list(_flat(json.loads(text)))
    except (ValueError, RecursionError) as error:
        raise ValueRefusedError(f"this is no JSON: {error}") from error
    count = math.prod(shape)
    if len(flat) != count:
        raise ValueRefusedError(f"{len(flat)} values, and the shape {list(shape)} has {count}")
    if datatype == "BYTES":
        return TensorData(name, datatype, shape, _packed(flat))
    return TensorData(name, datatype, shape, _array(flat, datatype).tobytes())


def filled(name: str, datatype: str, shape: tuple[int, ...], how: str) -> TensorData:
    """A tensor of `zeros`, `ones` or `random` values; for texts, that many of the same word."""
    count = math.prod(shape)
    if datatype == "BYTES":
        word = {"zeros": "", "ones": "1"}.get(how, "text")
        return TensorData(name, datatype, shape, _packed([word] * count))
    dtype = _dtype(datatype)
    if how == "random":
        draw = np.random.default_rng()
        drawn = draw.random(count) if dtype.kind == "f" else draw.integers(0, 2, count)
        return TensorData(name, datatype, shape, drawn.astype(dtype).tobytes())
    value = 1 if how == "ones" else 0
    return TensorData(name, datatype, shape, np.full(count, value, dtype).tobytes())


def values_of(tensor: TensorData, at_most: int = MAX_ELEMENTS) -> list[Any]:
    """The first values, row-major, as Python's own.

    Raises:
        ValueRefusedError: its datatype cannot be shown.
    """
    if tensor.datatype == "BYTES":
        return _unpacked(tensor.data, at_most)
    dtype = _dtype(tensor.datatype)
    values: list[Any] = np.frombuffer(tensor.data[: at_most * dtype.itemsize], dtype).tolist()
    return values


def nested(values: Sequence[Any], shape: tuple[int, ...]) -> str:
    """Values in lists as deep as the shape, a line for each of the last dimension."""

    def written(values: Sequence[Any], shape: tuple[int, ...], indent: str) -> str:
        if len(shape) <= 1:
            inner = json.dumps(list(values), ensure_ascii=False)
            return inner if shape else inner[1:-1]
        step = math.prod(shape[1:])
        rows = [
            written(values[i * step : (i + 1) * step], shape[1:], indent + " ")
            for i in range(shape[0])
        ]
        return "[" + f",\n{indent} ".join(rows) + "]"

    return written(values, shape, "")


def _flat(value: Any) -> Any:
    if not isinstance(value, list):
        yield value
        return
    for each in value:
        yield from _flat(each)


def _array(flat: list[Any], datatype: str) -> Array:
    dtype = _dtype(datatype)
    kinds: tuple[type, ...] = (bool,) if dtype.kind == "b" else (int, float)
    for value in flat:
        if not isinstance(value, kinds) or (dtype.kind != "b" and isinstance(value, bool)):
            raise ValueRefusedError(f"{json.dumps(value)[:40]} is no {datatype}")
        if dtype.kind in "iu" and isinstance(value, float) and not value.is_integer():
            raise ValueRefusedError(f"{value} is no {datatype}: it is not whole")
    try:
        if dtype.kind in "iu":
            whole = [int(value) for value in flat]
            lowest, highest = np.iinfo(dtype).min, np.iinfo(dtype).max
            odd = next((value for value in whole if not lowest <= value <= highest), None)
            if odd is not None:
                raise ValueRefusedError(f"{odd} does not fit into {datatype}")
            return np.array(whole, dtype)
        with np.errstate(over="raise"):
            return np.array(flat, np.float64).astype(dtype) if dtype.kind == "f" else np.array(flat)
    except (OverflowError, ValueError, FloatingPointError) as error:
        raise ValueRefusedError(f"a value does not fit into {datatype}: {error}") from error


def _dtype(datatype: str) -> np.dtype[Any]:
    try:
        return NUMPY_OF[datatype]
    except KeyError:
        raise ValueRefusedError(
            f"{datatype} can be neither written nor shown here: use a client"
        ) from None


def _packed(texts: Sequence[Any]) -> bytes:
    parts = []
    for text in texts:
        if not isinstance(text, str):
            raise ValueRefusedError(f"{json.dumps(text)[:40]} is no text: put it in quotes")
        data = text.encode(errors="surrogatepass")
        parts += [_LENGTH.pack(len(data)), data]
    return b"".join(parts)


def _unpacked(data: bytes, at_most: int) -> list[str]:
    found: list[str] = []
    at = 0
    while at + _LENGTH.size <= len(data) and len(found) < at_most:
        (length,) = _LENGTH.unpack_from(data, at)
        at += _LENGTH.size
        found.append(data[at : at + length].decode(errors="replace"))
        at += length
    return found
