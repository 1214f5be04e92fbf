"""What all calls are made of: one request, one document, a whole list, looking until it is so."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Mapping
from typing import Any, TypeVar
from urllib.parse import quote

import httpx

from nereid.errors import ProblemError, UnreachableError
from nereid.steps import Pause, Send, Steps, Upload

T = TypeVar("T")

PAGE_SIZE = 100
LARGEST_PAGE = 500
"""What the API gives at most at once."""

FIRST_PAUSE_S = 0.05
LONGEST_PAUSE_S = 1.0
GROWTH = 1.5


def ask(
    method: str,
    path: str,
    *,
    params: Mapping[str, Any] | None = None,
    json: Any = None,
    if_match: str | None = None,
    upload: Upload | None = None,
) -> Steps[httpx.Response]:
    """One request that succeeds. Every POST has a key, so that it may be sent again.

    Raises:
        ProblemError: the server said no.
        UnreachableError: no answer came.
    """
    headers = {}
    if method == "POST":
        headers["Idempotency-Key"] = str(uuid.uuid4())
    if if_match:
        headers["If-Match"] = if_match
    send = Send(method, path, params=params or {}, json=json, headers=headers, upload=upload)
    response: httpx.Response = yield send
    if not response.is_success:
        raise ProblemError.from_response(response)
    return response


def read(method: str, path: str, **arguments: Any) -> Steps[dict[str, Any]]:
    """The JSON object that is answered."""
    response = yield from ask(method, path, **arguments)
    return json_object(response)


def listed(path: str, **query: Any) -> Steps[list[dict[str, Any]]]:
    """All of a list, however many pages it has; a filter that is None or empty is left out."""
    return (yield from at_most(None, path, **query))


def at_most(most: int | None, path: str, /, **query: Any) -> Steps[list[dict[str, Any]]]:
    """The first so many of a list, None for all, from as many pages as that takes."""
    given = {key: value for key, value in query.items() if value not in (None, "")}
    size = PAGE_SIZE if most is None else min(most, LARGEST_PAGE)
    page = yield from read("GET", path, params={"limit": str(size), **given})
    found: list[dict[str, Any]] = []
    while True:
        found += page.get("results") or ()
        following = page.get("next")
        if not following or (most is not None and len(found) >= most):
            return found[:most]
        # Only the query is taken from the link: behind a proxy the server may not know its
        # public address, and the token goes to no other one.
        page = yield from read("GET", path, params=dict(httpx.URL(following).params))


def made(look: Callable[[], Steps[Any]], make: Callable[[], Steps[Any]]) -> Steps[bool]:
    """Makes what is not there; True when this call made it."""
    try:
        yield from look()
        return False
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
    try:
        yield from make()
    except ProblemError as error:
        # Someone else made it meanwhile: that it exists is all that was wanted.
        if error.status != httpx.codes.CONFLICT:
            raise
        return False
    return True


def looking(
    look: Callable[[], Steps[T]],
    done: Callable[[T], bool],
    timeout: float,
    on_progress: Callable[[T], None] | None = None,
    *,
    clock: Callable[[], float] = time.monotonic,
) -> Steps[T]:
    """The first look that is done, or the last one before the deadline: the caller tells which.

    It looks less and less often. A control plane that restarts meanwhile is waited for, unless
    the deadline passes first.
    """
    deadline = clock() + timeout
    wait = FIRST_PAUSE_S
    while True:
        try:
            seen = yield from look()
        except UnreachableError:
            if clock() + wait > deadline:
                raise
        else:
            if on_progress is not None:
                on_progress(seen)
            if done(seen) or clock() >= deadline:
                return seen
        yield Pause(max(0.0, min(wait, deadline - clock())))
        wait = min(wait * GROWTH, LONGEST_PAUSE_S)


def part(name: str) -> str:
    """A name as one part of a path: whatever it holds, it leads nowhere else."""
    quoted = quote(name, safe="")
    # Dots alone are no name: unquoted they would climb to another path on the way.
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def json_object(response: httpx.Response) -> dict[str, Any]:
    """The JSON object in an answer.

    Raises:
        ProblemError: it is none: something else answers at that address.
    """
    try:
        document = response.json()
    except ValueError:
        document = None
    if not isinstance(document, dict):
        raise ProblemError(
            response.status_code,
            "Not an answer of Nereid's API",
            f"{response.request.url} answered {response.headers.get('content-type', 'nothing')}",
        )
    return document
