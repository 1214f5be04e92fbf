"""Constant load on a routed endpoint: closed-loop clients that note which arm answered when."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tritonclient.grpc as grpcclient
import tritonclient.http as httpclient


@dataclass(frozen=True)
class Answer:
    """One request: when it was sent (seconds, monotonic), how long it took, and who answered.

    `error` is empty where there is an answer.
    """

    sent: float
    seconds: float
    arm: str
    error: str = ""


@dataclass
class Load:
    """Clients that call `endpoint` until stopped; `answers` is what they got.

    Each waits for its answer and `pause_s`, and asks again.
    """

    http: str
    grpc: str
    endpoint: str
    inputs: dict[str, np.ndarray]
    clients: int = 4
    pause_s: float = 0.0
    answers: list[Answer] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        kinds = [("http", "grpc")[i % 2] for i in range(self.clients)]
        self._threads = [threading.Thread(target=self._run, args=(kind,)) for kind in kinds]

    def __enter__(self) -> Load:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[Answer]:
        return [answer for answer in self.answers if answer.error]

    def _run(self, protocol: str) -> None:
        client, inputs = self._client(protocol)
        try:
            while not self._stop.wait(self.pause_s):
                self.answers.append(self._ask(client, protocol, inputs))
        finally:
            client.close()

    def _client(self, protocol: str) -> tuple[Any, list[Any]]:
        module = httpclient if protocol == "http" else grpcclient
        address = self.http if protocol == "http" else self.grpc
        inputs = []
        for name, array in self.inputs.items():
            tensor = module.InferInput(name, list(array.shape), "FP32")
            tensor.set_data_from_numpy(array)
            inputs.append(tensor)
        return module.InferenceServerClient(address), inputs

    def _ask(self, client: Any, protocol: str, inputs: list[Any]) -> Answer:
        sent = time.monotonic()
        try:
            result = client.infer(self.endpoint, inputs)
        except Exception as error:  # every kind of failure counts, whatever raised it
            return Answer(sent, time.monotonic() - sent, "", str(error) or repr(error))
        seconds = time.monotonic() - sent
        response = result.get_response()
        if protocol == "http":
            arm = response["parameters"]["nereid_arm"]
        else:
            arm = response.parameters["nereid_arm"].string_param
        return Answer(sent, seconds, arm)
