"""A collector of traces on this machine: takes OTLP over HTTP, as protobuf and as JSON."""

from __future__ import annotations

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest


@dataclass(frozen=True)
class Span:
    service: str
    name: str
    trace_id: str
    attributes: dict[str, Any]
    span_id: str = ""
    parent_id: str = ""


@dataclass
class Collector:
    """Keeps the spans that it got."""

    url: str = ""
    spans: list[Span] = field(default_factory=list)
    arrived: threading.Condition = field(default_factory=threading.Condition)

    def trace(self, trace_id: str) -> list[Span]:
        return [span for span in self.spans if span.trace_id == trace_id]

    def gets(self, met: Callable[[], bool], patience_s: float) -> bool:
        """Whether it is met in time."""
        with self.arrived:
            return self.arrived.wait_for(met, patience_s)

    def wait_for(self, met: Callable[[], bool], patience_s: float = 60) -> None:
        assert self.gets(met, patience_s), sorted({(s.service, s.name) for s in self.spans})


def of_protobuf(body: bytes) -> Iterator[Span]:
    for resource in ExportTraceServiceRequest.FromString(body).resource_spans:
        service = _values(resource.resource.attributes)["service.name"]
        for scope in resource.scope_spans:
            for span in scope.spans:
                attributes = _values(span.attributes)
                own_ids = (span.span_id.hex(), span.parent_span_id.hex())
                yield Span(str(service), span.name, span.trace_id.hex(), attributes, *own_ids)


def _values(attributes: Any) -> dict[str, Any]:
    return {a.key: getattr(a.value, a.value.WhichOneof("value")) for a in attributes}


def of_json(body: bytes) -> Iterator[Span]:
    """As Triton sends them."""
    for resource in json.loads(body)["resourceSpans"]:
        own = _json_values(resource["resource"]["attributes"])
        for scope in resource["scopeSpans"]:
            for span in scope["spans"]:
                attributes = _json_values(span.get("attributes", []))
                trace_id, *own_ids = (
                    str(span.get(name, "")).lower()
                    for name in ("traceId", "spanId", "parentSpanId")
                )
                yield Span(own["service.name"], span["name"], trace_id, attributes, *own_ids)


def _json_values(attributes: list[dict[str, Any]]) -> dict[str, Any]:
    return {a["key"]: next(iter(a["value"].values())) for a in attributes}


@contextmanager
def collecting() -> Iterator[Collector]:
    """A collector that listens; its `url` is what OTEL_EXPORTER_OTLP_ENDPOINT names."""
    collector = Collector()

    class Intake(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            read = of_json if "json" in self.headers["Content-Type"] else of_protobuf
            with collector.arrived:
                collector.spans += read(body)
                collector.arrived.notify_all()
            self.send_response(200)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Intake) as server:
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, daemon=True).start()
        collector.url = f"http://127.0.0.1:{server.server_port}"
        yield collector
        server.shutdown()
