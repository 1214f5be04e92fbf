"""A caller's trace goes on in the arm that is asked, by W3C's `traceparent`."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from tritonclient.utils import InferenceServerException

from tests.integration.backends.arms import BOUNDLESS_RESCUE, Stage, arm_name, tensor
from tests.support import models
from tests.support.collector import Collector, Span, collecting
from tests.support.triton import eventually, running_triton

CALLERS_SPAN = "00f067aa0ba902b7"
REMOTE = """
backend: "remote"
default_model_filename: "remote.json"
max_batch_size: 8
input [{ name: "x" data_type: TYPE_FP32 dims: [4] }]
output [{ name: "y" data_type: TYPE_FP32 dims: [4] }]
"""


def trace(number: int) -> str:
    return f"{number:032x}"


def caller(number: int) -> dict[str, str]:
    """The header of a caller who is in the trace of this number."""
    return {"traceparent": f"00-{trace(number)}-{CALLERS_SPAN}-01"}


EVERY_TRACE = range(1, 9)
PLAIN, HTTP, RESCUED, GIVEN_UP, STREAMED, SHADOWED, FAILED, FAR = EVERY_TRACE


def ask_everything(stage: Stage) -> None:
    """One request of each kind, each in a trace of its own."""
    canary, boundless = [0, 10_000], BOUNDLESS_RESCUE
    stage.endpoint("plain", [10_000])
    stage.ask("plain", headers=caller(PLAIN))
    stage.ask_http("plain", headers=caller(HTTP))
    stage.endpoint("saved", canary, boundless)
    stage.ask("saved", {"v2.fail": "INTERNAL"}, headers=caller(RESCUED))
    stage.endpoint("late", canary, boundless, words={2: "timeout_us 50000"})
    # It works on when its caller, and the caller's trace, are long gone.
    stage.ask("late", {"v2.delay_ms": 800, "v2.stubborn": True}, headers=caller(GIVEN_UP))
    stage.endpoint("streamed", [10_000], decoupled=True)
    for orders in ({"responses": 3, "gap_ms": 1}, {"responses": 0}):
        client = stage.server.grpc_client()
        client.start_stream(callback=lambda result, error: None, headers=caller(STREAMED))
        client.async_stream_infer("streamed", [tensor()], parameters=orders)
        client.stop_stream()
    stage.endpoint("shadowed", [10_000, 0], "shadow 1 parts 10000 max_in_flight 9")
    stage.ask("shadowed", headers=caller(SHADOWED))
    stage.endpoint("fails", [10_000])
    with pytest.raises(InferenceServerException):
        stage.ask("fails", {"fail": "INTERNAL"}, headers=caller(FAILED))
    folder = models.model_directory(stage.server.repository, "far", REMOTE)
    address = {"address": stage.server.options.grpc, "model": "plain"}
    (folder / "remote.json").write_text(json.dumps(address))
    stage.server.load("far")
    stage.ask("far", headers=caller(FAR))
    eventually(lambda: stage.metric("shadow_requests_total", "shadowed", 2, outcome="ok") == 1)
    eventually(lambda: stage.in_flight("late") == 0)
    stage.server.unload("far")
    stage.strike()


@pytest.fixture(scope="module")
def traced() -> Iterator[Collector]:
    """What a server sent of such requests, every few seconds."""
    with collecting() as collector:
        with running_triton("traced", traces_url=f"{collector.url}/v1/traces") as server:
            ask_everything(Stage(server))
            # Waited for while it runs: one that ends may lose its last ones.
            assert collector.gets(lambda: has_all(collector), 60), [
                tree(collector, number) for number in EVERY_TRACE
            ]
        yield collector


def has_all(collector: Collector) -> bool:
    """Whether the roots of all requests are there, and what the last of them led to."""
    rooted = all("caller > InferRequest" in tree(collector, number) for number in EVERY_TRACE)
    return rooted and f"plain > {arm_name('plain', 1)}" in tree(collector, FAR)


def tree(collector: Collector, number: int) -> list[str]:
    """`parent > child` of the spans of requests, those of their parts left out."""
    spans = {span.span_id: span for span in collector.trace(trace(number))}

    def name(span: Span | None) -> str:
        return span.name if span else "caller"

    return sorted(
        f"{name(spans.get(span.parent_id))} > {span.name}"
        for span in spans.values()
        if span.name != "compute"
    )


@pytest.mark.parametrize("number", [PLAIN, HTTP])
def test_the_arm_is_in_the_trace_below_its_endpoint(traced: Collector, number: int) -> None:
    assert tree(traced, number) == [
        "InferRequest > plain",
        "caller > InferRequest",
        f"plain > {arm_name('plain', 1)}",
    ]
    [root] = [s for s in traced.trace(trace(number)) if s.name == "InferRequest"]
    assert root.parent_id == CALLERS_SPAN


@pytest.mark.parametrize(("number", "endpoint"), [(RESCUED, "saved"), (GIVEN_UP, "late")])
def test_a_rescue_shows_both_attempts(traced: Collector, number: int, endpoint: str) -> None:
    assert tree(traced, number)[2:] == [
        f"{endpoint} > {arm_name(endpoint, 1)}",
        f"{endpoint} > {arm_name(endpoint, 2)}",
    ]


def test_a_failure_has_its_span(traced: Collector) -> None:
    assert f"fails > {arm_name('fails', 1)}" in tree(traced, FAILED)


def test_streams_are_traced_whatever_they_answer(traced: Collector) -> None:
    arms = [line for line in tree(traced, STREAMED) if line.startswith("streamed >")]
    assert arms == [f"streamed > {arm_name('streamed', 1)}"] * 2


def test_a_copy_is_no_business_of_the_callers(traced: Collector) -> None:
    assert tree(traced, SHADOWED)[2:] == [f"shadowed > {arm_name('shadowed', 1)}"]


def test_it_goes_on_in_the_process_of_a_remote_model(traced: Collector) -> None:
    assert tree(traced, FAR) == [
        "InferRequest > far",
        "InferRequest > plain",
        "caller > InferRequest",
        "far > InferRequest",
        f"plain > {arm_name('plain', 1)}",
    ]
