"""The single parts of the native router: hash, breaker, allowance and so on, each by itself."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any

import numpy as np

from tests.support.routing import BreakerState, Text, declare, library

_SIZE = ctypes.c_size_t
_U32 = ctypes.c_uint32
_U64 = ctypes.c_uint64
_I64 = ctypes.c_int64
_HANDLE = ctypes.c_void_p
_BOOL = ctypes.c_bool
_DOUBLE = ctypes.c_double

_TENSOR = (ctypes.c_int, ctypes.POINTER(_I64), _SIZE, Text)

_SIGNATURES: dict[str, tuple[Any, ...]] = {
    "xxh64": (_U64, Text, _U64),
    "slot_of": (_SIZE, _U64),
    "evenly_spread": (_DOUBLE, _U64),
    "ramp_share": (_DOUBLE, _U64, _DOUBLE, _U64),
    "breaker_new": (_HANDLE, _U32, _U32, _U32, _U64, _U64, _U64, _U64),
    "breaker_delete": (None, _HANDLE),
    "breaker_ask": (_U32, _HANDLE, _U64),
    "breaker_would_allow": (_BOOL, _HANDLE, _U64),
    "breaker_record": (_U32, _HANDLE, _BOOL, _U64, _U64, _BOOL),
    "breaker_give_back": (None, _HANDLE, _BOOL),
    "breaker_state": (_U32, _HANDLE),
    "allowance_new": (_HANDLE,),
    "allowance_delete": (None, _HANDLE),
    "allowance_adopt": (None, _HANDLE, Text, _I64, _I64, _I64, _I64, _U64),
    "allowance_continue": (_BOOL, _HANDLE, _HANDLE, Text),
    "allowance_current": (_HANDLE, _HANDLE),
    "grant_delete": (None, _HANDLE),
    "grant_take": (_BOOL, _HANDLE, _U64),
    "grant_take_anyway": (_BOOL, _HANDLE, _U64),
    "grant_settle": (None, _HANDLE, _BOOL, _BOOL),
    "grant_gives": (_BOOL, _HANDLE, _U64),
    "grant_spent": (_BOOL, _HANDLE, _U64),
    "grant_attempts_left": (_I64, _HANDLE),
    "grant_failures_left": (_I64, _HANDLE),
    "peak_ewma": (
        *(None, ctypes.POINTER(_U64), ctypes.POINTER(_U64), _SIZE),
        ctypes.POINTER(_DOUBLE),
    ),
    "budget_new": (_HANDLE,),
    "budget_delete": (None, _HANDLE),
    "budget_request": (None, _HANDLE, _BOOL),
    "budget_try": (_BOOL, _HANDLE, _U32, _U32, _BOOL),
    "budget_rescue_ended": (None, _HANDLE),
    "pins_new": (_HANDLE,),
    "pins_delete": (None, _HANDLE),
    "pins_find": (_U64, _HANDLE, Text, _U64),
    "pins_pin": (None, _HANDLE, Text, _U64, _U64, _U64),
    "pins_unpin": (None, _HANDLE, Text),
    "pins_expire": (_SIZE, _HANDLE, _U64),
    "pins_hold": (None, _HANDLE, Text, _U64, _U64),
    "pins_release": (None, _HANDLE, _U64),
    "pins_size": (_SIZE, _HANDLE),
    "pins_dropped": (_SIZE, _HANDLE),
    "compare": (
        *(_BOOL, *_TENSOR, *_TENSOR),
        *(ctypes.POINTER(_DOUBLE), ctypes.POINTER(_U64), ctypes.POINTER(_U64)),
    ),
    "confidence": (_DOUBLE, *_TENSOR, _BOOL),
    "confidence_edges": (_SIZE, ctypes.POINTER(_DOUBLE), _SIZE),
    "stress_allowance": (_I64, _I64, _SIZE, _SIZE),
    "stress_failures": (
        *(_I64, _I64, _SIZE, _SIZE, _SIZE),
        *(ctypes.POINTER(_I64), ctypes.POINTER(_I64)),
    ),
    "log_open": (_HANDLE, Text, _U64, ctypes.c_char_p, _SIZE),
    "log_delete": (None, _HANDLE),
    "log_arm": (ctypes.c_uint16, _HANDLE, Text),
    "log_note": (None, _HANDLE, Text, Text, ctypes.c_uint16),
    "log_flush": (None, _HANDLE),
    "stress_log": (_U64, _HANDLE, Text, _SIZE, _SIZE),
    "config_text": (_SIZE, Text, Text, ctypes.c_char_p, _SIZE),
    "stress_budget": (_I64, _U32, _U32, _SIZE, _SIZE, _SIZE),
    "stress_breaker": (_I64, _SIZE, _U64, ctypes.POINTER(_U64), ctypes.POINTER(_U64)),
    "stress_pins": (_U64, _SIZE, _SIZE),
}


@cache
def parts() -> ctypes.CDLL:
    """The library, with the entry points of the parts declared too."""
    loaded = library()
    declare(loaded, _SIGNATURES)
    return loaded


class _Part:
    """Something native that is made and freed."""

    kind = ""

    def __init__(self, *arguments: object) -> None:
        self._handle = getattr(parts(), f"nereid_{self.kind}_new")(*arguments)

    def __del__(self) -> None:
        self._call("delete")

    def _call(self, verb: str, *arguments: object) -> Any:
        return getattr(parts(), f"nereid_{self.kind}_{verb}")(self._handle, *arguments)


class Breaker(_Part):
    """One arm's breaker with its rule; durations in nanoseconds."""

    kind = "breaker"

    def __init__(
        self,
        *,
        consecutive: int = 0,
        rate_parts: int = 0,
        min_requests: int = 0,
        window_ns: int = 10_000_000_000,
        open_ns: int = 30_000_000_000,
        max_open_ns: int = 300_000_000_000,
        latency_ns: int = 0,
    ) -> None:
        super().__init__(
            consecutive, rate_parts, min_requests, window_ns, open_ns, max_open_ns, latency_ns
        )

    def ask(self, now_ns: int) -> tuple[bool, bool]:
        """Whether a request may pass, and whether as a probe."""
        answer = self._call("ask", now_ns)
        return bool(answer & 1), bool(answer & 2)

    def would_allow(self, now_ns: int) -> bool:
        return bool(self._call("would_allow", now_ns))

    def record(
        self, now_ns: int, *, failed: bool, latency_ns: int = 0, probe: bool = False
    ) -> tuple[bool, bool]:
        """Whether this opened the breaker, and whether it closed it."""
        answer = self._call("record", failed, latency_ns, now_ns, probe)
        return bool(answer & 1), bool(answer & 2)

    def give_back(self) -> None:
        self._call("give_back", True)

    @property
    def state(self) -> BreakerState:
        return BreakerState(self._call("state"))


