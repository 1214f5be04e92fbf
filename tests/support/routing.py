"""The native router's decisions, loaded into Python through their C entry points."""

from __future__ import annotations

import ctypes
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from enum import IntEnum
from functools import cache
from typing import Any

from backends.build import ROUTING, build

_REASON_BYTES = 400

_SIZE = ctypes.c_size_t
_U32 = ctypes.c_uint32
_U64 = ctypes.c_uint64
_I64 = ctypes.c_int64
_HANDLE = ctypes.c_void_p


class Text(ctypes.Structure):
    """Bytes with their length."""

    _fields_ = (("data", ctypes.c_char_p), ("size", _SIZE))

    @classmethod
    def of(cls, value: str | bytes) -> Text:
        raw = value.encode() if isinstance(value, str) else value
        return cls(raw, len(raw))


class _Decision(ctypes.Structure):
    _fields_ = tuple((name, _U32) for name in ("arm", "chosen", "diverted", "probe", "rejected"))


class ArmState(ctypes.Structure):
    """What is known of one arm; `breaker` is a BreakerState, -1 means no bound."""

    _fields_ = (
        ("in_flight", _I64),
        ("latency_ns", ctypes.c_double),
        ("breaker", _U32),
        ("ejections", _U32),
        ("attempts_left", _I64),
        ("failures_left", _I64),
        ("ramp_from_ns", _U64),
        ("turn", _U64),
        ("receiving", _U32),
        ("allowance_gives", _U32),
    )


class BreakerState(IntEnum):
    CLOSED = 0
    OPEN = 1
    HALF_OPEN = 2


class Diverted(IntEnum):
    NO = 0
    BREAKER = 1
    ALLOWANCE = 2
    SLOW_START = 3
    OVERFLOW = 4


class Judgement(IntEnum):
    GOOD = 0
    BAD = 1
    NOTHING = 2


_SIGNATURES: dict[str, tuple[Any, ...]] = {
    # result, then arguments
    "endpoint_new": (_HANDLE,),
    "endpoint_delete": (None, _HANDLE),
    "router_new": (
        *(_HANDLE, _HANDLE, Text, _U64, _I64, _U64),
        *(ctypes.POINTER(_SIZE), ctypes.c_char_p, _SIZE),
    ),
    "router_delete": (None, _HANDLE),
    "router_describe": (_SIZE, _HANDLE, ctypes.c_char_p, _SIZE),
    "router_pick": (None, _HANDLE, ctypes.c_char_p, _SIZE),
    "router_decide": (
        *(None, _HANDLE, ctypes.POINTER(Text), ctypes.POINTER(Text), _SIZE),
        *(ctypes.POINTER(Text), _U64, ctypes.POINTER(_Decision)),
    ),
    "router_run": (None, _HANDLE, _SIZE, _U64, _U64, ctypes.c_char_p),
    "router_end": (*(ctypes.c_bool, _HANDLE, _SIZE, ctypes.c_int, _U64, _U64, ctypes.c_bool),),
    "router_arm_state": (None, _HANDLE, _SIZE, ctypes.POINTER(ArmState)),
    "router_load_arm": (None, _HANDLE, _SIZE, _I64, _U64),
    "router_scores": (None, _HANDLE, ctypes.POINTER(ctypes.c_double), _U64),
    "stress_router": (
        *(None, _HANDLE, _SIZE, _SIZE, _SIZE),
        *(ctypes.POINTER(_U64), ctypes.POINTER(_I64), ctypes.POINTER(_U64)),
    ),
}


@cache
def library() -> ctypes.CDLL:
    """The library of C entry points, built if need be."""
    loaded = ctypes.CDLL(str(build(ROUTING, verbose=False)))
    declare(loaded, _SIGNATURES)
    return loaded


def declare(loaded: ctypes.CDLL, signatures: Mapping[str, tuple[Any, ...]]) -> None:
    """Gives each function `nereid_<name>` its result and argument types."""
    for name, (result, *arguments) in signatures.items():
        function = getattr(loaded, f"nereid_{name}")
        function.restype = result
        function.argtypes = arguments


class PolicyRefusedError(ValueError):
    """policy.txt was refused: the line and the reason, as a failed load would show them."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


@dataclass(frozen=True)
class Decision:
    """Where one request goes: `arm` and `chosen` are indices of arms."""

    arm: int
    chosen: int
    diverted: Diverted
    probe: bool
    rejected: bool


class NativeEndpoint:
    """What stays of an endpoint's arms when its router is loaded anew."""

    def __init__(self) -> None:
        self.handle = library().nereid_endpoint_new()

    def __del__(self) -> None:
        library().nereid_endpoint_delete(self.handle)


