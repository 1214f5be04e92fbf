"""`ports.triton.TritonControl` over Triton's own APIs, with the control key only we have."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from contextlib import AbstractContextManager
from typing import Any

import httpx
from opentelemetry import trace
from tritonclient.grpc import InferenceServerClient
from tritonclient.utils import InferenceServerException

from control_plane.ports.triton import HeldModel, TritonError, TritonUnreachableError

CONTROL_HEADER = "nereid-control"
GRPC_KEY_PREFIX = "triton-grpc-protocol-"

_LOAD_TIMEOUT_S = 600.0

# No proxy of the environment comes in between, and no wait that an earlier connection earned.
_CHANNEL = [("grpc.enable_http_proxy", 0), ("grpc.use_local_subchannel_pool", 1)]

# What gRPC says where nobody answers; and Triton itself, to who holds no key (see `_REFUSED`).
_NO_ANSWER = ("UNAVAILABLE", "DEADLINE_EXCEEDED", "CANCELLED")
_REFUSED = "This protocol is restricted"

# Triton 2.51 dies of an unload while a thread of the model is not back at its queue, a moment
# after it was loaded or has answered (backends/README.md): under 10 ms, on two busy cores.
_SETTLED_S = 0.1

_LOAD = ("inference.GRPCInferenceService", "RepositoryModelLoad")


class ApiTritonControl:
    """One Triton at `http` and `grpc` (`host:port` each).

    It is asked over HTTP and told to load over gRPC: a load over HTTP holds up a thread of
    Triton's HTTP service, and every caller whose connection that thread has, until the model is
    there (docs/decisions/0056-loads-are-told-over-grpc.md).
    """

    def __init__(self, http: str, grpc: str, control_key: str, timeout_s: float = 10.0) -> None:
        self._grpc = grpc
        self._grpc_key = {GRPC_KEY_PREFIX + CONTROL_HEADER: control_key}
        self._client = httpx.Client(
            base_url=f"http://{http}",
            headers={CONTROL_HEADER: control_key},
            timeout=httpx.Timeout(timeout_s, connect=2.0),
            trust_env=False,
        )

    def close(self) -> None:
        """Closes the connections."""
        self._client.close()

    def is_live(self) -> bool:
        try:
            return self._client.get("/v2/health/live").is_success
        except httpx.HTTPError:
            return False

    def load(self, name: str) -> None:
        # A connection for each: one that stays open holds up the server's end by 5 s.
        client = InferenceServerClient(self._grpc, channel_args=_CHANNEL)
        try:
            with _load_span(self._grpc, name):
                client.load_model(name, headers=self._grpc_key, client_timeout=_LOAD_TIMEOUT_S)
        except InferenceServerException as error:
            raise self._load_error(error) from error
        finally:
            client.close()

    def unload(self, name: str) -> None:
        time.sleep(_SETTLED_S)
        self._call("POST", f"/v2/repository/models/{name}/unload", {})

    def index(self) -> Sequence[HeldModel]:
        return [
            HeldModel(
                name=entry["name"],
                version=entry.get("version", ""),
                state=entry.get("state", ""),
                reason=entry.get("reason", ""),
            )
            for entry in self._entries()
            if _is_held(entry)
        ]

    def let_go(self) -> frozenset[str]:
        entries = self._entries()
        # What takes its time to go was let go already.
        held = {e["name"] for e in entries if _is_held(e) and e.get("state") != "UNLOADING"}
        # What was never loaded has no state at all.
        return frozenset(e["name"] for e in entries if e.get("state")) - held

    def is_ready(self, name: str) -> bool:
        try:
            return self._client.get(f"/v2/models/{name}/ready").is_success
        except httpx.HTTPError as error:
            raise TritonUnreachableError(f"no answer from Triton: {error}") from error

    def config(self, name: str) -> Mapping[str, Any]:
        values: Mapping[str, Any] = self._call("GET", f"/v2/models/{name}/config").json()
        return values

    def server_version(self) -> str:
        return str(self._call("GET", "/v2").json()["version"])

    def _entries(self) -> list[dict[str, Any]]:
        answer = self._call("POST", "/v2/repository/index", {}).content
        # Directories are listed by the bytes of their names, and need be no UTF-8.
        entries = json.loads(answer.decode(errors="surrogateescape"))
        return [entry for entry in entries if not entry["name"].startswith(".")]

    def _load_error(self, error: InferenceServerException) -> TritonError:
        status, said = str(error.status() or ""), str(error.message() or "")
        if status.endswith(_NO_ANSWER) and _REFUSED not in said:
            return TritonUnreachableError(f"no answer from Triton at grpc://{self._grpc}: {said}")
        return TritonError(said)

    def _call(self, method: str, path: str, body: object = None) -> httpx.Response:
        try:
            response = self._client.request(method, path, json=body)
        except httpx.HTTPError as error:
            raise TritonUnreachableError(
                f"no answer from Triton at {self._client.base_url}: {error}"
            ) from error
        if response.is_success:
            return response
        raise TritonError(_reason(response))


def _is_held(entry: Mapping[str, Any]) -> bool:
    """Triton goes on listing what it was told to let go: it holds it no more."""
    state, reason = entry.get("state"), entry.get("reason")
    return bool(state) and (state, reason) != ("UNAVAILABLE", "unloaded")


def _reason(response: httpx.Response) -> str:
    try:
        return str(response.json()["error"])
    except (ValueError, KeyError, TypeError):
        return f"Triton answered {response.status_code} {response.text[:200]}"


def _load_span(address: str, model: str) -> AbstractContextManager[trace.Span]:
    """As the client library's own HTTP calls have one, in OpenTelemetry's words for gRPC.

    Nothing where nobody traces.
    """
    service, method = _LOAD
    host, _, port = address.rpartition(":")
    said = {
        "rpc.system": "grpc",
        "rpc.service": service,
        "rpc.method": method,
        "server.address": host,
        "server.port": port,
        "nereid.model": model,
    }
    tracer = trace.get_tracer("nereid")
    name = f"{service}/{method}"
    return tracer.start_as_current_span(name, kind=trace.SpanKind.CLIENT, attributes=said)
