"""A caller who goes away: the arm that works for it is told at once."""

from __future__ import annotations

import http.client
import json
import statistics
import time
from pathlib import Path

import pytest
from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Caller, Stage, version_of
from tests.support.triton import eventually

WORKING = 60_000  # ms: longer than any test


def times_of(log: Path, what: str) -> list[int]:
    """When the arm saw this, in ns of the monotonic clock, which is the same in every process."""
    if not log.exists():
        return []
    lines = [line.split() for line in log.read_text().splitlines()]
    return [int(words[1]) for words in lines if len(words) == 2 and words[0] == what]


def test_it_reaches_the_arm_at_once(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("told", [10_000, 0])
    late_ms = []
    for number in range(30):
        log = tmp_path / str(number)
        pending = stage.begin("told", {"delay_ms": WORKING, "log": str(log)})
        eventually(lambda log=log: times_of(log, "began"))
        cancelled_at = time.monotonic_ns()
        pending.cancel()
        eventually(lambda log=log: times_of(log, "cancelled"))
        late_ms.append((times_of(log, "cancelled")[0] - cancelled_at) / 1e6)
        assert pending.code() == "CANCELLED"
    print(
        f"from the caller's cancel to the arm: median {statistics.median(late_ms):.1f} ms, "
        f"worst {max(late_ms):.1f} ms of {len(late_ms)}"
    )
    assert statistics.median(late_ms) < 250
    stage.expect("told", {"v1 cancelled": 30})
    eventually(lambda: stage.in_flight("told") == 0)


def test_also_after_a_long_silence(stage: Stage, tmp_path: Path) -> None:
    # The thread that looks for cancellations sleeps when it had nothing to do for a second.
    stage.endpoint("quiet", [10_000, 0])
    idle = stage.clock()
    eventually(lambda: idle() > 1.5)
    log = tmp_path / "log"
    pending = stage.begin("quiet", {"delay_ms": WORKING, "log": str(log)})
    eventually(lambda: times_of(log, "began"))
    cancelled_at = time.monotonic_ns()
    pending.cancel()
    eventually(lambda: times_of(log, "cancelled"))
    assert times_of(log, "cancelled")[0] - cancelled_at < 1_000_000_000


def test_many_at_once(stage: Stage) -> None:
    stage.endpoint("many", [5000, 5000])
    pending = [stage.begin("many", {"delay_ms": WORKING}) for _ in range(60)]
    eventually(lambda: stage.in_flight("many") == 60)
    for each in pending:
        each.cancel()
    eventually(lambda: stage.in_flight("many") == 0)
    eventually(lambda: sum(stage.outcomes("many").values()) == 60)
    assert set(stage.outcomes("many")) == {"v1 cancelled", "v2 cancelled"}


def test_over_a_stream(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("stream", [10_000, 0])
    log = tmp_path / "log"
    caller = Caller(stage, "stream", {"delay_ms": WORKING, "log": str(log)})
    eventually(lambda: times_of(log, "began"))
    caller.cancel()
    eventually(lambda: times_of(log, "cancelled"))
    stage.expect("stream", {"v1 cancelled": 1})


def test_a_caller_whose_own_deadline_is_up_has_gone_away(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("deadline", [10_000, 0])
    log = tmp_path / "log"
    with pytest.raises(InferenceServerException, match="Deadline"):
        stage.ask("deadline", {"delay_ms": WORKING, "log": str(log)}, client_timeout=0.2)
    eventually(lambda: times_of(log, "cancelled"))
    stage.expect("deadline", {"v1 cancelled": 1})


def test_a_connection_that_breaks_does_no_harm(stage: Stage, tmp_path: Path) -> None:
    # Triton's HTTP frontend does not cancel: the arm works on, for nobody.
    stage.endpoint("broken-off", [10_000, 0])
    log = tmp_path / "log"
    body = {
        "inputs": [{"name": "x", "shape": [1, 4], "datatype": "FP32", "data": [1] * 4}],
        "parameters": {"delay_ms": 300, "log": str(log)},
    }
    host, port = stage.server.options.http.split(":")
    connection = http.client.HTTPConnection(host, int(port))
    connection.request("POST", "/v2/models/broken-off/infer", json.dumps(body))
    eventually(lambda: times_of(log, "began"))
    connection.close()
    eventually(lambda: times_of(log, "ended"))
    eventually(lambda: stage.in_flight("broken-off") == 0)
    assert sum(stage.outcomes("broken-off").values()) == 1


def test_an_arm_that_does_not_listen_ends_by_itself(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("deaf", [10_000, 0])
    log = tmp_path / "log"
    told = {"delay_ms": 700, "stubborn": True, "log": str(log)}
    pending = stage.begin("deaf", told)
    eventually(lambda: times_of(log, "began"))
    pending.cancel()
    assert pending.code() == "CANCELLED"
    eventually(lambda: times_of(log, "cancelled"))
    assert stage.in_flight("deaf") == 1
    eventually(lambda: stage.in_flight("deaf") == 0)
    assert sum(stage.outcomes("deaf").values()) == 1


def test_a_rescue_is_told_too(stage: Stage, tmp_path: Path) -> None:
    stage.endpoint("rescue", [0, 10_000], BOUNDLESS_RESCUE)
    log = tmp_path / "log"
    told = {"v2.fail": "INTERNAL", "v1.delay_ms": WORKING, "v1.log": str(log)}
    pending = stage.begin("rescue", told)
    eventually(lambda: times_of(log, "began"))
    pending.cancel()
    eventually(lambda: times_of(log, "cancelled"))
    eventually(lambda: stage.in_flight("rescue") == 0)
    assert stage.outcomes("rescue")["v1 cancelled"] == 1


def test_an_arms_own_cancelled_is_its_failure(stage: Stage) -> None:
    stage.endpoint("says-so", [0, 10_000], BOUNDLESS_RESCUE)
    assert version_of(stage.ask("says-so", {"v2.fail": "CANCELLED"})) == 1
    stage.expect("says-so", {"v1 ok": 1, "v2 rescued": 1})


def test_the_router_may_be_unloaded_meanwhile(stage: Stage) -> None:
    stage.endpoint("leaving", [10_000, 0])
    pending = [stage.begin("leaving", {"delay_ms": WORKING}) for _ in range(5)]
    eventually(lambda: stage.in_flight("leaving") == 5)
    stage.server.unload("leaving")
    for each in pending:
        each.cancel()
    eventually(lambda: stage.in_flight("leaving") == 0)
    stage.server.load("leaving")
    assert version_of(stage.ask("leaving")) == 1


def test_what_comes_after_the_caller_left_is_not_held_against_the_arm(stage: Stage) -> None:
    breaker = (
        "breaker consecutive 1 rate 0 min_requests 1 window_us 10000000 "
        "open_us 600000000 max_open_us 600000000"
    )
    stage.endpoint("innocent", [0, 10_000], breaker, BOUNDLESS_RESCUE)
    told = {"v2.delay_ms": 300, "v2.stubborn": True, "v2.fail": "INTERNAL"}
    pending = stage.begin("innocent", told)
    eventually(lambda: stage.in_flight("innocent", 2) == 1)
    pending.cancel()
    stage.expect("innocent", {"v2 error": 1})
    assert version_of(stage.ask("innocent")) == 2
    assert version_of(stage.ask("innocent", {"v2.fail": "INTERNAL"})) == 1
    assert version_of(stage.ask("innocent")) == 1  # a failure that counts does open it