class Grant(_Part):
    """What a grant has left; -1 is no bound."""

    kind = "grant"

    def __init__(self, handle: int) -> None:
        self._handle = handle

    def take(self, now_ns: int = 0) -> bool:
        return bool(self._call("take", now_ns))

    def take_anyway(self, now_ns: int = 0) -> bool:
        """For an attempt that is made in any case; whether a failure is reserved."""
        return bool(self._call("take_anyway", now_ns))

    def settle(self, *, failed: bool, reserved: bool = True) -> None:
        """What became of an attempt."""
        self._call("settle", reserved, failed)

    def gives(self, now_ns: int = 0) -> bool:
        return bool(self._call("gives", now_ns))

    def spent(self, now_ns: int = 0) -> bool:
        return bool(self._call("spent", now_ns))

    @property
    def left(self) -> tuple[int, int]:
        """Attempts and failures."""
        return self._call("attempts_left"), self._call("failures_left")


class ArmAllowance(_Part):
    """Which grant an arm has."""

    kind = "allowance"

    def adopt(
        self,
        grant: str,
        *,
        attempts: int = -1,
        failures: int = -1,
        until_ms: int = -1,
        unix_ms: int = 0,
        now_ns: int = 0,
    ) -> Grant | None:
        """The allowance of a policy just loaded; an empty grant is none."""
        self._call("adopt", Text.of(grant), attempts, failures, until_ms, unix_ms, now_ns)
        return self.current

    def continue_from(self, other: ArmAllowance, grant: str) -> bool:
        """Go on with another arm's grant."""
        return bool(self._call("continue", other._handle, Text.of(grant)))

    @property
    def current(self) -> Grant | None:
        held = self._call("current")
        return Grant(held) if held else None


