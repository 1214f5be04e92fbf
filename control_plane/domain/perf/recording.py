"""Recorded requests: what is asked for, what a router writes, what perf_analyzer sends of it."""

from __future__ import annotations

import base64
import json
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from enum import StrEnum
from itertools import pairwise
from math import prod
from typing import Any

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.routing.fields import Fields, duration_text
from control_plane.domain.routing.policy import SECOND, SLOTS
from control_plane.domain.signature import Tensor
from control_plane.domain.violations import InvalidInputError, Violation

MAX_REQUESTS = 10_000
MAX_BYTES = 64 << 20
MAX_LENGTH = 24 * 3600 * SECOND
MIB = 1 << 20

MAGIC = b"nereid recorded 1\n"
_HEAD = struct.Struct("=QqII")  # bytes after the first field, milliseconds, inputs, 0
_INPUT = struct.Struct("=IIIIQ")  # bytes of the name, datatype, dimensions, 0, bytes of the data

_DATATYPES = (
    *("", "BOOL", "UINT8", "UINT16", "UINT32", "UINT64", "INT8", "INT16", "INT32", "INT64"),
    *("FP16", "FP32", "FP64", "BYTES", "BF16"),
)
"""By Triton's own numbers."""


class RecordingState(StrEnum):
    """Waiting for its node; being recorded; and the ends."""

    QUEUED = "queued"
    RECORDING = "recording"
    READY = "ready"
    FAILED = "failed"


GOING_ON = (RecordingState.QUEUED, RecordingState.RECORDING)


@dataclass(frozen=True)
class RecordingRequest:
    """What is recorded: so many requests or bytes, at most, within `length` (microseconds); of
    10,000 requests `parts`. `name` "" and `server` "" leave the choice."""

    name: str = ""
    server: str = ""
    requests: int = 200
    bytes: int = 16 * MIB
    length: int = 600 * SECOND
    parts: int = SLOTS

    def to_document(self) -> dict[str, Any]:
        """The JSON form, with what was left out filled in."""
        return {
            "requests": self.requests,
            "bytes": self.bytes,
            "length": duration_text(self.length),
            "percent": self.parts / 100,
        }


def read_recording(document: object) -> RecordingRequest:
    """The request that a document means.

    Raises:
        InvalidInputError: with a violation for each place that is not as it must be.
    """
    found: list[Violation] = []
    known = {"name", "server", "requests", "bytes", "length", "percent", "reason"}
    fields = Fields(document, "", found, "a recording", known)
    name = fields.text("name") or ""
    if name and not is_public_name(name):
        fields.note("name", "invalid", f"a name has {PUBLIC_NAME_RULE}")
    percent = fields.number("percent", 0.01, 100)
    request = RecordingRequest(
        name=name,
        server=fields.text("server") or "",
        requests=fields.whole("requests", RecordingRequest.requests, 1, MAX_REQUESTS),
        bytes=fields.whole("bytes", RecordingRequest.bytes, 1024, MAX_BYTES),
        length=fields.duration("length", SECOND, MAX_LENGTH) or RecordingRequest.length,
        parts=SLOTS if percent is None else max(1, round(100 * percent)),
    )
    if found:
        raise InvalidInputError(found)
    return request


@dataclass(frozen=True)
class RecordedTensor:
    """An input as it came: `data` in the form in which it travels, `shape` with the batch."""

    name: str
    datatype: str
    shape: tuple[int, ...]
    data: bytes


@dataclass(frozen=True)
class RecordedRequest:
    """A caller's inputs, and when they came (milliseconds of the epoch)."""

    at_ms: int
    inputs: tuple[RecordedTensor, ...]


class UnreadableRecordingError(ValueError):
    """It is not what a router writes; the message says what is wrong with it."""


def read_records(content: bytes) -> list[RecordedRequest]:
    """The requests of a recording's file (backends/traffic/recorder.h).

    Raises:
        UnreadableRecordingError: it is none, or breaks off.
    """
    if not content.startswith(MAGIC):
        raise UnreadableRecordingError("it does not begin as a router's recording does")
    found, at = [], len(MAGIC)
    while at < len(content):
        try:
            size, at_ms, inputs, _ = _HEAD.unpack_from(content, at)
            end = at + 8 + size
            if end > len(content):
                raise UnreadableRecordingError("it breaks off within a request")
            tensors = tuple(_tensors(content, at + _HEAD.size, end, inputs))
        except (struct.error, IndexError, UnicodeDecodeError) as error:
            raise UnreadableRecordingError(f"a request cannot be read: {error}") from error
        found.append(RecordedRequest(at_ms, tensors))
        at = end
    return found


def _tensors(content: bytes, at: int, end: int, count: int) -> Iterator[RecordedTensor]:
    for _ in range(count):
        name, datatype, dims, _, size = _INPUT.unpack_from(content, at)
        shape = struct.unpack_from(f"={dims}q", content, at + _INPUT.size)
        name_at = at + _INPUT.size + 8 * dims
        data_at = name_at + name
        at = data_at + size
        if at > end:
            raise UnreadableRecordingError("an input is longer than its request")
        text = content[name_at:data_at].decode()
        yield RecordedTensor(text, _DATATYPES[datatype], shape, content[data_at:at])


