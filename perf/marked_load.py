"""Callers of a marked model: what each got, from which arm, and what they say of it."""

from __future__ import annotations

import threading
import time
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np
import tritonclient.grpc as triton

from nereid import Client
from perf.marked_model import draw

OUTCOME = "correct"

_EVERY_S = 0.5
"""So often the callers say which answers were right."""


@dataclass(frozen=True)
class Called:
    """One request: when it was sent (seconds since 1970), and the physical model that answered.

    `error` is empty where there is an answer.
    """

    sent: float
    arm: str
    error: str = ""


@dataclass
class MarkedLoad:
    """Clients that call `endpoint` until stopped, and report each answer as right or wrong.

    `pause_s` is how long each of them rests between two requests. `burst` is a factor, now: so many
    times as many of the requests are marked, on whichever arm.
    """

    client: Client
    grpc: str
    endpoint: str
    clients: int = 6
    pause_s: float = 0.025
    burst: Callable[[], float] = lambda: 1.0
    answers: list[Called] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._stop = threading.Event()
        self._said: deque[tuple[str, bool]] = deque()
        calls = [threading.Thread(target=self._call, args=(i,)) for i in range(self.clients)]
        self._threads = [*calls, threading.Thread(target=self._report)]

    def __enter__(self) -> MarkedLoad:
        for thread in self._threads:
            thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        for thread in self._threads:
            thread.join()

    @property
    def failures(self) -> list[Called]:
        return [answer for answer in self.answers if answer.error]

    def _call(self, seed: int) -> None:
        dice = np.random.default_rng(seed)
        with triton.InferenceServerClient(self.grpc) as client:
            while not self._stop.wait(self.pause_s):
                marks = (draw(dice) / self.burst()).astype(np.float32)
                self.answers.append(self._ask(client, marks))

    def _ask(self, client: triton.InferenceServerClient, marks: np.ndarray) -> Called:
        given = triton.InferInput("marks", list(marks.shape), "FP32")
        given.set_data_from_numpy(marks)
        sent = time.time()
        try:
            result = client.infer(self.endpoint, [given], client_timeout=30)
        except Exception as error:  # every kind of failure counts, whatever raised it
            return Called(sent, "", str(error) or repr(error))
        arm = result.get_response().parameters["nereid_arm"].string_param
        self._said.append((arm, bool(result.as_numpy("right").item())))
        return Called(sent, arm)

    def _report(self) -> None:
        while not self._stop.wait(_EVERY_S):
            of: Counter[str] = Counter()
            right: Counter[str] = Counter()
            while self._said:
                arm, was_right = self._said.popleft()
                of[arm] += 1
                right[arm] += was_right
            reports = [
                {"outcome": OUTCOME, "arm": arm, "count": right[arm], "of": count}
                for arm, count in of.items()
            ]
            if reports:
                self.client.send_feedback(self.endpoint, reports)
