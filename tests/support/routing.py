"""The native router's parser and picker, loaded into Python through their C entry point."""

from __future__ import annotations

import ctypes
from collections.abc import Sequence

from backends.build import ROUTING, build

_REASON_BYTES = 400


class PolicyRefusedError(ValueError):
    """policy.txt was refused: the line and the reason, as a failed load would show them."""

    def __init__(self, line: int, reason: str) -> None:
        super().__init__(f"line {line}: {reason}")
        self.line = line
        self.reason = reason


def _library() -> ctypes.CDLL:
    library = ctypes.CDLL(str(build(ROUTING, verbose=False)))
    library.nereid_router_new.restype = ctypes.c_void_p
    library.nereid_router_new.argtypes = [
        ctypes.c_char_p,
        ctypes.c_size_t,
        ctypes.c_uint64,
        ctypes.POINTER(ctypes.c_size_t),
        ctypes.c_char_p,
        ctypes.c_size_t,
    ]
    library.nereid_router_delete.argtypes = [ctypes.c_void_p]
    library.nereid_router_delete.restype = None
    for name in ("arms", "primary"):
        getattr(library, f"nereid_router_{name}").argtypes = [ctypes.c_void_p]
        getattr(library, f"nereid_router_{name}").restype = ctypes.c_size_t
    library.nereid_router_generation.argtypes = [ctypes.c_void_p]
    library.nereid_router_generation.restype = ctypes.c_uint64
    library.nereid_router_arm.argtypes = [ctypes.c_void_p, ctypes.c_size_t]
    library.nereid_router_arm.restype = ctypes.c_char_p
    library.nereid_router_pick.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_size_t]
    library.nereid_router_pick.restype = None
    return library


class NativeRouter:
    """A router made from the text of a policy.txt."""

    _loaded: ctypes.CDLL | None = None

    def __init__(self, text: str | bytes, *, seed: int = 0) -> None:
        if NativeRouter._loaded is None:
            NativeRouter._loaded = _library()
        self._library = NativeRouter._loaded
        self._router = None
        raw = text.encode() if isinstance(text, str) else text
        line = ctypes.c_size_t()
        reason = ctypes.create_string_buffer(_REASON_BYTES)
        self._router = self._library.nereid_router_new(
            raw, len(raw), seed, ctypes.byref(line), reason, _REASON_BYTES
        )
        if not self._router:
            raise PolicyRefusedError(line.value, reason.value.decode())

    def __del__(self) -> None:
        if self._router:
            self._library.nereid_router_delete(self._router)

    @property
    def arms(self) -> list[str]:
        count = self._library.nereid_router_arms(self._router)
        return [
            self._library.nereid_router_arm(self._router, index).decode() for index in range(count)
        ]

    @property
    def primary(self) -> str:
        return self.arms[self._library.nereid_router_primary(self._router)]

    @property
    def generation(self) -> int:
        return int(self._library.nereid_router_generation(self._router))

    def pick(self, count: int) -> Sequence[int]:
        """The indices of the arms that the next `count` requests get."""
        picked = ctypes.create_string_buffer(count)
        self._library.nereid_router_pick(self._router, picked, count)
        return picked.raw
