"""Where a version comes from: fields that are known are checked, others are kept as they are."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from datetime import datetime
from typing import Any

from control_plane.domain import stored_json
from control_plane.domain.stored_json import pointer_part
from control_plane.domain.violations import ConflictError, InvalidInputError, Violation

MAX_FIELD = 200

_COMMIT = re.compile(r"[0-9a-fA-F]{4,64}")
_DIGEST = re.compile(r"(sha256:)?[0-9a-fA-F]{64}|[a-z0-9]+:[0-9a-zA-Z+/=_-]{8,180}")


def check_provenance(provenance: Mapping[str, Any], where: str = "/provenance") -> None:
    """Refuses a provenance that is too large, or whose known fields are not what they are for.

    Raises:
        InvalidInputError: with a JSON pointer per field.
    """
    stored_json.check_provenance(provenance, where)
    found = [
        Violation(f"{where}/{pointer_part(name)}", "invalid", problem)
        for name, check in KNOWN.items()
        if not is_empty(provenance.get(name)) and (problem := check(provenance[name]))
    ]
    if found:
        raise InvalidInputError(found)


def filled(version: str, present: Mapping[str, Any], more: Mapping[str, Any]) -> dict[str, Any]:
    """The provenance with what was still empty filled in: what is there is never changed.

    Raises:
        InvalidInputError: a field is not what it is for, or there is too much.
        ConflictError: a field holds something else already; the message says which.
    """
    taken = [
        name
        for name, value in more.items()
        if not is_empty(present.get(name)) and present[name] != value
    ]
    if taken:
        raise ConflictError(
            f"the provenance of {version} says {', '.join(sorted(taken))} already, and what it "
            "says is for good; a correction is a field of another name"
        )
    result = {**present, **{name: value for name, value in more.items() if not is_empty(value)}}
    check_provenance(result)
    return result


def is_empty(value: object) -> bool:
    """Whether a field says nothing yet."""
    return value is None or value == ""


def _commit(value: object) -> str:
    if isinstance(value, str) and _COMMIT.fullmatch(value):
        return ""
    return "a git commit is 4 to 64 hex digits"


def _text(value: object) -> str:
    if isinstance(value, str) and len(value) <= MAX_FIELD:
        return ""
    return f"a text of at most {MAX_FIELD} characters"


def _digest(value: object) -> str:
    if isinstance(value, str) and _DIGEST.fullmatch(value):
        return ""
    return "a digest is a sha256 of 64 hex digits, or <algorithm>:<digest>"


def _moment(value: object) -> str:
    try:
        moment = datetime.fromisoformat(value) if isinstance(value, str) else None
    except ValueError:
        moment = None
    if moment is None or moment.tzinfo is None:
        return "a time looks like 2026-11-24T13:00:00Z"
    return ""


KNOWN: Mapping[str, Callable[[object], str]] = {
    "git_commit": _commit,
    "run_id": _text,
    "training_data_digest": _digest,
    "author": _text,
    "trained_at": _moment,
}
"""Field -> what is wrong with a value, in words; the order is that of pages."""
