"""Names for versions that can be moved from one to another, with MLflow's rules."""

from __future__ import annotations

import re

from control_plane.domain.violations import InvalidInputError, Violation

MARK = "@"
"""What stands before an alias where a version is named: `digits@champion`, `@champion`."""

MAX_ALIAS = 255

ALIAS_RULE = (
    f"1 to {MAX_ALIAS} letters, digits, '-' and '_'; 'latest' and 'v' with a number "
    "(in any case) are reserved"
)

_ALIAS = re.compile(rf"[A-Za-z0-9_-]{{1,{MAX_ALIAS}}}")
_RESERVED = re.compile(r"latest|v[0-9]+", re.IGNORECASE)


def check_alias(alias: str, where: str = "/alias") -> None:
    """Refuses what cannot be an alias; `where` is its JSON pointer.

    Raises:
        InvalidInputError: the name breaks the rule, or is reserved.
    """
    if _RESERVED.fullmatch(alias):
        detail = (
            f"{alias!r} is reserved, as in MLflow: it would read like a version's number. "
            "Give the alias a name for what it is used for, such as champion"
        )
        raise InvalidInputError([Violation(where, "reserved", detail)])
    if not _ALIAS.fullmatch(alias):
        detail = f"{alias[:80]!r}: an alias has {ALIAS_RULE}"
        raise InvalidInputError([Violation(where, "invalid_name", detail)])


def alias_in(reference: object) -> str | None:
    """The alias that a version is named by, or None where it is named by its number.

    >>> alias_in("@champion"), alias_in(3)
    ('champion', None)
    """
    if isinstance(reference, str) and reference.startswith(MARK):
        return reference.removeprefix(MARK)
    return None
