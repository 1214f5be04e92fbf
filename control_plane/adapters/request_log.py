"""The router's file of which arm answered which request (backends/traffic/request_log.h)."""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from pathlib import Path

import xxhash

MAGIC = b"nereid answered 1\n"
HEADER, NAME, WAYS = 64, 128, 8
_COUNTS = struct.Struct("=QQ")  # sets, names; at byte 32 of the header
_ENTRY = struct.Struct("=QQ")  # the request's hash, and (milliseconds << 16 | place of the arm)
_SET = WAYS * _ENTRY.size
_ARM = (1 << 16) - 1


class RequestLogError(RuntimeError):
    """The file is not what a router writes; the message says what is wrong with it."""


class RequestLog:
    """Reads the file that the router of the Triton beside this process writes."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def arms_of(self, endpoint: str, request_ids: Iterable[str]) -> dict[str, str]:
        """Request id -> physical model, of those that this server answered and still knows.

        Empty where there is no file: the server keeps none, or has not begun.

        Raises:
            RequestLogError: the file is there, and is none of a router.
            OSError: it cannot be read.
        """
        try:
            file = os.open(self._path, os.O_RDONLY | os.O_CLOEXEC)
        except FileNotFoundError:
            return {}
        try:
            return _arms_of(file, xxhash.xxh64_intdigest(endpoint.encode()), request_ids)
        except RequestLogError as error:
            raise RequestLogError(f"{self._path}: {error}") from None
        finally:
            os.close(file)


def _arms_of(file: int, seed: int, request_ids: Iterable[str]) -> dict[str, str]:
    header = os.pread(file, HEADER, 0)
    if not header:
        return {}  # the server is making it
    if len(header) < HEADER or not header.startswith(MAGIC):
        raise RequestLogError("it does not begin as a router's log does")
    sets, names = _COUNTS.unpack_from(header, 32)
    if sets < 1 or sets & (sets - 1) or names < 1:
        raise RequestLogError(f"it says that it has {sets} sets and {names} names")
    table = HEADER + names * NAME
    found: dict[str, str] = {}
    known: dict[int, str] = {}
    for request_id in request_ids:
        wanted = max(1, xxhash.xxh64_intdigest(request_id.encode(), seed))
        place = _place_in(file, table + ((wanted >> 32) & (sets - 1)) * _SET, wanted)
        if not place or place >= names:
            continue
        if place not in known:
            known[place] = _name(os.pread(file, NAME, HEADER + place * NAME))
        if known[place]:
            found[request_id] = known[place]
    return found


def _place_in(file: int, at: int, wanted: int) -> int:
    """The place of the arm, 0 for none. The router may be writing this set just now: what reads
    the same twice was not half-written."""
    before = os.pread(file, _SET, at)
    for _ in range(3):
        after = os.pread(file, _SET, at)
        if after == before:
            break
        before = after
    else:
        return 0  # it is asked for again in a moment
    if len(after) < _SET:
        return 0
    return next((what & _ARM for key, what in _ENTRY.iter_unpack(after) if key == wanted), 0)


def _name(raw: bytes) -> str:
    return raw.partition(b"\0")[0].decode("utf-8", "replace")