class NativeLog:
    """The router's file of who answered; `reason` where it could not be had."""

    def __init__(self, path: object, requests: int = 1_000) -> None:
        said = ctypes.create_string_buffer(200)
        self.handle = parts().nereid_log_open(Text.of(str(path)), requests, said, 200)
        self.reason = said.value.decode()

    def arm(self, name: str) -> int:
        return int(parts().nereid_log_arm(self.handle, Text.of(name)))

    def note(self, endpoint: str, request_id: str, arm: int) -> None:
        parts().nereid_log_note(self.handle, Text.of(endpoint), Text.of(request_id), arm)

    def flush(self) -> None:
        parts().nereid_log_flush(self.handle)

    def close(self) -> None:
        parts().nereid_log_delete(self.handle)

    def __enter__(self) -> NativeLog:
        assert self.handle, self.reason
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


class RescueBudget(_Part):
    """How many rescues may be in flight."""

    kind = "budget"

    def request(self, *, began: bool) -> None:
        self._call("request", began)

    def rescue(self, *, parts: int, floor: int, unbounded: bool = False) -> bool:
        return bool(self._call("try", parts, floor, unbounded))

    def rescue_ended(self) -> None:
        self._call("rescue_ended")


class SequencePins(_Part):
    """Sequences bound to targets, which are numbers from 1."""

    kind = "pins"

    def find(self, key: str, now_ns: int) -> int | None:
        return self._call("find", Text.of(key), now_ns) or None

    def pin(self, key: str, target: int, now_ns: int, idle_ns: int) -> None:
        self._call("pin", Text.of(key), target, now_ns, idle_ns)

    def unpin(self, key: str) -> None:
        self._call("unpin", Text.of(key))

    def expire(self, now_ns: int) -> int:
        return int(self._call("expire", now_ns))

    def hold(self, key: str, now_ns: int, request: int) -> None:
        """A request of the sequence begins, and runs until it is released."""
        self._call("hold", Text.of(key), now_ns, request)

    def release(self, request: int) -> None:
        self._call("release", request)

    @property
    def dropped(self) -> int:
        """Targets that were let go of."""
        return int(self._call("dropped"))

    def __len__(self) -> int:
        return int(self._call("size"))


def peak_ewma(latencies_ns: Sequence[int], times_ns: Sequence[int]) -> list[float]:
    """The estimate after each of the samples."""
    count = len(latencies_ns)
    estimates = (_DOUBLE * count)()
    parts().nereid_peak_ewma(
        (_U64 * count)(*latencies_ns), (_U64 * count)(*times_ns), count, estimates
    )
    return list(estimates)


@dataclass(frozen=True)
class Difference:
    """How far two tensors are apart; None where they cannot be compared."""

    max_abs: float
    rows: int
    agreed: int


def compare(
    answer: np.ndarray, shadow: np.ndarray, answer_type: int, shadow_type: int | None = None
) -> Difference | None:
    """Compares as the shadow does; the types are Triton's numbers."""
    max_abs, rows, agreed = _DOUBLE(), _U64(), _U64()
    comparable = parts().nereid_compare(
        *_tensor(answer, answer_type),
        *_tensor(shadow, answer_type if shadow_type is None else shadow_type),
        *(ctypes.byref(max_abs), ctypes.byref(rows), ctypes.byref(agreed)),
    )
    return Difference(max_abs.value, rows.value, agreed.value) if comparable else None


def confidence(output: np.ndarray, datatype: int, *, logits: bool = False) -> float | None:
    """How sure an output is, as the router reads it; None where it has no classes."""
    found: float = parts().nereid_confidence(*_tensor(output, datatype), logits)
    return None if found < 0 else found


def confidence_edges() -> list[float]:
    """The upper edges of the router's buckets."""
    edges = (_DOUBLE * 1000)()
    return list(edges[: parts().nereid_confidence_edges(edges, 1000)])


def _tensor(values: np.ndarray, datatype: int) -> tuple[object, ...]:
    shape = (_I64 * values.ndim)(*values.shape)
    return datatype, shape, values.ndim, Text.of(values.tobytes())