def facts_of(requests: Sequence[RecordedRequest], *, batched: bool) -> dict[str, Any]:
    """What may be shown of a recording: how many, how large, in which shapes.

    Args:
        batched: the first dimension of a shape is the batch's.
    """
    rows = [_rows(one) if batched else 1 for one in requests]
    gaps = [after.at_ms - before.at_ms for before, after in pairwise(requests)]
    return {
        "requests": len(requests),
        "bytes": sum(len(tensor.data) for one in requests for tensor in one.inputs),
        "batched": batched,
        "rows": {"mean": round(sum(rows) / len(rows), 2), "most": max(rows)} if rows else None,
        "seconds": round(sum(gaps) / 1000, 3),
        "inputs": [_input_facts(name, requests) for name in _names(requests)],
    }


def _names(requests: Sequence[RecordedRequest]) -> list[str]:
    return list(dict.fromkeys(tensor.name for one in requests for tensor in one.inputs))


def _input_facts(name: str, requests: Sequence[RecordedRequest]) -> dict[str, Any]:
    of_it = [tensor for one in requests for tensor in one.inputs if tensor.name == name]
    lengths = {len(tensor.shape) for tensor in of_it}
    sizes = list(zip(*(tensor.shape for tensor in of_it), strict=True)) if len(lengths) == 1 else []
    return {
        "name": name,
        "datatype": of_it[0].datatype,
        "least": [min(one) for one in sizes],
        "most": [max(one) for one in sizes],
        "requests": len(of_it),
    }


def unfit(facts: Mapping[str, Any], inputs: Sequence[Tensor], *, batched: bool) -> str:
    """Why a recording cannot be sent to a target that takes these inputs; "" where it can."""
    if bool(facts["batched"]) != batched:
        return "one of the two takes batches, and the other does not"
    known = {one["name"]: one for one in facts["inputs"]}
    for tensor in inputs:
        of_it = known.pop(tensor.name, None)
        if of_it is None or of_it["requests"] < facts["requests"]:
            return f"not each of its requests has {tensor.name}"
        own = tensor.shape[1:] if batched else tensor.shape
        least, most = (tuple(of_it[key])[1 if batched else 0 :] for key in ("least", "most"))
        fits = len(own) == len(least) and all(
            size == -1 or size == low == high
            for size, low, high in zip(own, least, most, strict=True)
        )
        if of_it["datatype"] != tensor.datatype or not fits:
            return f"it has {of_it['datatype']}{list(of_it['most'])} where {tensor} is taken"
    return f"{sorted(known)[0]} is no input of it" if known else ""


def varied(facts: Mapping[str, Any]) -> str:
    """An input whose rows have several shapes, which no batch can hold together; "" where none."""
    rows = slice(1 if facts["batched"] else 0, None)
    for one in facts["inputs"]:
        if one["least"][rows] != one["most"][rows]:
            return f"{one['name']} {list(one['least'])} to {list(one['most'])}"
    return ""


def recorded_input(requests: Sequence[RecordedRequest], *, batched: bool) -> str:
    """perf_analyzer's `--input-data` document of recorded requests, in the order of their coming.

    It puts batches together itself, of rows: a request of three rows is three entries of one.
    """
    entries = [
        {tensor.name: entry for tensor, entry in zip(one.inputs, row, strict=True)}
        for one in requests
        for row in zip(*(_entries(tensor, batched) for tensor in one.inputs), strict=True)
    ]
    return json.dumps({"data": entries}, separators=(",", ":"))


def _entries(tensor: RecordedTensor, batched: bool) -> list[dict[str, Any]]:
    if not batched:
        return [_entry(tensor.data, tensor.shape)]
    return [_entry(data, tensor.shape[1:]) for data in _row_data(tensor)]


def _entry(data: bytes, shape: Sequence[int]) -> dict[str, Any]:
    # Triton has no tensors without dimensions: a scalar per row is sent as [1].
    return {"content": {"b64": base64.b64encode(data).decode()}, "shape": list(shape) or [1]}


def _row_data(tensor: RecordedTensor) -> Iterator[bytes]:
    rows = tensor.shape[0] if tensor.shape else 0
    if tensor.datatype != "BYTES":
        size = len(tensor.data) // rows if rows else 0
        yield from (tensor.data[row * size : (row + 1) * size] for row in range(rows))
        return
    at, texts = 0, prod(tensor.shape[1:])
    for _ in range(rows):
        begin = at
        for _ in range(texts):
            at += 4 + int.from_bytes(tensor.data[at : at + 4], "little")
        yield tensor.data[begin:at]


def _rows(one: RecordedRequest) -> int:
    return min((tensor.shape[0] for tensor in one.inputs if tensor.shape), default=1)
