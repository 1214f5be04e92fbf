"""Serving profiles: those that come with Nereid, and your own."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from nereid.calls.asking import ask, json_object, listed, part
from nereid.resources import Profile
from nereid.steps import Steps


def profiles(search: str | None = None) -> Steps[list[Profile]]:
    """All serving profiles by name; `search` in name and description."""
    return [Profile.from_json(raw) for raw in (yield from listed("/profiles/", search=search))]


def profile(name: str) -> Steps[Profile]:
    """One serving profile at its newest revision, with its tag."""
    response = yield from ask("GET", _path(name))
    return Profile.from_json(json_object(response), response.headers.get("ETag", ""))


def put_profile(
    name: str, document: Mapping[str, Any], *, etag: str | None = None
) -> Steps[Profile]:
    """Add a serving profile, or with the `etag` that was read make a new revision of it.

    The server refuses (412) when someone changed it since; ``*`` means: whatever stands. What
    serves stays as it was compiled: an endpoint's next policy is compiled with the new revision.
    """
    response = yield from ask("PUT", _path(name), json=dict(document), if_match=etag)
    return Profile.from_json(json_object(response), response.headers.get("ETag", ""))


def delete_profile(name: str) -> Steps[None]:
    """Remove a serving profile of your own that no version names."""
    yield from ask("DELETE", _path(name))


def _path(name: str) -> str:
    return f"/profiles/{part(name)}/"
