"""The control plane's REST API as Python calls."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self
from urllib.parse import quote

import httpx

from nereid import config
from nereid.errors import (
    PROBLEM_JSON,
    ChecksumError,
    ProblemError,
    UnreachableError,
    WaitTimeoutError,
)
from nereid.resources import (
    Accepted,
    Endpoint,
    Model,
    Plan,
    Policy,
    Revision,
    Server,
    Version,
)
from nereid.upload import BytesSent, UploadFile, framework_of, sha256_of
from nereid.version import __version__
from nereid.waiting import wait_for

ROOT = "/api/v1"
# Generous for a slow machine; an upload is read in chunks, each under this limit on its own.
TIMEOUT = httpx.Timeout(30.0, connect=5.0)
PAGE_SIZE = 100


class Client:
    """One control plane, one identity.

    >>> from nereid import Client
    >>> with Client.from_environment() as nereid:
    ...     standing = nereid.policy("digits")
    ...     accepted = nereid.put_policy("digits", {"arms": [...]}, etag=standing.etag)
    ...     nereid.wait_endpoint("digits", generation=accepted.generation)
    """

    def __init__(
        self, api: str, token: str, *, transport: httpx.BaseTransport | None = None
    ) -> None:
        self.api = config.origin(api)
        self._http = httpx.Client(
            base_url=f"{self.api}{ROOT}",
            headers={
                "Authorization": f"Bearer {token}",
                "Accept": f"application/json, {PROBLEM_JSON}",
                "User-Agent": f"nereid/{__version__}",
            },
            timeout=TIMEOUT,
            transport=transport,
            # A proxy of the environment is for the world outside, never for this machine.
            trust_env=not _on_this_machine(self.api),
        )

    @classmethod
    def from_environment(cls, api: str | None = None, token: str | None = None) -> Client:
        """Find address and token as the command does: see `nereid.config`."""
        credentials = config.resolve(api, token)
        return cls(credentials.api, credentials.token)

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        self._http.close()

    # Models and versions

    def models(self, search: str | None = None) -> list[Model]:
        return [Model.from_json(raw) for raw in self._list("/models/", search=search)]

    def model(self, name: str) -> Model:
        return Model.from_json(self._json("GET", f"/models/{_part(name)}/"))

    def create_model(self, name: str, description: str = "") -> Model:
        body = {"name": name, "description": description}
        return Model.from_json(self._json("POST", "/models/", json=body))

    def ensure_model(self, name: str, description: str = "") -> bool:
        """Create the model unless it exists; True when this call made it."""
        return _made(lambda: self.model(name), lambda: self.create_model(name, description))

    def delete_model(self, name: str) -> None:
        """Remove a model that has no versions."""
        self._request("DELETE", f"/models/{_part(name)}/")

    def versions(self, model: str) -> list[Version]:
        return [Version.from_json(raw) for raw in self._list(f"/models/{_part(model)}/versions/")]

    def version(self, model: str, number: int) -> Version:
        return Version.from_json(self._json("GET", f"/models/{_part(model)}/versions/{number}/"))

    def push(
        self,
        model: str,
        path: Path,
        *,
        metrics: Mapping[str, float] | None = None,
        provenance: Mapping[str, Any] | None = None,
        framework: str | None = None,
        on_bytes: BytesSent | None = None,
    ) -> Version:
        """Upload a file as the next version; the server validates it afterwards.

        The digest goes along for the server to check, and is compared with what it stored.
        """
        digest = sha256_of(path)
        kind = framework or framework_of(path)
        metadata: dict[str, Any] = {"sha256": digest}
        if kind:
            metadata["framework"] = kind
        if metrics:
            metadata["metrics"] = dict(metrics)
        if provenance:
            metadata["provenance"] = dict(provenance)
        with UploadFile(path, on_bytes) as file:
            raw = self._json(
                "POST",
                f"/models/{_part(model)}/versions/",
                data={"metadata": json.dumps(metadata)},
                files={"artifact": (path.name, file, "application/octet-stream")},
            )
        version = Version.from_json(raw)
        if version.sha256 and version.sha256 != digest:
            raise ChecksumError(
                f"{path} has sha256 {digest}, but the server stored {version.sha256} "
                f"as {model}:{version.number}"
            )
        return version

    # Endpoints and their policies

    def endpoints(self, search: str | None = None) -> list[Endpoint]:
        return [Endpoint.from_json(raw) for raw in self._list("/endpoints/", search=search)]

    def endpoint(self, name: str) -> Endpoint:
        return Endpoint.from_json(self._json("GET", f"/endpoints/{_part(name)}/"))

    def create_endpoint(self, name: str, description: str = "") -> Endpoint:
        body = {"name": name, "description": description}
        return Endpoint.from_json(self._json("POST", "/endpoints/", json=body))

    def ensure_endpoint(self, name: str, description: str = "") -> bool:
        """Create the endpoint unless it exists; True when this call made it."""
        return _made(lambda: self.endpoint(name), lambda: self.create_endpoint(name, description))

    def delete_endpoint(self, name: str) -> None:
        """Take an endpoint off every server; that goes on after this returns."""
        self._request("DELETE", f"/endpoints/{_part(name)}/")

    def policy(self, endpoint: str) -> Policy:
        response = self._request("GET", f"/endpoints/{_part(endpoint)}/policy/")
        return Policy(_object(response), response.headers.get("ETag", ""))

    def put_policy(self, endpoint: str, policy: Mapping[str, Any], *, etag: str) -> Accepted:
        """Replace the policy. `etag` is the one that was read with the policy this is based on;
        the server refuses (412) when someone changed it since. ``*`` means: whatever stands."""
        raw = self._json(
            "PUT", f"/endpoints/{_part(endpoint)}/policy/", json=policy, headers={"If-Match": etag}
        )
        return Accepted.from_json(raw)

    def plan(self, endpoint: str, policy: Mapping[str, Any]) -> Plan:
        return Plan.from_json(
            self._json("POST", f"/endpoints/{_part(endpoint)}/plan/", json=policy)
        )

    def rollback(
        self, endpoint: str, revision: int | None = None, reason: str | None = None
    ) -> Accepted:
        body: dict[str, Any] = {}
        if revision is not None:
            body["revision"] = revision
        if reason:
            body["reason"] = reason
        return Accepted.from_json(
            self._json("POST", f"/endpoints/{_part(endpoint)}/rollback/", json=body)
        )

    def kill(self, endpoint: str, reason: str | None = None) -> Accepted:
        """The kill switch: every request to the primary, without waiting for any other arm.
        A rollback leads back; asking again changes nothing."""
        body = {"reason": reason} if reason else {}
        return Accepted.from_json(
            self._json("POST", f"/endpoints/{_part(endpoint)}/kill/", json=body)
        )

    def revisions(self, endpoint: str) -> list[Revision]:
        return [
            Revision.from_json(raw)
            for raw in self._list(f"/endpoints/{_part(endpoint)}/revisions/")
        ]

    # Servers

    def servers(self) -> list[Server]:
        return [Server.from_json(raw) for raw in self._list("/servers/")]

    def server(self, name: str) -> Server:
        return Server.from_json(self._json("GET", f"/servers/{_part(name)}/"))

    # Waiting

    def wait_version_ready(
        self,
        model: str,
        number: int,
        *,
        timeout: float = 120.0,
        on_progress: Callable[[Version], None] | None = None,
    ) -> Version:
        """Wait until validation has an outcome. The outcome may be ``rejected``: look at it."""
        version = wait_for(
            lambda: self.version(model, number),
            lambda seen: seen.state not in {"uploading", "validating"},
            timeout,
            on_progress,
        )
        if version.state in {"uploading", "validating"}:
            raise WaitTimeoutError(f"{model}:{number} is still {version.state} after {timeout:g} s")
        return version

    def wait_endpoint(
        self,
        name: str,
        *,
        generation: int = 0,
        timeout: float = 120.0,
        on_progress: Callable[[Endpoint], None] | None = None,
    ) -> Endpoint:
        """Wait until `generation` serves or failed. The outcome may be ``Degraded``: look at it."""
        endpoint = wait_for(
            lambda: self.endpoint(name),
            lambda seen: seen.settled(generation),
            timeout,
            on_progress,
        )
        if not endpoint.settled(generation):
            reason = f" ({endpoint.reason})" if endpoint.reason else ""
            raise WaitTimeoutError(
                f"endpoint {name} is still {endpoint.status}{reason} after {timeout:g} s; "
                f"the change goes on: look with `nereid endpoints {name}`"
            )
        return endpoint

    # The wire

    def _list(self, path: str, **query: str | None) -> Iterator[dict[str, Any]]:
        params = {key: value for key, value in query.items() if value}
        page = self._json("GET", path, params={"limit": str(PAGE_SIZE), **params})
        while True:
            yield from page.get("results") or ()
            following = page.get("next")
            if not following:
                return
            # Only the query is taken from the link: behind a proxy the server may not know its
            # public address, and the token goes to no other one.
            page = self._json("GET", path, params=httpx.URL(following).params)

    def _json(self, method: str, path: str, **arguments: Any) -> dict[str, Any]:
        return _object(self._request(method, path, **arguments))

    def _request(self, method: str, path: str, **arguments: Any) -> httpx.Response:
        try:
            response = self._http.request(method, path, **arguments)
        except httpx.TimeoutException as error:
            raise UnreachableError(
                self.api, f"no answer in time ({method} {path})", "Is the control plane overloaded?"
            ) from error
        except httpx.TransportError as error:
            raise UnreachableError(self.api, _cause(error), config.START_IT) from error
        if not response.is_success:
            raise ProblemError.from_response(response)
        return response


def _made(look: Callable[[], object], make: Callable[[], object]) -> bool:
    try:
        look()
        return False
    except ProblemError as error:
        if error.status != httpx.codes.NOT_FOUND:
            raise
    try:
        make()
    except ProblemError as error:
        # Someone else made it meanwhile: that it exists is all that was wanted.
        if error.status != httpx.codes.CONFLICT:
            raise
        return False
    return True


def _part(name: str) -> str:
    """A name as one part of a path: whatever it holds, it leads nowhere else."""
    quoted = quote(name, safe="")
    # Dots alone are no name: unquoted they would climb to another path on the way.
    return quoted if quoted.strip(".") else quoted.replace(".", "%2E")


def _on_this_machine(api: str) -> bool:
    host = httpx.URL(api).host
    return host in {"localhost", "::1"} or host.startswith("127.")


def _object(response: httpx.Response) -> dict[str, Any]:
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


def _cause(error: httpx.TransportError) -> str:
    """The system's own words; httpx wraps them and sometimes says nothing."""
    text = re.sub(r"^\[Errno -?\d+\] ", "", str(error))
    return text or type(error).__name__
