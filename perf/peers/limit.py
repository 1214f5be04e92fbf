"""ONNX Runtime by itself: what the network can do on these cores with no server around it."""

from __future__ import annotations

import threading
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnxruntime

CORES = 2
BATCHES = (1, 2, 4, 8, 32)
TRIED_S = 0.5


@dataclass(frozen=True)
class Way:
    """How it is called: so many sessions at once, of so many threads, with so many rows."""

    sessions: int
    threads: int
    rows: int

    @property
    def together(self) -> int:
        """The rows that are under way at once: a server has no more of them than callers."""
        return self.sessions * self.rows

    def __str__(self) -> str:
        return (
            f"{_many(self.sessions, 'session')} x {_many(self.threads, 'thread')}, "
            f"{_many(self.rows, 'row')} a call"
        )


class Limit:
    """How fast it is, called in the fastest way: found by trying each."""

    def __init__(self, model: Path, row: np.ndarray) -> None:
        self._model = model
        self._row = row
        self._sessions: dict[tuple[int, int], list[onnxruntime.InferenceSession]] = {}
        ways = [
            Way(sessions, CORES // sessions, rows) for sessions in (1, CORES) for rows in BATCHES
        ]
        self._tried = {way: self.rate(way, TRIED_S) for way in ways}

    def best(self, callers: int | None = None) -> Way:
        """The fastest way; with `callers` that each wait for an answer, of those open to them."""
        open_to = [way for way in self._tried if callers is None or way.together <= callers]
        return max(open_to, key=self._tried.__getitem__)

    def rate(self, way: Way, seconds: float) -> float:
        """Rows in a second, called that way."""
        key = (way.sessions, way.threads)
        if key not in self._sessions:
            self._sessions[key] = [self._session(way.threads) for _ in range(way.sessions)]
        batch = np.repeat(self._row[None], way.rows, axis=0)
        counts = [0] * way.sessions
        began = time.perf_counter()

        def call(i: int, session: onnxruntime.InferenceSession) -> None:
            while time.perf_counter() - began < seconds:
                session.run(["y"], {"x": batch})
                counts[i] += way.rows

        threads = [
            threading.Thread(target=call, args=(i, session))
            for i, session in enumerate(self._sessions[key])
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        return sum(counts) / (time.perf_counter() - began)

    def _session(self, threads: int) -> onnxruntime.InferenceSession:
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = threads
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        return onnxruntime.InferenceSession(
            str(self._model), options, providers=["CPUExecutionProvider"]
        )


def _many(count: int, what: str) -> str:
    return f"{count} {what}" if count == 1 else f"{count} {what}s"
