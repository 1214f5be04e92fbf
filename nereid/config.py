"""Which control plane to talk to, and as whom.

The API's address is settled first: an explicit value, then ``NEREID_API``, then the file that
``nereid login`` wrote, then the stack that runs here (``$NEREID_HOME/stack.json``, or the nearest
``.nereid/stack.json`` upward from the working directory). The token is an explicit value, then
``NEREID_TOKEN``, then the stored one *of that very address*: a stored token never travels to an
address it was not stored for.
"""

from __future__ import annotations

import contextlib
import json
import os
import stat
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx

from nereid.errors import NotConfiguredError

START_IT = "Start a stack here with `make serve`, or name one with `nereid login --api URL`."


@dataclass(frozen=True)
class Credentials:
    api: str
    token: str
    source: str  # in words, for messages: "the stack in .nereid", "NEREID_API"


@dataclass(frozen=True)
class Stack:
    """What ``stack.json`` says about the stack that runs on this machine."""

    path: Path
    document: Mapping[str, Any]

    @property
    def api(self) -> str:
        return str(self.document.get("api") or "")

    @property
    def token(self) -> str:
        return str(self.document.get("token") or "")

    @property
    def console(self) -> str:
        return str(self.document.get("console") or "")

    def triton(self, protocol: str) -> str | None:
        addresses = self.document.get("triton")
        value = addresses.get(protocol) if isinstance(addresses, Mapping) else None
        return str(value) if value else None


def origin(api: str) -> str:
    """``http://Host:8080/api/v1/`` and ``host:8080`` both mean ``http://host:8080``."""
    text = api.strip()
    if "://" not in text:
        text = f"http://{text}"
    try:
        url = httpx.URL(text)
    except httpx.InvalidURL as error:
        raise NotConfiguredError(f"{api!r} is not an address: {error}") from error
    if url.scheme not in {"http", "https"} or not url.host:
        raise NotConfiguredError(f"{api!r} is not an http(s) address")
    path = url.path.rstrip("/")
    path = path.removesuffix("/api/v1").rstrip("/")
    host = f"[{url.host}]" if ":" in url.host else url.host
    port = f":{url.port}" if url.port else ""
    return f"{url.scheme}://{host}{port}{path}"


def login_file(env: Mapping[str, str] | None = None) -> Path:
    env = os.environ if env is None else env
    base = env.get("XDG_CONFIG_HOME") or str(Path(env.get("HOME") or Path.home()) / ".config")
    return Path(base) / "nereid" / "credentials.json"


def read_login(env: Mapping[str, str] | None = None) -> Credentials | None:
    path = login_file(env)
    document = _read_object(path)
    if not document or not document.get("api"):
        return None
    return Credentials(str(document["api"]), str(document.get("token") or ""), f"{path}")


def write_login(api: str, token: str, env: Mapping[str, str] | None = None) -> Path:
    """Store a login for this user only; the file appears whole or not at all."""
    path = login_file(env)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    # mkstemp makes the file 0600 from its first moment.
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=".credentials-")
    with os.fdopen(handle, "w") as file:
        json.dump({"api": origin(api), "token": token}, file)
    Path(temporary).replace(path)
    return path


def forget_login(env: Mapping[str, str] | None = None) -> bool:
    path = login_file(env)
    existed = path.exists()
    with contextlib.suppress(FileNotFoundError):
        path.unlink()
    return existed


def find_stack(env: Mapping[str, str] | None = None, cwd: Path | None = None) -> Stack | None:
    env = os.environ if env is None else env
    home = env.get("NEREID_HOME")
    if home:
        return _read_stack(Path(home) / "stack.json")
    start = (cwd or Path.cwd()).resolve()
    for folder in (start, *start.parents):
        path = folder / ".nereid" / "stack.json"
        if _is_ours(path) and (stack := _read_stack(path)) is not None:
            return stack
    return None


def resolve(
    api: str | None = None,
    token: str | None = None,
    *,
    env: Mapping[str, str] | None = None,
    cwd: Path | None = None,
) -> Credentials:
    env = os.environ if env is None else env
    stored = _stored(env, cwd)
    if api:
        address, source = origin(api), "--api"
    elif env.get("NEREID_API"):
        address, source = origin(env["NEREID_API"]), "NEREID_API"
    elif stored:
        address, source = origin(stored[0].api), stored[0].source
    else:
        raise NotConfiguredError(f"No control plane is known here.\n{START_IT}")
    secret = token or env.get("NEREID_TOKEN") or _token_of(address, stored)
    if not secret:
        raise NotConfiguredError(
            f"No token for {address} (address from {source}).\n"
            f"Run `nereid login --api {address}`, or set NEREID_TOKEN."
        )
    return Credentials(address, secret, source)


def _stored(env: Mapping[str, str], cwd: Path | None) -> list[Credentials]:
    found = []
    login = read_login(env)
    if login:
        found.append(login)
    stack = find_stack(env, cwd)
    if stack and stack.api:
        found.append(Credentials(stack.api, stack.token, f"{stack.path}"))
    return found


def _token_of(address: str, stored: list[Credentials]) -> str | None:
    for credentials in stored:
        if credentials.token and origin(credentials.api) == address:
            return credentials.token
    return None


def _is_ours(path: Path) -> bool:
    """Whether nobody but this user (and root) can have said what the file says.

    Above the working directory anybody may leave one, in /tmp for instance, that sends tokens
    and models to a server of theirs.
    """
    try:
        status = path.stat()
    except OSError:
        return False
    others_write = status.st_mode & (stat.S_IWGRP | stat.S_IWOTH)
    return status.st_uid in (0, os.geteuid()) and not others_write


def _read_stack(path: Path) -> Stack | None:
    document = _read_object(path)
    return None if document is None else Stack(path, document)


def _read_object(path: Path) -> dict[str, Any] | None:
    try:
        document = json.loads(path.read_text())
    except FileNotFoundError:
        return None
    except (OSError, ValueError) as error:
        raise NotConfiguredError(f"{path} cannot be read: {error}") from error
    if not isinstance(document, dict):
        raise NotConfiguredError(f"{path} does not hold a JSON object")
    return document
