"""What is being worked on here and now, so that log lines and spans say it by themselves."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from contextvars import ContextVar

from opentelemetry import trace

_PRESENT: ContextVar[Mapping[str, str | int]] = ContextVar("subject", default={})  # noqa: B039 - never changed


def subject() -> Mapping[str, str | int]:
    """`endpoint`, `generation`, `rollout`, `server`: as far as they are known here."""
    return _PRESENT.get()


@contextmanager
def about(**said: str | int) -> Iterator[None]:
    """Everything within is about this, beside what it was about already."""
    trace.get_current_span().set_attributes({f"nereid.{key}": said[key] for key in said})
    token = _PRESENT.set({**_PRESENT.get(), **said})
    try:
        yield
    finally:
        _PRESENT.reset(token)