class NativeRouter:
    """A router made from the text of a policy.txt; times are given, never read.

    Without an `endpoint` its arms' states are its own, and fresh.
    """

    def __init__(
        self,
        text: str | bytes,
        *,
        seed: int = 0,
        endpoint: NativeEndpoint | None = None,
        now_ns: int = 0,
        unix_ms: int = 0,
    ) -> None:
        self._library = library()
        self._endpoint = endpoint  # kept for as long as the router is
        self._router = None
        line = _SIZE()
        reason = ctypes.create_string_buffer(_REASON_BYTES)
        self._router = self._library.nereid_router_new(
            endpoint.handle if endpoint else None,
            *(Text.of(text), seed, unix_ms, now_ns),
            *(ctypes.byref(line), reason, _REASON_BYTES),
        )
        if not self._router:
            raise PolicyRefusedError(line.value, reason.value.decode())

    def __del__(self) -> None:
        if self._router:
            self._library.nereid_router_delete(self._router)

    @property
    def policy(self) -> dict[str, Any]:
        """All values that were read, by their names in policy.h."""
        size = self._library.nereid_router_describe(self._router, None, 0)
        text = ctypes.create_string_buffer(size)
        self._library.nereid_router_describe(self._router, text, size)
        # A text may be any bytes: percent-encoding hides what is no UTF-8.
        described: dict[str, Any] = json.loads(text.value.decode(errors="surrogateescape"))
        return described

    @property
    def arms(self) -> list[str]:
        return [arm["model"] for arm in self.policy["arms"]]

    @property
    def primary(self) -> str:
        return self.arms[self.policy["primary"]]

    @property
    def generation(self) -> int:
        return int(self.policy["generation"])

    def pick(self, count: int) -> Sequence[int]:
        """The indices of the arms that the next `count` turns of the cycle give."""
        picked = ctypes.create_string_buffer(count)
        self._library.nereid_router_pick(self._router, picked, count)
        return picked.raw

    def decide(
        self,
        parameters: Mapping[str, str | bytes] | None = None,
        *,
        sequence: str | None = None,
        now_ns: int = 0,
    ) -> Decision:
        """One request's decision; unless rejected, its arm is busy with it until `end`."""
        given = list((parameters or {}).items())
        names = (Text * len(given))(*(Text.of(name) for name, _ in given))
        values = (Text * len(given))(*(Text.of(value) for _, value in given))
        made = _Decision()
        self._library.nereid_router_decide(
            *(self._router, names, values, len(given)),
            *(None if sequence is None else ctypes.byref(Text.of(sequence)), now_ns),
            ctypes.byref(made),
        )
        return Decision(
            made.arm, made.chosen, Diverted(made.diverted), bool(made.probe), bool(made.rejected)
        )

    def end(
        self,
        decision: Decision,
        judgement: Judgement = Judgement.GOOD,
        *,
        latency_ns: int = 1_000,
        now_ns: int = 0,
    ) -> bool:
        """What became of a request; true when it opened its arm's breaker."""
        return bool(
            self._library.nereid_router_end(
                *(self._router, decision.arm, judgement, latency_ns, now_ns),
                decision.probe,
            )
        )

    def run(self, count: int, *, now_ns: int = 0, latency_ns: int = 1_000) -> Sequence[int]:
        """The arms of requests without attributes, each answered well before the next."""
        arms = ctypes.create_string_buffer(count)
        self._library.nereid_router_run(self._router, count, now_ns, latency_ns, arms)
        return arms.raw

    def state(self, arm: int) -> ArmState:
        state = ArmState()
        self._library.nereid_router_arm_state(self._router, arm, ctypes.byref(state))
        return state

    def load_arm(self, arm: int, *, in_flight: int = 0, latency_ns: int = 0) -> None:
        """Puts an arm under load; a latency above 0 is its first sample."""
        self._library.nereid_router_load_arm(self._router, arm, in_flight, latency_ns)

    def scores(self, now_ns: int = 0) -> list[float]:
        scores = (ctypes.c_double * len(self.arms))()
        self._library.nereid_router_scores(self._router, scores, now_ns)
        return list(scores)

    def stress(
        self, *, threads: int, tries: int, failing: int = 99
    ) -> tuple[list[int], list[int], int]:
        """Many threads' requests: how many each arm got, its most at once, and the rejected."""
        arms = len(self.arms)
        taken, most, rejected = (_U64 * arms)(), (_I64 * arms)(), _U64()
        self._library.nereid_stress_router(
            self._router, threads, tries, failing, taken, most, ctypes.byref(rejected)
        )
        return list(taken), list(most), rejected.value
