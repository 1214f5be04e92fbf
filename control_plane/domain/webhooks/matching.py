"""Which events a webhook wants: types with wildcards, and names of models and endpoints."""

from __future__ import annotations

from collections.abc import Iterable

from control_plane.domain.names import PUBLIC_NAME_RULE, is_public_name
from control_plane.domain.violations import InvalidInputError, Violation
from control_plane.domain.webhooks.catalogue import TYPES

MAX_PATTERNS = 50
MAX_NAMES = 100
EVERYTHING = "*"


def wants(patterns: Iterable[str], event: str) -> bool:
    """Whether one of the patterns stands for the event's type.

    A pattern is a type, `<subject>.*`, or `*`.

    >>> wants(["version.*"], "version.ready"), wants(["version.*"], "versions.ready")
    (True, False)
    """
    subject = event.partition(".")[0]
    accepted = {EVERYTHING, f"{subject}.*", event}
    return any(pattern in accepted for pattern in patterns)


def concerns(names: Iterable[str], name: str) -> bool:
    """Whether an event about `name` passes the filter; without a filter all pass.

    What is about no model and no endpoint (a server, a token) passes no filter.
    """
    wanted = frozenset(names)
    return not wanted or name in wanted


def check_patterns(patterns: list[str], where: str = "/events") -> None:
    """Refuses patterns that stand for no event that there is.

    Raises:
        InvalidInputError: there are none or too many, or one matches nothing.
    """
    if not patterns or len(patterns) > MAX_PATTERNS:
        detail = f"1 to {MAX_PATTERNS} types; '*' stands for all"
        raise InvalidInputError([Violation(where, "count", detail)])
    found = [
        Violation(
            f"{where}/{i}",
            "unknown",
            f"{pattern[:80]!r} is no event: a type such as version.ready, version.* or *",
        )
        for i, pattern in enumerate(patterns)
        if not any(wants([pattern], event) for event in TYPES)
    ]
    if found:
        raise InvalidInputError(found)


def check_names(names: list[str], where: str = "/names") -> None:
    """Refuses what can name no model and no endpoint; there need not be one yet.

    Raises:
        InvalidInputError: too many, or one breaks the rule for names.
    """
    if len(names) > MAX_NAMES:
        raise InvalidInputError([Violation(where, "count", f"at most {MAX_NAMES} names")])
    found = [
        Violation(f"{where}/{i}", "invalid_name", f"{name[:80]!r}: a name has {PUBLIC_NAME_RULE}")
        for i, name in enumerate(names)
        if not is_public_name(name)
    ]
    if found:
        raise InvalidInputError(found)
