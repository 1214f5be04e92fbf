"""Requests on the wire: what `Client` and `AsyncClient` share below their calls."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx

from nereid import config
from nereid.errors import PROBLEM_JSON, UnreachableError
from nereid.steps import Send
from nereid.upload import UploadFile
from nereid.version import __version__

ROOT = "/api/v1"
# Generous for a slow machine; an upload is read in chunks, each under this limit on its own.
TIMEOUT = httpx.Timeout(30.0, connect=5.0)

# These come before anything was sent: the server cannot have carried it out.
_NEVER_SENT = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout)


def options(api: str, token: str) -> dict[str, Any]:
    """The arguments of an httpx client, sync or async."""
    return {
        "base_url": f"{api}{ROOT}",
        "headers": {
            "Authorization": f"Bearer {token}",
            "Accept": f"application/json, {PROBLEM_JSON}",
            "User-Agent": f"nereid/{__version__}",
        },
        "timeout": TIMEOUT,
        # A proxy of the environment is for the world outside, never for this machine.
        "trust_env": not _on_this_machine(api),
    }


@contextmanager
def sending(send: Send, api: str) -> Iterator[dict[str, Any]]:
    """The arguments of one httpx request; whatever hinders it becomes an `UnreachableError`."""
    arguments: dict[str, Any] = {"params": dict(send.params), "headers": dict(send.headers)}
    if send.json is not None:
        arguments["json"] = send.json
    if send.content is not None:
        arguments["content"] = send.content
    if send.timeout_s is not None:
        arguments["timeout"] = httpx.Timeout(send.timeout_s, connect=5.0)
    try:
        if send.upload is None:
            yield arguments
            return
        # Opened for every attempt: a second one begins at the file's beginning.
        with UploadFile(send.upload.path, send.upload.on_bytes) as file:
            arguments["data"] = dict(send.upload.fields)
            part = (send.upload.path.name, file, "application/octet-stream")
            arguments["files"] = {"artifact": part}
            yield arguments
    except httpx.TransportError as error:
        raise _unreachable(error, send, api) from error


def _unreachable(error: httpx.TransportError, send: Send, api: str) -> UnreachableError:
    doubtful = not isinstance(error, _NEVER_SENT)
    if isinstance(error, httpx.TimeoutException):
        reason = f"no answer in time ({send.method} {send.path})"
        return UnreachableError(api, reason, "Is the control plane overloaded?", doubtful=doubtful)
    return UnreachableError(api, _cause(error), config.START_IT, doubtful=doubtful)


def _cause(error: httpx.TransportError) -> str:
    """The system's own words; httpx wraps them and sometimes says nothing."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    return text or type(error).__name__


def _on_this_machine(api: str) -> bool:
    host = httpx.URL(api).host
    return host in {"localhost", "::1"} or host.startswith("127.")
