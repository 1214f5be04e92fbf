"""A stage for the router's tests: endpoints whose arms do what each request tells them."""

from __future__ import annotations

import queue
import re
import shutil
import threading
import time
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient
from tritonclient.utils import InferenceServerException

from backends.build import Target, build
from tests.support import models
from tests.support.triton import RunningTriton, eventually

ONES = np.ones((1, 4), np.float32)

RESCUE = "rescue budget 2000 floor 3"

# Big enough to let any request of a test through, where rescue is not what the test is about.
BOUNDLESS_RESCUE = "rescue budget 10000 floor 1000"

WIDE_SIGNATURE = """
max_batch_size: 0
input [{ name: "x" data_type: TYPE_FP32 dims: [-1] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [-1] }]
"""

DECOUPLED = "model_transaction_policy { decoupled: true }\n"


def arm_name(endpoint: str, version: int) -> str:
    """The physical model of a version: what `nereid_arm` and the metrics say."""
    return f"{endpoint}.v{version}.aaaaaa"


def actor_model(repository: Path, name: str, signature: str) -> None:
    """An arm of actor.cc; Triton finds its library in the model's own folder."""
    source = Path(__file__).with_name("actor.cc")
    library = build(Target("libtriton_actor.so", (str(source),)), verbose=False)
    config = f'backend: "actor"\ninstance_group {{ kind: KIND_CPU }}\n{signature}'
    models.model_directory(repository, name, config)
    shutil.copy(library, repository / name / library.name)


def tensor(value: np.ndarray = ONES, kind: Any = grpcclient, name: str = "x") -> Any:
    """The arms' only input."""
    given = kind.InferInput(name, list(value.shape), "FP32")
    given.set_data_from_numpy(value)
    return given


def version_of(answer: grpcclient.InferResult | httpclient.InferResult) -> int:
    """The version whose arm gave the answer."""
    response = answer.get_response()
    if isinstance(answer, httpclient.InferResult):
        name = response["parameters"]["nereid_arm"]
    else:
        name = response.parameters["nereid_arm"].string_param
    found = re.search(r"\.v(\d+)\.", name)
    assert found, name
    return int(found[1])


