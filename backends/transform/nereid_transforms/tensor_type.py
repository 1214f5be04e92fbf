"""What a tensor holds and how large one row of it is, before there is any value."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

DATATYPES: dict[str, Any] = {
    "BOOL": np.bool_,
    "UINT8": np.uint8,
    "UINT16": np.uint16,
    "UINT32": np.uint32,
    "UINT64": np.uint64,
    "INT8": np.int8,
    "INT16": np.int16,
    "INT32": np.int32,
    "INT64": np.int64,
    "FP16": np.float16,
    "FP32": np.float32,
    "FP64": np.float64,
    "BYTES": np.object_,
}
"""KServe v2 names and what numpy has for them; BF16 it has not."""

FLOATS = ("FP16", "FP32", "FP64")
INTEGERS = ("INT8", "INT16", "INT32", "INT64", "UINT8", "UINT16", "UINT32", "UINT64")
NUMBERS = (*FLOATS, *INTEGERS)

MAX_RANK = 8
MAX_SIZE = 1 << 28
"""Elements of one row: more is a slip of the pen, and would take the server's memory."""


class TensorType(NamedTuple):
    """A datatype, and the dimensions of a row: without those of the batch, -1 where one varies."""

    datatype: str
    dims: tuple[int, ...]

    def __str__(self) -> str:
        return f"{self.datatype}[{','.join(str(dim) for dim in self.dims)}]"


def numpy_of(datatype: str) -> Any:
    return np.dtype(DATATYPES[datatype])


def size_of(dims: Sequence[int]) -> int:
    """How many values a row has; -1 where that varies."""
    size = 1
    for dim in dims:
        if dim < 0:
            return -1
        size *= dim
    return size


def fits(dims: Sequence[int], wanted: Sequence[int]) -> bool:
    """True where both can be the same shape, whatever varies in either."""
    return len(dims) == len(wanted) and all(
        -1 in (one, other) or one == other for one, other in zip(dims, wanted, strict=True)
    )


def axis_of(axis: int, rank: int) -> int:
    """The axis of a row, counted from its front.

    Raises:
        ValueError: a row has no such axis.
    """
    if not -rank <= axis < rank:
        raise ValueError(f"there is no axis {axis}: a row has {rank} dimensions")
    return axis % rank
