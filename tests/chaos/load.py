"""Callers that go on all the while, over HTTP and gRPC, to whichever servers may be called.

They do what a balancer does and no more: they follow each server's gate, and ask another server
when a connection breaks or no answer comes. What a server answers is what the caller gets.
"""

from __future__ import annotations

import contextlib
import itertools
import threading
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
import numpy as np
import tritonclient.grpc as grpc

from tests.support.until_the_end import until_the_end

GATE_S = 0.2
ANSWER_S = 3.0
"""Whoever does not answer so long is left alone, and another one asked."""

TRIES = 3
REST_S = 0.02
INPUT = np.zeros((1, 1, 8, 8), np.float32)
BROKEN = (
    "[StatusCode.UNAVAILABLE]",
    "[StatusCode.DEADLINE_EXCEEDED]",
    "[StatusCode.CANCELLED]",
    "Deadline Exceeded",
    "timed out",
)
"""How gRPC's client says that nobody answered: the call is asked again elsewhere."""


@dataclass(frozen=True)
class Target:
    """Where one server is called; without a gate it is always (an edge)."""

    http: str
    grpc: str
    gate: str = ""


@dataclass
class Counts:
    """Requests since the last look, how many were tried again, and what became of the failed."""

    requests: int = 0
    retried: int = 0
    failures: list[str] = field(default_factory=list)


class Callers:
    """Two callers of either protocol for each endpoint named."""

    def __init__(self, targets: Mapping[str, Target], endpoints: tuple[str, ...]) -> None:
        self._targets = dict(targets)
        self._open = {name for name, target in targets.items() if not target.gate}
        self._stopping, self._counting = threading.Event(), threading.Lock()
        self._counts = Counts()
        self._turns = itertools.count()
        self._threads = [
            threading.Thread(target=self._watch, args=(name,), daemon=True)
            for name, target in targets.items()
            if target.gate
        ] + [
            threading.Thread(target=self._call, args=(ask, endpoint), daemon=True)
            for endpoint in endpoints
            for ask in (_HttpAsker, _GrpcAsker)
        ]

    @contextlib.contextmanager
    def calling(self) -> Iterator[Callers]:
        """Calls until the end of the block."""
        with until_the_end(self._threads, self._stopping, join_s=30):
            yield self

    def drain(self) -> Counts:
        """What was counted since the last time."""
        with self._counting:
            counted, self._counts = self._counts, Counts()
        return counted

    def _watch(self, name: str) -> None:
        gate = f"{self._targets[name].gate}/ready"
        while not self._stopping.wait(GATE_S):
            try:
                ready = httpx.get(gate, timeout=2, trust_env=False).status_code == 200
            except httpx.HTTPError:
                ready = False
            (self._open.add if ready else self._open.discard)(name)

    def _call(self, asker: type[_Asker], endpoint: str) -> None:
        askers = {name: asker(target) for name, target in self._targets.items()}
        try:
            while not self._stopping.wait(REST_S):
                self._ask_one(askers, asker.name, endpoint)
        finally:
            for one in askers.values():
                one.close()

    def _ask_one(self, askers: Mapping[str, _Asker], protocol: str, endpoint: str) -> None:
        tried, error = 0, "no server is ready"
        until = time.monotonic() + ANSWER_S * TRIES
        avoided: set[str] = set()
        while tried < TRIES and time.monotonic() < until:
            # One that just broke is left alone as long as there are others.
            ready = sorted(self._open - avoided) or sorted(self._open)
            if not ready:
                time.sleep(GATE_S / 4)
                continue
            name, tried = ready[next(self._turns) % len(ready)], tried + 1
            try:
                askers[name].ask(endpoint)
                error = ""
                break
            except _BrokenError as broken:
                error = f"{name}: {broken}"
                avoided.add(name)
                askers[name].close()
            except Exception as answered:  # each other kind of failure is the caller's
                error = f"{name}: {answered or repr(answered)}"
                break
        with self._counting:
            self._counts.requests += 1
            self._counts.retried += tried > 1
            if error:
                when = time.strftime("%H:%M:%S")
                self._counts.failures.append(f"{when} {endpoint} by {protocol}: {error}")


class _BrokenError(Exception):
    """The connection broke, or nobody answered: no word of the server's."""


class _Asker:
    name = ""

    def __init__(self, target: Target) -> None:
        self._target = target
        self._client: Any = None

    def ask(self, endpoint: str) -> None:
        raise NotImplementedError

    def close(self) -> None:
        """Ends the connection; the next question makes another one."""
        if self._client is not None:
            self._client.close()
            self._client = None


class _HttpAsker(_Asker):
    name = "HTTP"
    body: Mapping[str, Any] = {
        "inputs": [
            {
                "name": "image",
                "shape": list(INPUT.shape),
                "datatype": "FP32",
                "data": INPUT.ravel().tolist(),
            }
        ]
    }

    def ask(self, endpoint: str) -> None:
        self._client = self._client or httpx.Client(
            base_url=f"http://{self._target.http}", timeout=ANSWER_S, trust_env=False
        )
        try:
            answer = self._client.post(f"/v2/models/{endpoint}/infer", json=self.body)
        except httpx.HTTPError as error:
            raise _BrokenError(repr(error)) from error
        if answer.status_code != 200:
            raise RuntimeError(f"{answer.status_code} {answer.text[:200]}")
        assert answer.json()["parameters"]["nereid_arm"]


class _GrpcAsker(_Asker):
    name = "gRPC"

    def ask(self, endpoint: str) -> None:
        if self._client is None:
            self._client = grpc.InferenceServerClient(self._target.grpc)
        given = grpc.InferInput("image", list(INPUT.shape), "FP32").set_data_from_numpy(INPUT)
        try:
            answer = self._client.infer(endpoint, [given], client_timeout=ANSWER_S)
        except grpc.InferenceServerException as error:
            if str(error).startswith(BROKEN) or str(error.status() or "").endswith("UNAVAILABLE"):
                raise _BrokenError(str(error)) from error
            raise
        assert answer.get_response().parameters["nereid_arm"].string_param