class Stage:
    """A server with its endpoints; each test makes its own, so none depends on another."""

    def __init__(self, server: RunningTriton) -> None:
        self.server = server
        self.client = server.grpc_client()
        self._http = threading.local()
        self._generation = 1
        self._arms: dict[str, list[int]] = {}

    # --- making ----------------------------------------------------------------------------------

    def endpoint(
        self,
        endpoint: str,
        weights: Sequence[int],
        *lines: str,
        decoupled: bool = False,
        absent: Sequence[int] = (),
        signature: str = models.MULTIPLIER_SIGNATURE,
        **policy: Any,
    ) -> None:
        """Arms of version 1, 2, ... with these slots, loaded (but for `absent`), and the router."""
        signature += DECOUPLED if decoupled else ""
        self._arms[endpoint] = list(range(1, len(weights) + 1))
        for version in self._arms[endpoint]:
            if version not in absent:
                actor_model(self.server.repository, arm_name(endpoint, version), signature)
                self.server.load(arm_name(endpoint, version))
        models.router(
            self.server.repository,
            endpoint,
            {arm_name(endpoint, 1): 10_000},
            pinned={version: arm_name(endpoint, version) for version in self._arms[endpoint]},
            signature=signature,
        )
        self.route(endpoint, weights, *lines, **policy)

    def route(
        self,
        endpoint: str,
        weights: Sequence[int],
        *lines: str,
        words: Mapping[int, str] | None = None,
        versions: Sequence[int] = (),
        primary: int | None = None,
        **policy: Any,
    ) -> None:
        """Another policy, in force when this returns, for versions 1, 2, ... or those named."""
        versions = versions or range(1, len(weights) + 1)
        self._generation += 1
        text = models.policy_text(
            endpoint,
            {
                arm_name(endpoint, version): weight
                for version, weight in zip(versions, weights, strict=True)
            },
            primary=arm_name(endpoint, primary or versions[0]),
            generation=self._generation,
            words={arm_name(endpoint, version): more for version, more in (words or {}).items()},
            lines=lines,
            **policy,
        )
        models.write_policy(self.server.repository, endpoint, text)
        self.server.load(endpoint)

    # --- asking ----------------------------------------------------------------------------------

    def ask(
        self, endpoint: str, orders: Mapping[str, Any] | None = None, **options: Any
    ) -> grpcclient.InferResult:
        """One answer over gRPC; `orders` are what the arms shall do."""
        inputs = [tensor(options.pop("x", ONES))]
        return self.client.infer(endpoint, inputs, parameters=dict(orders or {}), **options)

    def ask_http(
        self, endpoint: str, orders: Mapping[str, Any] | None = None, **options: Any
    ) -> httpclient.InferResult:
        """One answer over HTTP, from any thread: each has a connection of its own."""
        if not hasattr(self._http, "client"):
            self._http.client = self.server.http_client()
        inputs = [tensor(options.pop("x", ONES), httpclient)]
        return self._http.client.infer(endpoint, inputs, parameters=dict(orders or {}), **options)

    def arms(self, endpoint: str, count: int, orders: Any = None, **options: Any) -> Counter[int]:
        """How many of `count` requests, one after another, each version answered."""
        return Counter(version_of(self.ask(endpoint, orders, **options)) for _ in range(count))

    def refusal(self, endpoint: str, orders: Any = None, **options: Any) -> tuple[str, str]:
        """The code and the message of a request that must fail."""
        try:
            answer = self.ask(endpoint, orders, **options)
        except InferenceServerException as error:
            return str(error.status()).removeprefix("StatusCode."), str(error.message())
        raise AssertionError(f"version {version_of(answer)} answered")

    def stream(
        self, endpoint: str, requests: Sequence[Mapping[str, Any]], **options: Any
    ) -> list[Any]:
        """All answers, errors among them, to requests sent over one stream, until its end."""
        answers: queue.Queue[Any] = queue.Queue()
        client = grpcclient.InferenceServerClient(self.server.options.grpc)
        client.start_stream(callback=lambda result, error: answers.put(error or result))
        for orders in requests:
            client.async_stream_infer(endpoint, [tensor()], parameters=dict(orders), **options)
        client.stop_stream()
        client.close()
        return list(answers.queue)

    def begin(self, endpoint: str, orders: Any = None, **options: Any) -> Pending:
        """A request on its way, over gRPC."""
        return Pending(self, endpoint, dict(orders or {}), options)

    def at_once(self, count: int, work: Callable[[int], Any]) -> list[Any]:
        """`work(0)` ... `work(count - 1)`, all at the same time."""
        gate = threading.Barrier(count)

        def begin(number: int) -> Any:
            gate.wait()
            return work(number)

        with ThreadPoolExecutor(count) as pool:
            return list(pool.map(begin, range(count)))

    # --- looking ---------------------------------------------------------------------------------

    def metric(self, name: str, endpoint: str, version: int | None = None, **labels: str) -> float:
        if version is not None:
            labels["arm"] = arm_name(endpoint, version)
        return self.server.metric(f"nereid_{name}", endpoint=endpoint, **labels)

    def outcomes(self, endpoint: str) -> dict[str, int]:
        """Attempts by version and outcome, such as {"v2 rescued": 3}; zeros are left out."""
        found = {}
        for sample, value in self.server.metrics().items():
            if value and sample.startswith("nereid_requests_total{"):
                labels = dict(re.findall(r'(\w+)="([^"]*)"', sample))
                if labels["endpoint"] == endpoint:
                    version = labels["arm"].split(".")[1]
                    found[f"{version} {labels['outcome']}"] = int(value)
        return found

    def expect(self, endpoint: str, expected: Mapping[str, int]) -> None:
        """Waits until the outcomes are these and no others."""
        try:
            eventually(lambda: self.outcomes(endpoint) == expected, within_s=5)
        except AssertionError:
            assert self.outcomes(endpoint) == expected  # so that pytest shows the difference

    def in_flight(self, endpoint: str, version: int | None = None) -> float:
        return self.metric("inflight_requests", endpoint, version)

    @staticmethod
    def clock() -> Callable[[], float]:
        """Seconds from now on."""
        began = time.monotonic()
        return lambda: time.monotonic() - began

    # --- the end ---------------------------------------------------------------------------------

    def strike(self) -> None:
        """Nothing may be left over: no request in flight, no model that cannot be unloaded."""
        for gauge in ("inflight_requests", "pinned_sequences"):
            eventually(
                lambda gauge=gauge: not self._left(gauge), what=f"{gauge}: {self._left(gauge)}"
            )
        began = time.monotonic()
        arms = [arm_name(e, version) for e, versions in self._arms.items() for version in versions]
        # Side by side: each waits for its threads before it goes. Routers first.
        with ThreadPoolExecutor(16) as pool:
            list(pool.map(self.server.unload, list(self._arms)))
            list(pool.map(self.server.unload, arms))
        eventually(lambda: not self._ready(), what=f"unloaded: {self._ready()}")
        assert time.monotonic() - began < 10

    def _left(self, gauge: str) -> dict[str, float]:
        samples = self.server.metrics().items()
        return {name: value for name, value in samples if value and f"nereid_{gauge}{{" in name}

    def _ready(self) -> list[str]:
        path, headers = "/v2/repository/index", self.server.control["http"]
        _, index = self.server.call(path, {}, headers=headers)
        return [model["name"] for model in index if model.get("state") not in ("UNAVAILABLE", None)]


