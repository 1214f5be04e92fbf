"""What is wrong with an input, where, and what to do: the same shape everywhere."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Violation:
    """One rule that an input breaks.

    `pointer` is a JSON pointer (RFC 6901) into the input, `code` a stable word for
    programs, `detail` the sentence for people.
    """

    pointer: str
    code: str
    detail: str


class InvalidInputError(ValueError):
    """An input breaks one or more rules; nothing of it was stored."""

    def __init__(self, violations: list[Violation]) -> None:
        if not violations:
            raise ValueError("an InvalidInputError needs at least one violation")
        self.violations = tuple(violations)
        super().__init__("; ".join(f"{v.pointer or '/'}: {v.detail}" for v in violations))


class NotFoundError(LookupError):
    """There is no such thing; the message says which and where the ones there are can be seen."""


class ConflictError(RuntimeError):
    """The present state forbids it; the message says what stands in the way."""


class NotAllowedError(PermissionError):
    """The caller may not do this with what was sent; the message says which permission it needs."""


class StaleEditError(ConflictError):
    """The edit is based on a state that is no longer the present one."""
