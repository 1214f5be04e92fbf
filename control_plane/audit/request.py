"""Which request is being answered here and now, so that what it does can be told together."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace

_PRESENT: ContextVar[str] = ContextVar("request_id", default="")


def request_id() -> str:
    """The id of the request that is being answered; empty outside of one, as in a worker."""
    return _PRESENT.get()


@contextmanager
def answering(identity: str) -> Iterator[None]:
    """Everything within belongs to this request."""
    if identity:
        trace.get_current_span().set_attribute("nereid.request_id", identity)
    token = _PRESENT.set(identity)
    try:
        yield
    finally:
        _PRESENT.reset(token)
