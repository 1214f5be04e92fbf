"""One trace from a request of the API to the load in Triton, and log lines that name it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.support.collector import Collector, Span, collecting
from tests.support.processes import eventually
from tests.support.serving import ServingStack

pytestmark = [pytest.mark.long, pytest.mark.timeout(600)]

CALLERS = "4bf92f3577b34da6a3ce929d0e0e4736"


@pytest.fixture(scope="module")
def collector() -> Iterator[Collector]:
    with collecting() as collector:
        yield collector


@pytest.fixture(scope="module")
def stack(collector: Collector, tmp_path_factory: pytest.TempPathFactory) -> Iterator[ServingStack]:
    said = {
        "OTEL_EXPORTER_OTLP_ENDPOINT": collector.url,
        "OTEL_BSP_SCHEDULE_DELAY": "200",
        "OTEL_PYTHON_DISABLED_INSTRUMENTATIONS": "psycopg",
        "NEREID_LOG_FORMAT": "json",
    }
    serving = ServingStack(tmp_path_factory.mktemp("traced") / "home", variables=said)
    serving.start()
    yield serving
    serving.stop()


def test_a_change_is_one_trace_up_to_the_load_in_triton(
    stack: ServingStack, collector: Collector
) -> None:
    with stack.client() as client:
        path = "/endpoints/digits/policy/"
        policy = client.get(path)
        document = policy.json()
        document = document.get("policy", document)
        first = document["arms"][0]
        other = 2 if first["version"] == 1 else 1
        document["arms"] = [
            {**first, "weight": 70},
            {"model": first["model"], "version": other, "weight": 30, "name": "other"},
        ]
        headers = {"If-Match": policy.headers["ETag"], "X-Request-Id": "traced-change"}
        answer = client.put(path, json=document, headers=headers)
        assert answer.status_code < 300, answer.text
        assert answer.headers["X-Request-Id"] == "traced-change"

    def of_the_change() -> list[Span]:
        [trace_id] = {
            span.trace_id
            for span in collector.spans
            if span.service == "nereid-api"
            and span.attributes.get("nereid.request_id") == "traced-change"
        } or [""]
        return collector.trace(trace_id)

    def loaded() -> bool:
        found = of_the_change()
        services = {span.service for span in found}
        loads = {
            span.attributes.get("nereid.model")
            for span in found
            if span.service == "nereid-node" and span.name.endswith("/RepositoryModelLoad")
        }
        return {"nereid-api", "nereid-worker", "nereid-node"} <= services and "digits" in loads

    collector.wait_for(loaded)
    told = [
        span.attributes
        for span in collector.spans
        if span.service == "nereid-node"
        and span.attributes.get("nereid.request_id") == "traced-change"
    ]
    assert any(
        said.get("nereid.endpoint") == "digits"
        and said.get("nereid.server") == "local"
        and int(said["nereid.generation"]) > 1
        for said in told
    ), told


def test_the_log_lines_of_a_change_name_its_request_endpoint_and_trace(
    stack: ServingStack, collector: Collector
) -> None:
    def lines() -> list[dict[str, object]]:
        found = []
        for path in (Path(stack.home) / "logs").glob("*.log"):
            for line in path.read_text(errors="replace").splitlines():
                at = line.find('{"time"')
                if at >= 0:
                    found.append(json.loads(line[at:]))
        return found

    def said() -> bool:
        return any(
            line.get("request_id") == "traced-change"
            and line.get("endpoint") == "digits"
            and line.get("generation")
            and collector.trace(str(line.get("trace_id")))
            for line in lines()
        )

    assert eventually(said, 30)


def test_a_callers_trace_goes_on_in_triton(stack: ServingStack, collector: Collector) -> None:
    triton = str(stack.stack["triton"]["http"] if "triton" in stack.stack else "")
    address = triton or str(next(iter(stack.servers.values()))["http"])
    url = address if address.startswith("http") else f"http://{address}"
    with httpx.Client(base_url=url, trust_env=False, timeout=60) as client:
        config = client.get("/v2/models/digits").json()
        inputs = [
            {
                "name": one["name"],
                "datatype": one["datatype"],
                "shape": [max(1, n) for n in one["shape"]],
                "data": [0.0] * _count(one["shape"]),
            }
            for one in config["inputs"]
        ]
        headers = {"traceparent": f"00-{CALLERS}-00f067aa0ba902b7-01"}
        answer = client.post("/v2/models/digits/infer", json={"inputs": inputs}, headers=headers)
        assert answer.status_code == 200, answer.text
    collector.wait_for(lambda: any(s.service == "triton" for s in collector.trace(CALLERS)))


def _count(shape: list[int]) -> int:
    count = 1
    for n in shape:
        count *= max(1, n)
    return count
