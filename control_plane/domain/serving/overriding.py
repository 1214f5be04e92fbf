"""Overrides: what one version, or one arm of an endpoint, says otherwise than its serving profile.

A partial profile in Triton's own words, laid over the whole one:

1. A table is merged word by word; what is not said stays.
2. A list takes the place of the list, whole.
3. `null` takes a value away, so that Triton's default holds.
4. Of two parts that exclude each other (dynamic and sequence batching; direct and oldest) the one
   that is said takes the other's place.

What comes out is checked as a profile is: as a whole.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.domain.serving.own_profile import forbidden
from control_plane.domain.serving.profile import ServingProfile
from control_plane.domain.stored_json import check_storable
from control_plane.domain.violations import InvalidInputError, Violation

MAX_OVERRIDES_BYTES = 16 << 10

_OF_THE_PROFILE = ("name", "description")

_EXCLUSIVE = (
    ((), "dynamic_batching", "sequence_batching"),
    (("sequence_batching",), "direct", "oldest"),
)
"""Where they stand, and the two that exclude each other."""


def check_overrides(overrides: object, where: str = "") -> dict[str, Any]:
    """The overrides, once they can be kept and say nothing of what is the profile's own.

    Whether they fit a profile, `overridden` says.

    Raises:
        InvalidInputError: with the places under `where`.
    """
    if not isinstance(overrides, Mapping):
        detail = "overrides are an object in the words of a serving profile"
        raise InvalidInputError([Violation(where, "type", detail)])
    check_storable(overrides, where)
    size = len(json.dumps(overrides, ensure_ascii=False).encode())
    if size > MAX_OVERRIDES_BYTES:
        detail = f"{size} bytes as JSON, at most {MAX_OVERRIDES_BYTES} are taken: add a profile"
        raise InvalidInputError([Violation(where, "max_length", detail)])
    found = [
        Violation(f"{where}/{name}", "unknown", f"a {name} is the profile's own: leave it out")
        for name in _OF_THE_PROFILE
        if name in overrides
    ]
    if found:
        raise InvalidInputError(found)
    return dict(overrides)


def overridden(
    profile: ServingProfile, overrides: Mapping[str, Any], where: str = ""
) -> ServingProfile:
    """The profile with what the overrides say laid over it.

    Raises:
        InvalidInputError: what comes out is no profile, or they set what may not be set by a
            request; the places are those in the overrides, under `where`.
    """
    said = check_overrides(overrides, where)
    if not said:
        return profile
    document = profile.to_document()
    _displace(document, said)
    try:
        result = ServingProfile.from_values(profile.name, merged(document, said))
    except InvalidInputError as error:
        raise _placed(error, where) from error
    if found := list(forbidden(result, said)):
        raise _placed(InvalidInputError(found), where)
    return result


def merged(target: Any, patch: Any) -> Any:
    """A JSON merge patch (RFC 7396): tables word by word, null takes away, the rest replaces.

    >>> merged({"a": {"b": 1, "c": 2}, "d": [1, 2]}, {"a": {"b": None}, "d": [3]})
    {'a': {'c': 2}, 'd': [3]}
    """
    if not isinstance(patch, Mapping):
        return patch
    result = dict(target) if isinstance(target, Mapping) else {}
    for key, value in patch.items():
        if value is None:
            result.pop(key, None)
        else:
            result[key] = merged(result.get(key), value)
    return result


def composed(first: Any, second: Any) -> Any:
    """One merge patch that does what both do, one after the other: null stays null.

    >>> composed({"a": {"b": 1}, "c": 2}, {"a": {"d": None}})
    {'a': {'b': 1, 'd': None}, 'c': 2}
    """
    if not isinstance(first, Mapping) or not isinstance(second, Mapping):
        return second
    result = dict(first)
    for key, value in second.items():
        result[key] = composed(result[key], value) if key in result else value
    return result


def _displace(document: dict[str, Any], said: Mapping[str, Any]) -> None:
    """Takes out of the profile what the overrides put something else in the place of."""
    for place, *pair in _EXCLUSIVE:
        there: Any = document
        new: Any = said
        for part in place:
            there = there.get(part) if isinstance(there, dict) else None
            new = new.get(part) if isinstance(new, Mapping) else None
        if not isinstance(there, dict) or not isinstance(new, Mapping):
            continue
        for one, other in (pair, pair[::-1]):
            if new.get(one) is not None and other not in new:
                there.pop(other, None)


def _placed(error: InvalidInputError, where: str) -> InvalidInputError:
    return InvalidInputError(list(_under(error, where)))


def _under(error: InvalidInputError, where: str) -> Iterator[Violation]:
    for violation in error.violations[:20]:
        yield Violation(f"{where}{violation.pointer}", violation.code, violation.detail)
