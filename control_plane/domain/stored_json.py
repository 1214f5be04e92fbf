"""Which text and JSON the database can keep, and how much of it we do."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator, Mapping
from typing import Any

from control_plane.domain.violations import InvalidInputError, Violation

MAX_TEXT = 10_000
"""Characters of a description or a reason."""

MAX_TAGS = 64
MAX_TAG = 200
"""Tags of one model, and characters of a tag's key or value."""

MAX_PROVENANCE_BYTES = 64 << 10

MAX_DEPTH = 64
"""Levels of nesting: far above every document we know, far below what a parser can stand."""

_MAX_VIOLATIONS = 20
_MAX_INTEGER_BITS = 64


def check_storable(document: object, where: str = "") -> None:
    """Refuses what PostgreSQL's text and jsonb cannot hold, anywhere in a JSON document.

    That is NUL and lone surrogates in a key or value, NaN and the infinities, integers over 64
    bits, and nesting deeper than `MAX_DEPTH`.

    Raises:
        InvalidInputError: with a JSON pointer per place, the first 20 of them.
    """
    found = []
    for violation in _unstorable(document, where):
        found.append(violation)
        if len(found) == _MAX_VIOLATIONS:
            break
    if found:
        raise InvalidInputError(found)


def check_text(value: str, where: str, limit: int = MAX_TEXT) -> None:
    """Refuses a text that is too long, or that the database cannot hold.

    Raises:
        InvalidInputError: it is one or the other.
    """
    if len(value) > limit:
        detail = f"{len(value)} characters; at most {limit} are kept"
        raise InvalidInputError([Violation(where, "max_length", detail)])
    check_storable(value, where)


def check_tags(tags: Mapping[str, str], where: str = "/tags") -> None:
    """Refuses tags that are too many, too long, or that the database cannot hold.

    Raises:
        InvalidInputError: they are one of these.
    """
    if len(tags) > MAX_TAGS:
        detail = f"{len(tags)} tags; at most {MAX_TAGS} are kept"
        raise InvalidInputError([Violation(where, "too_many", detail)])
    check_storable(dict(tags), where)
    long = [key for key, value in tags.items() if max(len(key), len(str(value))) > MAX_TAG]
    if long:
        detail = f"a tag's key and value have at most {MAX_TAG} characters each"
        raise InvalidInputError(
            [Violation(f"{where}/{pointer_part(key)}", "max_length", detail) for key in long]
        )


def merged_tags(present: Mapping[str, str], patch: Mapping[str, str | None]) -> dict[str, str]:
    """The tags after a merge patch (RFC 7396): others stay, null removes.

    >>> merged_tags({"team": "vision", "stage": "trial"}, {"stage": None, "tier": "1"})
    {'team': 'vision', 'tier': '1'}
    """
    both = {**present, **patch}
    return {key: value for key, value in both.items() if value is not None}


def check_provenance(provenance: Mapping[str, Any], where: str = "/provenance") -> None:
    """Refuses a provenance that is too large, or that the database cannot hold.

    Raises:
        InvalidInputError: it is one or the other.
    """
    check_storable(dict(provenance), where)
    size = len(json.dumps(dict(provenance), ensure_ascii=False).encode())
    if size > MAX_PROVENANCE_BYTES:
        detail = f"{size} bytes as JSON; at most {MAX_PROVENANCE_BYTES} are kept"
        raise InvalidInputError([Violation(where, "max_length", detail)])


def pointer_part(key: object) -> str:
    """A key as a part of a JSON pointer (RFC 6901); a very long one is cut."""
    return str(key).replace("~", "~0").replace("/", "~1")[:MAX_TAG]


def _unstorable(document: object, where: str) -> Iterator[Violation]:
    # A stack instead of recursion: the depth is what is being checked.
    rest: list[tuple[object, str, int]] = [(document, where, 0)]
    while rest:
        value, pointer, depth = rest.pop()
        if depth > MAX_DEPTH:
            yield Violation(pointer, "too_deep", f"nested more than {MAX_DEPTH} levels deep")
            return
        if isinstance(value, Mapping):
            for key, child in value.items():
                if problem := storable_problem(str(key)):
                    yield Violation(pointer, "invalid", f"the key {str(key)[:80]!r} {problem}")
                else:
                    rest.append((child, f"{pointer}/{pointer_part(key)}", depth + 1))
        elif isinstance(value, list | tuple):
            rest += [(child, f"{pointer}/{i}", depth + 1) for i, child in enumerate(value)]
        elif problem := storable_problem(value):
            yield Violation(pointer, "invalid", problem)


def storable_problem(value: object) -> str:
    """What is wrong with a single text or number, in words; empty when nothing is."""
    if isinstance(value, str):
        if "\0" in value:
            return "holds a NUL character"
        if any("\ud800" <= character <= "\udfff" for character in value):
            return "holds half of a surrogate pair"
    elif isinstance(value, float) and not math.isfinite(value):
        return "is not a finite number"
    elif isinstance(value, int) and value.bit_length() > _MAX_INTEGER_BITS:
        return f"is an integer of more than {_MAX_INTEGER_BITS} bits"
    return ""