class Pending:
    """A request that has been sent: wait for its answer, or cancel it."""

    def __init__(self, stage: Stage, endpoint: str, orders: dict[str, Any], options: Any) -> None:
        self._done = threading.Event()
        self._result: grpcclient.InferResult | None = None
        self._error: InferenceServerException | None = None
        self._began = time.monotonic()
        self.took_s = 0.0
        self._call = stage.client.async_infer(
            endpoint,
            [tensor(options.pop("x", ONES))],
            callback=self._keep,
            parameters=orders,
            **options,
        )

    def _keep(self, result: Any, error: Any) -> None:
        self.took_s = time.monotonic() - self._began
        self._result, self._error = result, error
        self._done.set()

    @property
    def done(self) -> bool:
        return self._done.is_set()

    def cancel(self) -> None:
        self._call.cancel()

    def answer(self) -> grpcclient.InferResult:
        """The answer; raises the error that came instead."""
        assert self._done.wait(30), "no answer"
        if self._error is not None:
            raise self._error
        assert self._result is not None
        return self._result

    def code(self) -> str:
        """OK, or the code of the error that came instead."""
        assert self._done.wait(30), "no answer"
        return "OK" if self._error is None else str(self._error.status()).partition(".")[2]


class Caller:
    """One request on a stream of its own, whose answers are looked at as they come."""

    def __init__(self, stage: Stage, endpoint: str, orders: dict[str, Any], **options: Any) -> None:
        self.answers: list[Any] = []
        self._client = grpcclient.InferenceServerClient(stage.server.options.grpc)
        self._client.start_stream(
            callback=lambda result, error: self.answers.append(error or result)
        )
        self._client.async_stream_infer(endpoint, [tensor()], parameters=orders, **options)

    def wait_for(self, count: int) -> None:
        eventually(lambda: len(self.answers) >= count)

    def cancel(self) -> None:
        self._client.stop_stream(cancel_requests=True)
        self._client.close()

    def close(self) -> list[Any]:
        """Every answer, when the last has come."""
        self._client.stop_stream()
        self._client.close()
        return self.answers
