"""Requests that the router records where its node asks for it, on a real Triton."""

from __future__ import annotations

import threading
import time

import numpy as np
import pytest

from control_plane.adapters.request_recorder import FileRequestRecorder
from control_plane.domain.perf.recording import RecordedRequest, read_records
from control_plane.ports.recorder import RecordingAsk
from tests.integration.backends.arms import ONES, Stage
from tests.support.triton import eventually


@pytest.fixture
def recorder(stage: Stage) -> FileRequestRecorder:
    options = stage.server.options
    return FileRequestRecorder(options.recordings_asked, options.recordings)


def asked(recorder: FileRequestRecorder, key: str, endpoint: str, **more: int) -> None:
    """A recording that the router has taken up when this returns."""
    until = {"until_ms": int(1000 * (time.time() + 60))}
    recorder.ask(
        key,
        RecordingAsk(
            endpoint, **{"requests": 100, "bytes": 1 << 20, "parts": 10_000, **until, **more}
        ),
    )
    eventually(lambda: recorder.look(key).begun)


def taken(recorder: FileRequestRecorder, key: str) -> list[RecordedRequest]:
    """What it has, once it is done; the router has deleted it when this returns."""
    eventually(lambda: recorder.look(key).done)
    found = read_records(recorder.content(key))
    recorder.forget(key)
    eventually(lambda: not recorder.look(key).begun)
    return found


def values(request: RecordedRequest) -> list[float]:
    [tensor] = request.inputs
    assert (tensor.name, tensor.datatype) == ("x", "FP32")
    return list(np.frombuffer(tensor.data, np.float32).reshape(tensor.shape).ravel())


def test_what_callers_send_by_either_protocol_is_recorded(
    stage: Stage, recorder: FileRequestRecorder
) -> None:
    stage.endpoint("taped", [10_000])
    stage.ask("taped", x=ONES * 9)
    asked(recorder, "a1" * 16, "taped", requests=2)
    rows = np.arange(8, dtype=np.float32).reshape(2, 4)
    one = {"sequence_id": 5, "sequence_start": True, "sequence_end": True}
    stage.ask("taped", x=ONES * 7, **one)  # half a sequence would be worth nothing
    stage.ask("taped", x=rows)
    stage.ask_http("taped", x=ONES * 3)
    stage.ask("taped", x=ONES * 9)
    first, second = taken(recorder, "a1" * 16)
    assert (values(first), first.inputs[0].shape) == (list(range(8)), (2, 4))
    assert values(second) == [3, 3, 3, 3]


def test_nobody_waits_for_it_under_load(stage: Stage, recorder: FileRequestRecorder) -> None:
    stage.endpoint("busy-tape", [10_000])
    asked(recorder, "b2" * 16, "busy-tape", requests=50, parts=5_000)
    failed: list[str] = []

    def call() -> None:
        for _ in range(50):
            try:
                stage.ask("busy-tape")
            except Exception as error:
                failed.append(str(error))

    callers = [threading.Thread(target=call) for _ in range(4)]
    for one in callers:
        one.start()
    for one in callers:
        one.join()
    assert failed == []
    assert len(taken(recorder, "b2" * 16)) == 50


def test_a_request_that_does_not_fit_ends_it_and_is_answered(
    stage: Stage, recorder: FileRequestRecorder
) -> None:
    stage.endpoint("small-tape", [10_000])
    asked(recorder, "c3" * 16, "small-tape", bytes=200)
    for _ in range(3):
        stage.ask("small-tape")
    assert len(taken(recorder, "c3" * 16)) == 2
