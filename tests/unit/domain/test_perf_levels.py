"""Which level comes next, and what perf_analyzer's report means."""

from __future__ import annotations

from typing import Any

import pytest

from control_plane.domain.perf.export import (
    Measurement,
    UnreadableExportError,
    complaint,
    read_measurement,
    spread_of,
)
from control_plane.domain.perf.levels import Told, levels_of, next_level, planned
from control_plane.domain.perf.read_request import read_request
from control_plane.domain.perf.summary import peak

# As perf_analyzer 2.51 wrote them.
REPORT = """\
Request Rate,Inferences/Second,Client Send,Network+Server Send/Recv,Server Queue,\
Server Compute Input,Server Compute Infer,Server Compute Output,Client Recv,p50 latency,\
p90 latency,p95 latency,p99 latency,Avg latency,request/response,response wait
500,482.712,4,645,97,9,1089,132,1,1618,2588,3413,6677,1980,5,1958
"""
WORDS = """\
Request Rate: 500 inference requests per seconds
  Pass [1] throughput: 479.224 infer/sec. Avg latency: 2236 usec (std 3447 usec).
  Pass [2] throughput: 468.736 infer/sec. Avg latency: 1786 usec (std 859 usec).
  Pass [3] throughput: 500.281 infer/sec. Avg latency: 1917 usec (std 1118 usec).
  Client:
    Request count: 734
    Throughput: 482.712 infer/sec
    [WARNING] Perf Analyzer was not able to keep up with the desired request rate. 8.58% of the \
requests were delayed.
  Server:
    Inference count: 736
    Execution count: 368
"""


def measure(limit_ms: float, capacity: float, **load: Any) -> tuple[list[float], str]:
    """A run against a server whose latency rises with the load past its capacity."""
    request = read_request(
        {"target": {"endpoint": "e"}, "server": "s", "latency_limit": f"{limit_ms}ms", **load}
    )
    told: list[Told] = []
    while (level := next_level(request, told)).value is not None:
        latency = 1000 * max(1.0, level.value / capacity)
        told.append(Told(level.value, latency))
        assert len(told) <= planned(request.load)
    return [one.value for one in told], level.reason


def test_a_list_ends_after_the_first_level_above_the_limit() -> None:
    assert measure(2, 3, concurrency=[1, 4, 8, 16]) == ([1, 4, 8], "8 is above the latency limit")
    assert measure(9, 3, concurrency=[1, 4])[0] == [1, 4]


@pytest.mark.parametrize("capacity", [1, 5, 20.5, 31])
def test_a_search_finds_the_most_within_the_limit(capacity: float) -> None:
    span = {"from": 1, "to": 64, "search": True}
    values, reason = measure(2, capacity, concurrency=span)
    best = int(2 * capacity)
    assert best in values
    assert reason.startswith(f"{best} is ")
    assert len(values) <= 8


def test_a_search_says_when_its_ends_settle_it() -> None:
    span = {"from": 4, "to": 8, "search": True}
    assert measure(0.5, 1, concurrency=span) == ([4], "4 is above the latency limit already")
    values, reason = measure(99, 50, concurrency=span)
    assert values == [4, 8]
    assert "look higher" in reason


def test_rates_are_searched_as_near_as_asked() -> None:
    span = {"from": 100, "to": 900, "step": 50, "search": True}
    values, _ = measure(1, 430, request_rate=span)
    best = max(value for value in values if value <= 430)
    assert 380 <= best <= 430


def test_a_span_has_its_steps() -> None:
    request = read_request(
        {"target": {"endpoint": "e"}, "server": "s", "request_rate": {"from": 0.5, "to": 2}}
    )
    assert levels_of(request.load) == (0.5, 1.5)
    timed = read_request({"target": {"endpoint": "e"}, "server": "s", "intervals": ["1ms", "3ms"]})
    assert levels_of(timed.load) == (500.0,)


def test_a_report_is_read() -> None:
    found = read_measurement(REPORT, WORDS)
    assert (found.requests, found.throughput) == (734, 482.712)
    assert [found.percentile_us(p) for p in (50, 90, 95, 99)] == [1618, 2588, 3413, 6677]
    assert (found.queue_us, found.compute_infer_us, found.client_us) == (97, 1089, 5)
    assert found.delayed == 8.58
    assert found.batch == 2
    assert found.spread == round((2236 - 1786) / 1786 * 100, 2)
    assert found.parts_us["rest"] == 1980 - (97 + 9 + 1089 + 132 + 645 + 5)


@pytest.mark.parametrize(
    ("report", "words", "said"),
    [
        ("", WORDS, "no row"),
        (REPORT, "", "request count"),
        (REPORT.replace("6677", "many"), WORDS, "'many' as p99 latency"),
        (REPORT.replace("p99", "p97"), WORDS, "p99 latency"),
    ],
)
def test_what_is_no_report_says_so(report: str, words: str, said: str) -> None:
    with pytest.raises(UnreadableExportError, match=said):
        read_measurement(report, words)


def test_windows_that_stood_still_are_far_apart() -> None:
    assert spread_of("Pass [1] throughput: 0 infer/sec. Avg latency: 0 usec\n" * 2) == 100
    assert spread_of("") == 0


def test_its_reason_is_the_last_line_that_says_one() -> None:
    said = "error: failed to get model metadata: unknown model: 'x' is not found\n\n"
    assert complaint(f"hello\n{said}") == said.strip()
    assert complaint("") == "it said nothing"


def measured(throughput: float, p99: float) -> Measurement:
    return Measurement(1, throughput, *[p99] * 5, *[0.0] * 7)


def test_the_peak_is_within_the_limit() -> None:
    levels = [(1, measured(100, 900)), (2, measured(300, 4000)), (3, measured(200, 1900))]
    assert peak(levels, None, 99) == 2
    assert peak(levels, 2000, 99) == 3
    assert peak(levels, 10, 99) is None
