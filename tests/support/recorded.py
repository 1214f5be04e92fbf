"""Recorded requests as a router writes them (backends/traffic/recorder.h)."""

from __future__ import annotations

import struct

FP32, BYTES = 11, 13
AT_MS = 1_000_000


def record(*inputs: tuple[str, int, tuple[int, ...], bytes], at_ms: int = AT_MS) -> bytes:
    """A request of inputs: name, Triton's datatype, shape, data."""
    parts = b"".join(
        struct.pack(f"=IIIIQ{len(shape)}q", len(name), kind, len(shape), 0, len(data), *shape)
        + name.encode()
        + data
        for name, kind, shape, data in inputs
    )
    return struct.pack("=QqII", 16 + len(parts), at_ms, len(inputs), 0) + parts


def numbers(*values: float) -> bytes:
    return struct.pack(f"={len(values)}f", *values)
